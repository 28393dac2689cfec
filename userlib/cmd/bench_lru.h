/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's generations of pages, of a memory cgroup of our own. */
#ifndef XVM_CMD_BENCH_LRU_H
#define XVM_CMD_BENCH_LRU_H

#include <stdbool.h>

#define LRU_NODES_MAX 64

struct lru {
	char home[512]; /* cgroup.procs of where we came from */
	int nr;		/* nodes */
	char commands[LRU_NODES_MAX][64];
};

/* All that is allocated from now on is the cgroup's.  False: the kernel has no such thing. */
bool lru_enter(struct lru *lru);
void lru_leave(const struct lru *lru);
/* Both print what went wrong and return 0 or -errno. */
int lru_prepare(struct lru *lru); /* the next aging */
int lru_age(const struct lru *lru); /* the kernel looks which of the cgroup's pages are in use */

#endif
