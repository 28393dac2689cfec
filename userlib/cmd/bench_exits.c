// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench exits: what leaving the guest and entering it again costs. */
#include "bench.h"
#include "cmd.h"

#define NO_MEMORY 0xd0000000ull

/* A piece whose every round is an exit to user space, of one kind. */
struct user_exit {
	const char *code, *code_end;
	uint32_t reason;
};

static int sample_user(const struct bench *bench, const char *device,
		       uint64_t size, struct bench_sample *sample)
{
	const struct user_exit *user = bench->data;
	struct bench_timer timer;
	struct guest guest;
	uint64_t i;
	int ret;

	ret = bench_open(&guest, device, user->code, user->code_end);
	if (ret)
		return ret;
	/* The first run maps the code and the page tables. */
	ret = bench_arguments(&guest, (struct bench_args){ .rdi = NO_MEMORY });
	if (!ret)
		ret = bench_run_to(&guest, user->reason);
	if (!ret) {
		bench_start(&timer, guest.vcpu, bench->figures);
		for (i = 0; i < size && !ret; i++)
			ret = bench_run_to(&guest, user->reason);
		bench_stop(&timer, sample, size);
	}
	guest_close(&guest);
	return ret;
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
	ret = bench_execute(&guest, (struct bench_args){ .rsi = 1 });
	if (!ret)
		ret = bench_arguments(&guest, (struct bench_args){ .rsi = size });
	if (!ret) {
		bench_start(&timer, guest.vcpu, bench->figures);
		ret = bench_run_to(&guest, KVM_EXIT_IO);
		bench_stop(&timer, sample, size);
	}
	guest_close(&guest);
	return ret;
}

static const struct bench_figure figures[] = {
	{ "port write to user space", "exit", "exits", BENCH_NS },
	{ "MMIO read from user space", "exit", "exits", BENCH_NS },
	{ "CPUID, in the kernel", "exit", "exits", BENCH_NS },
};

static const struct user_exit pio = { guest_pio, guest_pio_end, KVM_EXIT_IO };
static const struct user_exit mmio = { guest_mmio, guest_mmio_end,
				       KVM_EXIT_MMIO };

static const struct bench bench_pio =
	BENCH_ONE(figures[0], 20000, 5000, sample_user, .data = &pio);
static const struct bench bench_mmio =
	BENCH_ONE(figures[1], 20000, 5000, sample_user, .data = &mmio);
static const struct bench bench_cpuid =
	BENCH_ONE(figures[2], 20000, 5000, sample_cpuid);

static const struct bench *const benches[] = {
	&bench_pio,
	&bench_mmio,
	&bench_cpuid,
};

const struct bench_group bench_exits = { "exits", benches, ARRAY_SIZE(benches) };
