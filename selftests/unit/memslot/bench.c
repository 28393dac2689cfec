// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lookups and updates cost over the number of slots, in nanoseconds each: the least of some
 * rounds, since a shared machine only adds. The store alone, without ioctls and MMU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <linux/kernel.h>

#include "memslot.h"

#define OPS	20000
#define ROUNDS	7
#define FRAMES	16		/* of each slot; the next begins right behind */

static struct memslots ms;
static const struct memslot_ops ops;
static u32 *order;		/* slot numbers at random */
static u32 nr_slots;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static struct memslot_change slot(u32 nr)
{
	return (struct memslot_change){
		.id = nr,
		.gpa = (u64)nr * FRAMES << PAGE_SHIFT,
		.size = FRAMES << PAGE_SHIFT,
		.hva = 0x100000000000UL + ((u64)nr * FRAMES << PAGE_SHIFT),
	};
}

static void update(const struct memslot_change *changes, u32 nr)
{
	if (memslots_update(&ms, changes, nr, NULL))
		die("update failed");
}

static void create_delete(u32 i)
{
	struct memslot_change c = slot(order[i % nr_slots]);

	c.size = 0;
	update(&c, 1);
	c = slot(order[i % nr_slots]);
	update(&c, 1);
}

static void move(u32 i)
{
	struct memslot_change c = slot(order[i / 2 % nr_slots]);

	/* Away, beyond all, and back. */
	if (!(i & 1))
		c.gpa = (u64)nr_slots * FRAMES << PAGE_SHIFT;
	update(&c, 1);
}

static void flags(u32 i)
{
	struct memslot_change c = slot(order[i / 2 % nr_slots]);

	if (!(i & 1))
		c.flags = KVM_MEM_LOG_DIRTY_PAGES;
	update(&c, 1);
}

static void look(u64 gfn)
{
	if (!memslot_by_gfn(memslots_active(&ms, 0), gfn))
		die("lookup failed");
}

static void look_sequential(u32 i)
{
	look(i % (nr_slots * FRAMES));
}

static void look_random(u32 i)
{
	look((u64)order[i % nr_slots] * FRAMES + i % FRAMES);
}

/* Turn by turn the first slot and the last: no cache of one slot ever helps. */
static void look_adverse(u32 i)
{
	look(i & 1 ? 0 : nr_slots * FRAMES - 1);
}

static void look_vcpu(u32 i)
{
	static struct memslot_cache cache;

	/* Another vCPU disturbs the set's cache each time. */
	look(i & 1 ? 0 : nr_slots * FRAMES - 1);
	if (!memslot_by_gfn_cached(memslots_active(&ms, 0), nr_slots / 2 * FRAMES, &cache))
		die("lookup failed");
}

static void look_id(u32 i)
{
	if (!memslot_by_id(memslots_active(&ms, 0), order[i % nr_slots]))
		die("lookup failed");
}

static void look_hva(u32 i)
{
	unsigned long hva = slot(order[i % nr_slots]).hva;

	if (!memslot_first_hva(memslots_active(&ms, 0), hva, hva + PAGE_SIZE - 1))
		die("lookup failed");
}

static const struct {
	const char *name;
	void (*op)(u32 i);
	unsigned int per_op;
} rows[] = {
	{ "create or delete", create_delete, 2 },
	{ "move", move, 1 },
	{ "flags", flags, 1 },
	{ "by gfn, sequential", look_sequential, 1 },
	{ "by gfn, random", look_random, 1 },
	{ "by gfn, adverse", look_adverse, 1 },
	{ "... and vCPU cache", look_vcpu, 1 },
	{ "by id, random", look_id, 1 },
	{ "by hva, random", look_hva, 1 },
};

#define NR_ROWS ARRAY_SIZE(rows)

static const u32 sizes[] = { 1, 10, 64, 512, 4096, 8194, 32764, 65535 };

#define NR_SIZES ARRAY_SIZE(sizes)

static double cost(void (*op)(u32 i))
{
	double best = 1e30, start;
	u32 i, round;

	for (round = 0; round < ROUNDS; round++) {
		start = now();
		for (i = 0; i < OPS; i++)
			op(i);
		best = min(best, (now() - start) / OPS);
	}
	return best;
}

static void shuffle(void)
{
	u32 i, j, tmp;

	for (i = 0; i < nr_slots; i++)
		order[i] = i;
	for (i = nr_slots - 1; i > 0; i--) {
		j = random() % (i + 1);
		tmp = order[i];
		order[i] = order[j];
		order[j] = tmp;
	}
}

static void fill(double *single, double *batch)
{
	struct memslot_change *changes = calloc(nr_slots, sizeof(*changes));
	double start;
	u32 i;

	if (!changes)
		die("no memory");

	start = now();
	for (i = 0; i < nr_slots; i++) {
		changes[i] = slot(i);
		update(&changes[i], 1);
	}
	*single = (now() - start) / nr_slots;

	for (i = 0; i < nr_slots; i++)
		changes[i].size = 0;
	update(changes, nr_slots);

	for (i = 0; i < nr_slots; i++)
		changes[i] = slot(i);
	start = now();
	update(changes, nr_slots);
	*batch = (now() - start) / nr_slots;
	free(changes);
}

int main(void)
{
	double result[NR_ROWS][NR_SIZES], single[NR_SIZES], batch[NR_SIZES];
	unsigned int row, col;

	if (memslot_cache_create())
		die("no memory");
	for (col = 0; col < NR_SIZES; col++) {
		nr_slots = sizes[col];
		order = calloc(nr_slots, sizeof(*order));
		if (!order || memslots_init(&ms, &ops, 1, ~0ULL >> PAGE_SHIFT))
			die("no memory");
		mutex_lock(&ms.lock);
		fill(&single[col], &batch[col]);
		shuffle();
		for (row = 0; row < NR_ROWS; row++)
			result[row][col] = cost(rows[row].op) / rows[row].per_op;
		mutex_unlock(&ms.lock);
		memslots_destroy(&ms);
		free(order);
	}
	memslot_cache_destroy();

	printf("%-20s", "ns, with slots:");
	for (col = 0; col < NR_SIZES; col++)
		printf("%8u", sizes[col]);
	printf("\n%-20s", "fill, one by one");
	for (col = 0; col < NR_SIZES; col++)
		printf("%8.0f", single[col]);
	printf("\n%-20s", "fill, one batch");
	for (col = 0; col < NR_SIZES; col++)
		printf("%8.0f", batch[col]);
	for (row = 0; row < NR_ROWS; row++) {
		printf("\n%-20s", rows[row].name);
		for (col = 0; col < NR_SIZES; col++)
			printf("%8.1f", result[row][col]);
	}
	printf("\nbytes: %zu a slot, %zu a store\n", sizeof(struct memslot), sizeof(ms));
	return 0;
}
