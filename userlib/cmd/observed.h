/* SPDX-License-Identifier: GPL-2.0-only */
/* VMs of other processes, as debugfs shows them: for `top`, `map`, `rmaps` and `verify`. */
#ifndef XVM_CMD_OBSERVED_H
#define XVM_CMD_OBSERVED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A VM's folder is named by its creator's process and the descriptor it got. */
#define OBSERVED_NAME 32

struct observed {
	char device[8]; /* "xvm" or "kvm" */
	char name[OBSERVED_NAME]; /* PID-FD */
	int pid;
};

/*
 * All VMs of a device; the caller frees the list.  Returns how many, or -errno
 * after a message: debugfs is missing or not to be read.
 */
int observed_list(const char *device, struct observed **list);

/* The VM of a device that PID-FD names, or the only one of PID. 0, or -errno after a message. */
int observed_find(const char *device, const char *name, struct observed *vm);

/* One of its files, opened for reading; NULL and errno if it can't be. */
FILE *observed_open(const struct observed *vm, const char *file);

/* A file with one number; false if there is none, or the VM is gone. */
bool observed_number(const struct observed *vm, const char *file, uint64_t *value);

/* The command that a process executes, or "?" if there is none any more. */
void observed_command(int pid, char *text, size_t size);

#endif
