// SPDX-License-Identifier: GPL-2.0-only
/* Tables against model: whole, and through the walker's eyes. */
#include "world.h"

static void check_entry(struct world *world, u64 pte, u64 gfn, unsigned int level)
{
	const struct model_leaf *leaf;

	if (!xvm_pte_is_leaf(pte, level)) {
		CHECK(model_has_table(&world->model, gfn, level - 1));
		return;
	}
	leaf = model_leaf_at(&world->model, gfn, level);
	CHECK(leaf && leaf->gfn == gfn && leaf->pte == pte);
}

/* By hand, not by the walker. */
static void check_table(struct world *world, u64 *table, u64 base, unsigned int level,
			struct xvm_pgtable_count *count)
{
	unsigned int i, j;

	for (j = 0; j < world->nr_pages && world->pages[j].table != table; j++)
		;
	CHECK(j < world->nr_pages);
	CHECK(world->pages[j].use == PAGE_LINKED && world->pages[j].level == level);
	count->tables++;

	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		u64 gfn = base + i * xvm_level_pages(level);

		if (!table[i])
			continue;
		check_entry(world, table[i], gfn, level);
		if (xvm_pte_is_leaf(table[i], level))
			count->leaves[level]++;
		else
			check_table(world, (u64 *)(uintptr_t)(table[i] & XVM_PTE_ADDR), gfn,
				    level - 1, count);
	}
}

/* Every leaf and table is in the model, and there are as many; nothing cut off can be reached. */
void world_check(struct world *world)
{
	struct xvm_pgtable_count count = {}, detached = {};
	unsigned int i;

	check_table(world, world->pgt.root, 0, world->pgt.levels, &count);
	CHECK(count.tables == world->model.nr_tables + 1);
	CHECK(count.leaves[1] + count.leaves[2] + count.leaves[3] == world->model.nr_leaves);
	world_count_detached(world, &detached);
	for (i = 1; i <= XVM_MAX_LEAF_LEVEL; i++)
		CHECK(count.leaves[i] + detached.leaves[i] == world->leaves[i]);
	for (i = 0; i < world->nr_pages; i++)
		CHECK(world->pages[i].use != PAGE_LOOSE);
}

void world_lookup(struct world *world, u64 gfn)
{
	const struct model_leaf *leaf = model_lookup(&world->model, gfn);
	unsigned int level = 0;
	u64 pte = xvm_pgtable_lookup(&world->pgt, gfn, &level);

	CHECK(pte == (leaf ? leaf->pte : 0));
	CHECK(!leaf || level == leaf->level);
}

void world_next(struct world *world, u64 gfn, u64 end)
{
	const struct model_leaf *leaf = world->model.leaves;
	const struct model_leaf *last = leaf + world->model.nr_leaves;
	unsigned int level;
	u64 at = gfn, pte;

	while (leaf < last && leaf->gfn + xvm_level_pages(leaf->level) <= gfn)
		leaf++;
	pte = xvm_pgtable_next(&world->pgt, &at, end, &level);
	if (leaf == last || leaf->gfn >= end)
		CHECK(!pte && at == gfn);
	else
		CHECK(pte == leaf->pte && at == leaf->gfn && level == leaf->level);
}

struct visits {
	struct world *world;
	u32 skip;		/* tables by their hash; 0: none */
	u32 stop;		/* after so many; 0: never */
	u32 nr;
	u64 last_gfn;
	unsigned int last_level;
};

static bool skips(u32 skip, u64 gfn, unsigned int level)
{
	return skip && (gfn / xvm_level_pages(level) + level) % skip == 0;
}

static enum xvm_walk_answer visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				  unsigned int level, enum xvm_walk_visit why)
{
	struct visits *visits = walk->ctx;

	CHECK(why & walk->visits);
	CHECK(why == (xvm_pte_is_leaf(val, level) ? XVM_WALK_LEAF : XVM_WALK_TABLE));
	CHECK(*pte == val);
	CHECK(gfn < walk->end && gfn + xvm_level_pages(level) > walk->start);
	check_entry(visits->world, val, gfn, level);

	CHECK(!visits->nr || gfn > visits->last_gfn ||
	      (gfn == visits->last_gfn && level < visits->last_level));
	visits->last_gfn = gfn;
	visits->last_level = level;

	if (++visits->nr == visits->stop)
		return XVM_WALK_STOP;
	return why == XVM_WALK_TABLE && skips(visits->skip, gfn, level) ? XVM_WALK_SKIP :
									  XVM_WALK_ON;
}

static bool below_skipped(const struct world *world, u32 skip, u64 gfn, unsigned int level)
{
	unsigned int l;

	for (l = level + 1; l <= world->pgt.levels; l++)
		if (skips(skip, gfn & ~(xvm_level_pages(l) - 1), l))
			return true;
	return false;
}

static u32 expected_visits(const struct world *world, const struct xvm_walk *walk, u32 skip)
{
	const struct model *model = &world->model;
	unsigned int i;
	u32 nr = 0;

	for (i = 0; i < model->nr_leaves && walk->visits & XVM_WALK_LEAF; i++) {
		const struct model_leaf *leaf = &model->leaves[i];

		nr += leaf->gfn < walk->end &&
		      leaf->gfn + xvm_level_pages(leaf->level) > walk->start &&
		      !below_skipped(world, skip, leaf->gfn, leaf->level);
	}
	for (i = 0; i < model->nr_tables && walk->visits & XVM_WALK_TABLE; i++) {
		const struct model_table *table = &model->tables[i];

		nr += table->gfn < walk->end &&
		      table->gfn + xvm_level_pages(table->level + 1) > walk->start &&
		      !below_skipped(world, skip, table->gfn, table->level + 1);
	}
	return nr;
}

void world_walk(struct world *world, u64 start, u64 end, unsigned int visits, u32 skip, u32 stop)
{
	struct visits seen = { .world = world, .stop = stop };
	struct xvm_walk walk = {
		.visit = visit,
		.visits = visits,
		.start = start,
		.end = end,
		.ctx = &seen,
	};
	bool stopped;
	u32 want;

	/* Who does not visit tables cannot skip them. */
	seen.skip = visits & XVM_WALK_TABLE ? skip : 0;
	want = expected_visits(world, &walk, seen.skip);
	stopped = xvm_pgtable_walk(&world->pgt, &walk);
	CHECK(stopped == (stop && want >= stop));
	CHECK(seen.nr == (stopped ? stop : want));
}
