/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest whose memory is cut into many slots. */
#ifndef XVM_CMD_BENCH_SLOTS_H
#define XVM_CMD_BENCH_SLOTS_H

#include "bench.h"

#define PAGE_SIZE 4096ull
#define HUGE_PAGE_SIZE (2ull << 20)

/* Slot 0 is the guest's own memory, slot 1 moves, the others share the area. */
#define MOVING_SLOT 1
#define FILL_SLOT 2

#define MOVING_GPA (256ull << 20)
#define MOVED_GPA (384ull << 20)
#define MOVING_SIZE (64ull << 10)
#define AREA_GPA (512ull << 20)

struct slot_map {
	struct guest guest;
	char *moving; /* the host's side of the moving slot */
	char *area;   /* and of the area */
	uint64_t pages;
	uint64_t fill; /* number of slots in the area */
};

/* How many slots the device can have. */
uint64_t slots_limit(const char *device);

/* A guest with slot 0 alone; slots is how many the others will make it. */
int slots_open(struct slot_map *map, const char *device, uint64_t slots);
void slots_close(struct slot_map *map);

/* Where the i-th slot of the area begins, in pages of the area. */
uint64_t slots_start(const struct slot_map *map, uint64_t i);

/* All slots but slot 0: one call each, or all by one. */
int slots_fill(struct slot_map *map);
int slots_fill_batch(struct slot_map *map);

/* Changes of one slot each, here and there in the area. */
int slots_delete_create(struct slot_map *map, const struct bench_figure *figure,
			struct bench_sample *delete,
			struct bench_sample *create);
/* Dirty logging on and off; slots may be left with it. */
int slots_flags(struct slot_map *map, const struct bench_figure *figure,
		struct bench_sample *sample);

/* Moves of slot 1 while the guest writes to it, or to the area. */
int slots_move(struct slot_map *map, const struct bench_figure *figure,
	       struct bench_sample *sample, bool active);

/* An order in which the guest writes to all pages of the area. */
enum slots_order {
	SLOTS_IN_ORDER,
	SLOTS_SCATTERED,
	SLOTS_TWO_ENDS, /* from two distant places in turn */
};

/* The guest's first write to each page, which the host has. */
int slots_touch(struct slot_map *map, const struct bench_figure *figure,
		struct bench_sample *sample, enum slots_order order);
/* The host discards the area: chunk bytes of a slot at a time. */
int slots_discard(struct slot_map *map, const struct bench_figure *figure,
		  struct bench_sample *sample, uint64_t chunk);
/* The host has pages in the area again, huge ones where a slot holds them. */
int slots_populate(struct slot_map *map, bool huge);

#endif
