// SPDX-License-Identifier: GPL-2.0-only
/*
 * Differential test: random instances of each instruction form run on the CPU and in the emulator,
 * from the same registers and memory.  Registers, defined flags, memory, RIP and faults must agree.
 * Meanwhile reads and writes of the emulator turn into exits at random, which must not show.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulate.h"
#include "forms.h"
#include "suites.h"
#include "tap.h"

#define PF_PRESENT 1 /* up to the host's tables, so not compared */
#define PF_WRITE 2
#define PF_USER 4

#define GS_BASE 0x04321000ULL

#define MAX_STEPS 200
#define PER_WORLD 64 /* instances from one set of segments and memory */

static u8 *native_mem; /* what the CPU works on */
static u8 emul_mem[DATA_SIZE];
static u8 image[DATA_SIZE]; /* before the instruction */

static struct native_state emul_state; /* xmm of the emulator */
static const struct instance *current;
static struct world world;
static bool disturb; /* this read, write or locked write comes to something else first */

static int page_fault(struct xvm_emul *e, u64 linear, bool write)
{
	if (linear < DATA_BASE)
		e->fault.cr2 = linear;
	else
		e->fault.cr2 = linear < DATA_BASE + DATA_SIZE ? DATA_BASE + DATA_SIZE : linear;
	e->fault.vector = 14;
	e->fault.has_error = true;
	e->fault.error = PF_USER | (write ? PF_WRITE : 0);
	return EMUL_FAULT;
}

static bool inside(u64 linear, unsigned int len)
{
	return linear >= DATA_BASE && linear - DATA_BASE <= DATA_SIZE - len;
}

static int op_read(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	if (!inside(linear, len))
		return page_fault(e, linear, false);
	if (disturb) {
		disturb = false;
		return EMUL_EXIT;
	}
	memcpy(buf, emul_mem + (linear - DATA_BASE), len);
	return EMUL_OK;
}

static int op_write(struct xvm_emul *e, u64 linear, const void *buf, unsigned int len)
{
	if (!inside(linear, len))
		return page_fault(e, linear, true);
	memcpy(emul_mem + (linear - DATA_BASE), buf, len);
	if (disturb) {
		disturb = false;
		return EMUL_EXIT;
	}
	return EMUL_OK;
}

static int op_cmpxchg(struct xvm_emul *e, u64 linear, const void *old, const void *new,
		      unsigned int len)
{
	u8 *at = emul_mem + (linear - DATA_BASE);

	if (!inside(linear, len))
		return page_fault(e, linear, true);
	if (disturb) {
		disturb = false;
		return EMUL_RETRY;
	}
	if (memcmp(at, old, len))
		return EMUL_RETRY;
	memcpy(at, new, len);
	return EMUL_OK;
}

static int op_fetch(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	u64 at = linear - e->rip - (world.bits == 64 ? 0 : world.seg[EMUL_SEG_CS].base);

	if (rnd_chance(20))
		len = 1 + rnd_below(len);
	memset(buf, 0x90, len);
	if (at < current->len)
		memcpy(buf, current->insn + at, len < current->len - at ? len : current->len - at);
	return len;
}

static bool op_is_memory(struct xvm_emul *e, u64 linear, bool write)
{
	(void)e;
	(void)linear;
	(void)write;
	return true;
}

static int op_probe_write(struct xvm_emul *e, u64 linear, unsigned int len)
{
	return inside(linear, len) ? EMUL_OK : page_fault(e, linear, true);
}

static int op_pio(struct xvm_emul *e, u16 port, bool in, unsigned int size, void *data,
		  unsigned int *count)
{
	(void)e, (void)port, (void)in, (void)size, (void)data, (void)count;
	return EMUL_UNHANDLED; /* never allowed here */
}

static void op_read_xmm(struct xvm_emul *e, unsigned int reg, u64 val[2])
{
	(void)e;
	memcpy(val, emul_state.xmm[reg], 16);
}

static void op_write_xmm(struct xvm_emul *e, unsigned int reg, const u64 val[2])
{
	(void)e;
	memcpy(emul_state.xmm[reg], val, 16);
}

static const struct xvm_emul_ops ops = {
	.read = op_read,
	.write = op_write,
	.locked_write = op_cmpxchg,
	.fetch = op_fetch,
	.is_memory = op_is_memory,
	.probe_write = op_probe_write,
	.pio = op_pio,
	.read_xmm = op_read_xmm,
	.write_xmm = op_write_xmm,
};

static u16 selector(unsigned int seg)
{
	u16 sel;

	switch (seg) {
	case EMUL_SEG_ES:
		asm("mov %%es, %0" : "=r"(sel));
		break;
	case EMUL_SEG_CS:
		asm("mov %%cs, %0" : "=r"(sel));
		break;
	case EMUL_SEG_SS:
		asm("mov %%ss, %0" : "=r"(sel));
		break;
	default:
		asm("mov %%ds, %0" : "=r"(sel));
		break;
	}
	return sel;
}

