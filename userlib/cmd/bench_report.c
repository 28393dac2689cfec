// SPDX-License-Identifier: GPL-2.0-only
/* What xvm bench prints: a table for people, or JSON with every round. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"
#include "cmd.h"

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

static double median_ns(const struct bench_result *result, int device, int rounds)
{
	double values[BENCH_ROUNDS_MAX];

	memcpy(values, result->ns[device], rounds * sizeof(values[0]));
	return median(values, rounds);
}

/* Of the second device over the first, sorted; the median is the result. */
static double ratios(const struct bench_result *result, int rounds, double *values)
{
	int i;

	for (i = 0; i < rounds; i++)
		values[i] = result->ns[1][i] / result->ns[0][i];
	return median(values, rounds);
}

static void print_count(const struct bench_result *result, int device)
{
	if (result->counted[device])
		printf(" %8" PRIu64, result->counts[device]);
	else
		printf(" %8s", "-");
}

static void print_result(const struct bench_options *options,
			 const struct bench_result *result)
{
	const struct bench *bench = result->bench;
	double values[BENCH_ROUNDS_MAX];
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

void bench_print_table(const struct bench_options *options,
		       const struct bench_result *results, int nr)
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
		printf("\nTimes are medians of %d rounds; the ratio is the median of the\n"
		       "rounds' ratios, below 1 where %s is faster.\n",
		       options->rounds, short_name(options->devices[1]));
}

static void add(struct json_object *object, const char *key,
		struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static void add_string(struct json_object *object, const char *key,
		       const char *value)
{
	add(object, key, json_object_new_string(value));
}

/* A tenth of a nanosecond, a thousandth of a ratio: no more digits than that. */
static struct json_object *new_decimal(double value, int digits)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", digits, value);
	return json_object_new_double_s(value, text);
}

static struct json_object *describe_device(const struct bench_options *options,
					   const struct bench_result *result,
					   int device)
{
	struct json_object *object = json_object_new_object();
	struct json_object *rounds = json_object_new_array();
	double middle = median_ns(result, device, options->rounds);
	int i;

	for (i = 0; i < options->rounds; i++)
		json_object_array_add(rounds,
				      new_decimal(result->ns[device][i], 1));
	add(object, "ns_per_op", rounds);
	add(object, "median_ns_per_op", new_decimal(middle, 1));
	if (result->counted[device])
		add(object, "statistic_growth",
		    json_object_new_uint64(result->counts[device]));
	return object;
}

static struct json_object *describe_result(const struct bench_options *options,
					   const struct bench_result *result)
{
	struct json_object *object = json_object_new_object();
	const struct bench *bench = result->bench;
	struct json_object *devices;
	double values[BENCH_ROUNDS_MAX];
	int i;

	add_string(object, "group", result->group->name);
	add_string(object, "name", bench->name);
	add_string(object, "unit", bench->unit);
	add(object, "failed", json_object_new_boolean(result->failed));
	if (result->failed)
		return object;
	add(object, "ops", json_object_new_uint64(result->ops));
	if (bench->statistic)
		add_string(object, "statistic", bench->statistic);
	devices = json_object_new_object();
	for (i = 0; i < options->nr_devices; i++)
		add(devices, options->devices[i],
		    describe_device(options, result, i));
	add(object, "devices", devices);
	if (options->nr_devices == 2) {
		double middle = ratios(result, options->rounds, values);

		add(object, "ratio_median", new_decimal(middle, 3));
		add(object, "ratio_min", new_decimal(values[0], 3));
		add(object, "ratio_max",
		    new_decimal(values[options->rounds - 1], 3));
	}
	return object;
}

void bench_print_json(const struct bench_options *options,
		      const struct bench_result *results, int nr)
{
	struct json_object *root = json_object_new_object();
	struct json_object *benches = json_object_new_array();
	struct utsname kernel;
	int i;

	if (!uname(&kernel))
		add_string(root, "kernel", kernel.release);
	add(root, "quick", json_object_new_boolean(options->quick));
	add(root, "rounds", json_object_new_int(options->rounds));
	for (i = 0; i < nr; i++)
		json_object_array_add(benches,
				      describe_result(options, &results[i]));
	add(root, "benchmarks", benches);
	puts(json_object_to_json_string_ext(root,
					    JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}
