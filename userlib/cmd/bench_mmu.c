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
	uint64_t size = area->pages * PAGE_SIZE;
	int ret;

	if (area->memory == MAP_FAILED ||
	    madvise(area->memory, size, MADV_NOHUGEPAGE) ||
	    madvise(area->memory, size, MADV_POPULATE_WRITE))
		return bench_fail("allocate the slot's memory", -errno);
	ret = xvm_set_memory(area->guest.vm, AREA_SLOT, AREA_GPA, size,
			     area->memory, 0);
	if (ret)
		return bench_fail("set the slot", ret);
	/* Touch low memory only: code and page tables are mapped after it. */
	ret = bench_arguments(&area->guest, BENCH_STOP_WORD, 1, 0);
	return ret ? ret : bench_run_to(&area->guest, KVM_EXIT_IO);
}

static int area_open(struct area *area, const char *device, uint64_t pages)
{
	int ret;

	ret = bench_open(&area->guest, device, guest_touch, guest_touch_end);
	if (ret)
		return ret;
	area->pages = pages;
	area->memory = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ret = area_create(area);
	if (ret)
		area_close(area);
	return ret;
}

/* The guest writes to every page once. */
static int area_touch(struct area *area)
{
	int ret;

	ret = bench_arguments(&area->guest, AREA_GPA, area->pages, PAGE_SIZE);
	return ret ? ret : bench_run_to(&area->guest, KVM_EXIT_IO);
}

static int area_discard(struct area *area)
{
	if (madvise(area->memory, area->pages * PAGE_SIZE, MADV_DONTNEED))
		return bench_fail("discard the slot's memory", -errno);
	return 0;
}

static int sample_map(const struct bench *bench, const char *device,
		      uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct area area;
	int ret;

	ret = area_open(&area, device, size);
	if (ret)
		return ret;
	bench_start(&timer, area.guest.vcpu, bench->statistic);
	ret = area_touch(&area);
	bench_stop(&timer, sample, size);
	area_close(&area);
	return ret;
}

static int sample_unmap(const struct bench *bench, const char *device,
			uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct area area;
	int ret;

	ret = area_open(&area, device, size);
	if (ret)
		return ret;
	ret = area_touch(&area);
	if (!ret) {
		bench_start(&timer, area.guest.vm, bench->statistic);
		ret = area_discard(&area);
		bench_stop(&timer, sample, size);
	}
	area_close(&area);
	return ret;
}

static int sample_remap(const struct bench *bench, const char *device,
			uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct area area;
	int ret;

	ret = area_open(&area, device, size);
	if (ret)
		return ret;
	ret = area_touch(&area);
	if (!ret)
		ret = area_discard(&area);
	if (!ret) {
		bench_start(&timer, area.guest.vcpu, bench->statistic);
		ret = area_touch(&area);
		bench_stop(&timer, sample, size);
	}
	area_close(&area);
	return ret;
}

static int sample_delete(const struct bench *bench, const char *device,
			 uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct area area;
	int ret;

	ret = area_open(&area, device, size);
	if (ret)
		return ret;
	ret = area_touch(&area);
	if (!ret) {
		bench_start(&timer, area.guest.vm, bench->statistic);
		ret = xvm_delete_memory(area.guest.vm, AREA_SLOT);
		bench_stop(&timer, sample, size);
		if (ret)
			bench_fail("delete the slot", ret);
	}
	area_close(&area);
	return ret;
}

static const struct bench benches[] = {
	{
		.name = "map: guest's first touch",
		.unit = "page",
		.statistic = "pf_fixed",
		.size = 32768,
		.quick_size = 4096,
		.sample = sample_map,
	},
	{
		.name = "unmap: host discards memory",
		.unit = "page",
		.statistic = "remote_tlb_flush_requests",
		.size = 32768,
		.quick_size = 4096,
		.sample = sample_unmap,
	},
	{
		.name = "map again, fresh memory",
		.unit = "page",
		.statistic = "pf_fixed",
		.size = 32768,
		.quick_size = 4096,
		.sample = sample_remap,
	},
	{
		.name = "unmap: slot deleted",
		.unit = "page",
		.statistic = "remote_tlb_flush_requests",
		.size = 32768,
		.quick_size = 4096,
		.sample = sample_delete,
	},
};

const struct bench_group bench_mmu = { "mmu", benches, ARRAY_SIZE(benches) };
