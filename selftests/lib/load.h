/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest under load, which notices stale memory.
 *
 * Each page holds its generation in its first word.  A table in memory that
 * nobody touches says which generation is right; 0 means that the page is being
 * changed.  The guest reads table, page, table, and stops if the table did not
 * change and the page differs from it.  It can also write: a counter of its own
 * in each page, which has to be there when it comes by again.
 */
#ifndef SELFTESTS_LOAD_H
#define SELFTESTS_LOAD_H

#include "runner.h"

#define LOAD_PAGES 64
#define LOAD_SIZE (LOAD_PAGES * GUEST_PAGE)
#define LOAD_GPA 0x1000000ul /* slot 1 */
#define LOAD_VCPUS 2
/* Where vCPU i has its counter in each page. */
#define LOAD_COUNTER(i) (64 * ((i) + 1))

struct load {
	struct guest *g;
	struct vcpu cpus[LOAD_VCPUS];
	struct runner runners[LOAD_VCPUS];
	uint8_t *pages;
	uint64_t generation;
};

/* Creates the guest and starts it on pages, LOAD_SIZE bytes of zeros. */
void load_start(struct load *l, struct guest *g, int dev, uint8_t *pages,
		bool writes);
/* The same in a larger slot: pages, and what follows them up to size. */
void load_start_in(struct load *l, struct guest *g, int dev, uint8_t *pages,
		   size_t size, bool writes);
/* The number of vCPUs that saw something wrong, each told on stderr. */
int load_stop(struct load *l);
/* False once a vCPU has stopped by itself. */
bool load_running(struct load *l);

uint64_t *load_word(struct load *l, int page);

/* The page changes from here on: the guest may see anything. */
void load_begin(struct load *l, int page);
/* The page has its value from here on: the guest must see it. */
void load_end(struct load *l, int page, uint64_t generation);
uint64_t load_next(struct load *l);
/* Gives the page a new generation, through the host's mapping. */
void load_rewrite(struct load *l, int page);

#endif
