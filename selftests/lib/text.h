/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's files in /proc and /sys, debugfs among them. */
#ifndef SELFTESTS_TEXT_H
#define SELFTESTS_TEXT_H

#include <stdbool.h>
#include <sys/types.h>

/* False: it is not there, or takes something else. */
bool write_text(const char *path, const char *text);
/* All of it, from its begin, as a string of less than size.  Its length, or -errno. */
ssize_t read_text(int fd, char *text, size_t size);
/*
 * Opens a file of the only VM that a process has, in a device's folder of
 * debugfs.  -1: there is none.
 */
int open_vm_file(const char *folder, pid_t pid, const char *name);

#endif
