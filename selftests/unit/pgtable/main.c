// SPDX-License-Identifier: GPL-2.0-only
/* pgtable-test [STEPS [SEED]]: each test in a process of its own, so that a crash is a failure. */
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static struct source source = { .seed = 1 };
static unsigned int steps = 20000;

#define LEAF(pfn, level) \
	((u64)(pfn) << 12 | XVM_PTE_PRESENT | XVM_PTE_USER | ((level) > 1 ? XVM_PTE_HUGE : 0))

static void model(unsigned int levels)
{
	struct world *world = world_new(levels, &source);

	drive(world, steps);
	world_end(world);
}

/* Whichever table cannot be had: what was made stays, the next try makes the rest. */
static void no_memory(unsigned int levels)
{
	unsigned int level, nr;

	for (level = 1; level <= 3; level++) {
		for (nr = 0; nr < levels - level; nr++) {
			struct world *world = world_new(levels, &source);
			struct cache cache = { .world = world, .budget = nr };

			CHECK(world_map(world, 0, level, LEAF(0x40000, level), &cache) ==
			      XVM_MAP_NO_TABLE);
			world_check(world);
			CHECK(world->nr_pages == 1 + nr);
			cache.budget = levels - level - nr;
			CHECK(world_map(world, 0, level, LEAF(0x40000, level), &cache) ==
			      XVM_MAP_NEW);
			world_check(world);
			CHECK(!cache.budget);
			world_end(world);
		}
	}
}

static unsigned int race_at, race_level;
static enum xvm_map_result race_result;

/* Another fault is faster, once, in the table of one level. */
static void race(struct world *world, u64 *ptep, unsigned int level)
{
	struct cache cache = { .world = world, .budget = 4 };

	if (level != race_at)
		return;
	world->competitor = NULL;
	race_result = world_map(world, 0, race_level, LEAF(0x40000, race_level), &cache);
}

/* At whichever table: its own is given back, the faster one's is used. */
static void lost_race(unsigned int levels)
{
	unsigned int level;

	for (level = 1; level <= 3; level++) {
		race_level = level;
		for (race_at = level; race_at <= levels; race_at++) {
			struct world *world = world_new(levels, &source);
			struct cache cache = { .world = world, .budget = 4 };

			world->competitor = race;
			CHECK(world_map(world, 0, level, LEAF(0x40000, level), &cache) ==
			      XVM_MAP_SAME);
			CHECK(race_result == XVM_MAP_NEW);
			CHECK(cache.unallocs == (race_at > level));
			world_check(world);
			CHECK(world->nr_pages == 1 + levels - level);
			world_end(world);
		}
	}
}

/* The faster one puts a larger leaf, which is split, or a table where this one wants to go. */
static void lost_race_other_level(unsigned int levels)
{
	unsigned int level;

	for (level = 1; level <= 3; level++) {
		for (race_level = 1; race_level <= 3; race_level++) {
			struct cache cache = { .budget = 4 };
			struct world *world;

			if (race_level == level)
				continue;
			world = world_new(levels, &source);
			cache.world = world;
			race_at = level > race_level ? level : race_level;
			world->competitor = race;
			CHECK(world_map(world, 0, level, LEAF(0x40000, level), &cache) ==
			      (race_level > level ? XVM_MAP_SAME : XVM_MAP_BLOCKED));
			CHECK(race_result == XVM_MAP_NEW);
			CHECK(!cache.unallocs);
			world_check(world);
			world_end(world);
		}
	}
}

/* A small leaf in a large one: the rest of it stays mapped, with the rights it had. */
static void split(unsigned int levels)
{
	unsigned int from, to;

	for (from = 2; from <= 3; from++) {
		for (to = 1; to < from; to++) {
			struct world *world = world_new(levels, &source);
			struct cache cache = { .world = world, .budget = levels - from };
			u64 gfn = 3 * xvm_level_pages(to), last = xvm_level_pages(from) - 1;
			u64 pfn = 0x40000 + gfn, rights = XVM_PTE_ACCESSED;
			unsigned int level;

			world_map(world, 0, from, LEAF(0x40000, from) | rights, &cache);
			CHECK(world_map(world, gfn, to, LEAF(pfn, to) | XVM_PTE_WRITE, &cache) ==
			      XVM_MAP_NO_TABLE);
			world_check(world);
			CHECK(world->model.nr_leaves == 1);
			cache.budget = from - to;
			CHECK(world_map(world, gfn, to, LEAF(pfn, to) | XVM_PTE_WRITE, &cache) ==
			      XVM_MAP_RELAXED);
			world_check(world);
			CHECK(world->model.nr_leaves == 1 + (from - to) * (XVM_PGT_ENTRIES - 1));
			CHECK(xvm_pgtable_lookup(&world->pgt, gfn, &level) ==
			      (LEAF(pfn, to) | rights | XVM_PTE_WRITE));
			CHECK(level == to);
			CHECK(xvm_pgtable_lookup(&world->pgt, last, &level) ==
			      (LEAF(0x40000 + (last & ~(xvm_level_pages(from - 1) - 1)),
				    from - 1) | rights));
			CHECK(level == from - 1);
			world_end(world);
		}
	}
}

