// SPDX-License-Identifier: GPL-2.0-only
/*
 * xvm bench: runs benchmarks on both devices in turn, round by round, and
 * compares within each round, so that a slow moment of the machine hits both.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cmd.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_QUICK 3

static const struct bench_group *const groups[] = {
	&bench_memslots,
	&bench_mmu,
	&bench_exits,
	&bench_fork,
	&bench_rmaps,
};

/* The results of a benchmark: those of its first figure, size by size, &c. */
struct job {
	const struct bench *bench;
	const uint64_t *sizes;
	int nr_sizes;
	struct bench_result *results;
};

static struct bench_result *job_result(const struct job *job, int figure,
				       int size)
{
	return &job->results[figure * job->nr_sizes + size];
}

static void show_progress(const struct bench_options *options,
			  const struct job *job, int size, int device,
			  int round, int step, int steps)
{
	const char *device_name = bench_short_name(options->devices[device]);
	const struct bench_result *first = job_result(job, 0, size);

	if (!options->progress)
		return;
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	fprintf(stderr, "[%d/%d] round %d, %s: %s: %s", step, steps, round + 1,
		device_name, first->group->name, first->figure->name);
	if (job->bench->sized)
		fprintf(stderr, " and more, %" PRIu64 " slots", first->size);
	if (!isatty(STDERR_FILENO))
		fputc('\n', stderr);
	fflush(stderr);
}

