// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench mmu: guest memory mapped and unmapped, and what its tables take. */
#include "bench_area.h"
#include "bench_whole.h"
#include "cmd.h"

#define FLUSHES "remote_tlb_flush_requests"
#define GIB (1ull << 30)

enum { MAP, TABLES, DISCARD, DELETE, NR };

static const struct bench_figure small_figures[NR] = {
	[MAP] = { "map 4K, host has the pages", "page", "pf_fixed", BENCH_NS },
	[TABLES] = { "tables of a GiB, 4K leaves", "GiB", NULL, BENCH_BYTES },
	[DISCARD] = { "unmap 4K, host discards", "GiB", FLUSHES, BENCH_NS },
	[DELETE] = { "unmap 4K, slot deleted", "GiB", FLUSHES, BENCH_NS },
};

static const struct bench_figure large_figures[NR] = {
	[MAP] = { "map 2M, host has the pages", "page", "pf_fixed", BENCH_NS },
	[TABLES] = { "tables of a GiB, 2M leaves", "GiB", NULL, BENCH_BYTES },
	[DISCARD] = { "unmap 2M, host discards", "GiB", FLUSHES, BENCH_NS },
	[DELETE] = { "unmap 2M, slot deleted", "GiB", FLUSHES, BENCH_NS },
};

/* As if the area were of 1 GiB. */
static void scale(struct bench_sample *sample, const struct area *area)
{
	sample->amount = sample->amount * (double)GIB / area_size(area);
	sample->ops = 1;
}

static int map(struct area *area, const struct bench *bench,
	       struct bench_sample *samples)
{
	uint64_t page = bench->data ? AREA_HUGE : AREA_PAGE;
	uint64_t before, after;
	struct bench_timer timer;
	int ret;

	ret = area_populate(area);
	if (ret)
		return ret;
	before = kernel_memory() + own_tables(area->guest.vm);
	bench_start(&timer, area->guest.vcpu, &bench->figures[MAP]);
	ret = area_touch(area, page / AREA_PAGE);
	bench_stop(&timer, &samples[MAP], area_size(area) / page);
	after = kernel_memory() + own_tables(area->guest.vm);
	samples[TABLES].amount = after > before ? after - before : 0;
	scale(&samples[TABLES], area);
	return ret;
}

static int unmap(struct area *area, const struct bench *bench,
		 struct bench_sample *samples)
{
	int ret;

	ret = area_time(area, &bench->figures[DELETE], &samples[DELETE], 1,
			area_delete);
	if (!ret)
		ret = area_set(area, 0);
	if (!ret)
		ret = area_touch(area, 1);
	if (!ret)
		ret = area_time(area, &bench->figures[DISCARD],
				&samples[DISCARD], 1, area_discard);
	scale(&samples[DELETE], area);
	scale(&samples[DISCARD], area);
	return ret;
}

static int sample_area(const struct bench *bench, const char *device,
		       uint64_t pages, struct bench_sample *samples)
{
	struct area area;
	int ret;

	ret = area_open(&area, device, pages, bench->data);
	if (ret)
		return ret;
	ret = map(&area, bench, samples);
	if (!ret)
		ret = unmap(&area, bench, samples);
	area_close(&area);
	return ret;
}

const struct bench bench_area_4k =
	BENCH_FIGURES(small_figures, NR, AREA_PAGES, AREA_PAGES_QUICK,
		      sample_area);
/* data: with huge pages. */
const struct bench bench_area_2m =
	BENCH_FIGURES(large_figures, NR, AREA_PAGES, AREA_PAGES_QUICK,
		      sample_area, .data = large_figures);

static const struct bench *const benches[] = {
	&bench_area_4k,	    &bench_area_2m,  &bench_fresh,
	&bench_fresh_slots, &bench_demand_1, &bench_demand_2,
	&bench_dirty_4k,    &bench_dirty_2m, &bench_aging,
	&bench_stall_4k,    &bench_stall_2m,
};

const struct bench_group bench_mmu = { "mmu", benches, ARRAY_SIZE(benches) };
