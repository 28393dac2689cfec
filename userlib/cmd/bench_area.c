// SPDX-License-Identifier: GPL-2.0-only
/* The slot that benchmarks of the group mmu map, unmap, protect and age. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "bench_area.h"
#include "cmd.h"

/* QEMU makes its TLB smaller after 100 ms in which it was used little. */
#define SETTLE_NS 250000000ull

uint64_t area_size(const struct area *area)
{
	return area->pages * AREA_PAGE;
}

static uint64_t affordable(uint64_t pages)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return 0;
	while (pages > info.freeram / AREA_PAGE * info.mem_unit / 2)
		pages /= 2;
	return pages;
}

int area_set(struct area *area, uint32_t flags)
{
	int ret = xvm_set_memory(area->guest.vm, AREA_SLOT, AREA_START,
				 area_size(area), area->memory, flags);

	return ret ? bench_fail("set the slot", ret) : 0;
}

int area_delete(struct area *area)
{
	int ret = xvm_delete_memory(area->guest.vm, AREA_SLOT);

	return ret ? bench_fail("delete the slot", ret) : 0;
}

int area_populate(struct area *area)
{
	if (madvise(area->memory, area_size(area), MADV_POPULATE_WRITE))
		return bench_fail("populate the slot's memory", -errno);
	return 0;
}

int area_discard(struct area *area)
{
	if (madvise(area->memory, area_size(area), MADV_DONTNEED))
		return bench_fail("discard the slot's memory", -errno);
	return 0;
}

int area_touch(struct area *area, uint64_t step)
{
	const struct bench_args args = {
		.rdi = AREA_START,
		.rsi = area->pages / step,
		.rdx = step * AREA_PAGE,
		.rcx = area_size(area),
	};

	return bench_execute(&area->guest, args);
}

int area_time(struct area *area, const struct bench_figure *figure,
	      struct bench_sample *sample, uint64_t ops,
	      int (*call)(struct area *area))
{
	struct bench_timer timer;
	int ret;

	bench_start(&timer, area->guest.vm, figure);
	ret = call(area);
	bench_stop(&timer, sample, ops);
	return ret;
}

int area_open_alone(struct area *area, uint64_t pages, bool huge)
{
	int ret;

	area->pages = affordable(pages);
	area->memory = bench_allocate(area_size(area));
	if (area->memory == MAP_FAILED)
		return -ENOMEM;
	ret = bench_page_size(area->memory, area_size(area), huge);
	if (!ret)
		return 0;
	area_close_alone(area);
	return bench_fail("allocate the slot's memory", ret);
}

void area_close_alone(struct area *area)
{
	munmap(area->memory, area_size(area));
}

/* It touches nothing of the area. */
static int run_once(struct area *area)
{
	const struct bench_args low = { .rdi = BENCH_STOP_WORD, .rsi = 1 };

	return bench_execute(&area->guest, low);
}

int area_settle(struct area *area)
{
	uint64_t end = bench_now() + SETTLE_NS;
	int ret;

	do {
		ret = run_once(area);
	} while (!ret && bench_now() < end);
	return ret;
}

static int area_prepare(struct area *area)
{
	int ret = area_set(area, 0);

	/* Code and page tables of the guest are mapped after it. */
	return ret ? ret : run_once(area);
}

int area_open(struct area *area, const char *device, uint64_t pages, bool huge)
{
	int ret = area_open_alone(area, pages, huge);

	if (ret)
		return ret;
	ret = bench_open(&area->guest, device, guest_touch, guest_touch_end);
	if (!ret) {
		ret = area_prepare(area);
		if (!ret)
			return 0;
		guest_close(&area->guest);
	}
	area_close_alone(area);
	return ret;
}

void area_close(struct area *area)
{
	guest_close(&area->guest);
	area_close_alone(area);
}
