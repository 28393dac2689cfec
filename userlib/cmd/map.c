// SPDX-License-Identifier: GPL-2.0-only
/* xvm map: draws which guest frames of a VM are mapped, and by which size. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "observed.h"

#define WIDTH_DEFAULT 64
#define WIDTH_MAX 1024
#define LEVELS 3

static const char *const sizes[LEVELS] = { "4K", "2M", "1G" };
/* Of a cell: some of it is mapped by leaves of this size, or all of it. */
static const char some[LEVELS] = { 'k', 'm', 'g' };
static const char all[LEVELS] = { 'K', 'M', 'G' };

/* Guest frames; the end is exclusive. */
struct slot {
	unsigned int as_id, id, flags;
	uint64_t start, end, hva;
};

struct run {
	uint64_t start, end;
	int level;
	bool writable;
};

struct map {
	struct slot *slots;
	struct run *runs;
	size_t nr_slots, nr_runs;
};

static void *grow(void *list, size_t nr, size_t size)
{
	/* Doubled whenever it is full. */
	if (nr & (nr - 1))
		return list;
	list = reallocarray(list, nr ? 2 * nr : 1, size);
	if (!list)
		err(STATUS_FAILED, NULL);
	return list;
}

static void read_slots(struct map *map, FILE *stream)
{
	struct slot slot;

	while (fscanf(stream, "%u %u %" SCNx64 " %" SCNx64 " %" SCNx64 " %x",
		      &slot.as_id, &slot.id, &slot.start, &slot.end, &slot.hva,
		      &slot.flags) == 6) {
		map->slots = grow(map->slots, map->nr_slots, sizeof(slot));
		map->slots[map->nr_slots++] = slot;
	}
}

static bool continues(const struct run *last, const struct run *run)
{
	return last->end == run->start && last->level == run->level &&
	       last->writable == run->writable;
}

static bool parse_run(FILE *stream, struct run *run)
{
	char size[4], rights[4];

	if (fscanf(stream, "%" SCNx64 " %" SCNx64 " %3s %3s", &run->start,
		   &run->end, size, rights) != 4)
		return false;
	for (run->level = 0; run->level < LEVELS; run->level++)
		if (!strcmp(size, sizes[run->level]))
			break;
	run->writable = !strcmp(rights, "rw");
	return run->level < LEVELS;
}

/* The module tells long runs in parts. */
static void read_runs(struct map *map, FILE *stream)
{
	struct run run;

	while (parse_run(stream, &run)) {
		if (map->nr_runs &&
		    continues(&map->runs[map->nr_runs - 1], &run)) {
			map->runs[map->nr_runs - 1].end = run.end;
			continue;
		}
		map->runs = grow(map->runs, map->nr_runs, sizeof(run));
		map->runs[map->nr_runs++] = run;
	}
}

static int read_part(const struct observed *vm, const char *file, struct map *map,
		     void (*read)(struct map *map, FILE *stream))
{
	FILE *stream = observed_open(vm, file);
	bool good;

	if (stream) {
		read(map, stream);
		good = feof(stream) && !ferror(stream);
		fclose(stream);
		if (good)
			return 0;
		errno = EIO;
	}
	warn("%s, %s", vm->name, file);
	return -errno;
}

static uint64_t overlap(const struct run *run, uint64_t start, uint64_t end)
{
	uint64_t from = run->start > start ? run->start : start;
	uint64_t to = run->end < end ? run->end : end;

	return to > from ? to - from : 0;
}

/* What maps most of [start, end).  *first is the first run that may reach into it. */
static char draw_cell(const struct map *map, size_t *first, uint64_t start,
		      uint64_t end)
{
	uint64_t pages[LEVELS] = { 0 }, sum = 0;
	int level, most = 0;
	size_t i;

	while (*first < map->nr_runs && map->runs[*first].end <= start)
		++*first;
	for (i = *first; i < map->nr_runs && map->runs[i].start < end; i++)
		pages[map->runs[i].level] += overlap(&map->runs[i], start, end);
	for (level = 0; level < LEVELS; level++) {
		sum += pages[level];
		if (pages[level] > pages[most])
			most = level;
	}
	if (!sum)
		return '.';
	return sum == end - start ? all[most] : some[most];
}

static void print_size(uint64_t pages)
{
	static const char units[] = "KMGT";
	uint64_t size = pages * 4;
	int unit = 0;

	while (units[unit + 1] && !(size % 1024)) {
		size /= 1024;
		unit++;
	}
	printf("%" PRIu64 "%c", size, units[unit]);
}