/* Segments as a process has them. */
static void plain_world(void)
{
	unsigned int i;

	memset(&world, 0, sizeof(world));
	world.bits = 64;
	for (i = 0; i < EMUL_NR_SEGS; i++)
		world.seg[i].sel = selector(i);
	world.seg[EMUL_SEG_GS].base = GS_BASE;
}

/* A data segment around the data pages, of any kind; the stack's has to be writable. */
static void random_segment(struct xvm_emul_seg *seg, bool stack)
{
	u64 start;

	seg->base = rnd_chance(30) ? 0 : DATA_BASE + 64 - rnd_below(0x2000);
	start = DATA_BASE - seg->base;
	seg->limit = rnd_chance(50) ? 0xffffffff : 0xffff;
	seg->attrib = 0xf3;
	switch (rnd_below(stack ? 6 : 10)) {
	case 0:
		seg->attrib |= 4; /* expands down, from somewhere within the pages */
		seg->limit = (start + rnd_below(DATA_SIZE)) & 0xfffff;
		break;
	case 1:
	case 2:
		seg->limit = (start + rnd_below(DATA_SIZE)) & 0xfffff;
		break;
	case 6:
		seg->attrib = 0xf1; /* read-only */
		break;
	case 7:
		seg->attrib = 0xfb; /* code; only if readable can it be loaded */
		break;
	case 8:
		seg->attrib = rnd_chance(50) ? 0 : 0xf3;
		break;
	}
	if (rnd_chance(50) && seg->attrib)
		seg->attrib |= 0x400;
}

static int segmented_world(unsigned int bits)
{
	static const u8 loaded[] = { EMUL_SEG_ES, EMUL_SEG_SS, EMUL_SEG_DS, EMUL_SEG_GS };
	unsigned int i;

	memset(&world, 0, sizeof(world));
	world.bits = bits;
	for (i = 0; i < sizeof(loaded); i++) {
		struct xvm_emul_seg *seg = &world.seg[loaded[i]];

		random_segment(seg, loaded[i] == EMUL_SEG_SS);
		if (native_seg_load(seg, loaded[i]))
			return -1;
	}
	return native_seg_code(&world.seg[EMUL_SEG_CS], bits == 32);
}

static void set_up(struct xvm_emul *e, const struct instance *inst)
{
	memset(e, 0, sizeof(*e));
	e->ops = &ops;
	memcpy(e->regs, inst->st.regs, sizeof(e->regs));
	memcpy(e->seg, world.seg, sizeof(e->seg));
	e->rip = world.bits == 64 ? native_rip() : SEG_CODE_EIP;
	e->rflags = inst->st.rflags;
	e->cr0 = 0x80000033;
	e->cr4 = 0x620;
	e->efer = 0xd01;
	e->mode = world.bits == 64 ? EMUL_MODE_LONG64 :
		  world.bits == 32 ? EMUL_MODE_PROT32 : EMUL_MODE_PROT16;
	e->cpl = 3;
}

/* Runs to the end of the instruction, through every exit.  EMUL_OK or what it ended with. */
static int emulate(struct xvm_emul *e)
{
	unsigned int steps;
	int rc = EMUL_OK;

	for (steps = 0; steps < MAX_STEPS; steps++) {
		u64 regs[16];

		memcpy(regs, e->regs, sizeof(regs));
		disturb = rnd_chance(30);
		e->insn_avail = 0;
		rc = xvm_emul_decode(e);
		if (rc)
			return rc;
		do
			rc = xvm_emul_exec(e);
		while (rc == EMUL_OK && e->again);
		if (rc == EMUL_OK || rc == EMUL_FAULT || rc == EMUL_UNHANDLED)
			return rc;
		if (rc == EMUL_EXIT && e->committed && !e->again)
			return EMUL_OK;
		if (rc == EMUL_RETRY && memcmp(regs, e->regs, sizeof(regs)))
			return -1;
	}
	return -2;
}

static void describe(const struct form *f, const struct instance *inst, const char *what)
{
	char text[64] = "";
	unsigned int i;

	tap_note("%u-bit code; ES %llx+%x %x, SS %llx+%x %x, DS %llx+%x %x", world.bits,
		 world.seg[0].base, world.seg[0].limit, world.seg[0].attrib, world.seg[2].base,
		 world.seg[2].limit, world.seg[2].attrib, world.seg[3].base, world.seg[3].limit,
		 world.seg[3].attrib);
	for (i = 0; i < inst->len; i++)
		sprintf(text + i * 3, "%02x ", inst->insn[i]);
	tap_note("%s: %s: %s", f->name, text, what);
}

