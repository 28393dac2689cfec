// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLB flushes against a model of what each vCPU may still use, with an
 * architecture that flushes ranges and one that doesn't; and in zap.c the tables
 * that go back after them.
 *
 * Usage: tlb-test [STEPS [SEED]]
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/percpu.h>

#include "tables.h"

unsigned int steps = 200000;
static u64 seed = 1;

u32 pick(u32 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static s64 generation(void)
{
	return atomic64_read(&world.xvm.mmu.tlb_gen);
}

/* vCPUs 0 to 3 are inside, on CPUs 1 to 4; the others have been.  All hold all. */
static void everybody_holds_all(bool takes_ranges)
{
	unsigned int i;
	u64 gfn;

	world_start(takes_ranges);
	for (i = 0; i < VCPUS; i++) {
		enter(i, 1 + i);
		for (gfn = 0; gfn < GFNS; gfn++)
			touch(i, gfn);
	}
	leave(4);
	leave(5);
}

#define INSIDE	0x1eu	/* their CPUs */

static void enter_all(void)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		enter(i, 1 + i);
}

/* The hook has been offered a range; what it took, nobody else was asked to flush. */
static void check_offer(u64 start, u64 end)
{
	CHECK(world.hook_calls == 1 && world.traces == 1);
	CHECK(world.hook_start == start && world.hook_end == end);
	CHECK(world.trace_start == start && world.trace_end == end);
	CHECK(world.trace_ranged == world.takes_ranges);
}

/* Breaks if xvm_tlb_flush_range() flushes by generation what the hook has flushed. */
static void range_taken(void)
{
	struct counts before;
	unsigned int i;
	s64 gen;

	everybody_holds_all(true);
	before = counts();
	gen = generation();
	zap(frames(10, 20));
	xvm_tlb_flush_range(&world.xvm, 10, 20);
	flushed(frames(10, 20));
	check_offer(10, 20);
	check_counts(&before, (struct counts) { .requests = 1, .ranged = 1 });
	CHECK(generation() == gen && !world.kicked && !world.trace_ipis);
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == ~frames(10, 20) && inside(i) == (i < 4));
	enter_all();
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == ~frames(10, 20));
}

/* Breaks if the hook's answer is not looked at, or vCPUs outside are kicked, or not all inside. */
static void range_refused(void)
{
	struct counts before;
	unsigned int i;
	s64 gen;

	everybody_holds_all(false);
	before = counts();
	gen = generation();
	zap(frames(10, 20));
	xvm_tlb_flush_range(&world.xvm, 10, 20);
	flushed(frames(10, 20));
	check_offer(10, 20);
	check_counts(&before, (struct counts) { .requests = 1, .flushes = 1, .ipis = 4 });
	CHECK(generation() == gen + 1);
	CHECK(world.kicked == INSIDE && world.trace_ipis == 4);
	enter_all();
	for (i = 0; i < VCPUS; i++)
		CHECK(!world.tlbs[i].held);
}

/* Breaks if xvm_tlb_flush_vm() asks the hook, whose ranges end somewhere. */
static void whole_vm(void)
{
	struct counts before;

	everybody_holds_all(true);
	before = counts();
	zap(~0ULL);
	xvm_tlb_flush_vm(&world.xvm);
	flushed(~0ULL);
	check_counts(&before, (struct counts) { .requests = 1, .flushes = 1, .ipis = 4 });
	CHECK(!world.hook_calls && world.kicked == INSIDE);
	CHECK(world.traces == 1 && !world.trace_ranged && world.trace_ipis == 4);
	CHECK(!world.trace_start && world.trace_end == ~0ULL);
	enter_all();
}

/* Breaks if flush_by_generation() asks for the mode's opposite, or interrupts without a reason. */
static void nobody_inside(void)
{
	struct counts before;
	unsigned int i;

	everybody_holds_all(false);
	for (i = 0; i < VCPUS; i++)
		leave(i);
	before = counts();
	zap(frames(0, 1));
	xvm_tlb_flush_range(&world.xvm, 0, 1);
	flushed(frames(0, 1));
	check_counts(&before, (struct counts) { .requests = 1 });
	CHECK(!world.kicked && !world.trace_ipis);
	enter_all();
	/* Each has flushed, and need not again. */
	for (i = 0; i < VCPUS; i++) {
		CHECK(!world.tlbs[i].held);
		touch(i, 5);
		leave(i);
	}
	enter_all();
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == frames(5, 6));
}

