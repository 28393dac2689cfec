// SPDX-License-Identifier: GPL-2.0-only
#include "tables.h"

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <sanitizer/asan_interface.h>
#include <string.h>

/* Table pages, poisoned while they are free; and where they are for the CPU, above all gfns. */
#define PAGES		4096
#define PHYS_BASE	(1ULL << 46)

struct table {
	struct page page;
	bool in_use;
	u64 *link;		/* the entry that links it, or did */
	unsigned int level;	/* of its entries, once linked */
	u64 base;		/* the first gfn */
	u64 knowers;		/* vCPUs, a bit each */
};

/* What one vCPU knows, in no order. */
struct known {
	struct table *tables[PAGES];
	unsigned int nr;
};

static u64 memory[PAGES][XVM_PGT_ENTRIES] __attribute__((aligned(PAGE_SIZE)));
static struct table tables[PAGES];
static struct known known[VCPUS];
static u64 must_flush;		/* vCPUs that know of what was freed */
static unsigned int in_use, next_free;
static bool ending;
static struct xvm_mmu_cache cache;

bool five_levels;

bool pgtable_l5_enabled(void)
{
	return five_levels;
}

static struct table *table_of(const void *address)
{
	size_t offset = (const char *)address - (const char *)memory;

	CHECK(offset < sizeof(memory));
	return &tables[offset / PAGE_SIZE];
}

static u64 *entries(const struct table *table)
{
	return memory[table - tables];
}

static struct table *target(u64 pte)
{
	return table_of((char *)memory + (pte & XVM_PTE_ADDR) - PHYS_BASE);
}

struct page *virt_to_page(const void *address)
{
	return &table_of(address)->page;
}

void *page_address(const struct page *page)
{
	return entries(container_of(page, struct table, page));
}

u64 virt_to_phys(const void *address)
{
	return PHYS_BASE + ((const char *)address - (const char *)memory);
}

/* Of a link: between one table and the next, others do something. */
void *phys_to_virt(u64 phys)
{
	struct table *table = target(phys);

	meanwhile();
	CHECK(table->in_use);
	return entries(table);
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	struct table *table;
	u64 *page;

	CHECK(in_use++ < PAGES);
	/* What was freed last comes last, so that who still uses it hits poison. */
	do
		table = &tables[next_free++ % PAGES];
	while (table->in_use);

	*table = (struct table) { .in_use = true };
	page = entries(table);
	ASAN_UNPOISON_MEMORY_REGION(page, PAGE_SIZE);
	memset(page, 0, PAGE_SIZE);
	return (unsigned long)page;
}

/* The table above, if that has not let go of it. */
static struct table *parent(const struct table *table)
{
	struct table *above = table->link ? table_of(table->link) : NULL;

	return above && above->in_use &&
	       (*table->link & XVM_PTE_ADDR) == virt_to_phys(entries(table)) ? above : NULL;
}

static void know(unsigned int i, struct table *table)
{
	if (table->knowers >> i & 1)
		return;
	table->knowers |= 1ULL << i;
	known[i].tables[known[i].nr++] = table;
}

static void forget(unsigned int i, unsigned int at)
{
	known[i].tables[at]->knowers &= ~(1ULL << i);
	known[i].tables[at] = known[i].tables[--known[i].nr];
}

static void forget_table(unsigned int i, const struct table *table)
{
	unsigned int at;

	for (at = 0; at < known[i].nr; at++)
		if (known[i].tables[at] == table)
			forget(i, at);
}

static void forget_range(unsigned int i, u64 start_gfn, u64 end_gfn)
{
	unsigned int at = 0;

	while (at < known[i].nr) {
		const struct table *table = known[i].tables[at];

		if (table->base >= start_gfn &&
		    table->base + xvm_level_pages(table->level + 1) <= end_gfn)
			forget(i, at);
		else
			at++;
	}
	if (!start_gfn && end_gfn == XVM_GFN_END)
		must_flush &= ~(1ULL << i);
}

void free_page(unsigned long address)
{
	struct table *table = table_of((void *)address), *above;
	u64 users = 0;
	unsigned int i;

	CHECK(table->in_use);
	for (above = table; above; above = parent(above)) {
		users |= above->knowers;
		/* The root is known to all, and linked from nowhere. */
		CHECK(ending || entries(above) != world.xvm.mmu.pgt.root);
	}
	for (i = 0; i < VCPUS; i++) {
		if (!(users >> i & 1))
			continue;
		CHECK(!inside(i));
		forget_table(i, table);
	}
	must_flush |= users;
	table->in_use = false;
	in_use--;
	ASAN_POISON_MEMORY_REGION(entries(table), PAGE_SIZE);
}

