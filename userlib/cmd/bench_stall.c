// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a vCPU stands still while its memory begins to be logged.  The guest
 * itself looks at the clock between its writes; the longest gap counts, with
 * the write that faults in it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "bench_area.h"
#include "cmd.h"

/* 4 GiB, where they are to be had. */
#define STALL_PAGES (1ull << 20)
/* Behind the word that ends the guest's loop: its longest gap, in cycles. */
#define GAP_WORD (BENCH_STOP_WORD + 8)

static const struct bench_figure figures[] = {
	{ "longest stall, log on, 4K", "run", NULL, BENCH_NS },
	{ "longest stall, log on, 2M", "run", NULL, BENCH_NS },
};

struct writer {
	struct guest *guest;
	int ret;
};

static void *run_writer(void *data)
{
	struct writer *writer = data;

	writer->ret = bench_run_to(writer->guest, KVM_EXIT_IO);
	return NULL;
}

static volatile uint64_t *word(struct area *area, uint64_t gpa)
{
	return (void *)((char *)area->guest.memory + gpa);
}

/* The guest is at its writes, and has forgotten its first gaps. */
static void wait_for_writer(struct area *area, const struct writer *writer)
{
	volatile uint64_t *last = (void *)(area->memory + area_size(area) -
					   AREA_PAGE);

	*last = 0;
	while (!*last && !writer->ret)
		sched_yield();
	*word(area, GAP_WORD) = 0;
}

static int stall(struct area *area, struct bench_sample *sample)
{
	struct bench_args args = {
		.rdi = AREA_START,
		.rsi = AREA_PAGE,
		.rcx = area_size(area),
		.rbx = BENCH_STOP_WORD,
	};
	struct writer writer = { .guest = &area->guest };
	uint64_t khz = xvm_ioctl(area->guest.vcpu, KVM_GET_TSC_KHZ, NULL);
	pthread_t thread;
	int ret;

	*word(area, BENCH_STOP_WORD) = 0;
	ret = bench_arguments(&area->guest, args);
	if (ret)
		return ret;
	ret = -pthread_create(&thread, NULL, run_writer, &writer);
	if (ret)
		return bench_fail("create a thread", ret);
	wait_for_writer(area, &writer);
	ret = area_set(area, KVM_MEM_LOG_DIRTY_PAGES);
	*word(area, BENCH_STOP_WORD) = 1;
	pthread_join(thread, NULL);
	sample->amount = *word(area, GAP_WORD) * 1000000 / (khz ? khz : 1);
	sample->ops = 1;
	return ret ? ret : writer.ret;
}

static int sample_stall(const struct bench *bench, const char *device,
			uint64_t pages, struct bench_sample *sample)
{
	struct area area;
	int ret;

	ret = area_open(&area, device, pages, bench->figures == &figures[1]);
	if (ret)
		return ret;
	ret = area_populate(&area);
	if (!ret)
		ret = area_touch(&area, 1);
	if (!ret)
		ret = bench_load(&area.guest, guest_stall, guest_stall_end);
	if (!ret)
		ret = stall(&area, sample);
	area_close(&area);
	return ret;
}

const struct bench bench_stall_4k =
	BENCH_ONE(figures[0], STALL_PAGES, AREA_PAGES_QUICK, sample_stall);
const struct bench bench_stall_2m =
	BENCH_ONE(figures[1], STALL_PAGES, AREA_PAGES_QUICK, sample_stall);
