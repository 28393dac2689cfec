// SPDX-License-Identifier: GPL-2.0-only
/* The calls of failures.c that run the guest, or are about what it has written. */
#include "failures_calls.h"

#include <string.h>

#include "huge.h"

GUEST_ASM(read_word, 64, "mov (%rbx), %rax; hlt");
GUEST_ASM(jump_to, 64, "jmp *%rbx");
GUEST_ASM(read_port, 64, "rep insb; hlt");

#define HUGE_BYTES 0x200000ul
/* More than a vCPU has tables at hand. */
#define NR_SPLIT 8

GUEST_ASM(write_large, 64, "1: mov %rcx, (%rbx); add $0x200000, %rbx; dec %rcx; jnz 1b; hlt");

static long run(struct world *w)
{
	struct kvm_run *exit = w->g.cpu.run;
	long result = vcpu_run(&w->g.cpu);

	/* Else the guest reads what an exit before, of another kind, has left there. */
	if (result == KVM_EXIT_MMIO && !exit->mmio.is_write)
		memset(exit->mmio.data, 0x5a, sizeof(exit->mmio.data));
	return result;
}

/* Memory that the host has yet to find. */
static uint8_t *absent(struct world *w, size_t size)
{
	uint8_t *memory = mem_alloc(size + HUGE_BYTES);

	memory += -(uintptr_t)memory & (HUGE_BYTES - 1);
	madvise(memory, size, size < HUGE_BYTES ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	guest_add_slot(&w->g, NEW, 0, NEW_GPA, size, memory);
	return memory;
}

static void at_absent(struct world *w)
{
	absent(w, SLOT_BYTES);
	START(w, read_word, .rbx = NEW_GPA + GUEST_PAGE);
}

/* The host has its page of zeros there. */
static void at_zeros(struct world *w)
{
	volatile uint8_t *memory = absent(w, SLOT_BYTES);

	(void)memory[GUEST_PAGE];
	START(w, write_pages, .rbx = NEW_GPA + GUEST_PAGE, .rcx = 2);
}

static void at_code(struct world *w)
{
	uint8_t *memory = absent(w, SLOT_BYTES);

	memcpy(memory + GUEST_PAGE, read_word, read_word_end - read_word);
	START(w, jump_to, .rbx = NEW_GPA + GUEST_PAGE);
}

static void at_huge(struct world *w)
{
	absent(w, 2 * HUGE_BYTES);
	START(w, write_pages, .rbx = NEW_GPA + GUEST_PAGE, .rcx = 2);
}

static void begin_split(struct world *w)
{
	START(w, write_large, .rbx = NEW_GPA, .rcx = NR_SPLIT);
}

static void map_new(struct world *w)
{
	begin_split(w);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
}

/*
 * Large leaves that their slot's log has not split, as there was no memory for the
 * parts at the time: writes have to.
 */
static void log_without_split(struct world *w, uint8_t *memory)
{
	unsigned int n, rounds;
	enum fail_kind failed;
	long ret;

	/* What fails may be a slab's page, in the place of the first table: then again. */
	for (rounds = 0; rounds < 20; rounds++) {
		for (n = 1, failed = FAIL_SLAB; failed != FAIL_NONE; n++) {
			fail_arm(n);
			ret = guest_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA,
					 NR_SPLIT * HUGE_BYTES, memory);
			failed = fail_disarm();
			if (!ret && read_stat(w->g.vm, "pages_2m") == NR_SPLIT)
				return;
			guest_add_slot(&w->g, NEW, 0, NEW_GPA, NR_SPLIT * HUGE_BYTES, memory);
			map_new(w);
		}
	}
	die("the large leaves were split every time");
}

static void at_split(struct world *w)
{
	uint8_t *memory = absent(w, NR_SPLIT * HUGE_BYTES);
	unsigned int i;

	for (i = 0; i < NR_SPLIT; i++)
		memory[i * HUGE_BYTES] = 1;
	if (!huge_collapse(memory, NR_SPLIT * HUGE_BYTES))
		die("no transparent huge pages");
	map_new(w);
	/* KVM's log complains in the kernel log. */
	if (device_is_xvm(w->g.dev) && device_has_npt(w->g.dev))
		log_without_split(w, memory);
	else
		guest_add_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, NR_SPLIT * HUGE_BYTES,
			       memory);
	begin_split(w);
}

/* How many are large. */
static long large_leaves(struct world *w)
{
	return read_stat(w->g.vm, "pages_2m");
}

/* Small leaves where the host has a large page by now: the table for it is there. */
static void at_collapse(struct world *w)
{
	uint8_t *memory = absent(w, HUGE_BYTES);

	madvise(memory, HUGE_BYTES, MADV_NOHUGEPAGE);
	*memory = 1;
	START(w, read_word, .rbx = NEW_GPA);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
	madvise(memory, HUGE_BYTES, MADV_HUGEPAGE);
	if (!huge_collapse(memory, HUGE_BYTES))
		die("no transparent huge pages");
	START(w, read_word, .rbx = NEW_GPA);
}

