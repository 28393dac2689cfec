// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench exits: what leaving the guest and entering it again costs. */
#include "bench.h"
#include "cmd.h"

#define NO_MEMORY 0xd0000000ull

/* size exits to user space, one after the other. */
static int sample_user(const struct bench *bench, struct guest *guest,
		       uint32_t reason, uint64_t size,
		       struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t i;
	int ret;

	/* The first run maps the code and the page tables. */
	ret = bench_arguments(guest, NO_MEMORY, 0, 0);
	if (!ret)
		ret = bench_run_to(guest, reason);
	if (!ret) {
		bench_start(&timer, guest->vcpu, bench->statistic);
		for (i = 0; i < size && !ret; i++)
			ret = bench_run_to(guest, reason);
		bench_stop(&timer, sample, size);
	}
	guest_close(guest);
	return ret;
}

static int sample_pio(const struct bench *bench, const char *device,
		      uint64_t size, struct bench_sample *sample)
{
	struct guest guest;
	int ret;

	ret = bench_open(&guest, device, guest_pio, guest_pio_end);
	if (ret)
		return ret;
	return sample_user(bench, &guest, KVM_EXIT_IO, size, sample);
}

static int sample_mmio(const struct bench *bench, const char *device,
		       uint64_t size, struct bench_sample *sample)
{
	struct guest guest;
	int ret;

	ret = bench_open(&guest, device, guest_mmio, guest_mmio_end);
	if (ret)
		return ret;
	return sample_user(bench, &guest, KVM_EXIT_MMIO, size, sample);
}

/* size exits that the kernel handles, within one run of the vCPU. */
static int sample_cpuid(const struct bench *bench, const char *device,
			uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	struct guest guest;
	int ret;

	ret = bench_open(&guest, device, guest_cpuid, guest_cpuid_end);
	if (ret)
		return ret;
	ret = bench_arguments(&guest, 0, 1, 0);
	if (!ret)
		ret = bench_run_to(&guest, KVM_EXIT_IO);
	if (!ret)
		ret = bench_arguments(&guest, 0, size, 0);
	if (!ret) {
		bench_start(&timer, guest.vcpu, bench->statistic);
		ret = bench_run_to(&guest, KVM_EXIT_IO);
		bench_stop(&timer, sample, size);
	}
	guest_close(&guest);
	return ret;
}

static const struct bench benches[] = {
	{
		.name = "port write to user space",
		.unit = "exit",
		.statistic = "exits",
		.size = 20000,
		.quick_size = 5000,
		.sample = sample_pio,
	},
	{
		.name = "MMIO read from user space",
		.unit = "exit",
		.statistic = "exits",
		.size = 20000,
		.quick_size = 5000,
		.sample = sample_mmio,
	},
	{
		.name = "CPUID, in the kernel",
		.unit = "exit",
		.statistic = "exits",
		.size = 20000,
		.quick_size = 5000,
		.sample = sample_cpuid,
	},
};

const struct bench_group bench_exits = { "exits", benches, ARRAY_SIZE(benches) };