/* Of two that split the same leaf one is faster; the other's table goes back as it came. */
static void lost_race_split(unsigned int levels)
{
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world, .budget = 4 };

	world_map(world, 0, 2, LEAF(0x40000, 2), &cache);
	cache.budget = 1;
	race_level = 1;
	race_at = 2;
	world->competitor = race;
	CHECK(world_map(world, 0, 1, LEAF(0x40000, 1), &cache) == XVM_MAP_SAME);
	CHECK(race_result == XVM_MAP_SAME);
	CHECK(cache.unallocs == 1 && cache.budget == 1);
	world_check(world);
	world_end(world);
}

/* A bit outside a large leaf's part of the range says nothing about it; any inside does. */
static void take_straddling(unsigned int levels)
{
	unsigned long only[XVM_PGT_ENTRIES / (8 * sizeof(long))] = { 1 };
	u64 start = xvm_level_pages(2) - 1, level2 = xvm_level_pages(2);
	struct xvm_pgtable_take take = {
		.start = start,
		.end = start + XVM_PGT_ENTRIES,
		.bits = XVM_PTE_DIRTY,
		.base = start,
		.only = only,
	};
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world, .budget = 4 };
	unsigned int level;

	world_map(world, 0, 2, LEAF(0x40000, 2) | XVM_PTE_WRITE, &cache);
	world_map(world, level2, 2, LEAF(0x40000, 2) | XVM_PTE_WRITE, &cache);
	world_take(world, &take);
	world_check(world);
	CHECK(!(xvm_pgtable_lookup(&world->pgt, 0, &level) & XVM_PTE_WRITE));
	CHECK(xvm_pgtable_lookup(&world->pgt, level2, &level) & XVM_PTE_WRITE);
	only[0] = 2;
	world_take(world, &take);
	world_check(world);
	CHECK(!(xvm_pgtable_lookup(&world->pgt, level2, &level) & XVM_PTE_WRITE));
	CHECK(level == 2);
	world_end(world);
}

/*
 * Small leaves lose D alone, and say so; asked once more, nothing is due.  Breaks
 * if take_small() reports what it did not take, or the other way round.
 */
static void take_dirty(unsigned int levels)
{
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world, .budget = 4 };
	unsigned long dirty[2] = {};
	struct xvm_pgtable_take take = { .end = 128, .dirty = dirty };
	unsigned int level;
	u64 gfn;

	for (gfn = 0; gfn < 128; gfn++)
		world_map(world, gfn, 1, LEAF(0x40000 + gfn, 1) | XVM_PTE_WRITE |
			  (gfn % 3 ? 0 : XVM_PTE_DIRTY), &cache);
	CHECK(!xvm_pgtable_take(&world->pgt, &take));
	for (gfn = 0; gfn < 128; gfn++)
		CHECK((dirty[gfn / 64] >> (gfn % 64) & 1) == (gfn % 3 == 0));
	world_check(world);

	take.bits = XVM_PTE_DIRTY;
	dirty[0] = 0;
	dirty[1] = 0;
	CHECK(xvm_pgtable_take(&world->pgt, &take));
	for (gfn = 0; gfn < 128; gfn++) {
		CHECK((dirty[gfn / 64] >> (gfn % 64) & 1) == (gfn % 3 == 0));
		CHECK(xvm_pgtable_lookup(&world->pgt, gfn, &level) ==
		      (LEAF(0x40000 + gfn, 1) | XVM_PTE_WRITE));
	}
	CHECK(!xvm_pgtable_take(&world->pgt, &take));
	world_end(world);
}

/* Whichever table cannot be had: what was split stays so, the rest is as it was. */
static void split_all(unsigned int levels)
{
	const u64 large = XVM_PGT_ENTRIES, end = 4 * large;
	unsigned int nr, i, level;

	for (nr = 0; nr <= 4; nr++) {
		struct world *world = world_new(levels, &source);
		struct cache cache = { .world = world, .budget = 4 };

		for (i = 0; i < 4; i++)
			world_map(world, i * large, 2,
				  LEAF(0x40000 + i * large, 2) | XVM_PTE_DIRTY, &cache);
		cache.budget = nr;
		CHECK(world_split(world, 0, end, &cache) == nr * large);
		world_check(world);
		CHECK(xvm_pgtable_lookup(&world->pgt, end - 1, &level));
		CHECK(level == (nr == 4 ? 1 : 2));
		cache.budget = 4 - nr;
		CHECK(world_split(world, nr * large, end, &cache) == end);
		world_check(world);
		CHECK(world->model.nr_leaves == end && !cache.budget);
		/* Nothing is left to do. */
		CHECK(world_split(world, 0, end, &cache) == end);
		world_end(world);
	}
}

