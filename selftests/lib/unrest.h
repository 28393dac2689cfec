/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests that go on at random for a while have in common. */
#ifndef SELFTESTS_UNREST_H
#define SELFTESTS_UNREST_H

#include <stdint.h>

/* A number below another; the same ones each time. */
uint64_t pick(uint64_t *seed, uint64_t below);

/* A test's limit: past every sensible XVM_TORTURE_SECONDS. */
#define TORTURE_LIMIT 3600

/* XVM_TORTURE_SECONDS, or a few. */
unsigned int torture_seconds(void);
/* Of the host's clock. */
uint64_t now_seconds(void);

/* Each page of the process is copied when it is written, or has to be made writable again. */
void fork_once(void);
/* The kernel has its caches' memory back, shadow pages among it; as root. */
void drop_slab(void);

#endif