static bool compare(const struct form *f, const struct instance *inst, struct xvm_emul *e, int rc,
		    const struct native_state *st, const struct native_fault *fault)
{
	u64 mask = (ARITH | DF) & ~(u64)inst->undefined;
	bool faulted = rc == EMUL_FAULT;
	char what[160];
	unsigned int i;
	u64 start;

	if (fault->raised != faulted || (rc && !faulted)) {
		snprintf(what, sizeof(what), "emulator says %d, CPU %s %d (error %x, cr2 %llx)", rc,
			 fault->raised ? "faults with" : "is fine", fault->vector, fault->error,
			 fault->cr2);
		describe(f, inst, what);
		return false;
	}
	if (fault->raised &&
	    (fault->vector != e->fault.vector || (fault->error & ~PF_PRESENT) != e->fault.error ||
	     (fault->vector == 14 && fault->cr2 != e->fault.cr2))) {
		snprintf(what, sizeof(what), "fault %d/%x/%llx, CPU %d/%x/%llx", e->fault.vector,
			 e->fault.error, e->fault.cr2, fault->vector, fault->error, fault->cr2);
		describe(f, inst, what);
		return false;
	}
	for (i = 0; i < 16; i++) {
		if (e->regs[i] == st->regs[i] &&
		    !memcmp(emul_state.xmm[i], st->xmm[i], sizeof(st->xmm[i])))
			continue;
		snprintf(what, sizeof(what), "register %u: %llx, CPU %llx, before %llx", i,
			 e->regs[i], st->regs[i], inst->st.regs[i]);
		describe(f, inst, what);
		return false;
	}
	if ((e->rflags ^ st->rflags) & mask) {
		snprintf(what, sizeof(what), "flags %llx, CPU %llx, before %llx, compared %llx",
			 e->rflags, st->rflags, inst->st.rflags, mask);
		describe(f, inst, what);
		return false;
	}
	start = world.bits == 64 ? native_rip() : SEG_CODE_EIP;
	if (e->rip != start + (fault->raised ? 0 : inst->len)) {
		describe(f, inst, "length");
		return false;
	}
	if (memcmp(emul_mem, native_mem, DATA_SIZE)) {
		describe(f, inst, "memory");
		return false;
	}
	return true;
}

static void fill_image(void)
{
	unsigned int i;
	bool dull = rnd_chance(50); /* so that CMPS and SCAS get somewhere */

	for (i = 0; i < DATA_SIZE; i += 8) {
		u64 val = dull ? 0x1111111111111111ULL * rnd_below(2) : rnd_value();

		memcpy(image + i, &val, 8);
	}
}

static int renew(unsigned int bits)
{
	fill_image();
	memcpy(native_mem, image, DATA_SIZE);
	memcpy(emul_mem, image, DATA_SIZE);
	return bits == 64 ? 0 : segmented_world(bits);
}

static bool test_instance(const struct form *f, unsigned int *faults)
{
	struct native_fault fault;
	struct native_state st;
	struct instance inst;
	struct xvm_emul e;
	unsigned int i;
	int rc;

	instantiate(f, &world, native_mem, &inst);
	if (world.bits != 64)
		for (i = 0; i < 16; i++)
			inst.st.regs[i] = i < 8 ? (u32)inst.st.regs[i] : 0;
	current = &inst;
	st = inst.st;
	if (world.bits == 64)
		native_run(inst.insn, inst.len, &st, &fault);
	else
		native_seg_run(inst.insn, inst.len, world.seg, &st, &fault);
	/* Nothing promises what upper halves hold after 16- or 32-bit code. */
	if (world.bits != 64)
		for (i = 0; i < 16; i++)
			st.regs[i] = (u32)st.regs[i];
	emul_state = inst.st;
	set_up(&e, &inst);
	rc = emulate(&e);
	*faults += fault.raised;
	if (compare(f, &inst, &e, rc, &st, &fault))
		return true;
	memcpy(emul_mem, native_mem, DATA_SIZE);
	return false;
}

static void test_form(const struct form *f, unsigned int bits, unsigned int cases)
{
	bool must_fault = f->flags & (T_PORT | T_INVALID);
	unsigned int i, bad = 0, faults = 0;

	for (i = 0; i < cases && bad < 5; i++) {
		if (i % PER_WORLD == 0 && renew(bits)) {
			tap_note("%s: no segments from the LDT", f->name);
			bad++;
			break;
		}
		bad += !test_instance(f, &faults);
	}
	/* A few sets of segments may happen to fault always. */
	if (i != faults ? must_fault : !must_fault && cases >= 20 * PER_WORLD)
		bad++;
	tap_result(!bad, "%u-bit %s: %u instances, %u of them fault", bits, f->name, i, faults);
}

int diff_init(void)
{
	native_mem = mmap((void *)DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return native_mem == MAP_FAILED || native_init() ? -1 : 0;
}

void diff_suite(unsigned int bits, unsigned int cases)
{
	unsigned int i;

	if (bits == 64) {
		plain_world();
		syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
	} else if (segmented_world(bits)) {
		tap_note("%u-bit code is not compared with the CPU: no modify_ldt() here", bits);
		return;
	}
	for (i = 0; i < nr_forms; i++)
		if (bits == 64 || !(forms[i].flags & T_ONLY64))
			test_form(&forms[i], bits, cases);
}
