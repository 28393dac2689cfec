// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging as reclaim does it: the multi-generational LRU lists take a new youngest
 * generation, for which the kernel asks of each page whether it was used.  The
 * file lru_gen of debugfs starts that for a cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "bench_lru.h"
#include "cmd.h"

#define CGROUPS "/sys/fs/cgroup"
#define NAME "/xvm-bench"
#define GROUP CGROUPS NAME
#define ENABLED "/sys/kernel/mm/lru_gen/enabled"
#define LRU_GEN "/sys/kernel/debug/lru_gen"

/* Of ENABLED: the lists, and walks of page tables. */
#define LRU_WALKS 0x3u

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static bool walks_enabled(void)
{
	FILE *file = fopen(ENABLED, "re");
	unsigned int enabled = 0;

	if (!file)
		return false;
	if (fscanf(file, "%x", &enabled) != 1)
		enabled = 0;
	fclose(file);
	return (enabled & LRU_WALKS) == LRU_WALKS &&
	       !access(LRU_GEN, R_OK | W_OK);
}

static bool find_home(struct lru *lru)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[400], path[400];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "0::%399s", path) == 1;
	if (file)
		fclose(file);
	if (found)
		snprintf(lru->home, sizeof(lru->home), "%s%s/cgroup.procs",
			 CGROUPS, path);
	return found;
}

bool lru_enter(struct lru *lru)
{
	if (!walks_enabled() || !find_home(lru))
		return false;
	if (write_text(CGROUPS "/cgroup.subtree_control", "+memory") ||
	    (mkdir(GROUP, 0755) && errno != EEXIST))
		return false;
	if (!write_text(GROUP "/cgroup.procs", "0"))
		return true;
	rmdir(GROUP);
	return false;
}

void lru_leave(const struct lru *lru)
{
	int ret = write_text(lru->home, "0");

	if (!ret && rmdir(GROUP))
		ret = -errno;
	if (ret)
		bench_fail("leave the cgroup", ret);
}

/* Groups begin with their path, nodes with their number; then come generations, oldest first. */
int lru_prepare(struct lru *lru)
{
	FILE *file = fopen(LRU_GEN, "re");
	unsigned int group = 0, node = 0;
	char line[512], path[400], *end;
	unsigned long generation;
	bool ours = false;

	lru->nr = 0;
	while (file && fgets(line, sizeof(line), file)) {
		generation = strtoul(line, &end, 10);
		if (sscanf(line, "memcg %u %399s", &group, path) == 2) {
			ours = !strcmp(path, NAME);
		} else if (ours && sscanf(line, " node %u", &node) == 1) {
			if (lru->nr == LRU_NODES_MAX)
				break;
			lru->nr++;
		} else if (ours && lru->nr && end != line) {
			snprintf(lru->commands[lru->nr - 1],
				 sizeof(lru->commands[0]), "+ %u %u %lu 1 1\n",
				 group, node, generation);
		}
	}
	if (file)
		fclose(file);
	return lru->nr ? 0 : bench_fail("find the cgroup in " LRU_GEN, -ENOENT);
}

int lru_age(const struct lru *lru)
{
	int i, ret;

	for (i = 0; i < lru->nr; i++) {
		ret = write_text(LRU_GEN, lru->commands[i]);
		if (ret)
			return bench_fail(LRU_GEN, ret);
	}
	return 0;
}
