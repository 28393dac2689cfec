// SPDX-License-Identifier: GPL-2.0-only
/*
 * xvm bench fork: a guest that makes address spaces which share memory, until
 * they write it, and takes them down again.  To nested paging that is nothing;
 * where the guest's tables are shadowed, it is all of them.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kvm.h>

#include "bench.h"
#include "cmd.h"

#define PAGE_SIZE 4096ull
#define AREA_SLOT 1
#define AREA_GPA (256ull << 20)
#define AREA_SIZE (128ull << 20)

/* As guest/bench.S has them. */
#define SHARED_PAGES 4096
#define SPACE_PAGES 11
#define COPIES 16 /* pages that each space writes */

/* Where things are in the area, in pages. */
#define SHARED 0
#define PARENT SHARED_PAGES
#define SPACES (PARENT + SPACE_PAGES)

/* Present, writable, user, accessed, dirty. */
#define ENTRY 0x67ull

static uint64_t gpa(uint64_t page)
{
	return AREA_GPA + page * PAGE_SIZE;
}

/* The tables of the first address space: what a kernel would have made. */
static void fill_parent(struct guest *guest, char *memory)
{
	const uint64_t *low = (void *)((char *)guest->memory + GUEST_TABLES);
	uint64_t *pml4 = (void *)(memory + PARENT * PAGE_SIZE);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512, *pt = pd + 512;
	int i;

	pml4[0] = low[0];
	pml4[1] = gpa(PARENT + 1) | ENTRY;
	pdpt[0] = gpa(PARENT + 2) | ENTRY;
	for (i = 0; i < SHARED_PAGES / 512; i++)
		pd[i] = gpa(PARENT + 3 + i) | ENTRY;
	for (i = 0; i < SHARED_PAGES; i++)
		pt[i] = gpa(SHARED + i) | ENTRY;
}

static int run_fork(struct guest *guest, char *memory, uint64_t spaces)
{
	const struct bench_args args = {
		.rdi = gpa(SPACES),
		.rsi = spaces,
		.rdx = gpa(PARENT),
		.rcx = gpa(SPACES + spaces * SPACE_PAGES),
		.rbx = COPIES,
	};

	fill_parent(guest, memory);
	return bench_execute(guest, args);
}

static int sample_fork(const struct bench *bench, const char *device,
		       uint64_t spaces, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct guest guest;
	char *memory;
	int ret;

	ret = bench_open(&guest, device, guest_fork, guest_fork_end);
	if (ret)
		return ret;
	memory = bench_allocate(AREA_SIZE);
	if (memory == MAP_FAILED) {
		guest_close(&guest);
		return -ENOMEM;
	}
	/* A guest with as many tables has more memory: a limit for that much. */
	if (bench_page_size(memory, AREA_SIZE, false) ||
	    madvise(memory, AREA_SIZE, MADV_POPULATE_WRITE) ||
	    ioctl(guest.vm, KVM_SET_NR_MMU_PAGES, 16384ul))
		ret = bench_fail("prepare the guest's memory", -errno);
	if (!ret) {
		ret = xvm_set_memory(guest.vm, AREA_SLOT, AREA_GPA, AREA_SIZE,
				     memory, 0);
		if (ret)
			bench_fail("set the slot", ret);
	}
	/* Once with one, so that nothing is new but the address spaces. */
	if (!ret)
		ret = run_fork(&guest, memory, 1);
	if (!ret) {
		bench_start(&timer, guest.vcpu, bench->figures);
		ret = run_fork(&guest, memory, spaces);
		bench_stop(&timer, sample, spaces);
	}
	guest_close(&guest);
	munmap(memory, AREA_SIZE);
	return ret;
}

static const struct bench_figure figures[] = {
	{ "fork, read 16 MiB, copy 16 pages, exit", "space", "exits", BENCH_NS },
};

static const struct bench bench_spaces =
	BENCH_ONE(figures[0], 500, 50, sample_fork);

static const struct bench *const benches[] = { &bench_spaces };

const struct bench_group bench_fork = { "fork", benches, ARRAY_SIZE(benches) };
