// SPDX-License-Identifier: GPL-2.0-only
/* Mapping and unmapping an area of many slots, page by page. */
#include <errno.h>
#include <sys/mman.h>

#include "bench_slots.h"
#include "cmd.h"

static bool coprime(uint64_t a, uint64_t b)
{
	uint64_t rest;

	while (b) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a == 1;
}

/* Going this many pages on at a time, round and round, passes by each of nr once. */
static uint64_t step_of(enum slots_order order, uint64_t nr)
{
	uint64_t step;

	switch (order) {
	case SLOTS_IN_ORDER:
		return 1;
	case SLOTS_SCATTERED: /* the golden ratio: far from all recent ones */
		step = nr * 618 / 1000;
		break;
	default:
		step = nr / 2 + 1;
		break;
	}
	while (!coprime(step, nr))
		step++;
	return step;
}

int slots_touch(struct slot_map *map, const struct bench_figure *figure,
		struct bench_sample *sample, enum slots_order order)
{
	struct bench_args args = {
		.rdi = AREA_GPA,
		.rsi = map->pages,
		.rdx = step_of(order, map->pages) * PAGE_SIZE,
		.rcx = map->pages * PAGE_SIZE,
	};
	struct bench_timer timer;
	int ret;

	ret = bench_arguments(&map->guest, args);
	if (ret)
		return ret;
	bench_start(&timer, map->guest.vcpu, figure);
	ret = bench_run_to(&map->guest, KVM_EXIT_IO);
	bench_stop(&timer, sample, map->pages);
	return ret;
}

static int discard(struct slot_map *map, uint64_t chunk, uint64_t *chunks)
{
	uint64_t i, at, end, size;

	for (i = 0; i < map->fill; i++) {
		end = slots_start(map, i + 1) * PAGE_SIZE;
		for (at = slots_start(map, i) * PAGE_SIZE; at < end;
		     at += size) {
			/* To the next multiple of the chunk's size. */
			size = chunk - at % chunk;
			if (size > end - at)
				size = end - at;
			if (madvise(map->area + at, size, MADV_DONTNEED))
				return bench_fail("discard memory", -errno);
			++*chunks;
		}
	}
	return 0;
}

int slots_discard(struct slot_map *map, const struct bench_figure *figure,
		  struct bench_sample *sample, uint64_t chunk)
{
	struct bench_timer timer;
	uint64_t chunks = 0;
	int ret;

	bench_start(&timer, map->guest.vm, figure);
	ret = discard(map, chunk, &chunks);
	bench_stop(&timer, sample, chunks);
	return ret;
}

int slots_populate(struct slot_map *map, bool huge)
{
	uint64_t size = map->pages * PAGE_SIZE;

	if (bench_page_size(map->area, size, huge) ||
	    madvise(map->area, size, MADV_POPULATE_WRITE))
		return bench_fail("populate memory", -errno);
	return 0;
}
