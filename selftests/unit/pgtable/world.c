// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages behind the tables, and each operation beside the model's.  Tables
 * come one by one from the C library, so that the address sanitizer sees any
 * use of one that was given back.
 */
#include <string.h>

#include <linux/atomic.h>
#include <linux/compiler.h>

#include "world.h"

static struct world *the_world;

static struct page *page_of(struct world *world, const u64 *entry)
{
	unsigned int i;

	for (i = 0; i < world->nr_pages; i++)
		if (entry >= world->pages[i].table &&
		    entry < world->pages[i].table + XVM_PGT_ENTRIES)
			return &world->pages[i];
	return NULL;
}

static u64 *page_alloc(struct world *world, enum page_use use, struct cache *owner)
{
	u64 *table = aligned_alloc(4096, 4096);

	CHECK(table && world->nr_pages < MAX_TABLES + 1);
	memset(table, 0, 4096);
	world->pages[world->nr_pages++] = (struct page) {
		.table = table,
		.use = use,
		.owner = owner,
	};
	return table;
}

static void page_free(struct world *world, u64 *table)
{
	struct page *page = page_of(world, table);

	CHECK(page && page->table == table);
	*page = world->pages[--world->nr_pages];
	free(table);
}

static u64 *cache_alloc(void *ctx)
{
	struct cache *cache = ctx;

	if (!cache->budget)
		return NULL;
	cache->budget--;
	return page_alloc(cache->world, PAGE_LOOSE, cache);
}

static void cache_unalloc(void *ctx, u64 *table)
{
	struct cache *cache = ctx;
	struct page *page = page_of(cache->world, table);
	unsigned int i;

	CHECK(page && page->use == PAGE_LOOSE && page->owner == cache);
	for (i = 0; i < XVM_PGT_ENTRIES; i++)
		CHECK(!table[i]);
	cache->budget++;
	cache->unallocs++;
	page_free(cache->world, table);
}

static void count_split(void *ctx, u64 gfn, unsigned int level)
{
	struct cache *cache = ctx;

	CHECK(level > 1);
	cache->world->leaves[level]--;
	cache->world->leaves[level - 1] += XVM_PGT_ENTRIES;
}

static u64 *link_target(u64 pte)
{
	return (u64 *)(uintptr_t)(pte & XVM_PTE_ADDR);
}

/* FNV-1a over the words of a subtree. */
static u64 checksum(const u64 *table, unsigned int level, u64 sum)
{
	unsigned int i;

	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		sum = (sum ^ table[i]) * 0x100000001b3ULL;
		if (table[i] && !xvm_pte_is_leaf(table[i], level))
			sum = checksum(link_target(table[i]), level - 1, sum);
	}
	return sum;
}

static void detach(void *ctx, u64 *table, unsigned int level)
{
	struct world *world = ctx;
	struct page *page = page_of(world, table);

	CHECK(page && page->table == table && page->use == PAGE_LINKED && page->level == level);
	page->use = PAGE_DETACHED;
	page->checksum = checksum(table, level, level);
}

static u64 to_phys(u64 *table)
{
	return (uintptr_t)table;
}

static u64 *to_virt(u64 phys)
{
	return (u64 *)(uintptr_t)phys;
}

static const struct xvm_pgtable_ops ops = {
	.alloc = cache_alloc,
	.unalloc = cache_unalloc,
	.split = count_split,
	.detach = detach,
	.to_phys = to_phys,
	.to_virt = to_virt,
};

static u64 gfn_of(const struct page *page, const u64 *entry)
{
	return page->base + (entry - page->table) * xvm_level_pages(page->level);
}

/* What the interrupted map has linked so far is there for others. */
static void catch_up(struct world *world, unsigned int level)
{
	if (world->mapping)
		model_walked_to(&world->model, world->map_gfn, level, &world->model_budget);
}

void after_read(u64 *ptr)
{
	struct world *world = the_world;
	struct page *page;

	if (!world->marker || world->breaking_in)
		return;
	page = page_of(world, ptr);
	catch_up(world, page->level);
	world->marker(world, ptr, gfn_of(page, ptr), page->level);
}

