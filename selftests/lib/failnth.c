// SPDX-License-Identifier: GPL-2.0-only
#include "failnth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define DEBUGFS "/sys/kernel/debug/"
/* Of injections: each takes one away from the attribute that made it. */
#define TIMES 1000000000

static const char *const attrs[FAIL_KINDS] = {
	[FAIL_SLAB] = DEBUGFS "failslab",
	[FAIL_PAGE] = DEBUGFS "fail_page_alloc",
	[FAIL_USERCOPY] = DEBUGFS "fail_usercopy",
};

static __thread int nth_fd = -1;
static __thread long times[FAIL_KINDS];

static int knob(int kind, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", attrs[kind], name);
	return open(path, O_RDWR | O_CLOEXEC);
}

static bool set_knob(int kind, const char *name, const char *value)
{
	int fd = knob(kind, name);
	bool ok = fd >= 0 && write(fd, value, strlen(value)) > 0;

	close(fd);
	return ok;
}

/* Opened anew for each look: debugfs has no way back to the start. */
static long read_times(int kind)
{
	int fd = knob(kind, "times");
	char buf[32] = "";

	if (read(fd, buf, sizeof(buf) - 1) <= 0)
		die("%s: %m", attrs[kind]);
	close(fd);
	return atol(buf);
}

bool fail_init(void)
{
	char number[16];
	int kind;

	snprintf(number, sizeof(number), "%d", TIMES);
	for (kind = FAIL_SLAB; kind < FAIL_KINDS; kind++) {
		/* No trace of each: the log is searched for those that nobody asked for. */
		if (!set_knob(kind, "verbose", "0") || !set_knob(kind, "times", number))
			return false;
	}
	/* Allocations that may sleep, and single pages, fail too. */
	if (!set_knob(FAIL_SLAB, "ignore-gfp-wait", "0") ||
	    !set_knob(FAIL_PAGE, "ignore-gfp-wait", "0") ||
	    !set_knob(FAIL_PAGE, "ignore-gfp-highmem", "0") ||
	    !set_knob(FAIL_PAGE, "min-order", "0"))
		return false;
	return fail_thread();
}

bool fail_thread(void)
{
	int kind;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		return false;
	for (kind = FAIL_SLAB; kind < FAIL_KINDS; kind++)
		times[kind] = read_times(kind);
	return true;
}

void fail_arm(unsigned int n)
{
	char number[16];
	int len = snprintf(number, sizeof(number), "%u", n);

	if (pwrite(nth_fd, number, len, 0) != len)
		die("fail-nth: %m");
}

enum fail_kind fail_disarm(void)
{
	enum fail_kind failed = FAIL_NONE;
	bool ours = false;
	int kind;

	/* The next thing that can fail is this call's. */
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		ours = true;
	for (kind = FAIL_SLAB; kind < FAIL_KINDS; kind++) {
		long left = read_times(kind);

		if (left != times[kind] && !ours)
			failed = kind;
		times[kind] = left;
	}
	return failed;
}
