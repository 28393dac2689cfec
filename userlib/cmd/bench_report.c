// SPDX-License-Identifier: GPL-2.0-only
/* Medians and ratios of xvm bench, and the table of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	return nr % 2 ? values[nr / 2]
		      : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

double bench_median(const struct bench_result *result, int device, int rounds)
{
	double values[BENCH_ROUNDS_MAX];

	memcpy(values, result->value[device], rounds * sizeof(values[0]));
	return median(values, rounds);
}

bool bench_ratio(const struct bench_options *options,
		 const struct bench_result *result, struct bench_ratio *ratio)
{
	double values[BENCH_ROUNDS_MAX];
	int i;

	if (options->nr_devices != 2 || result->absent[0] || result->absent[1])
		return false;
	for (i = 0; i < options->rounds; i++) {
		if (!result->value[0][i])
			return false;
		values[i] = result->value[1][i] / result->value[0][i];
	}
	ratio->median = median(values, options->rounds);
	ratio->min = values[0];
	ratio->max = values[options->rounds - 1];
	return true;
}

const char *bench_short_name(const char *device)
{
	const char *slash = strrchr(device, '/');

	return slash && slash[1] ? slash + 1 : device;
}

static void print_count(const struct bench_result *result, int device)
{
	if (result->counted[device])
		printf(" %8" PRIu64, result->counts[device]);
	else
		printf(" %8s", "-");
}

/* Times in microseconds, the rest as it is. */
static void print_value(const struct bench_options *options,
			const struct bench_result *result, int device)
{
	double value = bench_median(result, device, options->rounds);

	if (result->absent[device])
		printf(" %12s", "n/a");
	else if (result->figure->measure == BENCH_NS)
		printf(" %12.2f", value / 1000);
	else if (result->figure->measure == BENCH_BYTES)
		printf(" %12.0f", value);
	else
		printf(" %12.4f", value);
}

static void print_result(const struct bench_options *options,
			 const struct bench_result *result)
{
	static const char *const measures[] = {
		[BENCH_NS] = "us",
		[BENCH_BYTES] = "bytes",
		[BENCH_EVENTS] = "",
	};
	const struct bench_figure *figure = result->figure;
	struct bench_ratio ratio;
	char unit[32];
	int i;

	printf("%-29s", figure->name);
	if (result->bench->sized)
		printf(" %6" PRIu64, result->size);
	else
		printf(" %6s", "");
	if (result->failed) {
		printf(" failed\n");
		return;
	}
	snprintf(unit, sizeof(unit), "%s/%s", measures[figure->measure],
		 figure->unit);
	printf(" %7" PRIu64 " %-10s", result->ops, unit);
	for (i = 0; i < options->nr_devices; i++)
		print_value(options, result, i);
	if (bench_ratio(options, result, &ratio))
		printf(" %8.3g", ratio.median);
	else if (options->nr_devices == 2)
		printf(" %8s", "-");
	for (i = 0; i < options->nr_devices; i++)
		print_count(result, i);
	printf(" %s\n", figure->statistic ? figure->statistic : "");
}

static void print_head(const struct bench_options *options)
{
	char head[32];
	int i;

	printf("%-29s %6s %7s %-10s", "", "slots", "n", "measure");
	for (i = 0; i < options->nr_devices; i++)
		printf(" %12s", bench_short_name(options->devices[i]));
	if (options->nr_devices == 2) {
		snprintf(head, sizeof(head), "%s/%s",
			 bench_short_name(options->devices[1]),
			 bench_short_name(options->devices[0]));
		printf(" %8s", head);
	}
	for (i = 0; i < options->nr_devices; i++)
		printf(" %8s", bench_short_name(options->devices[i]));
	printf(" statistic\n");
}

void bench_print_table(const struct bench_options *options,
		       const struct bench_result *results, int nr)
{
	int i;

	print_head(options);
	for (i = 0; i < nr; i++) {
		if (!i || results[i].group != results[i - 1].group)
			printf("%s\n", results[i].group->name);
		print_result(options, &results[i]);
	}
	if (options->nr_devices == 2)
		printf("\nTimes are medians of %d rounds; the ratio is the median of the\n"
		       "rounds' ratios, below 1 where %s needs less.\n",
		       options->rounds, bench_short_name(options->devices[1]));
}
