// SPDX-License-Identifier: GPL-2.0-only
#include "lru_gen.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "text.h"

#define LRU_GEN "/sys/kernel/debug/lru_gen"

bool lru_gen_enabled(void)
{
	FILE *f = fopen("/sys/kernel/mm/lru_gen/enabled", "r");
	unsigned int enabled = 0;

	if (f) {
		if (fscanf(f, "%x", &enabled) != 1)
			enabled = 0;
		fclose(f);
	}
	return (enabled & 3) == 3 && !access(LRU_GEN, R_OK | W_OK);
}

/* A group's lists, on its last node with memory. */
struct lists {
	unsigned int group, node;
	unsigned long youngest;		/* generation */
	unsigned long asked, anon;	/* one of them, and the pages in it */
};

static struct lists read_lists(const char *group, unsigned long asked)
{
	FILE *f = fopen(LRU_GEN, "r");
	struct lists lists = { .asked = asked };
	unsigned long generation, age, anon;
	char line[256], path[200];
	bool ours = false, found = false;

	while (f && fgets(line, sizeof(line), f)) {
		unsigned int id;

		if (sscanf(line, "memcg %u %199s", &id, path) == 2) {
			ours = !strcmp(path, group);
			if (ours)
				lists.group = id;
			found |= ours;
		} else if (ours && sscanf(line, " node %u", &id) == 1) {
			lists.node = id;
		} else if (ours && sscanf(line, "%lu %lu %lu", &generation, &age,
					  &anon) == 3) {
			lists.youngest = generation;
			if (generation == asked)
				lists.anon = anon;
		}
	}
	if (!found)
		die("the cgroup is not in " LRU_GEN);
	fclose(f);
	return lists;
}

unsigned long lru_gen_used(const char *path)
{
	struct lists lists = read_lists(path, 0);
	char command[100];

	snprintf(command, sizeof(command), "+ %u %u %lu 1 1\n", lists.group,
		 lists.node, lists.youngest);
	if (!write_text(LRU_GEN, command))
		die("%s: %m", command);
	return read_lists(path, lists.youngest).anon;
}
