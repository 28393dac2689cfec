// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
