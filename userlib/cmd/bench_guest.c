// SPDX-License-Identifier: GPL-2.0-only
/* What all benchmarks use: the timer, and a guest that executes one piece. */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"
#include "cmd.h"

#define HUGE_PAGE (2ull << 20)

uint64_t bench_now(void)
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

/* Aligned for huge pages, so that they may come where they are asked for. */
void *bench_allocate(uint64_t size)
{
	char *memory, *start;

	memory = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		bench_fail("allocate memory", -errno);
		return memory;
	}
	start = memory + (-(uintptr_t)memory & (HUGE_PAGE - 1));
	if (start != memory)
		munmap(memory, start - memory);
	munmap(start + size, memory + HUGE_PAGE - start);
	return start;
}

int bench_page_size(void *memory, uint64_t size, bool huge)
{
	/* EINVAL: a kernel without large pages, such as one with PREEMPT_RT. */
	if (madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && errno != EINVAL)
		return -errno;
	return 0;
}

/* A device without statistics is measured without them. */
void bench_start(struct bench_timer *timer, int fd,
		 const struct bench_figure *figure)
{
	timer->stats = NULL;
	timer->index = -1;
	if (figure->statistic && !xvm_stats_open(fd, &timer->stats)) {
		timer->index = xvm_stats_find(timer->stats, figure->statistic);
		timer->count = xvm_stats_value(timer->stats, timer->index);
	}
	timer->start = bench_now();
}

void bench_stop(struct bench_timer *timer, struct bench_sample *sample,
		uint64_t ops)
{
	sample->amount = bench_now() - timer->start;
	sample->ops = ops;
	if (timer->index >= 0 && !xvm_stats_read(timer->stats)) {
		sample->count = xvm_stats_value(timer->stats, timer->index) -
				timer->count;
		sample->counted = true;
	}
	xvm_stats_close(timer->stats);
}

void bench_beyond(struct bench_sample *sample, const struct bench_sample *whole,
		  const struct bench_sample *part)
{
	if (whole->amount > part->amount)
		sample->amount = whole->amount - part->amount;
	sample->ops = whole->ops;
}

#define TABLE_SIZE 4096ull
#define TABLE_ENTRIES 512ull
#define PTE_PRESENT_WRITE 0x3ull
#define PTE_HUGE 0x80ull
/* Free guest memory, behind the code. */
#define MORE_TABLES 0x20000ull

/* Behind what the library's tables reach. */
static void map_large(struct guest *guest)
{
	uint64_t *pdpt =
		(void *)((char *)guest->memory + GUEST_TABLES + TABLE_SIZE);
	uint64_t *tables = (void *)((char *)guest->memory + MORE_TABLES);
	uint64_t i, first = BENCH_LARGE_GPA >> 30, nr = BENCH_LARGE_SIZE >> 30;

	for (i = 0; i < nr; i++)
		pdpt[first + i] = (MORE_TABLES + i * TABLE_SIZE) |
				  PTE_PRESENT_WRITE;
	for (i = 0; i < nr * TABLE_ENTRIES; i++)
		tables[i] = (BENCH_LARGE_GPA + i * HUGE_PAGE) | PTE_HUGE |
			    PTE_PRESENT_WRITE;
}

int bench_long_mode(struct guest *guest)
{
	int ret = xvm_x86_long_mode(guest->vcpu,
				    (char *)guest->memory + GUEST_TABLES,
				    GUEST_TABLES, GUEST_FLAT, GUEST_STACK);

	if (ret)
		return bench_fail("enter long mode", ret);
	map_large(guest);
	return 0;
}

int bench_open(struct guest *guest, const char *device, const char *code,
	       const char *code_end)
{
	int ret;

	ret = guest_open(guest, device, BENCH_MEMORY);
	if (ret)
		return ret;
	memcpy((char *)guest->memory + GUEST_FLAT, code, code_end - code);
	ret = bench_long_mode(guest);
	if (ret)
		guest_close(guest);
	return ret;
}

int bench_load(struct guest *guest, const char *code, const char *code_end)
{
	struct kvm_regs regs;
	int ret;

	memcpy((char *)guest->memory + GUEST_FLAT, code, code_end - code);
	ret = xvm_get_regs(guest->vcpu, &regs);
	regs.rip = GUEST_FLAT;
	if (!ret)
		ret = xvm_set_regs(guest->vcpu, &regs);
	return ret ? bench_fail("set registers", ret) : 0;
}

int bench_arguments(struct guest *guest, struct bench_args args)
{
	struct kvm_regs regs;
	int ret;

	ret = xvm_get_regs(guest->vcpu, &regs);
	if (!ret) {
		regs.rdi = args.rdi;
		regs.rsi = args.rsi;
		regs.rdx = args.rdx;
		regs.rcx = args.rcx;
		regs.rbx = args.rbx ? args.rbx : GUEST_FLAT;
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

int bench_execute(struct guest *guest, struct bench_args args)
{
	int ret = bench_arguments(guest, args);

	return ret ? ret : bench_run_to(guest, KVM_EXIT_IO);
}
