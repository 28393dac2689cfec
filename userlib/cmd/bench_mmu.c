// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench mmu: mapping guest memory, and losing the mapping to the host. */
#include <errno.h>
#include <sys/mman.h>

#include "bench.h"
#include "cmd.h"

#define AREA_SLOT 1
#define AREA_GPA (256ull << 20)
#define PAGE_SIZE 4096ull

/* A slot of small pages that the host has touched and the guest has not. */
struct area {
	struct guest guest;
	void *memory;
	uint64_t pages;
};

static void area_close(struct area *area)
{
	guest_close(&area->guest);
	if (area->memory != MAP_FAILED)
		munmap(area->memory, area->pages * PAGE_SIZE);
}

static int area_create(struct area *area)
{
	const struct bench_args low = { .rdi = BENCH_STOP_WORD, .rsi = 1 };
	uint64_t size = area->pages * PAGE_SIZE;
	int ret;

	if (madvise(area->memory, size, MADV_NOHUGEPAGE) ||
	    madvise(area->memory, size, MADV_POPULATE_WRITE))
		return bench_fail("allocate the slot's memory", -errno);
	ret = xvm_set_memory(area->guest.vm, AREA_SLOT, AREA_GPA, size,
			     area->memory, 0);
	if (ret)
		return bench_fail("set the slot", ret);
	/* Touch low memory only: code and page tables are mapped after it. */
	return bench_execute(&area->guest, low);
}

static int area_open(struct area *area, const char *device, uint64_t pages)
{
	int ret;

	ret = bench_open(&area->guest, device, guest_touch, guest_touch_end);
	if (ret)
		return ret;
	area->pages = pages;
	area->memory = bench_allocate(pages * PAGE_SIZE);
	if (area->memory == MAP_FAILED)
		ret = -ENOMEM;
	else
		ret = area_create(area);
	if (ret)
		area_close(area);
	return ret;
}

/* The guest writes to every page once. */
static int area_touch(struct area *area)
{
	const struct bench_args all = {
		.rdi = AREA_GPA,
		.rsi = area->pages,
		.rdx = PAGE_SIZE,
		.rcx = area->pages * PAGE_SIZE,
	};

	return bench_execute(&area->guest, all);
}

static int area_discard(struct area *area)
{
	if (madvise(area->memory, area->pages * PAGE_SIZE, MADV_DONTNEED))
		return bench_fail("discard the slot's memory", -errno);
	return 0;
}

static int area_touch_and_discard(struct area *area)
{
	int ret = area_touch(area);

	return ret ? ret : area_discard(area);
}

static int area_delete(struct area *area)
{
	int ret = xvm_delete_memory(area->guest.vm, AREA_SLOT);

	return ret ? bench_fail("delete the slot", ret) : 0;
}

struct action {
	int (*before)(struct area *area); /* or NULL */
	int (*timed)(struct area *area);
	bool by_vcpu; /* whose statistic it is, or the VM's */
};

static int sample_area(const struct bench *bench, const char *device,
		       uint64_t size, struct bench_sample *sample)
{
	const struct action *action = bench->data;
	struct bench_timer timer;
	struct area area;
	int ret;

	ret = area_open(&area, device, size);
	if (ret)
		return ret;
	if (action->before)
		ret = action->before(&area);
	if (!ret) {
		bench_start(&timer,
			    action->by_vcpu ? area.guest.vcpu : area.guest.vm,
			    bench->figures);
		ret = action->timed(&area);
		bench_stop(&timer, sample, size);
	}
	area_close(&area);
	return ret;
}

#define FLUSHES "remote_tlb_flush_requests"

static const struct bench_figure figures[] = {
	{ "map: guest's first touch", "page", "pf_fixed", BENCH_NS },
	{ "unmap: host discards memory", "page", FLUSHES, BENCH_NS },
	{ "map again, fresh memory", "page", "pf_fixed", BENCH_NS },
	{ "unmap: slot deleted", "page", FLUSHES, BENCH_NS },
};

static const struct action map = { NULL, area_touch, true };
static const struct action unmap = { area_touch, area_discard, false };
static const struct action remap = { area_touch_and_discard, area_touch, true };
static const struct action delete = { area_touch, area_delete, false };

static const struct bench bench_map =
	BENCH_ONE(figures[0], 32768, 4096, sample_area, .data = &map);
static const struct bench bench_unmap =
	BENCH_ONE(figures[1], 32768, 4096, sample_area, .data = &unmap);
static const struct bench bench_remap =
	BENCH_ONE(figures[2], 32768, 4096, sample_area, .data = &remap);
static const struct bench bench_delete =
	BENCH_ONE(figures[3], 32768, 4096, sample_area, .data = &delete);

static const struct bench *const benches[] = {
	&bench_map,
	&bench_unmap,
	&bench_remap,
	&bench_delete,
};

const struct bench_group bench_mmu = { "mmu", benches, ARRAY_SIZE(benches) };
