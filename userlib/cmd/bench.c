// SPDX-License-Identifier: GPL-2.0-only
/*
 * xvm bench: runs benchmarks on both devices in turn, round by round, and
 * compares within each round, so that a slow moment of the machine hits both.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "cmd.h"

#define DEVICES_MAX 2
#define ROUNDS_MAX 99
#define ROUNDS_DEFAULT 5
#define ROUNDS_QUICK 3

static const struct bench_group *const groups[] = {
	&bench_memslots,
	&bench_mmu,
	&bench_exits,
};

struct options {
	const char *devices[DEVICES_MAX];
	int nr_devices;
	int rounds;
	bool quick;
	bool json;
	bool progress;
	bool selected[ARRAY_SIZE(groups)];
};

struct result {
	const struct bench_group *group;
	const struct bench *bench;
	uint64_t ops;
	bool failed;
	double ns[DEVICES_MAX][ROUNDS_MAX]; /* per operation */
	uint64_t counts[DEVICES_MAX]; /* of the last round */
	bool counted[DEVICES_MAX];
};

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts its argument. */
static double median(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), compare_doubles);
	return nr % 2 ? values[nr / 2] :
			(values[nr / 2 - 1] + values[nr / 2]) / 2;
}

static double median_ns(const struct result *result, int device, int rounds)
{
	double values[ROUNDS_MAX];

	memcpy(values, result->ns[device], rounds * sizeof(values[0]));
	return median(values, rounds);
}

/* Of the second device over the first, sorted; the median is the result. */
static double ratios(const struct result *result, int rounds, double *values)
{
	int i;

	for (i = 0; i < rounds; i++)
		values[i] = result->ns[1][i] / result->ns[0][i];
	return median(values, rounds);
}

static void show_progress(const struct options *options,
			  const struct result *result, int step, int steps)
{
	if (!options->progress)
		return;
	fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K[%d/%d] %s: %s" :
						"[%d/%d] %s: %s\n",
		step, steps, result->group->name, result->bench->name);
	fflush(stderr);
}

