// SPDX-License-Identifier: GPL-2.0-only
/* From the zap that cuts a table off to its page's return, by way of the flush. */
#include <linux/percpu.h>

#include "tables.h"

#define MANY	600		/* more subtrees than may wait for the worker */

static void go_in(unsigned int vcpus)
{
	unsigned int i;

	for (i = 0; i < vcpus; i++)
		tables_enter(i, 1 + i);
}

static void zap_tables(u64 start_gfn, u64 end_gfn)
{
	lock();
	xvm_mmu_zap_range(&world.xvm, start_gfn, end_gfn, false);
	unlock();
}

static void flush_tables(void)
{
	lock();
	xvm_mmu_zap_flush(&world.xvm);
	unlock();
}

static void map_many(void)
{
	unsigned int i;

	for (i = 0; i < MANY; i++)
		tables_map(i * xvm_level_pages(2), 1);
}

static void walk_many(bool cached)
{
	unsigned int i, vcpu;

	for (i = 0; i < MANY; i++)
		for (vcpu = 0; vcpu < VCPUS; vcpu++)
			tables_walk(vcpu, i * xvm_level_pages(2), cached);
}

/* Each with the table of its own; those above stay. */
static void zap_many(void)
{
	unsigned int i;

	for (i = 0; i < MANY; i++)
		zap_tables(i * xvm_level_pages(2), (i + 1) * xvm_level_pages(2));
}

static void free_now(unsigned int point)
{
	tables_work();
	xvm_mmu_zap_throttle(&world.xvm);
}

/*
 * Whoever frees does so at each point, with vCPUs inside that know what goes.  Breaks
 * if xvm_mmu_zap_flush() splices to freeable before xvm_tlb_flush_deferred(), or
 * zap_detach() adds to freeable; if unmap_visit() tells less than a table's range.
 */
void zap_freed_early(void)
{
	unsigned int way, in_use;

	for (way = 0; way < 4; way++) {
		five_levels = way & 1;
		tables_start(way & 2);
		map_many();
		in_use = tables_in_use();
		go_in(VCPUS);
		walk_many(false);
		/* Something is queued already. */
		tables_map(MANY * xvm_level_pages(2), 1);
		zap_tables(MANY * xvm_level_pages(2), (MANY + 1) * xvm_level_pages(2));
		flush_tables();
		go_in(VCPUS);
		walk_many(false);

		world.others = free_now;
		zap_many();
		CHECK(tables_in_use() >= in_use);
		walk_many(true);
		flush_tables();
		free_now(0);
		/* What is at hand for the next map is in use, too. */
		CHECK(tables_in_use() <= in_use - MANY + XVM_FAULT_TABLES);
		tables_end();
	}
}

/*
 * Breaks if xvm_mmu_zap_throttle() frees a few, or not many; without any line of nr_freeable's
 * or nr_detached's, or the one that queues the worker.
 */
void zap_throttled(void)
{
	unsigned int in_use;

	tables_start(false);
	map_many();
	in_use = tables_in_use();
	zap_tables(0, xvm_level_pages(2));
	flush_tables();
	xvm_mmu_zap_throttle(&world.xvm);
	CHECK(tables_in_use() == in_use && tables_queued());
	zap_many();
	xvm_mmu_zap_throttle(&world.xvm);
	CHECK(tables_in_use() == in_use);
	flush_tables();
	xvm_mmu_zap_throttle(&world.xvm);
	CHECK(tables_in_use() == in_use - MANY);

	tables_map(0, 1);
	in_use = tables_in_use();
	zap_tables(0, xvm_level_pages(2));
	flush_tables();
	xvm_mmu_zap_throttle(&world.xvm);
	CHECK(tables_in_use() == in_use);
	tables_work();
	CHECK(tables_in_use() == in_use - 1);
	tables_end();
}