u64 cmpxchg64(u64 *ptr, u64 old, u64 new)
{
	struct world *world = the_world;
	struct page *page = page_of(world, ptr), *target;
	u64 was;

	CHECK(page && page->use == PAGE_LINKED);
	if (world->competitor && !world->breaking_in) {
		catch_up(world, page->level);
		world->breaking_in = true;
		world->competitor(world, ptr, page->level);
		world->breaking_in = false;
		page = page_of(world, ptr);
	}

	was = *ptr;
	if (was != old)
		return was;
	*ptr = new;
	target = (new & XVM_PTE_PRESENT) && !xvm_pte_is_leaf(new, page->level) ?
		 page_of(world, link_target(new)) : NULL;
	if (target) {
		CHECK(target->use == PAGE_LOOSE);
		target->use = PAGE_LINKED;
		target->level = page->level - 1;
		target->base = gfn_of(page, ptr);
	}
	return was;
}

struct world *world_new(unsigned int levels, struct source *source)
{
	struct world *world = calloc(1, sizeof(*world));

	CHECK(world && !the_world);
	the_world = world;
	world->source = source;
	world->model.levels = levels;
	world->pgt = (struct xvm_pgtable) {
		.root = page_alloc(world, PAGE_LINKED, NULL),
		.levels = levels,
		.ops = &ops,
	};
	world->pages[0].level = levels;
	return world;
}

enum xvm_map_result world_map(struct world *world, u64 gfn, unsigned int level, u64 pte,
			      struct cache *cache)
{
	bool outer = !world->breaking_in;
	unsigned int budget = cache->budget, *model_budget = &budget;
	enum xvm_map_result got;

	if (outer) {
		world->map_gfn = gfn;
		world->map_level = level;
		world->model_budget = cache->budget;
		model_budget = &world->model_budget;
		world->mapping = true;
	}
	got = xvm_pgtable_map(&world->pgt, gfn, level, pte, cache);
	if (outer)
		world->mapping = false;
	if (got == XVM_MAP_NEW)
		world->leaves[level]++;
	CHECK(got == model_map(&world->model, gfn, level, pte, model_budget));
	CHECK(cache->budget == *model_budget);
	return got;
}

unsigned int world_fill(struct world *world, u64 gfn, const u64 *ptes, unsigned int nr)
{
	u64 vacant = xvm_pgtable_vacant(&world->pgt, gfn, nr);
	unsigned int i, mapped;

	for (i = 0; i < nr; i++)
		CHECK((vacant >> i & 1) == (model_has_table(&world->model, gfn, 1) &&
					    !model_lookup(&world->model, gfn + i)));
	mapped = xvm_pgtable_fill(&world->pgt, gfn, ptes, nr);
	CHECK(mapped == model_fill(&world->model, gfn, ptes, nr));
	world->leaves[1] += mapped;
	return mapped;
}

/* Leaves and tables of a subtree; marks its pages. */
static void count_subtree(struct world *world, u64 *table, unsigned int level,
			  struct xvm_pgtable_count *count)
{
	struct page *page = page_of(world, table);
	unsigned int i;

	CHECK(page && page->table == table && page->level == level);
	CHECK(!page->seen++);
	count->tables++;
	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		if (!table[i])
			continue;
		CHECK(table[i] & XVM_PTE_PRESENT);
		if (xvm_pte_is_leaf(table[i], level))
			count->leaves[level]++;
		else
			count_subtree(world, link_target(table[i]), level - 1, count);
	}
}

static void forget_seen(struct world *world)
{
	unsigned int i;

	for (i = 0; i < world->nr_pages; i++)
		world->pages[i].seen = 0;
}

void world_count_detached(struct world *world, struct xvm_pgtable_count *count)
{
	unsigned int i;

	forget_seen(world);
	for (i = 0; i < world->nr_pages; i++)
		if (world->pages[i].use == PAGE_DETACHED)
			count_subtree(world, world->pages[i].table, world->pages[i].level, count);
}

