// SPDX-License-Identifier: GPL-2.0-only
/* xvm top: what every VM does, and what it has mapped, again and again. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "observed.h"

/* A column: a file of the VM, as it is or by how much it grows in a second. */
static const struct column {
	const char *file;
	const char *head;
	int width;
	bool rate;
} columns[] = {
	{ "exits", "exits/s", 9, true },
	{ "pf_taken", "faults/s", 9, true },
	{ "pf_around", "around/s", 9, true },
	{ "pages_4k", "4K", 9, false },
	{ "pages_2m", "2M", 7, false },
	{ "pages_1g", "1G", 5, false },
	{ "table_pages", "tables", 7, false },
	{ "remote_tlb_flush_requests", "flushes/s", 9, true },
	{ "remote_tlb_flush", "kicks/s", 8, true },
};

#define COLUMNS ARRAY_SIZE(columns)

struct sample {
	struct observed vm;
	uint64_t value[COLUMNS];
	bool known[COLUMNS]; /* stock KVM lacks some */
};

struct samples {
	struct timespec time;
	struct sample *list;
	int nr;
};

struct options {
	const char *devices[2];
	int nr_devices;
	double delay;
	uint64_t iterations; /* 0: for ever */
	bool json;
};

static void take_sample(struct sample *sample, const struct observed *vm)
{
	size_t i;

	sample->vm = *vm;
	for (i = 0; i < COLUMNS; i++)
		sample->known[i] = observed_number(vm, columns[i].file,
						   &sample->value[i]);
}

/* False: no device's VMs can be seen. */
static bool take_samples(const struct options *options, struct samples *samples)
{
	struct observed *vms;
	bool seen = false;
	int device, i, nr;

	samples->list = NULL;
	samples->nr = 0;
	clock_gettime(CLOCK_MONOTONIC, &samples->time);
	for (device = 0; device < options->nr_devices; device++) {
		nr = observed_list(options->devices[device], &vms);
		if (nr < 0)
			continue;
		seen = true;
		samples->list = reallocarray(samples->list, samples->nr + nr + 1,
					     sizeof(*samples->list));
		if (!samples->list)
			err(STATUS_FAILED, NULL);
		for (i = 0; i < nr; i++)
			take_sample(&samples->list[samples->nr++], &vms[i]);
		free(vms);
	}
	return seen;
}

static const struct sample *find_sample(const struct samples *samples,
					const struct observed *vm)
{
	int i;

	for (i = 0; i < samples->nr; i++) {
		const struct sample *sample = &samples->list[i];

		if (!strcmp(sample->vm.device, vm->device) &&
		    !strcmp(sample->vm.name, vm->name))
			return sample;
	}
	return NULL;
}

static double seconds_between(const struct samples *from,
			      const struct samples *to)
{
	return (to->time.tv_sec - from->time.tv_sec) +
	       (to->time.tv_nsec - from->time.tv_nsec) / 1e9;
}

/* False: nothing is known of it, or not yet. */
static bool column_value(size_t column, const struct sample *before,
			 const struct sample *now, double seconds, double *value)
{
	if (!now->known[column])
		return false;
	*value = now->value[column];
	if (!columns[column].rate)
		return true;
	if (!before || !before->known[column] || seconds <= 0)
		return false;
	/* Another VM may have got the name. */
	if (now->value[column] < before->value[column])
		return false;
	*value = (now->value[column] - before->value[column]) / seconds;
	return true;
}

static void print_text(const struct samples *before, const struct samples *now)
{
	double seconds = seconds_between(before, now), value;
	char command[16];
	size_t column;
	int i;

	printf("%-14s %-4s %-12s", "VM", "on", "command");
	for (column = 0; column < COLUMNS; column++)
		printf(" %*s", columns[column].width, columns[column].head);
	putchar('\n');
	for (i = 0; i < now->nr; i++) {
		const struct sample *sample = &now->list[i];
		const struct sample *last = find_sample(before, &sample->vm);

		observed_command(sample->vm.pid, command, sizeof(command));
		printf("%-14s %-4s %-12.12s", sample->vm.name,
		       sample->vm.device, command);
		for (column = 0; column < COLUMNS; column++) {
			if (column_value(column, last, sample, seconds, &value))
				printf(" %*.0f", columns[column].width, value);
			else
				printf(" %*s", columns[column].width, "-");
		}
		putchar('\n');
	}
}

