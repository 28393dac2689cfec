// SPDX-License-Identifier: GPL-2.0-only
/* The largest things: a slot with all its pages mapped, and a whole VM. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "bench_slots.h"
#include "bench_whole.h"
#include "cmd.h"

#define LARGE_SLOT 1
#define LARGE_MIB_MAX (BENCH_LARGE_SIZE >> 20)

#define TABLE_SIZE 4096ull

/* As much as is asked for, or two thirds of what is free: a power of two. */
static uint64_t affordable(uint64_t mib)
{
	struct sysinfo info;
	uint64_t free;

	if (sysinfo(&info))
		return 0;
	free = info.freeram / 1024 * info.mem_unit / 1024 * 2 / 3;
	while (mib > free)
		mib /= 2;
	return mib;
}

enum { DELETE, TABLES };

static const struct bench_figure mapped_figures[] = {
	[DELETE] = { "delete a slot, all mapped", "MiB",
		     "remote_tlb_flush_requests", BENCH_NS },
	[TABLES] = { "page tables, all mapped", "MiB", NULL, BENCH_BYTES },
};

uint64_t own_tables(int vm)
{
	struct xvm_stats *stats;
	uint64_t pages = 0;
	int index;

	if (xvm_stats_open(vm, &stats))
		return 0;
	index = xvm_stats_find(stats, "table_pages");
	if (index >= 0)
		pages = xvm_stats_value(stats, index);
	xvm_stats_close(stats);
	return pages * TABLE_SIZE;
}

static int sample_large(struct guest *guest, char *memory, uint64_t mib,
			struct bench_sample *samples)
{
	struct bench_args args = {
		.rdi = BENCH_LARGE_GPA,
		.rsi = (mib << 20) / PAGE_SIZE,
		.rdx = PAGE_SIZE,
		.rcx = mib << 20,
	};
	struct bench_timer timer;
	uint64_t before;
	int ret;

	ret = xvm_set_memory(guest->vm, LARGE_SLOT, BENCH_LARGE_GPA, mib << 20,
			     memory, 0);
	if (ret)
		return bench_fail("set a large slot", ret);
	before = kernel_memory() + own_tables(guest->vm);
	ret = bench_execute(guest, args);
	if (ret)
		return ret;
	samples[TABLES].amount =
		kernel_memory() + own_tables(guest->vm) - before;
	samples[TABLES].ops = mib;
	bench_start(&timer, guest->vm, &mapped_figures[DELETE]);
	ret = xvm_delete_memory(guest->vm, LARGE_SLOT);
	bench_stop(&timer, &samples[DELETE], mib);
	return ret ? bench_fail("delete the large slot", ret) : 0;
}

static int sample_mapped(const struct bench *bench, const char *device,
			 uint64_t most, struct bench_sample *samples)
{
	uint64_t mib = affordable(most), size = mib << 20;
	struct guest guest;
	char *memory;
	int ret;

	(void)bench;
	if (!mib)
		return 0;
	memory = bench_allocate(size);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	ret = 0;
	if (bench_page_size(memory, size, false) ||
	    madvise(memory, size, MADV_POPULATE_WRITE))
		ret = bench_fail("populate memory", -errno);
	if (!ret)
		ret = bench_open(&guest, device, guest_touch, guest_touch_end);
	if (!ret) {
		ret = sample_large(&guest, memory, mib, samples);
		guest_close(&guest);
	}
	munmap(memory, size);
	return ret;
}

const struct bench bench_mapped =
	BENCH_FIGURES(mapped_figures, ARRAY_SIZE(mapped_figures), LARGE_MIB_MAX,
		      64, sample_mapped);

static int create_and_destroy(int device, uint64_t vms)
{
	uint64_t i;
	int vm;

	for (i = 0; i < vms; i++) {
		vm = xvm_create_vm(device, 0);
		if (vm < 0)
			return bench_fail("create a VM", vm);
		xvm_close(vm);
	}
	return 0;
}

static int sample_vms(const struct bench *bench, const char *device,
		      uint64_t nr, struct bench_sample *sample)
{
	struct bench_timer timer;
	int fd, ret;

	fd = open_device(device);
	if (fd < 0)
		return fd;
	bench_start(&timer, fd, bench->figures);
	ret = create_and_destroy(fd, nr);
	bench_stop(&timer, sample, nr);
	xvm_close(fd);
	return ret;
}

static const struct bench_figure vm_figure = { "create and destroy a VM", "VM",
					       NULL, BENCH_NS };

const struct bench bench_vms = BENCH_ONE(vm_figure, 50, 10, sample_vms);
