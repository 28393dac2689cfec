/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTESTS_STATS_H
#define SELFTESTS_STATS_H

#include <stdint.h>

/* The binary statistic of a VM or vCPU by its name, which must exist. */
uint64_t read_stat(int fd, const char *name);

#endif
