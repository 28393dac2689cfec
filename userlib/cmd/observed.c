// SPDX-License-Identifier: GPL-2.0-only
/* Finding VMs in debugfs, and reading their files. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "observed.h"

#define DEBUGFS "/sys/kernel/debug"

static bool parse_name(const char *name, struct observed *vm)
{
	int fd, end = 0;

	if (strlen(name) >= sizeof(vm->name) ||
	    sscanf(name, "%d-%d%n", &vm->pid, &fd, &end) != 2 || name[end])
		return false;
	memcpy(vm->name, name, strlen(name) + 1);
	return true;
}

/* Which of the two steps to a VM's folder fails tells what is to be done. */
static int explain(const char *device)
{
	int error = errno;

	if (error == EACCES)
		warnx("%s: only root may look there", DEBUGFS);
	else
		warnx("%s/%s: %s; is the module loaded, and debugfs mounted?",
		      DEBUGFS, device, strerror(error));
	return -error;
}

int observed_list(const char *device, struct observed **list)
{
	struct observed vm = { 0 }, *more;
	struct dirent *entry;
	char path[64];
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", DEBUGFS, device);
	snprintf(vm.device, sizeof(vm.device), "%s", device);
	*list = NULL;
	dir = opendir(path);
	if (!dir)
		return explain(device);
	while ((entry = readdir(dir))) {
		if (!parse_name(entry->d_name, &vm))
			continue;
		more = reallocarray(*list, nr + 1, sizeof(vm));
		if (!more)
			err(STATUS_FAILED, NULL);
		*list = more;
		more[nr++] = vm;
	}
	closedir(dir);
	return nr;
}

static bool named(const struct observed *vm, const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);

	return !strcmp(vm->name, name) || (end != name && !*end && pid == vm->pid);
}

int observed_find(const char *device, const char *name, struct observed *vm)
{
	struct observed *list;
	int i, nr, found = 0;

	nr = observed_list(device, &list);
	if (nr < 0)
		return nr;
	for (i = 0; i < nr; i++) {
		if (!named(&list[i], name))
			continue;
		*vm = list[i];
		found++;
	}
	free(list);
	if (found == 1)
		return 0;
	if (found)
		warnx("%s has %d VMs: say which, as PID-FD", name, found);
	else
		warnx("no VM %s on /dev/%s", name, device);
	return -ESRCH;
}

FILE *observed_open(const struct observed *vm, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/%s/%s", DEBUGFS, vm->device,
		 vm->name, file);
	return fopen(path, "re");
}

bool observed_number(const struct observed *vm, const char *file, uint64_t *value)
{
	FILE *stream = observed_open(vm, file);
	bool good;

	if (!stream)
		return false;
	good = fscanf(stream, "%" SCNu64, value) == 1;
	fclose(stream);
	return good;
}

void observed_command(int pid, char *text, size_t size)
{
	char path[64];
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	stream = fopen(path, "re");
	if (!stream || !fgets(text, size, stream))
		snprintf(text, size, "?");
	text[strcspn(text, "\n")] = '\0';
	if (stream)
		fclose(stream);
}
