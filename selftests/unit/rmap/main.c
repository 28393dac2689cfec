// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reverse maps against a model: a flat list of (level, frame, entry), in no order.
 *
 * Usage: rmap-test [STEPS [SEED]]
 */
#include <errno.h>
#include <linux/slab.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "rmap.h"

#define MAX_ENTRIES	4096
#define MAX_MARKS	64

struct mapping {
	unsigned int level;
	u64 gfn;		/* of its first page */
	u64 *entry;
};

static struct mapping model[MAX_ENTRIES];
static unsigned int nr_model;
static u64 marks[MAX_MARKS];
static unsigned int nr_marks;
static u64 pool[MAX_ENTRIES];	/* what is pointed at; never looked into */
static bool pool_used[MAX_ENTRIES];

static struct xvm_rmaps map;
static struct xvm_rmap_stock stock;
static u64 seed = 1;

static u32 pick(u32 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static u64 level_pages(unsigned int level)
{
	return 1ULL << 9 * (level - 1);
}

/* Few frames with long lists, some far apart, some at the ends of chunks. */
static u64 pick_gfn(unsigned int level)
{
	static const u64 bases[] = { 0, 63, 4096, 0xffffffff00ULL };
	u64 gfn = bases[pick(4)] + pick(4) * (pick(2) ? 1 : 64);

	return gfn * level_pages(level) & ((1ULL << 40) - 1);
}

static unsigned int model_length(unsigned int level, u64 gfn)
{
	unsigned int i, nr = 0;

	for (i = 0; i < nr_model; i++)
		nr += model[i].level == level && model[i].gfn == gfn;
	return nr;
}

static bool model_has(unsigned int level, u64 gfn, const u64 *entry)
{
	unsigned int i;

	for (i = 0; i < nr_model; i++)
		if (model[i].level == level && model[i].gfn == gfn && model[i].entry == entry)
			return true;
	return false;
}

static bool model_marked(u64 gfn)
{
	unsigned int i;

	for (i = 0; i < nr_marks; i++)
		if (marks[i] == gfn)
			return true;
	return false;
}

static void model_drop(unsigned int i)
{
	pool_used[model[i].entry - pool] = false;
	model[i] = model[--nr_model];
}

/* A list has what the model has, once each. */
static void check_list(unsigned int level, u64 gfn)
{
	const struct xvm_rmap *list = xvm_rmaps_list(&map, level, gfn);
	struct xvm_rmap_iter iter;
	unsigned int nr = 0;
	u64 *entry;

	if (!list) {
		CHECK(!model_length(level, gfn));
		return;
	}
	xvm_rmap_for_each(entry, list, &iter) {
		CHECK(model_has(level, gfn, entry));
		nr++;
	}
	CHECK(nr && nr == model_length(level, gfn) && nr == xvm_rmap_length(list));
}

static void check_all(void)
{
	u64 end = 1ULL << 40, total = 0, gfn;
	unsigned int level, i, found = 0;

	for (level = 1; level <= XVM_RMAP_LEVELS; level++) {
		struct xvm_rmap *list;

		for (gfn = 0; (list = xvm_rmaps_next(&map, level, &gfn, end));
		     gfn += level_pages(level)) {
			check_list(level, gfn);
			total += xvm_rmap_length(list);
		}
	}
	CHECK(total == nr_model);
	for (gfn = 0; (gfn = xvm_rmaps_next_marked(&map, gfn, end)) != end; gfn++) {
		CHECK(model_marked(gfn) && xvm_rmaps_marked(&map, gfn));
		found++;
	}
	CHECK(found == nr_marks);
	for (i = 0; i < nr_marks; i++)
		CHECK(xvm_rmaps_marked(&map, marks[i]));
	CHECK(!!xvm_rmaps_bytes(&map) == (nr_model || nr_marks));
}

static void step_add(void)
{
	unsigned int level = 1 + pick(XVM_RMAP_LEVELS), i = pick(MAX_ENTRIES);
	u64 gfn = pick_gfn(level);
	int length;

	if (pool_used[i])
		return;
	/* Sometimes there is nothing in stock: then nothing changes. */
	if (pick(8))
		CHECK(!xvm_rmap_stock_fill(&stock, 1 + pick(3), 1 + pick(3), 0));
	length = xvm_rmaps_add(&map, level, gfn + pick(level_pages(level)), &pool[i], &stock);
	if (length < 0) {
		CHECK(length == -ENOMEM && (!stock.descs || !stock.chunks));
		check_list(level, gfn);
		return;
	}
	model[nr_model++] = (struct mapping) { level, gfn, &pool[i] };
	pool_used[i] = true;
	CHECK(length == model_length(level, gfn) && map.longest >= length);
	check_list(level, gfn);
}

static void step_remove(void)
{
	unsigned int i;
	struct mapping m;

	if (!nr_model)
		return;
	i = pick(nr_model);
	m = model[i];
	/* Not from where it isn't. */
	CHECK(!xvm_rmaps_remove(&map, m.level, m.gfn ^ level_pages(m.level), m.entry));
	CHECK(xvm_rmaps_remove(&map, m.level, m.gfn, m.entry));
	model_drop(i);
	CHECK(!xvm_rmaps_remove(&map, m.level, m.gfn, m.entry));
	check_list(m.level, m.gfn);
}

static u64 zap_start, zap_end;

static void zapped(void *ctx, unsigned int level, u64 gfn, u64 *entry)
{
	unsigned int i;

	CHECK(ctx == &map);
	CHECK(gfn < zap_end && gfn + level_pages(level) > zap_start);
	for (i = 0; i < nr_model; i++)
		if (model[i].entry == entry) {
			CHECK(model[i].level == level && model[i].gfn == gfn);
			model_drop(i);
			return;
		}
	CHECK(!"in the model");
}

static void step_zap(void)
{
	unsigned int i, before = nr_model;
	bool any;

	zap_start = pick_gfn(1) + pick(2);
	zap_end = zap_start + (pick(2) ? 1 : pick(100000));
	any = xvm_rmaps_zap(&map, zap_start, zap_end, zapped, &map);
	CHECK(any == (before != nr_model));
	for (i = 0; i < nr_model; i++)
		CHECK(model[i].gfn >= zap_end ||
		      model[i].gfn + level_pages(model[i].level) <= zap_start);
}

static void step_mark(void)
{
	u64 gfn = pick_gfn(1);
	unsigned int i;

	for (i = 0; i < nr_marks; i++)
		if (marks[i] == gfn) {
			xvm_rmaps_unmark(&map, gfn);
			marks[i] = marks[--nr_marks];
			CHECK(!xvm_rmaps_marked(&map, gfn));
			return;
		}
	if (nr_marks == MAX_MARKS)
		return;
	CHECK(!xvm_rmap_stock_fill(&stock, 0, 1, 0));
	CHECK(!xvm_rmaps_mark(&map, gfn, &stock));
	marks[nr_marks++] = gfn;
}

static void count_entry(void *ctx, u64 *entry)
{
	++*(unsigned int *)ctx;
}

/* Each length, emptied from either end, from the middle, and at once. */
static void lengths(void)
{
	unsigned int n, way, i, seen;
	struct xvm_rmap list = {};

	for (n = 1; n <= 3 * XVM_RMAP_ENTRIES + 2; n++) {
		for (way = 0; way < 4; way++) {
			for (i = 0; i < n; i++) {
				CHECK(!xvm_rmap_stock_fill(&stock, 1, 0, 0));
				CHECK(xvm_rmap_add(&map, &list, &pool[i], &stock) == i + 1);
			}
			CHECK(map.nr_descs ==
			      (n == 1 ? 0 : (n + XVM_RMAP_ENTRIES - 1) / XVM_RMAP_ENTRIES));
			for (i = 0; way < 3 && i < n; i++) {
				unsigned int which = way == 0 ? i : way == 1 ? n - 1 - i :
						     (i + n / 2) % n;

				CHECK(xvm_rmap_remove(&map, &list, &pool[which]));
				CHECK(xvm_rmap_length(&list) == n - 1 - i);
			}
			seen = 0;
			xvm_rmap_zap(&map, &list, count_entry, &seen);
			CHECK(seen == (way == 3 ? n : 0));
			CHECK(!list.val && !map.nr_descs && !xvm_rmap_length(&list));
		}
	}
}

/* An allocation that fails leaves what there was, and the next try goes on from there. */
static void no_memory(void)
{
	unsigned long n;

	for (n = 1; n <= 8; n++) {
		xvm_rmap_stock_free(&stock);
		shim_fail_alloc = n;
		CHECK(xvm_rmap_stock_fill(&stock, 4, 4, 0) == -ENOMEM);
		CHECK(stock.nr_descs + stock.nr_chunks == n - 1);
		CHECK(!xvm_rmap_stock_fill(&stock, 4, 4, 0));
	}
	xvm_rmap_stock_free(&stock);
	CHECK(!stock.descs && !stock.chunks && !stock.nr_descs && !stock.nr_chunks);
}

static void random_steps(unsigned int steps)
{
	unsigned int i;

	for (i = 0; i < steps; i++) {
		/* Waves: lists grow, then shrink. */
		u32 grow = i / 4096 % 2 ? 3 : 7, what = pick(100);

		if (what == 0)
			step_zap();
		else if (what < 5)
			step_mark();
		else if (what % 10 < grow)
			step_add();
		else
			step_remove();
		if (i % 256 == 0)
			check_all();
	}
	check_all();
	CHECK(xvm_rmaps_zap(&map, 0, 1ULL << 40, NULL, NULL) == !!nr_model);
	while (nr_marks)
		xvm_rmaps_unmark(&map, marks[--nr_marks]);
	nr_model = 0;
	CHECK(!xvm_rmaps_bytes(&map));
}

int main(int argc, char **argv)
{
	unsigned int steps = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;

	seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	printf("TAP version 13\n1..3\n");
	CHECK(!xvm_rmap_cache_create());
	lengths();
	printf("ok 1 lists of each length\n");
	no_memory();
	printf("ok 2 failed allocations\n");
	random_steps(steps);
	printf("ok 3 %u random steps against a model\n", steps);
	xvm_rmap_stock_free(&stock);
	xvm_rmap_cache_destroy();
	CHECK(!shim_allocated);
	return 0;
}