static void end_progress(const struct bench_options *options)
{
	if (options->progress && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void measure(const struct bench_options *options, struct job *job,
		    int size, int device, int round)
{
	const struct bench *bench = job->bench;
	struct bench_sample samples[bench->nr_figures];
	struct bench_result *result;
	int ret, i;

	memset(samples, 0, sizeof(samples));
	ret = bench->sample(bench, options->devices[device], job->sizes[size],
			    samples);
	if (ret)
		warnx("%s: %s on %s failed", job->results->group->name,
		      bench->figures->name, options->devices[device]);
	for (i = 0; i < bench->nr_figures; i++) {
		result = job_result(job, i, size);
		result->failed |= ret;
		result->absent[device] |= !samples[i].ops;
		if (!samples[i].ops)
			continue;
		result->ops = samples[i].ops;
		result->value[device][round] =
			(double)samples[i].amount / samples[i].ops;
		result->counts[device] = samples[i].count;
		result->counted[device] = samples[i].counted;
	}
}

/* One round of a benchmark: each size on each device, one after the other. */
static void measure_job(const struct bench_options *options, struct job *job,
			int round, int *step, int steps)
{
	int size, device;

	for (size = 0; size < job->nr_sizes; size++) {
		for (device = 0; device < options->nr_devices; device++) {
			show_progress(options, job, size, device, round,
				      ++*step, steps);
			if (!job_result(job, 0, size)->failed)
				measure(options, job, size, device, round);
		}
	}
}

static void measure_all(const struct bench_options *options, struct job *jobs,
			int nr_jobs)
{
	int round, i, step = 0, steps = 0;

	for (i = 0; i < nr_jobs; i++)
		steps += jobs[i].nr_sizes * options->nr_devices *
			 options->rounds;
	for (round = 0; round < options->rounds; round++)
		for (i = 0; i < nr_jobs; i++)
			measure_job(options, &jobs[i], round, &step, steps);
	end_progress(options);
}

static int report(const struct bench_options *options,
		  const struct bench_result *results, int nr)
{
	bool failed = false;
	int i;

	if (!options->json || strcmp(options->json, "-"))
		bench_print_table(options, results, nr);
	if (options->json && bench_write_json(options, results, nr))
		failed = true;
	if (options->plot && bench_write_plot(options, results, nr))
		failed = true;
	for (i = 0; i < nr; i++)
		failed |= results[i].failed;
	return failed ? STATUS_FAILED : STATUS_OK;
}

static struct job new_job(const struct bench_options *options,
			  const struct bench *bench)
{
	struct job job = {
		.bench = bench,
		.sizes = options->quick ? bench->quick_sizes : bench->sizes,
		.nr_sizes = options->quick ? bench->nr_quick_sizes
					   : bench->nr_sizes,
	};

	return job;
}

static void init_results(struct bench_result *results, const struct job *job,
			 const struct bench_group *group)
{
	int figure, size;

	for (figure = 0; figure < job->bench->nr_figures; figure++) {
		for (size = 0; size < job->nr_sizes; size++)
			*results++ = (struct bench_result){
				.group = group,
				.bench = job->bench,
				.figure = &job->bench->figures[figure],
				.size = job->sizes[size],
			};
	}
}

/*
 * Jobs for all benchmarks of the selected groups.  With jobs NULL, only count
 * them and, returned, their results.
 */
static int make_jobs(const struct bench_options *options, const bool *selected,
		     struct job *jobs, struct bench_result *results,
		     int *nr_jobs)
{
	size_t group;
	int i, nr = 0;

	*nr_jobs = 0;
	for (group = 0; group < ARRAY_SIZE(groups); group++) {
		for (i = 0; selected[group] && i < groups[group]->nr; i++) {
			struct job job =
				new_job(options, groups[group]->benches[i]);

			if (jobs) {
				job.results = &results[nr];
				jobs[*nr_jobs] = job;
				init_results(job.results, &job, groups[group]);
			}
			nr += job.bench->nr_figures * job.nr_sizes;
			++*nr_jobs;
		}
	}
	return nr;
}

static int bench(const struct bench_options *options, const bool *selected)
{
	struct bench_result *results;
	int nr_jobs, nr, ret;
	struct job *jobs;

	nr = make_jobs(options, selected, NULL, NULL, &nr_jobs);
	results = calloc(nr, sizeof(*results));
	jobs = calloc(nr_jobs, sizeof(*jobs));
	if (!results || !jobs)
		err(STATUS_FAILED, NULL);
	make_jobs(options, selected, jobs, results, &nr_jobs);
	measure_all(options, jobs, nr_jobs);
	ret = report(options, results, nr);
	free(jobs);
	free(results);
	return ret;
}

static bool select_groups(bool *selected, int argc, char **argv)
{
	size_t group;
	bool found;
	int i;

	for (group = 0; group < ARRAY_SIZE(groups); group++)
		selected[group] = !argc;
	for (i = 0; i < argc; i++) {
		found = false;
		for (group = 0; group < ARRAY_SIZE(groups); group++) {
			if (strcmp(argv[i], groups[group]->name))
				continue;
			selected[group] = true;
			found = true;
		}
		if (!found) {
			warnx("no such group of benchmarks: %s", argv[i]);
			return false;
		}
	}
	return true;
}

static void select_device(struct bench_options *options, const char *device)
{
	if (!strcmp(device, "both")) {
		options->devices[0] = KVM_DEVICE_PATH;
		options->devices[1] = XVM_DEVICE_PATH;
		options->nr_devices = 2;
	} else {
		options->devices[0] = device;
		options->nr_devices = 1;
	}
}

static bool devices_open(const struct bench_options *options)
{
	int i, fd;

	for (i = 0; i < options->nr_devices; i++) {
		fd = open_device(options->devices[i]);
		if (fd < 0)
			return false;
		xvm_close(fd);
	}
	return true;
}

static bool parse_rounds(struct bench_options *options, const char *text)
{
	uint64_t rounds;

	if (!parse_size(text, &rounds) || !rounds ||
	    rounds > BENCH_ROUNDS_MAX) {
		warnx("rounds must be 1 to %d: %s", BENCH_ROUNDS_MAX, text);
		return false;
	}
	options->rounds = (int)rounds;
	return true;
}

static int bench_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "plot", required_argument, NULL, 'P' },
		{ "progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct bench_options options = { .progress = isatty(STDERR_FILENO) };
	bool selected[ARRAY_SIZE(groups)];
	int option;

	select_device(&options, "both");
	while ((option = getopt_long(argc, argv, "d:r:qj:P:ph", long_options,
				     NULL)) != -1) {
		switch (option) {
		case 'd':
			select_device(&options, optarg);
			break;
		case 'r':
			if (!parse_rounds(&options, optarg))
				return usage_error(&command_bench);
			break;
		case 'q':
			options.quick = true;
			break;
		case 'j':
			options.json = optarg;
			break;
		case 'P':
			options.plot = optarg;
			break;
		case 'p':
			options.progress = true;
			break;
		case 'h':
			return print_help(&command_bench);
		default:
			return usage_error(&command_bench);
		}
	}
	if (!options.rounds)
		options.rounds = options.quick ? ROUNDS_QUICK : ROUNDS_DEFAULT;
	if (!select_groups(selected, argc - optind, argv + optind))
		return usage_error(&command_bench);
	if (!devices_open(&options))
		return STATUS_FAILED;
	return bench(&options, selected);
}

const struct command command_bench = {
	.name = "bench",
	.summary = "measure both devices, and compare them",
	.help =
"Usage: xvm bench [OPTION]... [memslots] [mmu] [exits] [fork] [rmaps]\n"
"\n"
"Measure " KVM_DEVICE_PATH " and " XVM_DEVICE_PATH
" in turn, round by round, and print a table of\n"
"times, their ratio, and by how much a statistic of the device grew meanwhile.\n"
"Without a group, all groups are measured.\n"
"\n"
"  -d, --device DEVICE  'both' (the default), or the path of the only one\n"
"  -r, --rounds N       1 to 99 rounds; 5 unless told, 3 with --quick\n"
"  -q, --quick          smaller sizes, done in a minute or two under emulation\n"
"  -j, --json FILE      write JSON, with every round; '-' for standard output,\n"
"                       in place of the table\n"
"  -P, --plot FILE      plot figures over the number of slots, and the ratios of\n"
"                       the others, as SVG; needs gnuplot\n"
"  -p, --progress       show progress, also when standard error is no terminal\n"
"\n"
"Exit status: 0; 1 a device or a benchmark failed; 2 wrong usage.\n",
	.main = bench_main,
};
