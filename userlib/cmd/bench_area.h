/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmarks of the group mmu share: a guest with one slot to measure. */
#ifndef XVM_CMD_BENCH_AREA_H
#define XVM_CMD_BENCH_AREA_H

#include "bench.h"

#define AREA_SLOT 1
#define AREA_START BENCH_LARGE_GPA
#define AREA_PAGE 4096ull
#define AREA_HUGE (2ull << 20)
/* 1 GiB, and what --quick makes of it. */
#define AREA_PAGES (1ull << 18)
#define AREA_PAGES_QUICK (1ull << 12)

struct area {
	struct guest guest;
	char *memory;
	uint64_t pages;
};

/*
 * A slot of this many pages, BENCH_LARGE_SIZE at most, or as large a power of two
 * as fits into half of the free memory, of pages of 4K or huge ones.  The host has
 * none of them yet.
 */
int area_open(struct area *area, const char *device, uint64_t pages, bool huge);
void area_close(struct area *area);

/* The same memory of no guest; area_populate() and area_discard() work on it. */
int area_open_alone(struct area *area, uint64_t pages, bool huge);
void area_close_alone(struct area *area);

uint64_t area_size(const struct area *area);
/* All of it is in the host: it was written. */
int area_populate(struct area *area);
/*
 * The guest goes in and out until an emulator's own TLB, which grows with what the
 * host has just used and is cleared by each entry, is small again: docs/measuring.md.
 */
int area_settle(struct area *area);
/* None of it is any more. */
int area_discard(struct area *area);
/* The guest writes to every step-th page, in order. */
int area_touch(struct area *area, uint64_t step);
/* The slot, with these flags; and without it. */
int area_set(struct area *area, uint32_t flags);
int area_delete(struct area *area);

/* Times one call: ops are what it is about. */
int area_time(struct area *area, const struct bench_figure *figure,
	      struct bench_sample *sample, uint64_t ops,
	      int (*call)(struct area *area));

extern const struct bench bench_area_4k;     /* bench_mmu.c */
extern const struct bench bench_area_2m;
extern const struct bench bench_tables_4k;   /* bench_tables.c */
extern const struct bench bench_tables_2m;
extern const struct bench bench_fresh;	     /* bench_fresh.c */
extern const struct bench bench_fresh_slots;
extern const struct bench bench_demand_1;    /* bench_demand.c */
extern const struct bench bench_demand_2;
extern const struct bench bench_dirty_4k;    /* bench_dirty.c */
extern const struct bench bench_dirty_2m;
extern const struct bench bench_aging_lru;   /* bench_aging.c */
extern const struct bench bench_aging_idle;
extern const struct bench bench_prefault_4k; /* bench_prefault.c */
extern const struct bench bench_prefault_4k_2;
extern const struct bench bench_prefault_2m;
extern const struct bench bench_phases;	     /* bench_phases.c */
extern const struct bench bench_stall_4k;    /* bench_stall.c */
extern const struct bench bench_stall_2m;

#endif
