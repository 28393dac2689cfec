// SPDX-License-Identifier: GPL-2.0-only
/*
 * xvm bench: runs benchmarks on both devices in turn, round by round, and
 * compares within each round, so that a slow moment of the machine hits both.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
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
};

static void show_progress(const struct bench_options *options,
			  const struct bench_result *result, int step, int steps)
{
	if (!options->progress)
		return;
	fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K[%d/%d] %s: %s" :
						"[%d/%d] %s: %s\n",
		step, steps, result->group->name, result->bench->name);
	fflush(stderr);
}

static void end_progress(const struct bench_options *options)
{
	if (options->progress && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void measure(const struct bench_options *options,
		    struct bench_result *result, int device, int round)
{
	const struct bench *bench = result->bench;
	struct bench_sample sample = { 0 };
	int ret;

	ret = bench->sample(bench, options->devices[device],
			    options->quick ? bench->quick_size : bench->size,
			    &sample);
	if (ret || !sample.ops || !sample.ns) {
		warnx("%s: %s on %s failed", result->group->name, bench->name,
		      options->devices[device]);
		result->failed = true;
		return;
	}
	result->ops = sample.ops;
	result->ns[device][round] = (double)sample.ns / sample.ops;
	result->counts[device] = sample.count;
	result->counted[device] = sample.counted;
}

static void measure_all(const struct bench_options *options,
			struct bench_result *results, int nr)
{
	int round, device, i, step = 0;

	for (round = 0; round < options->rounds; round++) {
		for (i = 0; i < nr; i++) {
			show_progress(options, &results[i], ++step,
				      options->rounds * nr);
			for (device = 0; device < options->nr_devices; device++) {
				if (!results[i].failed)
					measure(options, &results[i], device,
						round);
			}
		}
	}
	end_progress(options);
}

static int bench(const struct bench_options *options, const bool *selected)
{
	struct bench_result *results;
	size_t group;
	bool failed = false;
	int i, nr = 0;

	for (group = 0; group < ARRAY_SIZE(groups); group++)
		nr += groups[group]->nr;
	results = calloc(nr, sizeof(*results));
	if (!results)
		err(STATUS_FAILED, NULL);
	nr = 0;
	for (group = 0; group < ARRAY_SIZE(groups); group++) {
		for (i = 0; selected[group] && i < groups[group]->nr; i++)
			results[nr++] = (struct bench_result){
				.group = groups[group],
				.bench = &groups[group]->benches[i],
			};
	}
	measure_all(options, results, nr);
	if (options->json)
		bench_print_json(options, results, nr);
	else
		bench_print_table(options, results, nr);
	for (i = 0; i < nr; i++)
		failed |= results[i].failed;
	free(results);
	return failed ? STATUS_FAILED : STATUS_OK;
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

static int bench_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct bench_options options = { .progress = isatty(STDERR_FILENO) };
	bool selected[ARRAY_SIZE(groups)];
	uint64_t rounds;
	int option;

	select_device(&options, "both");
	while ((option = getopt_long(argc, argv, "d:r:qjph", long_options,
				     NULL)) != -1) {
		switch (option) {
		case 'd':
			select_device(&options, optarg);
			break;
		case 'r':
			if (!parse_size(optarg, &rounds) || !rounds ||
			    rounds > BENCH_ROUNDS_MAX) {
				warnx("rounds must be 1 to %d: %s", BENCH_ROUNDS_MAX,
				      optarg);
				return usage_error(&command_bench);
			}
			options.rounds = (int)rounds;
			break;
		case 'q':
			options.quick = true;
			break;
		case 'j':
			options.json = true;
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
"Usage: xvm bench [OPTION]... [memslots] [mmu] [exits]\n"
"\n"
"Measure " KVM_DEVICE_PATH " and " XVM_DEVICE_PATH
" in turn, round by round, and print a table of\n"
"times, their ratio, and by how much a statistic of the device grew meanwhile.\n"
"Without a group, all groups are measured.\n"
"\n"
"  -d, --device DEVICE  'both' (the default), or the path of the only one\n"
"  -r, --rounds N       1 to 99 rounds; 5 unless told, 3 with --quick\n"
"  -q, --quick          smaller sizes, done in under a minute under emulation\n"
"  -j, --json           print JSON, with every round\n"
"  -p, --progress       show progress, also when standard error is no terminal\n"
"\n"
"Exit status: 0; 1 a device or a benchmark failed; 2 wrong usage.\n",
	.main = bench_main,
};