/* Breaks if xvm_mmu_destroy() forgets what no flush made freeable, or what no worker freed. */
void zap_left_over(void)
{
	tables_start(false);
	map_many();
	zap_tables(0, xvm_level_pages(3));
	flush_tables();
	CHECK(tables_queued());
	zap_tables(xvm_level_pages(3), 2 * xvm_level_pages(3));
	tables_end();
}

static unsigned int shadow_freed;

/* Breaks if xvm_mmu_zap_flush() frees shadow pages before the flush, or without one. */
void zap_shadow(void)
{
	tables_start(false);
	/* Nothing looks into it here. */
	world.xvm.mmu.shadow = (struct xvm_shadow *)&world;
	flush_tables();
	zap_tables(10, 20);
	CHECK(!shadow_freed && !world.traces);
	flush_tables();
	CHECK(shadow_freed == 1 && world.traces == 1);
	flush_tables();
	CHECK(shadow_freed == 1 && world.traces == 1);
	tables_end();
}

static u64 pick_place(void)
{
	static const u64 in_1g[] = { 0, 1, 2, 510, 511 };
	u64 base = pick(2) ? 0 : xvm_level_pages(4) - xvm_level_pages(3);

	/* Two of 1G each: those at 512G have no table in common but the highest. */
	return base + pick(2) * xvm_level_pages(3) + in_1g[pick(5)] * xvm_level_pages(2) +
	       pick(3) * 255;
}

static void zap_somewhere(void)
{
	u64 start = pick_place(), pages = xvm_level_pages(1 + pick(5));

	if (pick(4))
		start &= ~(pages - 1);
	zap_tables(start, pick(8) ? start + pages : XVM_GFN_END);
}

static void step_cpu(unsigned int point)
{
	unsigned int i = pick(VCPUS);

	switch (pick(12)) {
	case 0:
	case 1:
		tables_enter(i, pick(SHIM_CPUS));
		break;
	case 2:
		leave(i);
		break;
	case 3:
		tables_work();
		break;
	case 4:
		xvm_mmu_zap_throttle(&world.xvm);
		break;
	default:
		tables_walk(i, pick_place(), pick(2));
	}
}

static void step(void)
{
	world.others = pick(3) ? step_cpu : NULL;
	world.takes_ranges = pick(2);
	switch (pick(16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		tables_map(pick_place(), pick(4) ? 1 : 1 + pick(3));
		break;
	case 4:
	case 5:
		zap_somewhere();
		break;
	case 6:
		flush_tables();
		break;
	case 7:
		tables_work();
		break;
	case 8:
		/* Another's flush is none of the zap's: what it flushes may be something else. */
		if (pick(2))
			xvm_tlb_flush_later(&world.xvm);
		else
			xvm_tlb_flush_range(&world.xvm, 0, 1 + pick(1000));
		break;
	default:
		step_cpu(0);
	}
}

/* So many zaps that xvm_mmu_zap_throttle() frees, at any time from now on. */
static void burst(void)
{
	world.others = step_cpu;
	map_many();
	walk_many(false);
	zap_many();
	flush_tables();
}

/*
 * Breaks by the same lines as zap_freed_early(); and if flush_by_generation() counts up
 * after the loop, or not while nobody is inside, or xvm_tlb_defer() narrows the range.
 */
void zap_random(void)
{
	unsigned int i;

	for (i = 0; i < steps; i++) {
		if (!(i % 5000)) {
			if (i)
				tables_end();
			five_levels = pick(2);
			tables_start(true);
		}
		if (i % 1000 == 500)
			burst();
		step();
	}
	tables_end();
}

/* The rest of the module. */

int xvm_shadow_create(struct xvm *xvm)
{
	return 0;
}

void xvm_shadow_destroy(struct xvm *xvm)
{
}

void xvm_shadow_show(struct xvm *xvm)
{
}

void xvm_shadow_zap_range(struct xvm *xvm, u64 start, u64 end, bool may_yield)
{
	xvm_tlb_defer(xvm, start, end);
}

void xvm_shadow_free_zapped(struct xvm *xvm)
{
	CHECK(world.traces);
	shadow_freed++;
}