u64 cmpxchg64(u64 *ptr, u64 old, u64 new)
{
	struct table *above = table_of(ptr), *table;
	u64 was = *ptr;

	CHECK(above->in_use);
	if (was != old)
		return was;
	*ptr = new;
	if (!(new & XVM_PTE_PRESENT) || xvm_pte_is_leaf(new, above->level))
		return was;
	table = target(new);
	CHECK(table->in_use && !table->link);
	table->link = ptr;
	table->level = above->level - 1;
	table->base = above->base + (ptr - entries(above)) * xvm_level_pages(above->level);
	return was;
}

void lock(void)
{
	CHECK(!world.xvm.mmu.lock.held);
	world.xvm.mmu.lock.owner = pthread_self();
	world.xvm.mmu.lock.held = true;
}

void unlock(void)
{
	world.xvm.mmu.lock.held = false;
}

void tables_start(bool takes_ranges)
{
	unsigned int i;

	CHECK(!in_use);
	memset(known, 0, sizeof(known));
	must_flush = 0;
	ending = false;
	for (i = 0; i < PAGES; i++)
		ASAN_POISON_MEMORY_REGION(memory[i], PAGE_SIZE);
	world_start(takes_ranges);
	world.dropped = forget_range;
	CHECK(!xvm_mmu_init(&world.xvm));
	table_of(world.xvm.mmu.pgt.root)->level = five_levels ? 5 : 4;
	cache.xvm = &world.xvm;
}

void tables_end(void)
{
	unsigned int i;

	world.others = NULL;
	for (i = 0; i < VCPUS; i++)
		leave(i);
	ending = true;
	xvm_mmu_cache_free(&cache);
	xvm_mmu_destroy(&world.xvm);
	CHECK(!in_use);
	xvm_tlb_exit();
}

/* In the order of fault.c. */
void tables_map(u64 gfn, unsigned int level)
{
	u64 pages = xvm_level_pages(level), pte;
	struct xvm *xvm = &world.xvm;
	enum xvm_map_result got;

	gfn &= ~(pages - 1);
	pte = gfn << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_WRITE | XVM_PTE_USER |
	      XVM_PTE_ACCESSED | (level > 1 ? XVM_PTE_HUGE : 0);
	xvm_mmu_cache_topup(&cache, XVM_FAULT_TABLES);
	lock();
	got = xvm_pgtable_map(xvm_pgt(xvm), gfn, level, pte, &cache);
	if (got == XVM_MAP_BLOCKED) {
		xvm_mmu_zap_range(xvm, gfn, gfn + pages, false);
		xvm_mmu_zap_flush(xvm);
		got = xvm_pgtable_map(xvm_pgt(xvm), gfn, level, pte, &cache);
	}
	if (got == XVM_MAP_NEW)
		xvm_mmu_count_leaves(xvm, level, 1);
	CHECK(got != XVM_MAP_REPLACED && got != XVM_MAP_BLOCKED);
	unlock();
}

void tables_enter(unsigned int i, int cpu)
{
	enter(i, cpu);
	CHECK(!inside(i) || !(must_flush >> i & 1));
}

/* One of those on the way to gfn, which one is left to chance. */
static struct table *known_for(unsigned int i, u64 gfn)
{
	unsigned int at, nr = known[i].nr, first = nr ? pick(nr) : 0;

	for (at = 0; at < nr; at++) {
		struct table *table = known[i].tables[(first + at) % nr];

		if (gfn >= table->base && gfn - table->base < xvm_level_pages(table->level + 1))
			return table;
	}
	return NULL;
}

void tables_walk(unsigned int i, u64 gfn, bool cached)
{
	struct table *table = cached ? known_for(i, gfn) : NULL;
	u64 pte;

	if (!inside(i))
		return;
	if (!table)
		table = table_of(world.xvm.mmu.pgt.root);
	for (;;) {
		CHECK(table->in_use);
		pte = entries(table)[xvm_pgt_index(gfn, table->level)];
		if (!(pte & XVM_PTE_PRESENT) || xvm_pte_is_leaf(pte, table->level))
			return;
		table = target(pte);
		know(i, table);
	}
}

unsigned int tables_in_use(void)
{
	return in_use;
}

bool tables_queued(void)
{
	return world.xvm.mmu.zapped.work.work.queued;
}

void tables_work(void)
{
	flush_delayed_work(&world.xvm.mmu.zapped.work);
}

/* The rest of the module. */

int xvm_mmu_notifier_register(struct xvm *xvm)
{
	return 0;
}