static bool has_run; /* in this process, which makes one call */

static long run_collapse(struct world *w)
{
	has_run = true;
	return run(w);
}

/* Asked when nothing fails any more: a statistic takes memory, too. */
static long collapsed(struct world *w)
{
	long large = large_leaves(w);

	if (has_run && device_is_xvm(w->g.dev) && device_has_npt(w->g.dev) && large != 1)
		die("%ld large leaves, not one", large);
	return large;
}

static void at_nothing(struct world *w)
{
	START(w, read_word, .rbx = NEW_GPA);
}

/* The same by the other vCPU, which has emulated nothing before. */
static void first_at_nothing(struct world *w)
{
	struct kvm_regs regs;

	at_nothing(w);
	vcpu_get_regs(&w->g.cpu, &regs);
	guest_long_mode(&w->g, &w->v, regs.rip);
	vcpu_set_regs(&w->v, &regs);
}

static long run_first(struct world *w)
{
	return vcpu_run(&w->v);
}

static void at_readonly(struct world *w)
{
	START(w, write_pages, .rbx = READONLY_GPA, .rcx = 1);
}

static void at_port(struct world *w)
{
	absent(w, SLOT_BYTES);
	START(w, read_port, .rdi = NEW_GPA, .rcx = 512, .rdx = 0x3f8);
}

static long sigmask(struct world *w)
{
	/* struct kvm_signal_mask with its set of eight bytes. */
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };

	return kioctl(w->v.fd, KVM_SET_SIGNAL_MASK, &mask);
}

static long prefault(struct world *w)
{
	struct kvm_pre_fault_memory range = { .gpa = NEW_GPA, .size = SLOT_BYTES };

	return kioctl(w->g.cpu.fd, KVM_PRE_FAULT_MEMORY, &range);
}

#define RUN(name, at, ...)							\
	const struct call call_run_##name = {					\
		"run_" #name, .setup = at, .call = run, .runs = true, __VA_ARGS__ \
	}

RUN(read, at_absent);
RUN(write, at_zeros);
RUN(exec, at_code);
RUN(huge, at_huge);
RUN(split, at_split, .effect = large_leaves);
const struct call call_run_collapse = {
	"run_collapse", .setup = at_collapse, .call = run_collapse, .effect = collapsed,
	.runs = true,
};

RUN(mmio, at_nothing);
RUN(readonly, at_readonly);
RUN(string_io, at_port);
const struct call call_run_first_mmio = {
	"run_first_mmio", .setup = first_at_nothing, .call = run_first, .runs = true,
};

const struct call call_run_sigmask = { "run_sigmask", .call = sigmask };
const struct call call_prefault = {
	"prefault", .setup = at_absent, .call = prefault, .runs = true, .nested_only = true,
};

/* Dirty rings */

#define RING_ENTRIES (RING_BYTES / sizeof(struct kvm_dirty_gfn))
/* Nobody looks at these pages. */
#define FIRST_WRITTEN 2
#define NR_WRITTEN 2

static void write_logged(struct world *w, uint64_t gpa)
{
	START(w, write_pages, .rbx = gpa, .rcx = NR_WRITTEN);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
}

/*
 * A large leaf is writable although its slot is logged, as the log began full.  The
 * entries are of other pages, but what they say now has it split, and its parts protected.
 */
static void at_entries(struct world *w)
{
	uint8_t *memory = absent(w, 2 * HUGE_BYTES);
	unsigned int i;

	world_enable(w, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		     KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	*memory = 1;
	if (!huge_collapse(memory, HUGE_BYTES))
		die("no transparent huge pages");
	write_logged(w, NEW_GPA);
	guest_add_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, 2 * HUGE_BYTES, memory);
	write_logged(w, NEW_GPA + HUGE_BYTES);

	w->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->g.cpu.fd,
		       KVM_DIRTY_LOG_PAGE_OFFSET * GUEST_PAGE);
	if (w->ring == MAP_FAILED)
		die("mmap of the ring: %m");
	for (i = 0; i < NR_WRITTEN; i++) {
		if (w->ring[i].flags != KVM_DIRTY_GFN_F_DIRTY || w->ring[i].slot != NEW)
			die("no entry for page %u", i);
		w->ring[i].offset = FIRST_WRITTEN + i;
		w->ring[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
}

long reset_rings(struct world *w)
{
	return kioctl(w->g.vm, KVM_RESET_DIRTY_RINGS, 0ul);
}

/* How many of the pages are protected: writes to them are in the ring. */
static long logged_writes(struct world *w)
{
	unsigned int i;
	long n = 0;

	write_logged(w, NEW_GPA + FIRST_WRITTEN * GUEST_PAGE);
	for (i = 0; i < RING_ENTRIES; i++)
		n += w->ring[i].flags == KVM_DIRTY_GFN_F_DIRTY;
	return n;
}

const struct call call_reset_rings = {
	"reset_rings", .begin = with_ring, .setup = at_entries, .call = reset_rings,
	.effect = logged_writes, .nested_only = true,
};
