// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = -1;

	if (fd >= 0) {
		n = write(fd, text, strlen(text));
		close(fd);
	}
	return n == (ssize_t)strlen(text);
}

ssize_t read_text(int fd, char *text, size_t size)
{
	ssize_t got, sum = 0;

	while ((got = pread(fd, text + sum, size - 1 - sum, sum)) > 0)
		sum += got;
	text[sum] = '\0';
	return got < 0 ? -errno : sum;
}

int open_vm_file(const char *folder, pid_t pid, const char *name)
{
	struct dirent *entry;
	char path[512];
	int fd = -1;
	DIR *dir;

	dir = opendir(folder);
	if (!dir)
		die("%s: %m", folder);
	while ((entry = readdir(dir))) {
		if (atoi(entry->d_name) != pid)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", folder, entry->d_name, name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}
