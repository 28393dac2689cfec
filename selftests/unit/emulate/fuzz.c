// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random bytes as instructions, in random modes, over memory that faults, exits and changes as it
 * likes.  Checked are the promises of emulate.h: bounded work, nothing changed unless committed,
 * reads before writes, a write that took place always commits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulate.h"

#define MAX_OPS 40 /* of one decode and exec */

#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const u8 *input, *input_end;
static unsigned int ops_done, writes_done;

static u8 next(void)
{
	return input < input_end ? *input++ : 0;
}

static u64 next_u64(void)
{
	u64 val = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		val = val << 8 | next();
	return val;
}

/* A number in the neighbourhood of where things happen. */
static u64 next_value(void)
{
	u8 kind = next();

	switch (kind & 7) {
	case 0:
		return next_u64();
	case 1:
		return (u64)next() << 56 >> (kind >> 3);
	case 2:
		return -(u64)next();
	case 3:
		return 0x10000ULL - next();
	case 4:
		return 0x100000000ULL - next();
	case 5:
		return 0x800000000000ULL - next();
	default:
		return next();
	}
}

static void check_access(const struct xvm_emul *e, u64 linear, unsigned int len)
{
	CHECK(++ops_done <= MAX_OPS);
	CHECK(len && len <= 4096);
	if (e->mode != EMUL_MODE_LONG64)
		CHECK(linear <= 0xffffffff);
	else if (!(e->cr4 & 1 << 12))
		CHECK((u64)((s64)(linear << 16) >> 16) == linear);
}

static int outcome(struct xvm_emul *e, int unlikely)
{
	u8 dice = next();

	if (dice < 200)
		return EMUL_OK;
	if (dice < 220) {
		e->fault.vector = 14;
		e->fault.has_error = true;
		return EMUL_FAULT;
	}
	return dice < 240 ? EMUL_EXIT : dice < 250 ? unlikely : EMUL_UNHANDLED;
}

static int op_read(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	unsigned int i;

	check_access(e, linear, len);
	CHECK(!writes_done);
	for (i = 0; i < len; i++)
		((u8 *)buf)[i] = i < 16 ? next() : i;
	return outcome(e, EMUL_RETRY);
}

static int written(int rc)
{
	if (rc == EMUL_OK || rc == EMUL_EXIT)
		writes_done++;
	return rc;
}

static int op_write(struct xvm_emul *e, u64 linear, const void *buf, unsigned int len)
{
	static u8 sink[4096];

	check_access(e, linear, len);
	memcpy(sink, buf, len);
	return written(outcome(e, EMUL_RETRY));
}

static int op_cmpxchg(struct xvm_emul *e, u64 linear, const void *old, const void *new,
		      unsigned int len)
{
	(void)old;
	return op_write(e, linear, new, len);
}

static int op_fetch(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	unsigned int i;
	int rc;

	check_access(e, linear, len);
	CHECK(e->insn_avail + len <= EMUL_INSN_MAX);
	CHECK((linear & 4095) + len <= 4096);
	rc = outcome(e, EMUL_RETRY);
	if (rc)
		return -rc;
	len = 1 + next() % len;
	for (i = 0; i < len; i++)
		((u8 *)buf)[i] = next();
	return len;
}

static bool op_is_memory(struct xvm_emul *e, u64 linear, bool write)
{
	(void)e;
	(void)linear;
	(void)write;
	return next() & 1;
}

static int op_probe_write(struct xvm_emul *e, u64 linear, unsigned int len)
{
	int rc = outcome(e, EMUL_RETRY);

	check_access(e, linear, len);
	return rc == EMUL_EXIT ? EMUL_OK : rc;
}

static int op_pio(struct xvm_emul *e, u16 port, bool in, unsigned int size, void *data,
		  unsigned int *count)
{
	int rc = outcome(e, EMUL_UNHANDLED);

	(void)port;
	check_access(e, 0, size * *count);
	CHECK(size == 1 || size == 2 || size == 4);
	if (rc == EMUL_OK)
		*count = 1 + next() % *count;
	if (in && rc == EMUL_OK)
		memset(data, next(), size * *count);
	return in ? rc : written(rc);
}

static void op_read_xmm(struct xvm_emul *e, unsigned int reg, u64 val[2])
{
	(void)e;
	CHECK(reg < 16);
	val[0] = reg;
	val[1] = reg;
}

