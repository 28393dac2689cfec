// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that nobody has touched: the host has to find each page first.  Its
 * own process touching the like is the floor, and is measured beside it.
 */
#include "bench_area.h"
#include "bench_slots.h"
#include "cmd.h"

enum { GUEST, HOST, FACTOR };

static const struct bench_figure figures[] = {
	[GUEST] = { "first touch, fresh memory", "page", "pf_fixed", BENCH_NS },
	[HOST] = { "the same by a host process", "page", NULL, BENCH_NS },
	[FACTOR] = { "guest's over the host's", "host", NULL, BENCH_EVENTS },
};

static int touch_by_host(struct area *area)
{
	volatile char *memory = area->memory;
	uint64_t i;

	for (i = 0; i < area->pages; i++)
		memory[i * AREA_PAGE] = 1;
	return 0;
}

static int touch_by_guest(struct area *area)
{
	return area_touch(area, 1);
}

static int measure_fresh(struct area *area, struct bench_sample *samples)
{
	struct bench_timer timer;
	int ret;

	bench_start(&timer, area->guest.vcpu, &figures[GUEST]);
	ret = touch_by_guest(area);
	bench_stop(&timer, &samples[GUEST], area->pages);
	if (!ret)
		ret = area_discard(area);
	if (!ret)
		ret = area_time(area, &figures[HOST], &samples[HOST],
				area->pages, touch_by_host);
	if (ret)
		return ret;
	/* Three digits of it. */
	samples[FACTOR].amount =
		samples[GUEST].amount * 1000 / (samples[HOST].amount + 1);
	samples[FACTOR].ops = 1000;
	return 0;
}

static int sample_fresh(const struct bench *bench, const char *device,
			uint64_t pages, struct bench_sample *samples)
{
	struct area area;
	int ret;

	(void)bench;
	ret = area_open(&area, device, pages, false);
	if (ret)
		return ret;
	ret = measure_fresh(&area, samples);
	area_close(&area);
	return ret;
}

const struct bench bench_fresh =
	BENCH_FIGURES(figures, ARRAY_SIZE(figures), AREA_PAGES,
		      AREA_PAGES_QUICK, sample_fresh);

/* Fresh memory that is cut into slots, with those of the guest's own. */
static const struct bench_figure slots_figure = {
	"map slots of fresh memory", "page", "pf_fixed", BENCH_NS
};

static int sample_slots(const struct bench *bench, const char *device,
			uint64_t slots, struct bench_sample *sample)
{
	struct slot_map map;
	int ret;

	(void)bench;
	if (slots_limit(device) < slots)
		return 0;
	ret = slots_open(&map, device, slots);
	if (ret)
		return ret;
	ret = slots_fill(&map);
	if (!ret)
		ret = slots_touch(&map, &slots_figure, sample, SLOTS_IN_ORDER);
	slots_close(&map);
	return ret;
}

const struct bench bench_fresh_slots = {
	.figures = &slots_figure,
	.nr_figures = 1,
	.sizes = (const uint64_t[]){ 512, 8194 },
	.nr_sizes = 2,
	.quick_sizes = (const uint64_t[]){ 512 },
	.nr_quick_sizes = 1,
	.sized = true,
	.sample = sample_slots,
};
