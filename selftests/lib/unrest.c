// SPDX-License-Identifier: GPL-2.0-only
#include "unrest.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "guest.h"

#define SECONDS_DEFAULT 4

uint64_t pick(uint64_t *seed, uint64_t below)
{
	*seed = *seed * 6364136223846793005ul + 1442695040888963407ul;
	return (*seed >> 33) % below;
}

unsigned int torture_seconds(void)
{
	const char *asked = getenv("XVM_TORTURE_SECONDS");
	int seconds = asked ? atoi(asked) : 0;

	return seconds > 0 ? seconds : SECONDS_DEFAULT;
}

uint64_t now_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

void fork_once(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %m");
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

void drop_slab(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "2", 1) != 1)
		die("drop_caches: %m");
	close(fd);
}
