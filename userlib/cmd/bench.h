/* SPDX-License-Identifier: GPL-2.0-only */
/* What the driver of `xvm bench` and the files of benchmarks share. */
#ifndef XVM_CMD_BENCH_H
#define XVM_CMD_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest.h"

/* What a figure is the amount of, per operation. */
enum bench_measure {
	BENCH_NS,
	BENCH_BYTES,
	BENCH_EVENTS,
};

/* A row of the table, or one for each size if there are several. */
struct bench_figure {
	const char *name;
	const char *unit;      /* one operation */
	const char *statistic; /* counted beside it, or NULL */
	enum bench_measure measure;
};

/* One measurement of a figure on one device. */
struct bench_sample {
	uint64_t amount; /* of what the figure measures */
	uint64_t ops;	 /* 0: the device or the machine has no such thing */
	uint64_t count;	 /* growth of the figure's statistic */
	bool counted;	 /* the device has that statistic */
};

/*
 * A benchmark measures all its figures in one go, for one size.  Each call of
 * sample opens the device anew, measures once, and leaves nothing behind; it
 * prints what went wrong and returns 0 or -errno.
 */
struct bench {
	const struct bench_figure *figures;
	int nr_figures;
	const uint64_t *sizes; /* slots, pages or exits; the figures tell */
	int nr_sizes;
	const uint64_t *quick_sizes; /* the same for --quick */
	int nr_quick_sizes;
	bool sized; /* the sizes are numbers of slots, worth a plot */
	int (*sample)(const struct bench *bench, const char *device,
		      uint64_t size, struct bench_sample *samples);
	const void *data; /* sample's own */
};

/* Of one size, and most often of one figure. */
#define BENCH_FIGURES(list, nr, size, quick, sampler, ...)		\
	{								\
		.figures = list,					\
		.nr_figures = nr,					\
		.sizes = (const uint64_t[]){ size },			\
		.nr_sizes = 1,						\
		.quick_sizes = (const uint64_t[]){ quick },		\
		.nr_quick_sizes = 1,					\
		.sample = sampler,					\
		__VA_ARGS__						\
	}

#define BENCH_ONE(figure, ...) BENCH_FIGURES(&(figure), 1, __VA_ARGS__)

struct bench_group {
	const char *name;
	const struct bench *const *benches;
	int nr;
};

extern const struct bench_group bench_memslots;
extern const struct bench_group bench_mmu;
extern const struct bench_group bench_exits;
extern const struct bench_group bench_fork;
extern const struct bench_group bench_rmaps;

#define BENCH_DEVICES_MAX 2
#define BENCH_ROUNDS_MAX 99

struct bench_options {
	const char *devices[BENCH_DEVICES_MAX];
	int nr_devices;
	int rounds;
	bool quick;
	bool progress;
	const char *json; /* a file, "-" is standard output, NULL for none */
	const char *plot; /* a file, or NULL */
};

/* All rounds of one figure at one size. */
struct bench_result {
	const struct bench_group *group;
	const struct bench *bench;
	const struct bench_figure *figure;
	uint64_t size;
	uint64_t ops;
	bool failed;
	bool absent[BENCH_DEVICES_MAX];
	double value[BENCH_DEVICES_MAX][BENCH_ROUNDS_MAX]; /* per operation */
	uint64_t counts[BENCH_DEVICES_MAX]; /* of the last round */
	bool counted[BENCH_DEVICES_MAX];
};

/* Over the rounds of one device. */
double bench_median(const struct bench_result *result, int device, int rounds);

struct bench_ratio {
	double min, median, max;
};

/* The second device over the first, round by round; false if there is none. */
bool bench_ratio(const struct bench_options *options,
		 const struct bench_result *result, struct bench_ratio *ratio);

/* "/dev/kvm" is "kvm" in a column's head. */
const char *bench_short_name(const char *device);

void bench_print_table(const struct bench_options *options,
		       const struct bench_result *results, int nr);
/* Both return 0, or print what went wrong and return -errno. */
int bench_write_json(const struct bench_options *options,
		     const struct bench_result *results, int nr);
int bench_write_plot(const struct bench_options *options,
		     const struct bench_result *results, int nr);

/* Time and count what happens between start and stop; fd is a VM or vCPU. */
struct bench_timer {
	struct xvm_stats *stats;
	int index;
	uint64_t count;
	uint64_t start;
};

/* Nanoseconds of a clock that only goes on. */
uint64_t bench_now(void);
void bench_start(struct bench_timer *timer, int fd,
		 const struct bench_figure *figure);
void bench_stop(struct bench_timer *timer, struct bench_sample *sample,
		uint64_t ops);

/* By how much whole is more than part, of the same operations; 0 if it isn't. */
void bench_beyond(struct bench_sample *sample, const struct bench_sample *whole,
		  const struct bench_sample *part);

/* A guest in long mode that executes one piece of guest/bench.S. */
#define BENCH_MEMORY (2ull << 20)
#define BENCH_STOP_WORD 0x8000ull

/* What the registers of a piece are for, it says.  rbx 0 is a word that is not 0. */
struct bench_args {
	uint64_t rdi, rsi, rdx, rcx, rbx;
};

int bench_open(struct guest *guest, const char *device, const char *code,
	       const char *code_end);
/* Another piece, executed from its start at the next run. */
int bench_load(struct guest *guest, const char *code, const char *code_end);
/* Memory of benchmarks.  The guest's page tables reach to its end, by 2M. */
#define BENCH_LARGE_GPA (4ull << 30)
#define BENCH_LARGE_SIZE (4ull << 30)
/* bench_open() does; for further vCPUs.  All have the same page tables. */
int bench_long_mode(struct guest *guest);
int bench_arguments(struct guest *guest, struct bench_args args);
/* Run to the next exit to user space, which must be this one. */
int bench_run_to(struct guest *guest, uint32_t reason);
/* Both: what the piece does with these arguments, until it is done. */
int bench_execute(struct guest *guest, struct bench_args args);

/* Report a failure; returns error. */
int bench_fail(const char *what, int error);

/* Memory without pages yet; MAP_FAILED after a message. */
void *bench_allocate(uint64_t size);
/* Have it in large pages, or in small ones.  Where the kernel has no large ones, all are small. */
int bench_page_size(void *memory, uint64_t size, bool huge);

extern const char guest_pio[], guest_pio_end[];
extern const char guest_mmio[], guest_mmio_end[];
extern const char guest_cpuid[], guest_cpuid_end[];
extern const char guest_fork[], guest_fork_end[];
extern const char guest_touch[], guest_touch_end[];
extern const char guest_stall[], guest_stall_end[];

#endif
