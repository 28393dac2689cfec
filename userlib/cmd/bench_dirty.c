// SPDX-License-Identifier: GPL-2.0-only
/* A dirty log of a slot that is all mapped: switched on, used once, switched off. */
#include <errno.h>
#include <stdlib.h>

#include "bench_area.h"
#include "cmd.h"

#define FLUSHES "remote_tlb_flush_requests"

/* The guest writes to one page in so many. */
#define SPARSE 10

enum { ENABLE, WRITE, GET, CLEAR, PASS, DISABLE, NR };

static const struct bench_figure small_figures[NR] = {
	[ENABLE] = { "dirty log on, 4K leaves", "slot", FLUSHES, BENCH_NS },
	[WRITE] = { "logged writes, every 10th", "page", "pf_fixed", BENCH_NS },
	[GET] = { "dirty log, get", "slot", FLUSHES, BENCH_NS },
	[CLEAR] = { "dirty log, clear", "slot", FLUSHES, BENCH_NS },
	[PASS] = { "these writes, get, clear", "slot", NULL, BENCH_NS },
	[DISABLE] = { "dirty log off", "slot", FLUSHES, BENCH_NS },
};

static const struct bench_figure large_figures[NR] = {
	[ENABLE] = { "dirty log on, 2M leaves", "slot", FLUSHES, BENCH_NS },
	[WRITE] = { "logged writes, every 10th", "page", "pf_fixed", BENCH_NS },
	[GET] = { "dirty log, get", "slot", FLUSHES, BENCH_NS },
	[CLEAR] = { "dirty log, clear", "slot", FLUSHES, BENCH_NS },
	[PASS] = { "these writes, get, clear", "slot", NULL, BENCH_NS },
	[DISABLE] = { "dirty log off, was 2M", "slot", FLUSHES, BENCH_NS },
};

struct log {
	struct area area;
	uint64_t *bitmap;
};

/* area is the first of log: calls for area_time(). */
static struct log *to_log(struct area *area)
{
	return (struct log *)area;
}

static int enable(struct area *area)
{
	return area_set(area, KVM_MEM_LOG_DIRTY_PAGES);
}

static int disable(struct area *area)
{
	return area_set(area, 0);
}

static int get(struct area *area)
{
	struct kvm_dirty_log log = {
		.slot = AREA_SLOT,
		.dirty_bitmap = to_log(area)->bitmap,
	};
	int ret = xvm_ioctl(area->guest.vm, KVM_GET_DIRTY_LOG, &log);

	return ret ? bench_fail("get the dirty log", ret) : 0;
}

static int clear(struct area *area)
{
	struct kvm_clear_dirty_log log = {
		.slot = AREA_SLOT,
		.num_pages = (uint32_t)area->pages,
		.dirty_bitmap = to_log(area)->bitmap,
	};
	int ret = xvm_ioctl(area->guest.vm, KVM_CLEAR_DIRTY_LOG, &log);

	return ret ? bench_fail("clear the dirty log", ret) : 0;
}

/* Bits are cleared by a call of their own, as a migration does it. */
static int clear_by_hand(struct area *area)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	int ret = xvm_ioctl(area->guest.vm, KVM_ENABLE_CAP, &cap);

	return ret ? bench_fail("ask for a log cleared by hand", ret) : 0;
}

static int write_some(struct area *area, const struct bench_figure *figure,
		      struct bench_sample *sample)
{
	struct bench_timer timer;
	int ret;

	bench_start(&timer, area->guest.vcpu, figure);
	ret = area_touch(area, SPARSE);
	bench_stop(&timer, sample, area->pages / SPARSE);
	return ret;
}

static int measure(struct area *area, const struct bench_figure *figures,
		   struct bench_sample *samples)
{
	static const struct {
		int figure;
		int (*call)(struct area *area);
	} calls[] = {
		{ ENABLE, enable },
		{ WRITE, NULL },
		{ GET, get },
		{ CLEAR, clear },
		{ DISABLE, disable },
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls) && !ret; i++) {
		int nr = calls[i].figure;

		if (calls[i].call)
			ret = area_time(area, &figures[nr], &samples[nr], 1,
					calls[i].call);
		else
			ret = write_some(area, &figures[nr], &samples[nr]);
	}
	samples[PASS].ops = 1;
	for (i = WRITE; i < PASS; i++)
		samples[PASS].amount += samples[i].amount;
	return ret;
}

static int prepare(struct log *log)
{
	int ret;

	log->bitmap = calloc(log->area.pages / 64, sizeof(*log->bitmap));
	if (!log->bitmap)
		return bench_fail("allocate a bitmap", -ENOMEM);
	ret = area_populate(&log->area);
	if (!ret)
		ret = area_touch(&log->area, 1);
	return ret ? ret : clear_by_hand(&log->area);
}

static int sample_dirty(const struct bench *bench, const char *device,
			uint64_t pages, struct bench_sample *samples)
{
	struct log log = { 0 };
	int ret;

	ret = area_open(&log.area, device, pages,
			bench->figures == large_figures);
	if (ret)
		return ret;
	ret = prepare(&log);
	if (!ret)
		ret = measure(&log.area, bench->figures, samples);
	area_close(&log.area);
	free(log.bitmap);
	return ret;
}

const struct bench bench_dirty_4k =
	BENCH_FIGURES(small_figures, NR, AREA_PAGES, AREA_PAGES_QUICK,
		      sample_dirty);
const struct bench bench_dirty_2m =
	BENCH_FIGURES(large_figures, NR, AREA_PAGES, AREA_PAGES_QUICK,
		      sample_dirty);
