// SPDX-License-Identifier: GPL-2.0-only
/* Cutting a guest's memory into slots, and changing one of many. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench_slots.h"
#include "cmd.h"

/* Room for as many slots of a page as a device can have. */
#define AREA_PAGES_MIN 8192ull

uint64_t slots_limit(const char *device)
{
	int limit, fd = open_device(device);

	if (fd < 0)
		return 0;
	limit = xvm_check(fd, KVM_CAP_NR_MEMSLOTS);
	xvm_close(fd);
	return limit > 0 ? limit : 0;
}

int slots_open(struct slot_map *map, const char *device, uint64_t slots)
{
	int ret;

	map->fill = slots - FILL_SLOT;
	map->pages = map->fill > AREA_PAGES_MIN ? map->fill : AREA_PAGES_MIN;
	map->moving = bench_allocate(MOVING_SIZE);
	if (map->moving == MAP_FAILED)
		return -ENOMEM;
	map->area = bench_allocate(map->pages * PAGE_SIZE);
	ret = -ENOMEM;
	if (map->area == MAP_FAILED)
		goto free_moving;
	ret = bench_open(&map->guest, device, guest_touch, guest_touch_end);
	if (!ret)
		return 0;
	munmap(map->area, map->pages * PAGE_SIZE);
free_moving:
	munmap(map->moving, MOVING_SIZE);
	return ret;
}

void slots_close(struct slot_map *map)
{
	guest_close(&map->guest);
	munmap(map->area, map->pages * PAGE_SIZE);
	munmap(map->moving, MOVING_SIZE);
}

uint64_t slots_start(const struct slot_map *map, uint64_t i)
{
	return i * map->pages / map->fill;
}

/* The i-th slot of the area, created or changed. */
static int set_slot(struct slot_map *map, uint64_t i, uint32_t flags)
{
	uint64_t start = slots_start(map, i) * PAGE_SIZE;
	uint64_t size = slots_start(map, i + 1) * PAGE_SIZE - start;
	int ret;

	ret = xvm_set_memory(map->guest.vm, FILL_SLOT + i, AREA_GPA + start,
			     size, map->area + start, flags);
	return ret ? bench_fail("set a slot", ret) : 0;
}

static int delete_slot(struct slot_map *map, uint64_t i)
{
	int ret = xvm_delete_memory(map->guest.vm, FILL_SLOT + i);

	return ret ? bench_fail("delete a slot", ret) : 0;
}

int slots_fill(struct slot_map *map)
{
	uint64_t i;
	int ret;

	ret = xvm_set_memory(map->guest.vm, MOVING_SLOT, MOVING_GPA,
			     MOVING_SIZE, map->moving, 0);
	if (ret)
		return bench_fail("set the moving slot", ret);
	for (i = 0; i < map->fill && !ret; i++)
		ret = set_slot(map, i, 0);
	return ret;
}

static int add_all(struct slot_map *map, struct xvm_batch *batch)
{
	uint64_t i, start, size;
	int ret;

	ret = xvm_batch_set(batch, MOVING_SLOT, MOVING_GPA, MOVING_SIZE,
			    map->moving, 0);
	for (i = 0; i < map->fill && !ret; i++) {
		start = slots_start(map, i) * PAGE_SIZE;
		size = slots_start(map, i + 1) * PAGE_SIZE - start;
		ret = xvm_batch_set(batch, FILL_SLOT + i, AREA_GPA + start,
				    size, map->area + start, 0);
	}
	return ret;
}

int slots_fill_batch(struct slot_map *map)
{
	struct xvm_batch *batch = xvm_batch_new();
	int ret = -ENOMEM;

	if (batch)
		ret = add_all(map, batch);
	if (!ret)
		ret = xvm_batch_commit(batch, map->guest.vm, NULL);
	xvm_batch_free(batch);
	return ret ? bench_fail("set slots by a batch", ret) : 0;
}

/* Changes of one slot each, for a figure: enough of them to be measured. */
#define CHANGES 64ull

/* The n-th of nr slots that are spread over the area. */
static uint64_t spread(const struct slot_map *map, uint64_t n, uint64_t nr)
{
	return n * map->fill / nr;
}

static void add_sample(struct bench_sample *sum,
		       const struct bench_sample *more)
{
	sum->amount += more->amount;
	sum->ops += more->ops;
	sum->count += more->count;
	sum->counted = more->counted;
}

int slots_delete_create(struct slot_map *map, const struct bench_figure *figure,
			struct bench_sample *delete,
			struct bench_sample *create)
{
	uint64_t nr = map->fill < CHANGES ? map->fill : CHANGES;
	struct bench_sample sample = { 0 };
	struct bench_timer timer;
	uint64_t n;
	int ret;

	while (create->ops < CHANGES) {
		bench_start(&timer, map->guest.vm, figure);
		for (n = 0, ret = 0; n < nr && !ret; n++)
			ret = delete_slot(map, spread(map, n, nr));
		bench_stop(&timer, &sample, nr);
		if (ret)
			return ret;
		add_sample(delete, &sample);

		bench_start(&timer, map->guest.vm, figure);
		for (n = 0, ret = 0; n < nr && !ret; n++)
			ret = set_slot(map, spread(map, n, nr), 0);
		bench_stop(&timer, &sample, nr);
		if (ret)
			return ret;
		add_sample(create, &sample);
	}
	return 0;
}

int slots_flags(struct slot_map *map, const struct bench_figure *figure,
		struct bench_sample *sample)
{
	uint64_t nr = map->fill < CHANGES / 2 ? map->fill : CHANGES / 2;
	struct bench_timer timer;
	uint64_t n;
	int ret = 0;

	bench_start(&timer, map->guest.vm, figure);
	for (n = 0; n < CHANGES && !ret; n++)
		ret = set_slot(map, spread(map, n % nr, nr),
			       n / nr % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES);
	bench_stop(&timer, sample, n);
	return ret;
}
