// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lists cost a guest that forks, with descriptors of the size that this was
 * built with: address spaces that all map the same frames come, one after the other,
 * and go in the same order.  Prints the bytes of a descriptor, and the CPU time of one
 * addition and of one removal in nanoseconds: the least of some rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rmap.h"

#define SPACES	500
#define FRAMES	1024
#define ROUNDS	5

static u64 entries[SPACES][FRAMES];
static struct xvm_rmaps map;
static struct xvm_rmap_stock stock;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static double add_all(void)
{
	double start, sum = 0;
	unsigned int i, n;

	for (i = 0; i < SPACES; i++) {
		/* As a vCPU does: not while the lists are worked on. */
		if (xvm_rmap_stock_fill(&stock, FRAMES, FRAMES / XVM_RMAP_CHUNK, GFP_KERNEL))
			die("no memory");
		start = now();
		for (n = 0; n < FRAMES; n++)
			if (xvm_rmaps_add(&map, 1, n, &entries[i][n], &stock) != (int)i + 1)
				die("addition failed");
		sum += now() - start;
	}
	return sum / SPACES / FRAMES;
}

static double remove_all(void)
{
	double start = now();
	unsigned int i, n;

	for (i = 0; i < SPACES; i++)
		for (n = 0; n < FRAMES; n++)
			if (!xvm_rmaps_remove(&map, 1, n, &entries[i][n]))
				die("removal failed");
	return (now() - start) / SPACES / FRAMES;
}

int main(void)
{
	double add = 1e9, remove = 1e9, time;
	int round;

	if (xvm_rmap_cache_create())
		die("no memory");
	for (round = 0; round < ROUNDS; round++) {
		time = add_all();
		add = time < add ? time : add;
		time = remove_all();
		remove = time < remove ? time : remove;
	}
	xvm_rmap_stock_free(&stock);
	xvm_rmap_cache_destroy();
	printf("%5d %8.1f %8.1f\n", 16 + 8 * XVM_RMAP_ENTRIES, add, remove);
	return 0;
}
