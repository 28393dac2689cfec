// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench mmu: guest memory mapped and unmapped. */
#include "bench_area.h"
#include "cmd.h"

#define FLUSHES "remote_tlb_flush_requests"
#define GIB (1ull << 30)

enum { MAP, DELETE, DISCARD, ALONE, SHARE, NR };

static const struct bench_figure small_figures[NR] = {
	[MAP] = { "map 4K, host has the pages", "page", "pf_fixed", BENCH_NS },
	[DELETE] = { "unmap 4K, slot deleted", "GiB", FLUSHES, BENCH_NS },
	[DISCARD] = { "unmap 4K, host discards", "GiB", FLUSHES, BENCH_NS },
	[ALONE] = { "the same without a VM", "GiB", NULL, BENCH_NS },
	[SHARE] = { "what the VM adds to it", "GiB", NULL, BENCH_NS },
};

static const struct bench_figure large_figures[NR] = {
	[MAP] = { "map 2M, host has the pages", "page", "pf_fixed", BENCH_NS },
	[DELETE] = { "unmap 2M, slot deleted", "GiB", FLUSHES, BENCH_NS },
	[DISCARD] = { "unmap 2M, host discards", "GiB", FLUSHES, BENCH_NS },
	[ALONE] = { "the same without a VM", "GiB", NULL, BENCH_NS },
	[SHARE] = { "what the VM adds to it", "GiB", NULL, BENCH_NS },
};

/* As if the area were of 1 GiB. */
static void scale(struct bench_sample *sample, const struct area *area)
{
	sample->amount = sample->amount * (double)GIB / area_size(area);
	sample->ops = 1;
}

static int map(struct area *area, const struct bench *bench,
	       struct bench_sample *sample)
{
	uint64_t page = bench->data ? AREA_HUGE : AREA_PAGE;
	struct bench_timer timer;
	int ret;

	ret = area_populate(area);
	if (!ret)
		ret = area_settle(area);
	if (ret)
		return ret;
	bench_start(&timer, area->guest.vcpu, &bench->figures[MAP]);
	ret = area_touch(area, page / AREA_PAGE);
	bench_stop(&timer, sample, area_size(area) / page);
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

static int discard_alone(const struct bench *bench, uint64_t pages,
			 struct bench_sample *sample)
{
	struct area area;
	int ret = area_open_alone(&area, pages, bench->data);

	if (ret)
		return ret;
	ret = area_populate(&area);
	if (!ret)
		ret = area_time(&area, &bench->figures[ALONE], sample, 1,
				area_discard);
	scale(sample, &area);
	area_close_alone(&area);
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
	ret = map(&area, bench, &samples[MAP]);
	if (!ret)
		ret = unmap(&area, bench, samples);
	area_close(&area);
	if (!ret)
		ret = discard_alone(bench, pages, &samples[ALONE]);
	bench_beyond(&samples[SHARE], &samples[DISCARD], &samples[ALONE]);
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
	&bench_area_4k,	     &bench_area_2m,	&bench_tables_4k,
	&bench_tables_2m,    &bench_fresh,	&bench_fresh_slots,
	&bench_demand_1,     &bench_demand_2,	&bench_dirty_4k,
	&bench_dirty_2m,     &bench_aging_lru,	&bench_aging_idle,
	&bench_prefault_4k,  &bench_prefault_4k_2,
	&bench_prefault_2m,  &bench_phases,	&bench_stall_4k,
	&bench_stall_2m,
};

const struct bench_group bench_mmu = { "mmu", benches, ARRAY_SIZE(benches) };
