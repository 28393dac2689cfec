// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench memslots: what slots cost, over how many of them there are. */
#include "bench_slots.h"
#include "bench_whole.h"
#include "cmd.h"

enum {
	SETUP,
	BATCH,
	CREATE,
	DELETE,
	FLAGS,
	MOVE_INACTIVE,
	MOVE_ACTIVE,
	MAP,
	MAP_SCATTERED,
	MAP_TWO_ENDS,
	UNMAP,
	UNMAP_CHUNKS,
	NR_FIGURES,
};

#define WAITS "memslot_grace_waited"
#define FLUSHES "remote_tlb_flush_requests"

static const struct bench_figure figures[NR_FIGURES] = {
	[SETUP] = { "slot setup", "slot", WAITS, BENCH_NS },
	[BATCH] = { "slot setup, by one batch", "slot", WAITS, BENCH_NS },
	[CREATE] = { "create a slot", "slot", WAITS, BENCH_NS },
	[DELETE] = { "delete a slot", "slot", WAITS, BENCH_NS },
	[FLAGS] = { "change a slot's flags", "slot", WAITS, BENCH_NS },
	[MOVE_INACTIVE] = { "move inactive", "move", WAITS, BENCH_NS },
	[MOVE_ACTIVE] = { "move active", "move", WAITS, BENCH_NS },
	[MAP] = { "map, in order", "page", "pf_fixed", BENCH_NS },
	[MAP_SCATTERED] = { "map, scattered", "page", "pf_fixed", BENCH_NS },
	[MAP_TWO_ENDS] = { "map, from two ends", "page", "pf_fixed", BENCH_NS },
	[UNMAP] = { "unmap", "page", FLUSHES, BENCH_NS },
	[UNMAP_CHUNKS] = { "unmap 2M chunks", "chunk", FLUSHES, BENCH_NS },
};

static int sample_fill(struct slot_map *map, struct bench_sample *samples)
{
	struct bench_timer timer;
	int ret;

	bench_start(&timer, map->guest.vm, &figures[SETUP]);
	ret = slots_fill(map);
	bench_stop(&timer, &samples[SETUP], map->fill + 1);
	return ret;
}

/*
 * In a VM of its own.  Where there are no batches, this is what setting the
 * slots one by one has cost: that is all a program can do there.
 */
static int sample_batch(const char *device, uint64_t slots,
			struct bench_sample *samples)
{
	struct bench_timer timer;
	struct slot_map map;
	int ret;

	ret = slots_open(&map, device, slots);
	if (ret)
		return ret;
	if (xvm_check(map.guest.device, XVM_CAP_MEMSLOT_BATCH) <= 0) {
		samples[BATCH] = samples[SETUP];
	} else {
		bench_start(&timer, map.guest.vm, &figures[BATCH]);
		ret = slots_fill_batch(&map);
		bench_stop(&timer, &samples[BATCH], map.fill + 1);
	}
	slots_close(&map);
	return ret;
}

/* Populate, map in this order, and unmap. */
static int sample_map(struct slot_map *map, struct bench_sample *samples,
		      int figure, enum slots_order order)
{
	int ret;

	ret = slots_populate(map, false);
	if (!ret)
		ret = slots_touch(map, &figures[figure], &samples[figure],
				  order);
	if (!ret)
		ret = slots_discard(map, &figures[UNMAP], &samples[UNMAP],
				    PAGE_SIZE);
	return ret;
}

static int sample_unmap_chunks(struct slot_map *map,
			       struct bench_sample *samples)
{
	struct bench_sample unused;
	int ret;

	ret = slots_populate(map, true);
	if (!ret)
		ret = slots_touch(map, &figures[MAP], &unused, SLOTS_IN_ORDER);
	if (!ret)
		ret = slots_discard(map, &figures[UNMAP_CHUNKS],
				    &samples[UNMAP_CHUNKS], HUGE_PAGE_SIZE);
	return ret;
}

/* What a map can do once it is there, from what needs most to be left alone. */
static int sample_filled(struct slot_map *map, struct bench_sample *samples)
{
	int ret;

	ret = sample_map(map, samples, MAP_SCATTERED, SLOTS_SCATTERED);
	if (!ret)
		ret = sample_map(map, samples, MAP_TWO_ENDS, SLOTS_TWO_ENDS);
	if (!ret)
		ret = sample_map(map, samples, MAP, SLOTS_IN_ORDER);
	if (!ret)
		ret = sample_unmap_chunks(map, samples);
	if (!ret)
		ret = slots_move(map, &figures[MOVE_INACTIVE],
				 &samples[MOVE_INACTIVE], false);
	if (!ret)
		ret = slots_move(map, &figures[MOVE_ACTIVE],
				 &samples[MOVE_ACTIVE], true);
	if (!ret)
		ret = slots_delete_create(map, &figures[CREATE],
					  &samples[DELETE], &samples[CREATE]);
	if (!ret)
		ret = slots_flags(map, &figures[FLAGS], &samples[FLAGS]);
	return ret;
}

static int sample_slots(const struct bench *bench, const char *device,
			uint64_t slots, struct bench_sample *samples)
{
	struct slot_map map;
	int ret;

	(void)bench;
	if (slots > slots_limit(device))
		return 0;
	ret = slots_open(&map, device, slots);
	if (ret)
		return ret;
	ret = sample_fill(&map, samples);
	if (!ret)
		ret = sample_filled(&map, samples);
	slots_close(&map);
	return ret ? ret : sample_batch(device, slots, samples);
}

/* As in the kernel's memslot_perf_test, and more up to the last id. */
static const uint64_t sizes[] = { 10, 30, 50, 100, 509, 8194, 32764, 65535 };
static const uint64_t quick_sizes[] = { 10, 100, 509 };

static const struct bench bench_slots = {
	.figures = figures,
	.nr_figures = NR_FIGURES,
	.sizes = sizes,
	.nr_sizes = ARRAY_SIZE(sizes),
	.quick_sizes = quick_sizes,
	.nr_quick_sizes = ARRAY_SIZE(quick_sizes),
	.sized = true,
	.sample = sample_slots,
};

static const struct bench *const benches[] = {
	&bench_slots,
	&bench_mapped,
	&bench_vms,
	&bench_grace,
	&bench_slot_footprint,
	&bench_vm_footprint,
};

const struct bench_group bench_memslots = {
	"memslots",
	benches,
	ARRAY_SIZE(benches),
};
