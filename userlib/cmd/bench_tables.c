// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device needs to map a GiB: the tables, what it keeps of each, and the
 * slot with all that belongs to it.
 *
 * That is little beside what slab caches have lying about, so the same GiB of
 * the host is mapped many times, by a slot each, and once before by another VM,
 * which uses up what is free.  A table takes the same for one leaf as for 512,
 * so one page in each 2 MiB is touched.
 */
#include <errno.h>
#include <sys/mman.h>

#include "bench_area.h"
#include "bench_whole.h"
#include "cmd.h"

#define GIB (1ull << 30)
#define COPIES 16
#define FIRST_SLOT 1
/* Past what the guest's own page tables reach at first. */
#define FIRST_GPA (4 * GIB)

#define TABLE_SIZE 4096ull
#define PTE_PRESENT_WRITE 0x3ull
#define PTE_HUGE 0x80ull

/* Map the guest's addresses from FIRST_GPA on to themselves, by pages of 1 GiB. */
static void map_guest(struct guest *guest)
{
	uint64_t *pdpt =
		(void *)((char *)guest->memory + GUEST_TABLES + TABLE_SIZE);
	uint64_t i;

	for (i = FIRST_GPA / GIB; i < FIRST_GPA / GIB + COPIES; i++)
		pdpt[i] = i * GIB | PTE_HUGE | PTE_PRESENT_WRITE;
}

static int map_copies(struct guest *guest, char *memory)
{
	const struct bench_args args = {
		.rdi = FIRST_GPA,
		.rsi = COPIES * GIB / AREA_HUGE,
		.rdx = AREA_HUGE,
		.rcx = COPIES * GIB,
	};
	uint64_t i;
	int ret;

	for (i = 0; i < COPIES; i++) {
		ret = xvm_set_memory(guest->vm, FIRST_SLOT + i,
				     FIRST_GPA + i * GIB, GIB, memory, 0);
		if (ret)
			return bench_fail("set a slot", ret);
	}
	return bench_execute(guest, args);
}

/* Until its tables are made: code, stack and the guest's own page tables are mapped. */
static int open_guest(struct guest *guest, const char *device)
{
	const struct bench_args low = { .rdi = BENCH_STOP_WORD, .rsi = 1 };
	int ret = bench_open(guest, device, guest_touch, guest_touch_end);

	if (ret)
		return ret;
	map_guest(guest);
	ret = bench_execute(guest, low);
	if (ret)
		guest_close(guest);
	return ret;
}

static uint64_t taken(const struct guest *guest)
{
	return kernel_memory() + own_tables(guest->vm);
}

static int measure(struct guest *first, struct guest *second, char *memory,
		   struct bench_sample *sample)
{
	uint64_t before, after;
	int ret;

	ret = map_copies(first, memory);
	if (ret)
		return ret;
	before = taken(second);
	ret = map_copies(second, memory);
	if (ret)
		return ret;
	after = taken(second);
	sample->amount = after > before ? after - before : 0;
	sample->ops = COPIES;
	return 0;
}

/* data: with huge pages. */
static int sample_tables(const struct bench *bench, const char *device,
			 uint64_t size, struct bench_sample *sample)
{
	char *memory = bench_allocate(size);
	struct guest first, second;
	int ret;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	ret = bench_page_size(memory, size, bench->data);
	if (ret)
		bench_fail("allocate the slots' memory", ret);
	else
		ret = open_guest(&first, device);
	if (ret)
		goto unmap;
	ret = open_guest(&second, device);
	if (ret)
		goto close_first;
	ret = measure(&first, &second, memory, sample);
	guest_close(&second);
close_first:
	guest_close(&first);
unmap:
	munmap(memory, size);
	return ret;
}

static const struct bench_figure figures[] = {
	{ "memory to map a GiB, 4K", "GiB", NULL, BENCH_BYTES },
	{ "memory to map a GiB, 2M", "GiB", NULL, BENCH_BYTES },
};

const struct bench bench_tables_4k =
	BENCH_ONE(figures[0], GIB, GIB, sample_tables);
const struct bench bench_tables_2m =
	BENCH_ONE(figures[1], GIB, GIB, sample_tables, .data = figures);
