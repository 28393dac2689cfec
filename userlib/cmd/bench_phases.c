// SPDX-License-Identifier: GPL-2.0-only
/*
 * The three phases that KVM's own kvm_page_table_test times, of large pages: mapped at
 * first, written page by page while a log runs, and used again once it has ended.
 */
#include "bench_area.h"
#include "cmd.h"

enum { CREATE, UPDATE, ADJUST, NR };

static const struct bench_figure figures[NR] = {
	[CREATE] = { "create: first use of 2M pages", "slot", "pf_fixed", BENCH_NS },
	[UPDATE] = { "update: all 4K written, log on", "slot", "pf_fixed", BENCH_NS },
	[ADJUST] = { "adjust: use after log off", "slot", "pf_fixed", BENCH_NS },
};

static int phase(struct area *area, int nr, uint64_t step, struct bench_sample *samples)
{
	struct bench_timer timer;
	int ret;

	bench_start(&timer, area->guest.vcpu, &figures[nr]);
	ret = area_touch(area, step);
	bench_stop(&timer, &samples[nr], 1);
	return ret;
}

static int sample_phases(const struct bench *bench, const char *device,
			 uint64_t pages, struct bench_sample *samples)
{
	const uint64_t large = AREA_HUGE / AREA_PAGE;
	struct area area;
	int ret;

	(void)bench;
	ret = area_open(&area, device, pages, true);
	if (ret)
		return ret;
	ret = area_populate(&area);
	if (!ret)
		ret = phase(&area, CREATE, large, samples);
	if (!ret)
		ret = area_set(&area, KVM_MEM_LOG_DIRTY_PAGES);
	if (!ret)
		ret = phase(&area, UPDATE, 1, samples);
	if (!ret)
		ret = area_set(&area, 0);
	if (!ret)
		ret = phase(&area, ADJUST, large, samples);
	area_close(&area);
	return ret;
}

const struct bench bench_phases =
	BENCH_FIGURES(figures, NR, AREA_PAGES, AREA_PAGES_QUICK, sample_phases);