static void end_progress(const struct options *options)
{
	if (options->progress && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void measure(const struct options *options, struct result *result,
		    int device, int round)
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

static void measure_all(const struct options *options, struct result *results,
			int nr)
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

static void print_count(const struct result *result, int device)
{
	if (result->counted[device])
		printf(" %8" PRIu64, result->counts[device]);
	else
		printf(" %8s", "-");
}

static void print_result(const struct options *options,
			 const struct result *result)
{
	const struct bench *bench = result->bench;
	double values[ROUNDS_MAX];
	int i;

	if (result->failed) {
		printf("%-28s failed\n", bench->name);
		return;
	}
	printf("%-28s %8" PRIu64 " %-5s", bench->name, result->ops, bench->unit);
	for (i = 0; i < options->nr_devices; i++)
		printf(" %10.2f", median_ns(result, i, options->rounds) / 1000);
	if (options->nr_devices == 2)
		printf(" %8.2f", ratios(result, options->rounds, values));
	for (i = 0; i < options->nr_devices; i++)
		print_count(result, i);
	printf(" %s\n", bench->statistic ? bench->statistic : "");
}

/* "/dev/kvm" is "kvm" in a column's head. */
static const char *short_name(const char *device)
{
	const char *slash = strrchr(device, '/');

	return slash && slash[1] ? slash + 1 : device;
}

static void print_table(const struct options *options,
			const struct result *results, int nr)
{
	char head[32];
	int i;

	printf("%-28s %8s %-5s", "", "n", "of");
	for (i = 0; i < options->nr_devices; i++) {
		snprintf(head, sizeof(head), "%s us/n",
			 short_name(options->devices[i]));
		printf(" %10s", head);
	}
	if (options->nr_devices == 2) {
		snprintf(head, sizeof(head), "%s/%s",
			 short_name(options->devices[1]),
			 short_name(options->devices[0]));
		printf(" %8s", head);
	}
	for (i = 0; i < options->nr_devices; i++)
		printf(" %8s", short_name(options->devices[i]));
	printf(" statistic\n");
	for (i = 0; i < nr; i++) {
		if (!i || results[i].group != results[i - 1].group)
			printf("%s\n", results[i].group->name);
		print_result(options, &results[i]);
	}
	if (options->nr_devices == 2)
		printf("\nTimes are medians of %d rounds; the ratio is the median of the rounds' ratios,\nbelow 1 where %s is faster.\n",
		       options->rounds, short_name(options->devices[1]));
}

static struct json_object *describe_device(const struct options *options,
					   const struct result *result, int device)
{
	struct json_object *object = json_object_new_object();
	struct json_object *rounds = json_object_new_array();
	int i;

	for (i = 0; i < options->rounds; i++)
		json_object_array_add(rounds, json_object_new_double(
					      result->ns[device][i]));
	json_object_object_add(object, "ns_per_op", rounds);
	json_object_object_add(object, "median_ns_per_op",
			       json_object_new_double(median_ns(
				       result, device, options->rounds)));
	if (result->counted[device])
		json_object_object_add(object, "statistic_growth",
				       json_object_new_int64(
					       result->counts[device]));
	return object;
}

static struct json_object *describe_result(const struct options *options,
					   const struct result *result)
{
	struct json_object *object = json_object_new_object();
	struct json_object *devices = json_object_new_object();
	const struct bench *bench = result->bench;
	double values[ROUNDS_MAX];
	int i;

	json_object_object_add(object, "group",
			       json_object_new_string(result->group->name));
	json_object_object_add(object, "name", json_object_new_string(bench->name));
	json_object_object_add(object, "unit", json_object_new_string(bench->unit));
	json_object_object_add(object, "failed",
			       json_object_new_boolean(result->failed));
	if (result->failed) {
		json_object_put(devices);
		return object;
	}
	json_object_object_add(object, "ops", json_object_new_int64(result->ops));
	if (bench->statistic)
		json_object_object_add(object, "statistic",
				       json_object_new_string(bench->statistic));
	for (i = 0; i < options->nr_devices; i++)
		json_object_object_add(devices, options->devices[i],
				       describe_device(options, result, i));
	json_object_object_add(object, "devices", devices);
	if (options->nr_devices == 2) {
		double middle = ratios(result, options->rounds, values);

		json_object_object_add(object, "ratio_median",
				       json_object_new_double(middle));
		json_object_object_add(object, "ratio_min",
				       json_object_new_double(values[0]));
		json_object_object_add(object, "ratio_max",
				       json_object_new_double(
					       values[options->rounds - 1]));
	}
	return object;
}

static void print_json(const struct options *options,
		       const struct result *results, int nr)
{
	struct json_object *root = json_object_new_object();
	struct json_object *benches = json_object_new_array();
	struct utsname kernel;
	int i;

	if (!uname(&kernel))
		json_object_object_add(root, "kernel",
				       json_object_new_string(kernel.release));
	json_object_object_add(root, "quick",
			       json_object_new_boolean(options->quick));
	json_object_object_add(root, "rounds",
			       json_object_new_int(options->rounds));
	for (i = 0; i < nr; i++)
		json_object_array_add(benches,
				      describe_result(options, &results[i]));
	json_object_object_add(root, "benchmarks", benches);
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

static int bench(const struct options *options)
{
	struct result *results;
	size_t group;
	bool failed = false;
	int i, nr = 0;

	for (group = 0; group < ARRAY_SIZE(groups); group++)
		nr += options->selected[group] ? groups[group]->nr : 0;
	results = calloc(nr, sizeof(*results));
	if (!results)
		err(STATUS_FAILED, NULL);
	nr = 0;
	for (group = 0; group < ARRAY_SIZE(groups); group++) {
		for (i = 0; options->selected[group] && i < groups[group]->nr; i++)
			results[nr++] = (struct result){
				.group = groups[group],
				.bench = &groups[group]->benches[i],
			};
	}
	measure_all(options, results, nr);
	if (options->json)
		print_json(options, results, nr);
	else
		print_table(options, results, nr);
	for (i = 0; i < nr; i++)
		failed |= results[i].failed;
	free(results);
	return failed ? STATUS_FAILED : STATUS_OK;
}

static bool select_groups(struct options *options, int argc, char **argv)
{
	size_t group;
	bool found;
	int i;

	for (group = 0; group < ARRAY_SIZE(groups); group++)
		options->selected[group] = !argc;
	for (i = 0; i < argc; i++) {
		found = false;
		for (group = 0; group < ARRAY_SIZE(groups); group++) {
			if (strcmp(argv[i], groups[group]->name))
				continue;
			options->selected[group] = true;
			found = true;
		}
		if (!found) {
			warnx("no such group of benchmarks: %s", argv[i]);
			return false;
		}
	}
	return true;
}

static void select_device(struct options *options, const char *device)
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

static bool devices_open(const struct options *options)
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
	struct options options = { .progress = isatty(STDERR_FILENO) };
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
			    rounds > ROUNDS_MAX) {
				warnx("rounds must be 1 to %d: %s", ROUNDS_MAX,
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
	if (!select_groups(&options, argc - optind, argv + optind))
		return usage_error(&command_bench);
	if (!devices_open(&options))
		return STATUS_FAILED;
	return bench(&options);
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
