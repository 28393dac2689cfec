// SPDX-License-Identifier: GPL-2.0-only
/* What all benchmarks use: the timer, and a guest that executes one piece. */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "cmd.h"

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int bench_fail(const char *what, int error)
{
	warnx("%s: %s", what, strerror(-error));
	return error;
}

/* A device without statistics is measured without them. */
void bench_start(struct bench_timer *timer, int fd, const char *statistic)
{
	timer->stats = NULL;
	timer->index = -1;
	if (statistic && !xvm_stats_open(fd, &timer->stats)) {
		timer->index = xvm_stats_find(timer->stats, statistic);
		timer->count = xvm_stats_value(timer->stats, timer->index);
	}
	timer->start = now();
}

void bench_stop(struct bench_timer *timer, struct bench_sample *sample,
		uint64_t ops)
{
	sample->ns = now() - timer->start;
	sample->ops = ops;
	if (timer->index >= 0 && !xvm_stats_read(timer->stats)) {
		sample->count = xvm_stats_value(timer->stats, timer->index) -
				timer->count;
		sample->counted = true;
	}
	xvm_stats_close(timer->stats);
}

int bench_open(struct guest *guest, const char *device, const char *code,
	       const char *code_end)
{
	int ret;

	ret = guest_open(guest, device, BENCH_MEMORY);
	if (ret)
		return ret;
	memcpy((char *)guest->memory + GUEST_FLAT, code, code_end - code);
	ret = xvm_x86_long_mode(guest->vcpu,
				(char *)guest->memory + GUEST_TABLES,
				GUEST_TABLES, GUEST_FLAT, GUEST_STACK);
	if (!ret)
		return 0;
	guest_close(guest);
	return bench_fail("enter long mode", ret);
}

int bench_arguments(struct guest *guest, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
	struct kvm_regs regs;
	int ret;

	ret = xvm_get_regs(guest->vcpu, &regs);
	if (!ret) {
		regs.rdi = rdi;
		regs.rsi = rsi;
		regs.rdx = rdx;
		regs.rbx = BENCH_STOP_WORD;
		ret = xvm_set_regs(guest->vcpu, &regs);
	}
	return ret ? bench_fail("set registers", ret) : 0;
}

int bench_run_to(struct guest *guest, uint32_t reason)
{
	int ret;

	do {
		ret = xvm_run(guest->vcpu);
	} while (ret == -EINTR || ret == -EAGAIN ||
		 (!ret && guest->run->exit_reason == KVM_EXIT_INTR));
	if (ret)
		return bench_fail("run the vCPU", ret);
	if (guest->run->exit_reason != reason) {
		warnx("exit %s instead of %s",
		      guest_exit_name(guest->run->exit_reason),
		      guest_exit_name(reason));
		return -EIO;
	}
	return 0;
}
