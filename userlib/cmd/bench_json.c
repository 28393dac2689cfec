// SPDX-License-Identifier: GPL-2.0-only
/* What xvm bench measured as JSON, with every round. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"
#include "cmd.h"

static const char *const measures[] = {
	[BENCH_NS] = "ns",
	[BENCH_BYTES] = "bytes",
	[BENCH_EVENTS] = "events",
};

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

/* No more digits than mean something. */
static struct json_object *new_decimal(double value, int digits)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", digits, value);
	return json_object_new_double_s(value, text);
}

/* "ns_per_op", "median_bytes_per_op" and the like. */
static void add_measure(struct json_object *object, const char *prefix,
			const struct bench_result *result,
			struct json_object *value)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s_per_op", prefix,
		 measures[result->figure->measure]);
	add(object, key, value);
}

static struct json_object *describe_device(const struct bench_options *options,
					   const struct bench_result *result,
					   int device)
{
	struct json_object *object = json_object_new_object();
	struct json_object *rounds = json_object_new_array();
	int digits = result->figure->measure == BENCH_EVENTS ? 6 : 1;
	double middle = bench_median(result, device, options->rounds);
	int i;

	for (i = 0; i < options->rounds; i++)
		json_object_array_add(rounds,
				      new_decimal(result->value[device][i], digits));
	add_measure(object, "", result, rounds);
	add_measure(object, "median_", result, new_decimal(middle, digits));
	if (result->counted[device])
		add(object, "statistic_growth",
		    json_object_new_uint64(result->counts[device]));
	return object;
}

static struct json_object *describe_result(const struct bench_options *options,
					   const struct bench_result *result)
{
	struct json_object *object = json_object_new_object();
	const struct bench_figure *figure = result->figure;
	struct bench_ratio ratio;
	struct json_object *devices;
	int i;

	add_string(object, "group", result->group->name);
	add_string(object, "name", figure->name);
	if (result->bench->sized)
		add(object, "slots", json_object_new_uint64(result->size));
	add_string(object, "unit", figure->unit);
	add(object, "failed", json_object_new_boolean(result->failed));
	if (result->failed)
		return object;
	add(object, "ops", json_object_new_uint64(result->ops));
	if (figure->statistic)
		add_string(object, "statistic", figure->statistic);
	/* A device that has no such thing is left out. */
	devices = json_object_new_object();
	for (i = 0; i < options->nr_devices; i++)
		if (!result->absent[i])
			add(devices, options->devices[i],
			    describe_device(options, result, i));
	add(object, "devices", devices);
	if (bench_ratio(options, result, &ratio)) {
		add(object, "ratio_median", new_decimal(ratio.median, 4));
		add(object, "ratio_min", new_decimal(ratio.min, 4));
		add(object, "ratio_max", new_decimal(ratio.max, 4));
	}
	return object;
}

int bench_write_json(const struct bench_options *options,
		     const struct bench_result *results, int nr)
{
	const int flags = JSON_C_TO_STRING_PRETTY |
			  JSON_C_TO_STRING_NOSLASHESCAPE;
	struct json_object *root = json_object_new_object();
	struct json_object *benches = json_object_new_array();
	struct utsname kernel;
	int i, ret = 0;

	if (!uname(&kernel))
		add_string(root, "kernel", kernel.release);
	add(root, "quick", json_object_new_boolean(options->quick));
	add(root, "rounds", json_object_new_int(options->rounds));
	for (i = 0; i < nr; i++)
		json_object_array_add(benches,
				      describe_result(options, &results[i]));
	add(root, "benchmarks", benches);
	if (!strcmp(options->json, "-"))
		puts(json_object_to_json_string_ext(root, flags));
	else if (json_object_to_file_ext(options->json, root, flags))
		ret = bench_fail(options->json, -errno);
	json_object_put(root);
	return ret;
}