/* Breaks if xvm_tlb_flush_memslot() begins or ends where the slot does not. */
static void memslot(void)
{
	struct memslot slot = { .base_gfn = 17, .npages = 9 };
	unsigned int i;

	everybody_holds_all(true);
	zap(frames(17, 26));
	xvm_tlb_flush_memslot(&world.xvm, &slot);
	flushed(frames(17, 26));
	check_offer(17, 26);
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == ~frames(17, 26));
}

/*
 * Breaks if a defer narrows the range, counts the first as merged, or flushes; or if
 * what was flushed once is flushed again.
 */
static void deferred(void)
{
	const struct counts growth = { .requests = 1, .ranged = 1, .skipped = 2, .merged = 3 };
	struct counts before;
	unsigned int i;
	s64 gen;

	everybody_holds_all(true);
	before = counts();
	gen = generation();
	CHECK(!xvm_tlb_flush_deferred(&world.xvm));
	check_counts(&before, (struct counts) { .skipped = 1 });

	zap(frames(30, 32) | frames(10, 12) | frames(40, 41));
	xvm_tlb_defer(&world.xvm, 30, 32);
	xvm_tlb_defer(&world.xvm, 10, 12);
	xvm_tlb_defer(&world.xvm, 40, 41);
	xvm_tlb_defer(&world.xvm, 31, 32);
	check_counts(&before, (struct counts) { .skipped = 1, .merged = 3 });
	CHECK(!world.hook_calls && !world.traces && !world.kicked && generation() == gen);
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == ~0ULL);

	CHECK(xvm_tlb_flush_deferred(&world.xvm));
	flushed(frames(10, 41));
	check_offer(10, 41);
	for (i = 0; i < VCPUS; i++)
		CHECK(world.tlbs[i].held == ~frames(10, 41));
	CHECK(!xvm_tlb_flush_deferred(&world.xvm));
	CHECK(world.hook_calls == 1);
	check_counts(&before, growth);

	/* The next begins anew, at gfn 0 and up to the last. */
	world_forget();
	xvm_tlb_defer(&world.xvm, 0, XVM_GFN_END);
	CHECK(xvm_tlb_flush_deferred(&world.xvm));
	check_offer(0, XVM_GFN_END);
}

/* Breaks if xvm_tlb_flush_later() doesn't count up, or interrupts anybody. */
static void later(void)
{
	struct counts before;
	unsigned int i;

	everybody_holds_all(true);
	before = counts();
	zap(frames(1, 2));
	xvm_tlb_flush_later(&world.xvm);
	will_flush(frames(1, 2));
	check_counts(&before, (struct counts) {});
	CHECK(!world.kicked && !world.hook_calls);
	for (i = 0; i < VCPUS; i++) {
		leave(i);
		enter(i, 1 + i);
		CHECK(!world.tlbs[i].held);
	}
}

static unsigned int race_point, race_vcpu;
static bool race_enters;

static void race(unsigned int point)
{
	if (point != race_point)
		return;
	if (race_enters)
		enter(race_vcpu, 6);
	else
		leave(race_vcpu);
}

/*
 * One vCPU comes in, or goes, at each point of a flush.  Breaks if the generation
 * counts up after the modes were read.
 */
static void races(void)
{
	unsigned int way;

	for (race_point = 0; race_point < 40; race_point++) {
		for (race_vcpu = 0; race_vcpu < VCPUS; race_vcpu++) {
			for (way = 0; way < 4; way++) {
				race_enters = way & 1;
				everybody_holds_all(false);
				if (race_enters)
					leave(race_vcpu);
				zap(frames(3, 7));
				world.others = race;
				if (way & 2)
					xvm_tlb_flush_vm(&world.xvm);
				else
					xvm_tlb_flush_range(&world.xvm, 3, 7);
				world.others = NULL;
				flushed(way & 2 ? ~0ULL : frames(3, 7));
				enter_all();
				xvm_tlb_exit();
			}
		}
	}
	CHECK(!shim_allocated);
}

static void step_vcpu(unsigned int point)
{
	unsigned int i = pick(VCPUS);

	switch (pick(4)) {
	case 0:
		enter(i, pick(SHIM_CPUS));
		break;
	case 1:
		leave(i);
		break;
	default:
		touch(i, pick(GFNS));
	}
}

/* Where nobody is. */
static void move_to_another_cpu(void)
{
	unsigned int i;

	shim_cpu = pick(SHIM_CPUS);
	for (i = 0; i < VCPUS; i++)
		if (inside(i) && world.vcpus[i].cpu == shim_cpu)
			leave(i);
}