/* A part of a leaf of 1G: its other parts stay as large as they can. */
static void split_part(unsigned int levels)
{
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world, .budget = levels - 3 };
	u64 gfn = 5 * XVM_PGT_ENTRIES + 7;

	world_map(world, 0, 3, LEAF(0x40000, 3), &cache);
	CHECK(world_split(world, gfn, gfn + 1, &cache) == 0);
	cache.budget = 1;
	CHECK(world_split(world, gfn, gfn + 1, &cache) == 5 * XVM_PGT_ENTRIES);
	cache.budget = 1;
	CHECK(world_split(world, gfn, gfn + 1, &cache) == gfn + 1);
	world_check(world);
	CHECK(world->model.nr_leaves == 2 * XVM_PGT_ENTRIES - 1);
	world_end(world);
}

/* A write splits a large leaf just before it would lose its permission: its parts lose theirs. */
static void take_split(unsigned int levels)
{
	unsigned int from;

	for (from = 2; from <= 3; from++) {
		struct xvm_pgtable_take take = {
			.end = xvm_level_pages(from),
			.bits = XVM_PTE_WRITE,
		};
		struct world *world = world_new(levels, &source);
		struct cache cache = { .world = world, .budget = 4 };

		world_map(world, 0, from, LEAF(0x40000, from) | XVM_PTE_WRITE, &cache);
		race_level = 1;
		race_at = from;
		world->competitor = race;	/* maps gfn 0 */
		CHECK(xvm_pgtable_take(&world->pgt, &take));
		CHECK(race_result == XVM_MAP_SAME);
		model_take(&world->model, &take);
		world_check(world);
		world_end(world);
	}
}

/* Neighbours come to an existing table only, where nothing is: not even since a moment ago. */
static void fill(unsigned int levels)
{
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world, .budget = 4 };
	u64 ptes[8], gfn, large = 3 * xvm_level_pages(2);
	unsigned int i, level;

	for (i = 0; i < 8; i++)
		ptes[i] = LEAF(0x40000 + i, 1);
	CHECK(!world_fill(world, 0, ptes, 8));
	world_map(world, large, 2, LEAF(0x40000, 2), &cache);
	CHECK(!world_fill(world, large, ptes, 8));
	world_check(world);

	cache.budget = 4;
	world_map(world, 5, 1, LEAF(0x50000, 1), &cache);
	race_level = 1;
	race_at = 1;
	world->competitor = race;	/* maps gfn 0 */
	CHECK(xvm_pgtable_fill(&world->pgt, 0, ptes, 8) == 6);
	CHECK(race_result == XVM_MAP_NEW);
	for (gfn = 0; gfn < 8; gfn++)
		CHECK(xvm_pgtable_lookup(&world->pgt, gfn, &level) ==
		      (gfn == 5 ? LEAF(0x50000, 1) : LEAF(0x40000 + gfn, 1)));
	world_end(world);
}

/* One entry at the top is all that is touched, however much hangs below. */
static void detach_high(unsigned int levels)
{
	struct world *world = world_new(levels, &source);
	struct cache cache = { .world = world };
	unsigned int i, detached = 0;
	u64 gfn;

	for (gfn = 0; gfn < 64 * xvm_level_pages(2); gfn += xvm_level_pages(2) / 2) {
		cache.budget = 4;
		world_map(world, gfn, 1, LEAF(gfn, 1), &cache);
	}
	world_unmap(world, 0, xvm_level_pages(4));
	world_check(world);
	for (i = 0; i < world->nr_pages; i++)
		detached += world->pages[i].use == PAGE_DETACHED;
	CHECK(detached == 1);
	world_free_detached(world, 0);
	CHECK(world->nr_pages == levels - 3);
	world_end(world);
}

static const struct test {
	const char *name;
	void (*run)(unsigned int levels);
} tests[] = {
	{ "random operations agree with the model", model },
	{ "no table to be had, at each level", no_memory },
	{ "a race lost at each level", lost_race },
	{ "a race lost to another size of leaf", lost_race_other_level },
	{ "a leaf is split", split },
	{ "a race lost to another split", lost_race_split },
	{ "bits are taken at the edges of a large leaf", take_straddling },
	{ "dirty leaves are told and cleaned", take_dirty },
	{ "write protection meets a split", take_split },
	{ "a range is split, with too few tables", split_all },
	{ "a part of a leaf is split", split_part },
	{ "neighbours fill a table", fill },
	{ "a whole subtree goes by its top entry", detach_high },
};

static bool passes(const struct test *test, unsigned int levels)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		test->run(levels);
		exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

int main(int argc, char **argv)
{
	unsigned int i, levels, passed = 0, failed = 0;

	if (argc > 1)
		steps = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		source.seed = strtoull(argv[2], NULL, 0);
	printf("TAP version 13\n# %u random operations, seed %llu\n", steps, source.seed);

	for (levels = 4; levels <= 5; levels++) {
		for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			bool ok = passes(&tests[i], levels);

			if (ok)
				passed++;
			else
				failed++;
			printf("%sok %u - %s, %u levels\n", ok ? "" : "not ", passed + failed,
			       tests[i].name, levels);
		}
	}
	printf("1..%u\n%u passed, %u failed\n", passed + failed, passed, failed);
	return failed ? 1 : 0;
}
