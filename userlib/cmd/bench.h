/* SPDX-License-Identifier: GPL-2.0-only */
/* What the driver of `xvm bench` and the files of benchmarks share. */
#ifndef XVM_CMD_BENCH_H
#define XVM_CMD_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "guest.h"

/* One measurement on one device. */
struct bench_sample {
	uint64_t ns;
	uint64_t ops;
	uint64_t count; /* growth of the benchmark's statistic */
	bool counted;	/* the device has that statistic */
};

/*
 * A benchmark.  Each call of sample opens the device anew, measures once, and
 * leaves nothing behind; it prints what went wrong and returns 0 or -errno.
 */
struct bench {
	const char *name;
	const char *unit;      /* one operation */
	const char *statistic; /* counted beside the time, or NULL */
	uint64_t size;	       /* slots, pages or exits; the name says which */
	uint64_t quick_size;   /* the same for --quick */
	int (*sample)(const struct bench *bench, const char *device,
		      uint64_t size, struct bench_sample *sample);
};

struct bench_group {
	const char *name;
	const struct bench *benches;
	int nr;
};

extern const struct bench_group bench_memslots;
extern const struct bench_group bench_mmu;
extern const struct bench_group bench_exits;

#define BENCH_DEVICES_MAX 2
#define BENCH_ROUNDS_MAX 99

struct bench_options {
	const char *devices[BENCH_DEVICES_MAX];
	int nr_devices;
	int rounds;
	bool quick;
	bool json;
	bool progress;
};

/* All rounds of one benchmark. */
struct bench_result {
	const struct bench_group *group;
	const struct bench *bench;
	uint64_t ops;
	bool failed;
	double ns[BENCH_DEVICES_MAX][BENCH_ROUNDS_MAX]; /* per operation */
	uint64_t counts[BENCH_DEVICES_MAX];		/* of the last round */
	bool counted[BENCH_DEVICES_MAX];
};

void bench_print_table(const struct bench_options *options,
		       const struct bench_result *results, int nr);
void bench_print_json(const struct bench_options *options,
		      const struct bench_result *results, int nr);

/* Time and count what happens between start and stop; fd is a VM or vCPU. */
struct bench_timer {
	struct xvm_stats *stats;
	int index;
	uint64_t count;
	uint64_t start;
};

void bench_start(struct bench_timer *timer, int fd, const char *statistic);
void bench_stop(struct bench_timer *timer, struct bench_sample *sample,
		uint64_t ops);

/* A guest in long mode that executes one piece of guest/bench.S. */
#define BENCH_MEMORY (2ull << 20)
#define BENCH_STOP_WORD 0x8000ull

int bench_open(struct guest *guest, const char *device, const char *code,
	       const char *code_end);
/* Set the registers of the piece: what rdi, rsi and rdx mean, it says. */
int bench_arguments(struct guest *guest, uint64_t rdi, uint64_t rsi, uint64_t rdx);
/* Run to the next exit to user space, which must be this one. */
int bench_run_to(struct guest *guest, uint32_t reason);

/* Report a failure; returns error. */
int bench_fail(const char *what, int error);

extern const char guest_pio[], guest_pio_end[];
extern const char guest_mmio[], guest_mmio_end[];
extern const char guest_cpuid[], guest_cpuid_end[];
extern const char guest_touch[], guest_touch_end[];
extern const char guest_hammer[], guest_hammer_end[];

#endif
