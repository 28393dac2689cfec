/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the xvm command share: one file holds one subcommand. */
#ifndef XVM_CMD_H
#define XVM_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVM_DEVICE_PATH "/dev/kvm"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Exit statuses of every subcommand; `run` and `bench` document more. */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_GUEST_DIED = 3,
	STATUS_GUEST = 64, /* plus the low six bits of the guest's own status */
};

struct command {
	const char *name;
	const char *summary;
	const char *help;
	int (*main)(int argc, char **argv);
};

extern const struct command command_info;
extern const struct command command_load;
extern const struct command command_unload;
extern const struct command command_run;
extern const struct command command_top;
extern const struct command command_map;
extern const struct command command_rmaps;
extern const struct command command_verify;
extern const struct command command_bench;

/* Print "see --help" or the help of a command; both return the exit status. */
int usage_error(const struct command *command);
int print_help(const struct command *command);

/* Parse "64M" and the like; false when it is no size. */
bool parse_size(const char *text, uint64_t *size);

/* Open a device; on failure say what to do about it and return -errno. */
int open_device(const char *path);

#endif
