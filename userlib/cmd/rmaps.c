// SPDX-License-Identifier: GPL-2.0-only
/* xvm rmaps: draws how many guest frames of a VM are mapped by how many shadow entries. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "observed.h"

#define COLUMNS_MAX 32
#define LEVELS_MAX 8
#define NAME_MAX_LEN 15
#define BAR_WIDTH 40

/* mmu_rmaps_stat, of which both devices have the same: "0", "1", "2-3" ... for each size. */
struct rmaps {
	char columns[COLUMNS_MAX][NAME_MAX_LEN + 1];
	char levels[LEVELS_MAX][NAME_MAX_LEN + 1];
	uint64_t frames[LEVELS_MAX][COLUMNS_MAX];
	int nr_columns, nr_levels;
	uint64_t longest, bytes;
	bool has_longest, has_bytes;
};

static bool parse_head(struct rmaps *rmaps, char *line)
{
	char *word = strtok(line, "\t\n");

	if (!word || strcmp(word, "Rmap_Count:"))
		return false;
	while ((word = strtok(NULL, "\t\n"))) {
		if (rmaps->nr_columns == COLUMNS_MAX || strlen(word) > NAME_MAX_LEN)
			return false;
		memcpy(rmaps->columns[rmaps->nr_columns++], word, strlen(word) + 1);
	}
	return rmaps->nr_columns;
}

static bool parse_level(struct rmaps *rmaps, char *line)
{
	char *word = strtok(line, "\t\n"), *end;
	int level = rmaps->nr_levels, i;

	if (level == LEVELS_MAX || !word ||
	    sscanf(word, "Level=%15[^:]:", rmaps->levels[level]) != 1)
		return false;
	for (i = 0; i < rmaps->nr_columns; i++) {
		word = strtok(NULL, "\t\n");
		if (!word)
			return false;
		rmaps->frames[level][i] = strtoull(word, &end, 10);
		if (*end)
			return false;
	}
	rmaps->nr_levels++;
	return !strtok(NULL, "\t\n");
}

/* An empty file: nothing is shadowed in this VM. */
static bool parse(struct rmaps *rmaps, FILE *stream)
{
	char line[1024];
	bool good = true;

	if (fgets(line, sizeof(line), stream))
		good = parse_head(rmaps, line);
	while (good && fgets(line, sizeof(line), stream))
		good = parse_level(rmaps, line);
	return good && !ferror(stream);
}

static int read_rmaps(const struct observed *vm, struct rmaps *rmaps)
{
	FILE *stream = observed_open(vm, "mmu_rmaps_stat");
	bool good;

	if (!stream) {
		warn("%s, mmu_rmaps_stat", vm->name);
		return -errno;
	}
	good = parse(rmaps, stream);
	fclose(stream);
	if (!good) {
		warnx("%s, mmu_rmaps_stat: not what is expected there", vm->name);
		return -EINVAL;
	}
	rmaps->has_longest = observed_number(vm, "max_mmu_rmap_size", &rmaps->longest);
	rmaps->has_bytes = observed_number(vm, "rmap_bytes", &rmaps->bytes);
	return 0;
}

/* Frames that anything maps: the first column is of the others. */
static uint64_t most_mapped(const struct rmaps *rmaps, int level)
{
	uint64_t most = 0;
	int i;

	for (i = 1; i < rmaps->nr_columns; i++)
		if (rmaps->frames[level][i] > most)
			most = rmaps->frames[level][i];
	return most;
}

static void draw_bar(uint64_t frames, uint64_t most)
{
	int length = (double)frames / most * BAR_WIDTH;

	/* One that isn't empty is seen. */
	if (frames && !length)
		length = 1;
	while (length--)
		putchar('#');
}

