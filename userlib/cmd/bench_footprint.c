// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's memory for slots and VMs: by how much slab, vmalloc and per-CPU
 * memory grow.  Pages that a device takes from the page allocator directly are
 * in none of these, but for those of page tables that the kernel counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_slots.h"
#include "bench_whole.h"
#include "cmd.h"

/* Freed memory comes back late: a reading counts if two agree. */
#define SETTLE_US 50000
#define SETTLE_TRIES 100

static uint64_t read_memory(void)
{
	static const char *const names[] = {
		"Slab:", "VmallocUsed:", "Percpu:", "SecPageTables:"};
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t sum = 0, kib;
	char name[64];
	size_t i;

	if (!file)
		return 0;
	while (fscanf(file, "%63s %" SCNu64 "%*[^\n]", name, &kib) == 2) {
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (!strcmp(name, names[i]))
				sum += kib << 10;
	}
	fclose(file);
	return sum;
}

uint64_t kernel_memory(void)
{
	uint64_t memory = read_memory(), before;
	int tries = 0;

	do {
		before = memory;
		usleep(SETTLE_US);
		memory = read_memory();
	} while (memory != before && ++tries < SETTLE_TRIES);
	return memory;
}

static void grown(struct bench_sample *sample, uint64_t before, uint64_t ops)
{
	uint64_t after = kernel_memory();

	sample->amount = after > before ? after - before : 0;
	sample->ops = ops;
}

enum { PER_SLOT, PER_GIB };

static const struct bench_figure slot_figures[] = {
	[PER_SLOT] = { "memory of a slot", "slot", NULL, BENCH_BYTES },
	[PER_GIB] = { "memory of a large slot", "GiB", NULL, BENCH_BYTES },
};

/* Virtual: nobody touches it. */
#define LARGE_GIB 64ull
#define LARGE_GPA (8ull << 30)

static int sample_large(struct guest *guest, struct bench_sample *sample)
{
	void *memory = bench_allocate(LARGE_GIB << 30);
	uint64_t before = kernel_memory();
	int ret;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	ret = xvm_set_memory(guest->vm, MOVING_SLOT, LARGE_GPA, LARGE_GIB << 30,
			     memory, 0);
	if (ret)
		bench_fail("set a large slot", ret);
	else
		grown(sample, before, LARGE_GIB);
	munmap(memory, LARGE_GIB << 30);
	return ret;
}

static int sample_second(struct slot_map *map, struct bench_sample *samples)
{
	uint64_t before = kernel_memory();
	int ret;

	ret = slots_fill(map);
	if (ret)
		return ret;
	grown(&samples[PER_SLOT], before, map->fill + 1);
	ret = xvm_delete_memory(map->guest.vm, MOVING_SLOT);
	if (ret)
		return bench_fail("delete the moving slot", ret);
	return sample_large(&map->guest, &samples[PER_GIB]);
}

static int sample_slot_footprint(const struct bench *bench, const char *device,
				 uint64_t slots, struct bench_sample *samples)
{
	struct slot_map first, second;
	int ret;

	(void)bench;
	/* The first map uses up what the slab caches have free. */
	ret = slots_open(&first, device, slots);
	if (ret)
		return ret;
	ret = slots_fill(&first);
	if (!ret)
		ret = slots_open(&second, device, slots);
	if (!ret) {
		ret = sample_second(&second, samples);
		slots_close(&second);
	}
	slots_close(&first);
	return ret;
}

const struct bench bench_slot_footprint =
	BENCH_FIGURES(slot_figures, ARRAY_SIZE(slot_figures), 4098, 1026,
		      sample_slot_footprint);

#define VMS 64

static int sample_vm_footprint(const struct bench *bench, const char *device,
			       uint64_t nr, struct bench_sample *sample)
{
	uint64_t before = 0, opened;
	int vms[2 * VMS], fd, ret = 0;

	(void)bench;
	fd = open_device(device);
	if (fd < 0)
		return fd;
	/* The first half uses up what the slab caches have free. */
	for (opened = 0; opened < 2 * nr; opened++) {
		if (opened == nr)
			before = kernel_memory();
		vms[opened] = xvm_create_vm(fd, 0);
		if (vms[opened] < 0) {
			ret = bench_fail("create a VM", vms[opened]);
			break;
		}
	}
	if (!ret)
		grown(sample, before, nr);
	while (opened)
		xvm_close(vms[--opened]);
	xvm_close(fd);
	return ret;
}

static const struct bench_figure vm_figure = { "memory of an empty VM", "VM",
					       NULL, BENCH_BYTES };

const struct bench bench_vm_footprint =
	BENCH_ONE(vm_figure, VMS, VMS, sample_vm_footprint);
