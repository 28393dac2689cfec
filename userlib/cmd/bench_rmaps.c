// SPDX-License-Identifier: GPL-2.0-only
/*
 * What shadow paging takes before and while it maps memory: with nested paging
 * off, KVM has reverse maps for all of a slot from its creation.
 */
#include <errno.h>
#include <sys/mman.h>

#include "bench_whole.h"
#include "cmd.h"

#define PAGE_SIZE 4096ull
/* Free memory of the guest's own slot. */
#define OWN_GPA (1ull << 20)
#define AREA_SLOT 1
#define TOUCHED_SIZE (256ull << 20)

static int touch(struct guest *guest, uint64_t start, uint64_t pages)
{
	const struct bench_args args = {
		.rdi = start,
		.rsi = pages,
		.rdx = PAGE_SIZE,
		.rcx = pages * PAGE_SIZE,
	};

	return bench_execute(guest, args);
}

/* A guest, and memory of BENCH_LARGE_SIZE, which nobody has touched. */
static int open_large(struct guest *guest, const char *device, char **memory)
{
	int ret;

	*memory = bench_allocate(BENCH_LARGE_SIZE);
	if (*memory == MAP_FAILED)
		return -ENOMEM;
	ret = bench_open(guest, device, guest_touch, guest_touch_end);
	if (ret)
		munmap(*memory, BENCH_LARGE_SIZE);
	return ret;
}

static void close_large(struct guest *guest, char *memory)
{
	guest_close(guest);
	munmap(memory, BENCH_LARGE_SIZE);
}

enum { UNTOUCHED, TOUCHED };

static const struct bench_figure footprint_figures[] = {
	[UNTOUCHED] = { "4 GiB slot, not touched", "slot", "rmap_bytes", BENCH_BYTES },
	[TOUCHED] = { "4 GiB slot, 256 MiB touched", "slot", "rmap_bytes", BENCH_BYTES },
};

static uint64_t all_memory(const struct guest *guest)
{
	return kernel_memory() + own_tables(guest->vm);
}

/* Measure what is there now, beside the time that the caller's timer took. */
static void stop(struct bench_timer *timer, const struct guest *guest, uint64_t before,
		 struct bench_sample *sample)
{
	bench_stop(timer, sample, 1);
	sample->amount = all_memory(guest) - before;
}

static int measure_footprint(struct guest *guest, char *memory, uint64_t touched,
			     struct bench_sample *samples)
{
	struct bench_timer timers[2];
	uint64_t before;
	int ret;

	if (bench_page_size(memory, touched, false) ||
	    madvise(memory, touched, MADV_POPULATE_WRITE))
		return bench_fail("populate memory", -errno);
	/* The guest's own tables, code and stack are shadowed before. */
	ret = touch(guest, OWN_GPA, 1);
	if (ret)
		return ret;
	before = all_memory(guest);
	bench_start(&timers[UNTOUCHED], guest->vm, &footprint_figures[UNTOUCHED]);
	bench_start(&timers[TOUCHED], guest->vm, &footprint_figures[TOUCHED]);
	ret = xvm_set_memory(guest->vm, AREA_SLOT, BENCH_LARGE_GPA, BENCH_LARGE_SIZE, memory, 0);
	if (ret)
		bench_fail("set a large slot", ret);
	stop(&timers[UNTOUCHED], guest, before, &samples[UNTOUCHED]);
	if (!ret)
		ret = touch(guest, BENCH_LARGE_GPA, touched / PAGE_SIZE);
	stop(&timers[TOUCHED], guest, before, &samples[TOUCHED]);
	return ret;
}

static int sample_footprint(const struct bench *bench, const char *device, uint64_t mib,
			    struct bench_sample *samples)
{
	struct guest guest;
	char *memory;
	int ret;

	(void)bench;
	ret = open_large(&guest, device, &memory);
	if (ret)
		return ret;
	ret = measure_footprint(&guest, memory, mib << 20, samples);
	close_large(&guest, memory);
	return ret;
}

static const struct bench bench_footprint =
	BENCH_FIGURES(footprint_figures, ARRAY_SIZE(footprint_figures), TOUCHED_SIZE >> 20,
		      TOUCHED_SIZE >> 20, sample_footprint);

enum { SETUP_AND_RUN, FIRST_RUN };

static const struct bench_figure activation_figures[] = {
	[SETUP_AND_RUN] = { "set slots of 1 MiB, and run", "VM", NULL, BENCH_NS },
	[FIRST_RUN] = { "the first run alone", "VM", NULL, BENCH_NS },
};

#define SMALL_SIZE (1ull << 20)

/* All of them are the same memory: slots may share it. */
static int set_small(struct guest *guest, char *memory, uint64_t nr)
{
	uint64_t i;
	int ret = 0;

	for (i = 1; i < nr && !ret; i++)
		ret = xvm_set_memory(guest->vm, i, BENCH_LARGE_GPA + i * SMALL_SIZE, SMALL_SIZE,
				     memory, 0);
	return ret ? bench_fail("set a slot", ret) : 0;
}

static int sample_activation(const struct bench *bench, const char *device, uint64_t slots,
			     struct bench_sample *samples)
{
	struct bench_timer all, run;
	struct guest guest;
	char *memory;
	int ret;

	(void)bench;
	ret = open_large(&guest, device, &memory);
	if (ret)
		return ret;
	bench_start(&all, guest.vm, &activation_figures[SETUP_AND_RUN]);
	ret = set_small(&guest, memory, slots);
	bench_start(&run, guest.vm, &activation_figures[FIRST_RUN]);
	if (!ret)
		ret = touch(&guest, OWN_GPA, 1);
	bench_stop(&run, &samples[FIRST_RUN], 1);
	bench_stop(&all, &samples[SETUP_AND_RUN], 1);
	close_large(&guest, memory);
	return ret;
}

static const struct bench bench_activation = {
	.figures = activation_figures,
	.nr_figures = ARRAY_SIZE(activation_figures),
	.sizes = (const uint64_t[]){ 32764 },
	.nr_sizes = 1,
	.quick_sizes = (const uint64_t[]){ 509 },
	.nr_quick_sizes = 1,
	.sized = true,
	.sample = sample_activation,
};

static const struct bench *const benches[] = { &bench_footprint, &bench_activation };

const struct bench_group bench_rmaps = { "rmaps", benches, ARRAY_SIZE(benches) };