static void draw_level(const struct rmaps *rmaps, int level)
{
	uint64_t most = most_mapped(rmaps, level);
	int last = rmaps->nr_columns - 1, i;

	printf("\n%s: %" PRIu64 " frames not mapped\n", rmaps->levels[level],
	       rmaps->frames[level][0]);
	while (last && !rmaps->frames[level][last])
		last--;
	for (i = 1; i <= last; i++) {
		printf("%12s %10" PRIu64 " ", rmaps->columns[i], rmaps->frames[level][i]);
		draw_bar(rmaps->frames[level][i], most);
		putchar('\n');
	}
}

static void draw(const struct observed *vm, const struct rmaps *rmaps)
{
	int i;

	if (!rmaps->nr_levels) {
		printf("%s: nothing is shadowed, there are no reverse maps\n", vm->name);
		return;
	}
	printf("%s: frames by the number of shadow entries that map them", vm->name);
	if (rmaps->has_longest)
		printf("; at most %" PRIu64 " so far", rmaps->longest);
	if (rmaps->has_bytes)
		printf("; %" PRIu64 " bytes of reverse maps", rmaps->bytes);
	putchar('\n');
	for (i = 0; i < rmaps->nr_levels; i++)
		draw_level(rmaps, i);
}

static struct json_object *describe_level(const struct rmaps *rmaps, int level)
{
	struct json_object *object = json_object_new_object();
	int i;

	for (i = 0; i < rmaps->nr_columns; i++)
		json_object_object_add(object, rmaps->columns[i],
				       json_object_new_uint64(rmaps->frames[level][i]));
	return object;
}

static void print_json(const struct observed *vm, const struct rmaps *rmaps)
{
	struct json_object *root = json_object_new_object();
	struct json_object *levels = json_object_new_object();
	int i;

	for (i = 0; i < rmaps->nr_levels; i++)
		json_object_object_add(levels, rmaps->levels[i], describe_level(rmaps, i));
	json_object_object_add(root, "vm", json_object_new_string(vm->name));
	json_object_object_add(root, "frames", levels);
	if (rmaps->has_longest)
		json_object_object_add(root, "max_mmu_rmap_size",
				       json_object_new_uint64(rmaps->longest));
	if (rmaps->has_bytes)
		json_object_object_add(root, "rmap_bytes", json_object_new_uint64(rmaps->bytes));
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

static int show(const char *device, const char *name, bool json)
{
	struct rmaps rmaps = { 0 };
	struct observed vm;

	if (observed_find(device, name, &vm) || read_rmaps(&vm, &rmaps))
		return STATUS_FAILED;
	if (json)
		print_json(&vm, &rmaps);
	else
		draw(&vm, &rmaps);
	return STATUS_OK;
}

static int rmaps_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'D' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *device = "xvm";
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "D:jh", options, NULL)) != -1) {
		switch (option) {
		case 'D':
			if (strcmp(optarg, "xvm") && strcmp(optarg, "kvm")) {
				warnx("no such device: %s", optarg);
				return usage_error(&command_rmaps);
			}
			device = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			return print_help(&command_rmaps);
		default:
			return usage_error(&command_rmaps);
		}
	}
	if (optind + 1 != argc) {
		warnx("exactly one VM is needed");
		return usage_error(&command_rmaps);
	}
	return show(device, argv[optind], json);
}

const struct command command_rmaps = {
	.name = "rmaps",
	.summary = "draw how many shadow entries map a VM's memory",
	.help =
"Usage: xvm rmaps [OPTION]... VM\n"
"\n"
"Draw, for each size of page, how many guest frames of a VM are mapped by one, by\n"
"two or three ... entries of shadow page tables.  A VM with nested paging has none.\n"
"VM is PID-FD, as 'xvm top' shows it, or the PID of a process with one VM.\n"
"\n"
"  -D, --device DEVICE  'xvm' (the default) or 'kvm'\n"
"  -j, --json           print JSON\n"
"\n"
"Needs root and debugfs.\n"
"\n"
"Exit status: 0; 1 no such VM, or it went; 2 wrong usage.\n",
	.main = rmaps_main,
};
