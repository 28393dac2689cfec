/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's files in /proc and /sys. */
#ifndef SELFTESTS_TEXT_H
#define SELFTESTS_TEXT_H

#include <stdbool.h>

/* False: it is not there, or takes something else. */
bool write_text(const char *path, const char *text);

#endif
