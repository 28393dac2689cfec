// SPDX-License-Identifier: GPL-2.0-only
/* The xvm command: finds the subcommand, and holds what several of them need. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "libxvm.h"

static const struct command *const commands[] = {
	&command_info, &command_load, &command_unload, &command_run,
	&command_top,  &command_map,  &command_rmaps,  &command_verify,
	&command_bench,
};

int usage_error(const struct command *command)
{
	fprintf(stderr, "Try 'xvm %s --help'.\n", command->name);
	return STATUS_USAGE;
}

int print_help(const struct command *command)
{
	fputs(command->help, stdout);
	return STATUS_OK;
}

bool parse_size(const char *text, uint64_t *size)
{
	unsigned long long value;
	unsigned int shift = 0;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return false;
	switch (*end) {
	case 'G':
		shift += 10;
		/* fall through */
	case 'M':
		shift += 10;
		/* fall through */
	case 'K':
		shift += 10;
		end++;
		break;
	default:
		break;
	}
	if (*end || value > UINT64_MAX >> shift)
		return false;
	*size = value << shift;
	return true;
}

int open_device(const char *path)
{
	int fd = xvm_open(path);

	switch (-fd) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		warnx("%s: no such device; is its module loaded? (xvm load, modprobe kvm_amd)",
		      path);
		break;
	case EACCES:
		warnx("%s: no permission; it is open to root and the group kvm",
		      path);
		break;
	case ENOTTY:
	case EPROTO:
		warnx("%s: does not speak version %d of the KVM API", path,
		      KVM_API_VERSION);
		break;
	default:
		if (fd < 0)
			warnx("%s: %s", path, strerror(-fd));
	}
	return fd;
}

static void print_commands(FILE *stream)
{
	size_t i;

	fputs("Usage: xvm COMMAND [OPTION]...\n\nCommands:\n", stream);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stream, "  %-8s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("\n'xvm COMMAND --help' tells more; 'xvm --version' the version.\n",
	      stream);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		print_commands(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_commands(stdout);
		return STATUS_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("xvm " XVM_VERSION);
		return STATUS_OK;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i]->name) != 0)
			continue;
		argv[1] = argv[0]; /* getopt's messages begin with it */
		return commands[i]->main(argc - 1, argv + 1);
	}
	warnx("no such command: %s", argv[1]);
	print_commands(stderr);
	return STATUS_USAGE;
}