void world_unmap(struct world *world, u64 start, u64 end)
{
	struct xvm_pgtable_count before = {}, after = {}, gone = {}, got = {};
	unsigned int i;
	bool any;

	world_count_detached(world, &before);
	any = xvm_pgtable_unmap(&world->pgt, start, end, world, &got);
	world_count_detached(world, &after);
	model_unmap(&world->model, start, end, &gone);

	CHECK(!got.tables);
	CHECK(after.tables - before.tables == gone.tables);
	for (i = 1; i <= XVM_MAX_LEAF_LEVEL; i++)
		world->leaves[i] -= got.leaves[i];
	for (i = 1; i <= XVM_MAX_LEAF_LEVEL; i++)
		CHECK(got.leaves[i] + after.leaves[i] - before.leaves[i] == gone.leaves[i]);
	CHECK(any == (gone.tables || gone.leaves[1] || gone.leaves[2] || gone.leaves[3]));
	CHECK(got.start == gone.start && got.end == gone.end);
}

void world_unmap_small(struct world *world, u64 start, u64 end)
{
	size_t bytes = 8 * ((end - start) / 64 + 1);
	unsigned long *got = calloc(1, bytes), *want = calloc(1, bytes);
	u64 nr;

	CHECK(got && want);
	nr = xvm_pgtable_unmap_small(&world->pgt, start, end, start, got);
	CHECK(nr == model_unmap_small(&world->model, start, end, want));
	CHECK(!memcmp(got, want, bytes));
	world->leaves[1] -= nr;
	free(got);
	free(want);
}

void world_take(struct world *world, struct xvm_pgtable_take *take)
{
	size_t bytes = 8 * ((take->end - take->base) / 64 + 1);
	unsigned long *want = NULL;
	bool any;

	/* Where it is too large to be looked at, nothing is said of dirty leaves. */
	if (bytes <= 65536) {
		take->dirty = calloc(1, bytes);
		want = calloc(1, bytes);
		CHECK(take->dirty && want);
	}
	/* Nobody asks to take nothing and to be told nothing. */
	if (!take->bits && !take->dirty)
		return;
	any = xvm_pgtable_take(&world->pgt, take);
	if (want) {
		unsigned long *got = take->dirty;

		take->dirty = want;
		CHECK(any == model_take(&world->model, take));
		CHECK(!memcmp(got, want, bytes));
		free(got);
		free(want);
		take->dirty = NULL;
	} else {
		CHECK(any == model_take(&world->model, take));
	}
}

u64 world_split(struct world *world, u64 start, u64 end, struct cache *cache)
{
	unsigned int budget = cache->budget;
	u64 done = xvm_pgtable_split(&world->pgt, start, end, cache);

	CHECK(done == model_split(&world->model, start, end, &budget));
	CHECK(cache->budget == budget);
	return done;
}

void world_allow_write(struct world *world, u64 start, u64 end)
{
	xvm_pgtable_allow_write(&world->pgt, start, end);
	model_allow_write(&world->model, start, end);
}

bool world_age(struct world *world, u64 start, u64 end, bool clear)
{
	bool young = xvm_pgtable_age(&world->pgt, start, end, clear);

	CHECK(young == model_age(&world->model, start, end, clear));
	return young;
}

static void free_page(u64 *table)
{
	page_free(the_world, table);
}

/* All but some of the subtrees that wait, in no special order. */
void world_free_detached(struct world *world, unsigned int keep)
{
	unsigned int i = 0;

	while (i < world->nr_pages) {
		struct xvm_pgtable_count want = {}, got = {};
		struct page page = world->pages[i];
		unsigned int nr_pages = world->nr_pages;
		unsigned int level;

		if (page.use != PAGE_DETACHED || (keep && keep--)) {
			i++;
			continue;
		}
		CHECK(page.checksum == checksum(page.table, page.level, page.level));
		forget_seen(world);
		count_subtree(world, page.table, page.level, &want);
		xvm_pgtable_free(&world->pgt, page.table, page.level, free_page, &got);
		CHECK(!memcmp(&got, &want, sizeof(got)));
		for (level = 1; level <= XVM_MAX_LEAF_LEVEL; level++)
			world->leaves[level] -= got.leaves[level];
		CHECK(world->nr_pages == nr_pages - want.tables);
		i = 0;
	}
}

void world_end(struct world *world)
{
	struct xvm_pgtable_count count = {};

	world_free_detached(world, 0);
	xvm_pgtable_free(&world->pgt, world->pgt.root, world->pgt.levels, free_page, &count);
	CHECK(count.tables == world->model.nr_tables + 1);
	CHECK(!world->nr_pages);
	the_world = NULL;
	free(world);
}
