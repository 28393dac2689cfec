// SPDX-License-Identifier: GPL-2.0-only
/* KVM_PRE_FAULT_MEMORY: a slot, all of which the host has, mapped without a guest. */
#include <errno.h>

#include "bench_area.h"
#include "cmd.h"

static const struct bench_figure figures[] = {
	{ "pre-fault 4K, host has the pages", "slot", NULL, BENCH_NS },
	{ "pre-fault 2M, host has the pages", "slot", NULL, BENCH_NS },
};

static int prefault(struct area *area)
{
	struct kvm_pre_fault_memory range = {
		.gpa = AREA_START,
		.size = area_size(area),
	};
	int ret;

	do {
		ret = xvm_ioctl(area->guest.vcpu, KVM_PRE_FAULT_MEMORY, &range);
	} while ((!ret || ret == -EINTR || ret == -EAGAIN) && range.size);
	return ret ? bench_fail("pre-fault the slot", ret) : 0;
}

static int sample_prefault(const struct bench *bench, const char *device,
			   uint64_t pages, struct bench_sample *sample)
{
	struct area area;
	int ret;

	ret = area_open(&area, device, pages, bench->figures == &figures[1]);
	if (ret)
		return ret;
	/* An older KVM has no such call, nor has one with shadow paging. */
	if (xvm_check(area.guest.device, KVM_CAP_PRE_FAULT_MEMORY) > 0) {
		ret = area_populate(&area);
		if (!ret)
			ret = area_time(&area, bench->figures, sample, 1, prefault);
	}
	area_close(&area);
	return ret;
}

const struct bench bench_prefault_4k =
	BENCH_ONE(figures[0], AREA_PAGES, AREA_PAGES_QUICK, sample_prefault);
const struct bench bench_prefault_2m =
	BENCH_ONE(figures[1], AREA_PAGES, AREA_PAGES_QUICK, sample_prefault);