/* What a flush should have done, if others did nothing meanwhile. */
static void check_flush(const struct counts *before, struct counts growth, u64 kicked)
{
	growth.requests = 1;
	growth.ranged = world.trace_ranged;
	growth.ipis = world.trace_ipis;
	growth.flushes = !!world.trace_ipis;
	check_counts(before, growth);
	CHECK(world.traces == 1);
	if (world.others)
		return;
	if (world.trace_ranged)
		kicked = 0;
	CHECK(world.kicked == kicked && __builtin_popcountll(kicked) == world.trace_ipis);
}

static void step_flush(void)
{
	u64 start = pick(GFNS), end = start + 1 + pick(GFNS - start), hull = end, kicked = 0;
	struct counts before = counts(), growth = {};
	struct memslot slot = { .base_gfn = start, .npages = end - start };
	unsigned int i, kind = pick(5);

	world_forget();
	world.takes_ranges = pick(2);
	move_to_another_cpu();
	for (i = 0; i < VCPUS; i++)
		if (inside(i))
			kicked |= 1ULL << world.vcpus[i].cpu;
	world.others = pick(2) ? step_vcpu : NULL;

	zap(frames(start, end));
	switch (kind) {
	case 0:
		xvm_tlb_flush_vm(&world.xvm);
		CHECK(!world.hook_calls);
		start = 0;
		hull = GFNS;
		break;
	case 1:
		xvm_tlb_flush_range(&world.xvm, start, end);
		break;
	case 2:
		xvm_tlb_flush_memslot(&world.xvm, &slot);
		break;
	case 3:
		xvm_tlb_defer(&world.xvm, start, end);
		for (i = pick(4); i; i--) {
			u64 more = pick(GFNS), more_end = more + 1 + pick(GFNS - more);

			zap(frames(more, more_end));
			xvm_tlb_defer(&world.xvm, more, more_end);
			start = more < start ? more : start;
			hull = more_end > hull ? more_end : hull;
			growth.merged++;
		}
		CHECK(!world.hook_calls && !world.traces);
		CHECK(xvm_tlb_flush_deferred(&world.xvm));
		break;
	case 4:
		xvm_tlb_flush_later(&world.xvm);
		will_flush(frames(start, end));
		check_counts(&before, growth);
		CHECK(!world.kicked);
		return;
	}
	flushed(frames(start, hull));
	check_flush(&before, growth, kicked);
	if (kind)
		check_offer(start, hull);
}

static void model(void)
{
	unsigned int i;

	world_start(true);
	for (i = 0; i < steps; i++) {
		world.others = NULL;
		if (pick(8))
			step_vcpu(0);
		else if (pick(2))
			map(1ULL << pick(GFNS));
		else
			step_flush();
	}
}

/* Breaks if xvm_tlb_init() leaves what it has when a CPU's mask can't be had. */
static void no_memory(void)
{
	unsigned int i;

	for (i = 1; i <= SHIM_CPUS; i++) {
		shim_fail_alloc = i;
		CHECK(xvm_tlb_init() == -ENOMEM);
		CHECK(!shim_allocated);
	}
	CHECK(!xvm_tlb_init());
	CHECK(shim_allocated == SHIM_CPUS);
	xvm_tlb_exit();
	CHECK(!shim_allocated);
}

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "a range that the architecture flushes", range_taken },
	{ "a range that it refuses", range_refused },
	{ "a VM is flushed whole", whole_vm },
	{ "nobody is inside", nobody_inside },
	{ "a memslot and not its neighbours", memslot },
	{ "deferred flushes are one", deferred },
	{ "a flush left to the next entries", later },
	{ "a vCPU comes or goes at each point", races },
	{ "random operations agree with the model", model },
	{ "no memory for each mask", no_memory },
	{ "no table goes back before the flush", zap_freed_early },
	{ "who zaps much frees it", zap_throttled },
	{ "tables that wait go with the VM", zap_left_over },
	{ "no shadow page goes back before the flush", zap_shadow },
	{ "random zaps free what nobody walks", zap_random },
};

static bool passes(const struct test *test)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		test->run();
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

int main(int argc, char **argv)
{
	unsigned int i, passed = 0, failed = 0;

	if (argc > 1)
		steps = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	printf("TAP version 13\n# %u random operations, seed %llu\n", steps,
	       (unsigned long long)seed);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool ok = passes(&tests[i]);

		if (ok)
			passed++;
		else
			failed++;
		printf("%sok %u - %s\n", ok ? "" : "not ", passed + failed, tests[i].name);
	}
	printf("1..%u\n%u passed, %u failed\n", passed + failed, passed, failed);
	return failed ? 1 : 0;
}
