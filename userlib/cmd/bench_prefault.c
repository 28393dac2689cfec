// SPDX-License-Identifier: GPL-2.0-only
/* KVM_PRE_FAULT_MEMORY: a slot, all of which the host has, mapped without a guest. */
#include <errno.h>
#include <pthread.h>

#include "bench_area.h"
#include "cmd.h"

#define THREADS_MAX 2

static const struct bench_figure figures[] = {
	{ "pre-fault 4K, host has the pages", "slot", NULL, BENCH_NS },
	{ "pre-fault 4K, by two threads", "slot", NULL, BENCH_NS },
	{ "pre-fault 2M, host has the pages", "slot", NULL, BENCH_NS },
};

static const struct way {
	int threads;
	bool huge;
} ways[] = { { 1, false }, { THREADS_MAX, false }, { 1, true } };

/* What one vCPU, the guest's own or one beside it, maps by a thread of its own. */
struct part {
	struct kvm_pre_fault_memory range;
	pthread_t thread;
	int vcpu;
	struct kvm_run *run;
	int ret;
};

static void *map_part(void *data)
{
	struct part *part = data;

	do {
		part->ret = xvm_ioctl(part->vcpu, KVM_PRE_FAULT_MEMORY,
				      &part->range);
	} while ((!part->ret || part->ret == -EINTR || part->ret == -EAGAIN) &&
		 part->range.size);
	return NULL;
}

/* The first part is mapped by the caller's thread. */
static int map_all(struct part *parts, int nr)
{
	int i, ret = 0, started = 1;

	for (; started < nr && !ret; started += !ret)
		ret = -pthread_create(&parts[started].thread, NULL, map_part,
				      &parts[started]);
	if (!ret)
		map_part(&parts[0]);
	for (i = 1; i < started; i++)
		pthread_join(parts[i].thread, NULL);
	for (i = 0; i < nr && !ret; i++)
		ret = parts[i].ret;
	return ret ? bench_fail("pre-fault the slot", ret) : 0;
}

static int open_parts(struct part *parts, int nr, const struct area *area)
{
	uint64_t size = area_size(area) / nr;
	int i;

	for (i = 0; i < nr; i++)
		parts[i] = (struct part){
			.range = { .gpa = AREA_START + i * size, .size = size },
			.vcpu = area->guest.vcpu,
		};
	for (i = 1; i < nr; i++) {
		parts[i].vcpu = xvm_create_vcpu(area->guest.device,
						area->guest.vm, i,
						&parts[i].run);
		if (parts[i].vcpu < 0)
			return bench_fail("create a vCPU", parts[i].vcpu);
	}
	return 0;
}

static void close_parts(const struct part *parts, int nr, const struct area *area)
{
	int i;

	for (i = 1; i < nr && parts[i].run; i++)
		xvm_close_vcpu(area->guest.device, parts[i].vcpu, parts[i].run);
}

static int time_parts(struct area *area, const struct bench *bench, int nr,
		      struct bench_sample *sample)
{
	struct part parts[THREADS_MAX];
	struct bench_timer timer;
	int ret = open_parts(parts, nr, area);

	if (!ret)
		ret = area_populate(area);
	if (!ret) {
		bench_start(&timer, area->guest.vm, bench->figures);
		ret = map_all(parts, nr);
		bench_stop(&timer, sample, 1);
	}
	close_parts(parts, nr, area);
	return ret;
}

static int sample_prefault(const struct bench *bench, const char *device,
			   uint64_t pages, struct bench_sample *sample)
{
	const struct way *way = bench->data;
	struct area area;
	int ret;

	ret = area_open(&area, device, pages, way->huge);
	if (ret)
		return ret;
	/* An older KVM has no such call, nor has one with shadow paging. */
	if (xvm_check(area.guest.device, KVM_CAP_PRE_FAULT_MEMORY) > 0)
		ret = time_parts(&area, bench, way->threads, sample);
	area_close(&area);
	return ret;
}

const struct bench bench_prefault_4k =
	BENCH_ONE(figures[0], AREA_PAGES, AREA_PAGES_QUICK, sample_prefault,
		  .data = &ways[0]);
const struct bench bench_prefault_4k_2 =
	BENCH_ONE(figures[1], AREA_PAGES, AREA_PAGES_QUICK, sample_prefault,
		  .data = &ways[1]);
const struct bench bench_prefault_2m =
	BENCH_ONE(figures[2], AREA_PAGES, AREA_PAGES_QUICK, sample_prefault,
		  .data = &ways[2]);