static void draw_slot(const struct map *map, const struct slot *slot,
		      unsigned int width, size_t *first)
{
	uint64_t cell = 1, at, end;

	while ((slot->end - slot->start + cell - 1) / cell > width)
		cell *= 2;
	printf("slot %u:%u gfn 0x%" PRIx64 "-0x%" PRIx64 " ", slot->as_id,
	       slot->id, slot->start, slot->end);
	print_size(slot->end - slot->start);
	printf(", ");
	print_size(cell);
	printf(" a cell\n");
	for (at = slot->start; at < slot->end; at = end) {
		end = at + cell < slot->end ? at + cell : slot->end;
		/* Only the first address space is ever mapped. */
		putchar(slot->as_id ? '.' : draw_cell(map, first, at, end));
	}
	putchar('\n');
}

/* In order of gfn, as the module tells them: each run is passed by once. */
static void draw(const struct map *map, unsigned int width)
{
	size_t i, first = 0;

	for (i = 0; i < map->nr_slots; i++)
		draw_slot(map, &map->slots[i], width, &first);
	printf("\n. nothing mapped; mapped by leaves of 4K: k some, K all of a cell;\n"
	       "m, M: mostly of 2M; g, G: mostly of 1G\n");
}

static struct json_object *new_range(uint64_t start, uint64_t end)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "start", json_object_new_uint64(start));
	json_object_object_add(object, "end", json_object_new_uint64(end));
	return object;
}

static struct json_object *describe_slot(const struct slot *slot)
{
	struct json_object *object = new_range(slot->start, slot->end);

	json_object_object_add(object, "as_id", json_object_new_int(slot->as_id));
	json_object_object_add(object, "id", json_object_new_int(slot->id));
	json_object_object_add(object, "hva", json_object_new_uint64(slot->hva));
	json_object_object_add(object, "flags", json_object_new_int(slot->flags));
	return object;
}

static struct json_object *describe_run(const struct run *run)
{
	struct json_object *object = new_range(run->start, run->end);

	json_object_object_add(object, "size",
			       json_object_new_string(sizes[run->level]));
	json_object_object_add(object, "writable",
			       json_object_new_boolean(run->writable));
	return object;
}

static void print_json(const struct observed *vm, const struct map *map)
{
	struct json_object *root = json_object_new_object();
	struct json_object *slots = json_object_new_array();
	struct json_object *runs = json_object_new_array();
	size_t i;

	for (i = 0; i < map->nr_slots; i++)
		json_object_array_add(slots, describe_slot(&map->slots[i]));
	for (i = 0; i < map->nr_runs; i++)
		json_object_array_add(runs, describe_run(&map->runs[i]));
	json_object_object_add(root, "vm", json_object_new_string(vm->name));
	json_object_object_add(root, "slots", slots);
	json_object_object_add(root, "mapped", runs);
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

static int show(const char *name, unsigned int width, bool json)
{
	struct map map = { 0 };
	struct observed vm;
	int ret;

	ret = observed_find("xvm", name, &vm);
	if (!ret)
		ret = read_part(&vm, "slots", &map, read_slots);
	if (!ret)
		ret = read_part(&vm, "map", &map, read_runs);
	if (!ret && json)
		print_json(&vm, &map);
	else if (!ret)
		draw(&map, width);
	free(map.slots);
	free(map.runs);
	return ret ? STATUS_FAILED : STATUS_OK;
}

static int map_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "width", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t width = WIDTH_DEFAULT;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "w:jh", options, NULL)) != -1) {
		switch (option) {
		case 'w':
			if (!parse_size(optarg, &width) || !width ||
			    width > WIDTH_MAX) {
				warnx("the width must be 1 to %d: %s", WIDTH_MAX,
				      optarg);
				return usage_error(&command_map);
			}
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			return print_help(&command_map);
		default:
			return usage_error(&command_map);
		}
	}
	if (optind + 1 != argc) {
		warnx("exactly one VM is needed");
		return usage_error(&command_map);
	}
	return show(argv[optind], (unsigned int)width, json);
}

const struct command command_map = {
	.name = "map",
	.summary = "draw which memory of a VM is mapped, and how",
	.help =
"Usage: xvm map [OPTION]... VM\n"
"\n"
"Draw each memslot of a VM on /dev/xvm as a row of cells: '.' nothing mapped; 'k'\n"
"partly, 'K' wholly mapped by leaves of 4K; 'm' and 'M' mostly by leaves of 2M,\n"
"'g' and 'G' of 1G.  VM is PID-FD, as 'xvm top' shows it, or the PID of a process\n"
"with one VM.\n"
"\n"
"  -w, --width N   at most so many cells, 64 unless told; a cell is as many pages\n"
"                  as that takes, a power of two\n"
"  -j, --json      print JSON: the slots, and the runs of frames mapped alike\n"
"\n"
"Needs root and debugfs.\n"
"\n"
"Exit status: 0; 1 no such VM, or it went; 2 wrong usage.\n",
	.main = map_main,
};
