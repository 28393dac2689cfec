/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's multi-generational LRU lists, by their file in debugfs. */
#ifndef SELFTESTS_LRU_GEN_H
#define SELFTESTS_LRU_GEN_H

#include <stdbool.h>

/* With walks of page tables, and open to us. */
bool lru_gen_enabled(void);
/*
 * How many anonymous pages of the memory cgroup at path were used since the last
 * time: the kernel moves them into the youngest generation, then begins another.
 */
unsigned long lru_gen_used(const char *path);

#endif
