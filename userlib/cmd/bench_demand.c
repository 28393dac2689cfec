// SPDX-License-Identifier: GPL-2.0-only
/* Demand paging: vCPUs that touch fresh memory at the same time. */
#include <errno.h>
#include <pthread.h>

#include "bench_area.h"
#include "cmd.h"

/* A vCPU that touches its part of the area. */
struct toucher {
	struct guest guest; /* the area's, with another vCPU */
	pthread_t thread;
	int ret;
};

#define VCPUS_MAX 2

static int add_vcpu(struct toucher *toucher, const struct guest *guest, int id)
{
	struct guest *own = &toucher->guest;
	int ret;

	*own = *guest;
	own->vcpu = xvm_create_vcpu(own->device, own->vm, id, &own->run);
	if (own->vcpu < 0)
		return bench_fail("create a vCPU", own->vcpu);
	ret = xvm_x86_set_cpuid(own->device, own->vcpu);
	if (!ret)
		ret = bench_long_mode(own);
	if (!ret)
		return 0;
	xvm_close_vcpu(own->device, own->vcpu, own->run);
	return bench_fail("set up a vCPU", ret);
}

static void *run_toucher(void *data)
{
	struct toucher *toucher = data;

	toucher->ret = bench_run_to(&toucher->guest, KVM_EXIT_IO);
	return NULL;
}

/* Each of nr vCPUs, the guest's own the first, touches its part once. */
static int touch_by_all(struct area *area, struct toucher *touchers, int nr)
{
	uint64_t pages = area->pages / nr;
	int i, ret = 0, started = 0;

	for (i = 0; i < nr && !ret; i++) {
		const struct bench_args args = {
			.rdi = AREA_START + i * pages * AREA_PAGE,
			.rsi = pages,
			.rdx = AREA_PAGE,
			.rcx = pages * AREA_PAGE,
		};

		ret = bench_arguments(&touchers[i].guest, args);
	}
	for (i = 0; i < nr && !ret; i++) {
		ret = -pthread_create(&touchers[i].thread, NULL, run_toucher,
				      &touchers[i]);
		if (ret)
			bench_fail("create a thread", ret);
		else
			started++;
	}
	for (i = 0; i < started; i++) {
		pthread_join(touchers[i].thread, NULL);
		ret = ret ? ret : touchers[i].ret;
	}
	return ret;
}

/* data: how many vCPUs. */
static int sample_demand(const struct bench *bench, const char *device,
			 uint64_t pages, struct bench_sample *sample)
{
	int nr = *(const int *)bench->data, made, ret;
	struct toucher touchers[VCPUS_MAX];
	struct bench_timer timer;
	struct area area;

	ret = area_open(&area, device, pages, false);
	if (ret)
		return ret;
	touchers[0].guest = area.guest;
	for (made = 1; made < nr && !ret; made += !ret)
		ret = add_vcpu(&touchers[made], &area.guest, made);
	if (!ret) {
		bench_start(&timer, area.guest.vm, bench->figures);
		ret = touch_by_all(&area, touchers, nr);
		bench_stop(&timer, sample, area.pages);
	}
	while (--made > 0)
		xvm_close_vcpu(area.guest.device, touchers[made].guest.vcpu,
			       touchers[made].guest.run);
	area_close(&area);
	return ret;
}

static const int vcpus[] = { 1, VCPUS_MAX };

static const struct bench_figure demand_figures[] = {
	{ "demand paging, 1 vCPU", "page", NULL, BENCH_NS },
	{ "demand paging, 2 vCPUs", "page", NULL, BENCH_NS },
};

const struct bench bench_demand_1 =
	BENCH_ONE(demand_figures[0], AREA_PAGES, AREA_PAGES_QUICK,
		  sample_demand, .data = &vcpus[0]);
const struct bench bench_demand_2 =
	BENCH_ONE(demand_figures[1], AREA_PAGES, AREA_PAGES_QUICK,
		  sample_demand, .data = &vcpus[1]);