static struct json_object *describe(const struct sample *before,
				    const struct sample *now, double seconds)
{
	struct json_object *object = json_object_new_object();
	char text[64];
	double value;
	size_t i;

	json_object_object_add(object, "vm", json_object_new_string(now->vm.name));
	json_object_object_add(object, "device",
			       json_object_new_string(now->vm.device));
	observed_command(now->vm.pid, text, sizeof(text));
	json_object_object_add(object, "command", json_object_new_string(text));
	for (i = 0; i < COLUMNS; i++) {
		if (!column_value(i, before, now, seconds, &value))
			continue;
		snprintf(text, sizeof(text), "%s%s", columns[i].file,
			 columns[i].rate ? "_per_s" : "");
		json_object_object_add(object, text,
				       columns[i].rate ?
					       json_object_new_double(value) :
					       json_object_new_uint64(now->value[i]));
	}
	return object;
}

static void print_json(const struct samples *before, const struct samples *now)
{
	struct json_object *object = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	double seconds = seconds_between(before, now);
	int i;

	for (i = 0; i < now->nr; i++)
		json_object_array_add(vms,
				      describe(find_sample(before,
							   &now->list[i].vm),
					       &now->list[i], seconds));
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	json_object_object_add(object, "vms", vms);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void pause_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - time.tv_sec) * 1e9);
	nanosleep(&time, NULL);
}

static int top(const struct options *options)
{
	bool screen = !options->json && isatty(STDOUT_FILENO);
	struct samples before, now;
	uint64_t i;

	if (!take_samples(options, &before))
		return STATUS_FAILED;
	for (i = 0; !options->iterations || i < options->iterations; i++) {
		pause_for(options->delay);
		if (!take_samples(options, &now))
			break;
		if (screen)
			fputs("\033[H\033[J", stdout);
		else if (i && !options->json)
			putchar('\n');
		(options->json ? print_json : print_text)(&before, &now);
		/* Whoever reads the other end of a pipe wants it now, or is gone. */
		if (fflush(stdout)) {
			warn("standard output");
			break;
		}
		free(before.list);
		before = now;
	}
	free(before.list);
	return options->iterations && i == options->iterations ? STATUS_OK
							       : STATUS_FAILED;
}

static bool parse_delay(const char *text, double *delay)
{
	char *end;

	*delay = strtod(text, &end);
	if (end != text && !*end && *delay >= 0.01 && *delay <= 3600)
		return true;
	warnx("the delay must be 0.01 to 3600 seconds: %s", text);
	return false;
}

static bool parse_device(const char *text, struct options *options)
{
	options->nr_devices = 1;
	options->devices[0] = text;
	if (!strcmp(text, "both")) {
		options->nr_devices = 2;
		options->devices[0] = "kvm";
		options->devices[1] = "xvm";
	} else if (strcmp(text, "kvm") && strcmp(text, "xvm")) {
		warnx("no such device: %s", text);
		return false;
	}
	return true;
}

static int top_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "device", required_argument, NULL, 'D' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = {
		.devices = { "xvm" },
		.nr_devices = 1,
		.delay = 1,
	};
	int option;

	while ((option = getopt_long(argc, argv, "d:n:D:jh", long_options,
				     NULL)) != -1) {
		switch (option) {
		case 'd':
			if (!parse_delay(optarg, &options.delay))
				return usage_error(&command_top);
			break;
		case 'n':
			if (!parse_size(optarg, &options.iterations) ||
			    !options.iterations) {
				warnx("iterations must be 1 or more: %s", optarg);
				return usage_error(&command_top);
			}
			break;
		case 'D':
			if (!parse_device(optarg, &options))
				return usage_error(&command_top);
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			return print_help(&command_top);
		default:
			return usage_error(&command_top);
		}
	}
	if (optind < argc) {
		warnx("unexpected argument: %s", argv[optind]);
		return usage_error(&command_top);
	}
	return top(&options);
}

const struct command command_top = {
	.name = "top",
	.summary = "watch what VMs do, and what they have mapped",
	.help =
"Usage: xvm top [OPTION]...\n"
"\n"
"Show every VM, and again after each delay: exits, page faults, pages mapped\n"
"around faults, TLB flushes and how many of them interrupted a vCPU, each a\n"
"second; the leaves of each size and the page-table pages that it has now.\n"
"On a terminal each screen replaces the last one.\n"
"\n"
"  -d, --delay SECONDS   1 unless told\n"
"  -n, --iterations N    end after N screens\n"
"  -D, --device DEVICE   xvm, kvm or both; xvm unless told\n"
"  -j, --json            print JSON, a line for each screen\n"
"\n"
"Needs root and debugfs.\n"
"\n"
"Exit status: 0 after N screens; 1 failure; 2 wrong usage.\n",
	.main = top_main,
};