static void op_write_xmm(struct xvm_emul *e, unsigned int reg, const u64 val[2])
{
	(void)e;
	(void)val;
	CHECK(reg < 16);
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

static const struct xvm_emul_ops ops_without_xmm = {
	.read = op_read,
	.write = op_write,
	.locked_write = op_cmpxchg,
	.fetch = op_fetch,
	.is_memory = op_is_memory,
	.probe_write = op_probe_write,
	.pio = op_pio,
};

static void next_segment(struct xvm_emul_seg *seg)
{
	u8 kind = next();

	/* Mostly usable ones. */
	seg->attrib = kind < 200 ? 0xc93 : next() | (kind & 1) << 10;
	seg->base = kind & 2 ? next_value() : 0;
	seg->limit = kind & 4 ? (u32)next_value() : 0xffffffff;
	seg->sel = kind;
}

static void next_state(struct xvm_emul *e)
{
	static u8 burst[4096];
	unsigned int i;
	u8 kind = next();

	memset(e, 0, sizeof(*e));
	e->ops = kind & 0x40 ? &ops_without_xmm : &ops;
	e->mode = (kind & 7) % (EMUL_MODE_LONG64 + 1);
	e->cpl = kind & 8 ? 3 : 0;
	e->rflags = 2 | (kind & 16 ? 0x400 : 0);
	e->cr0 = e->mode == EMUL_MODE_REAL ? 0x30 : 0x80000031;
	e->cr4 = kind & 32 ? 0x1620 : 0x620;
	if (kind & 0x80) {
		e->burst = burst;
		e->burst_size = 1 + next() * 16;
	}
	e->rip = next_value();
	if (e->mode != EMUL_MODE_LONG64)
		e->rip = (u32)e->rip;
	for (i = 0; i < 16; i++)
		e->regs[i] = next_value();
	for (i = 0; i < EMUL_NR_SEGS; i++)
		next_segment(&e->seg[i]);
	next_segment(&e->tr);
	if (e->tr.sel & 8)
		e->tr.attrib = 0x8b;
	e->insn_avail = next() % 32;
	for (i = 0; i < EMUL_INSN_MAX; i++)
		e->insn[i] = next();
}

static bool same_state(const struct xvm_emul *a, const struct xvm_emul *b)
{
	return !memcmp(a->regs, b->regs, sizeof(a->regs)) && a->rip == b->rip &&
	       a->rflags == b->rflags && !memcmp(a->seg, b->seg, sizeof(a->seg)) &&
	       a->cr0 == b->cr0 && a->cr4 == b->cr4 && a->cpl == b->cpl && a->mode == b->mode;
}

static void check_fault(const struct xvm_emul *e, int rc)
{
	u8 vector = e->fault.vector;

	CHECK(rc == EMUL_FAULT || rc == EMUL_UNHANDLED || rc == EMUL_RETRY || rc == EMUL_EXIT);
	if (rc != EMUL_FAULT)
		return;
	CHECK(vector == 6 || vector == 7 || (vector >= 12 && vector <= 14));
	if (vector == 12 || vector == 13)
		CHECK(e->fault.has_error == (e->mode != EMUL_MODE_REAL));
}

static bool step(struct xvm_emul *e)
{
	struct xvm_emul before = *e;
	int rc;

	writes_done = 0;
	rc = xvm_emul_exec(e);
	CHECK(writes_done <= 1);
	if (!e->committed) {
		CHECK(rc != EMUL_OK && !e->again && !writes_done);
		CHECK(same_state(e, &before));
		check_fault(e, rc);
		return false;
	}
	CHECK(rc == EMUL_OK || (rc == EMUL_EXIT && writes_done));
	if (e->again)
		CHECK(e->d.rep && e->rip == before.rip && e->regs[1] != before.regs[1]);
	else
		CHECK(e->rip == xvm_emul_wrap(e, before.rip + e->insn_len));
	return e->again;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct xvm_emul e, before;
	unsigned int i;
	int rc;

	input = data;
	input_end = data + size;
	next_state(&e);
	before = e;
	ops_done = 0;
	writes_done = 0;
	rc = xvm_emul_decode(&e);
	CHECK(same_state(&e, &before) && !e.committed && !writes_done);
	CHECK(e.insn_len <= EMUL_INSN_MAX && e.insn_avail <= EMUL_INSN_MAX);
	if (rc) {
		check_fault(&e, rc);
		return 0;
	}
	CHECK(e.insn_len);
	for (i = 0; i < 8; i++) {
		ops_done = 0;
		if (!step(&e))
			break;
	}
	return 0;
}
