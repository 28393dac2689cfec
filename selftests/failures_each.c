// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each call that can fail for lack of memory, or of access to user memory, does
 * so at each place where it can: at the n-th, for every n.  After a failure all
 * is as it was before, and the same call then succeeds.
 *
 * What a call comes to without failures is found out first, in a world of its
 * own; every n gets a fresh world, in a process of its own.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "failures_calls.h"

/* Past it, something fails for ever. */
#define MANY 2000

/*
 * A slab wants a page now and then, which may fail in the place of what is to be
 * tried.  So the last ones, which are all that most calls have, are tried twice.
 */
#define ONCE_MORE 4

/* A child ends with a kind of failure on top of this; with anything else: a test failed. */
#define CHILD_OK 100
#define CHILD_BROKEN -1

struct expected {
	struct world_state before;
	struct world_state after;
	long result;
};

static bool allowed(const struct call *call, enum fail_kind failed, long result)
{
	if (result == -EFAULT || (call->unread && result == call->unread))
		return true;
	/* To a guest, host memory that can't be read is not there. */
	if (failed == FAIL_USERCOPY)
		return call->runs && result >= 0;
	return result == -ENOMEM;
}

static void check_unchanged(const struct call *call, struct world *w,
			    const struct expected *expected, const uint64_t *stats)
{
	struct world_state state;
	const char *name;

	/* Before the guest looks: that faults pages in. */
	name = world_stats_differ(w, stats);
	if (name && !call->runs)
		die("%s: statistic %s has changed", call->name, name);
	guest_verify(&w->g);
	if (call->runs)
		return;
	world_state(w, call, &state);
	/* A call that failed while it answered has answered in part. */
	memcpy(state.arg, expected->before.arg, sizeof(state.arg));
	world_compare(call->name, &expected->before, &state);
}

static enum fail_kind try_nth(const struct call *call, int dev, unsigned int n,
			      const struct expected *expected)
{
	uint64_t stats[WORLD_MAX_STATS];
	enum fail_kind failed;
	struct world_state state;
	struct world w;
	long result;

	world_create(&w, dev, call);
	world_stats(&w, stats);
	fail_arm(n);
	result = call->call(&w);
	failed = fail_disarm();
	if (result != expected->result) {
		if (!allowed(call, failed, result))
			die("%s: failure %u, of kind %d: result %ld, not %ld", call->name, n,
			    failed, result, expected->result);
		check_unchanged(call, &w, expected, stats);
	}
	/* The guest has gone another way. */
	if (failed == FAIL_USERCOPY && call->runs && result >= 0)
		return failed;
	if (result != expected->result) {
		result = call->call(&w);
		if (result != expected->result)
			die("%s: after failure %u, of kind %d, it gives %ld, not %ld", call->name,
			    n, failed, result, expected->result);
	}
	world_state(&w, call, &state);
	world_compare(call->name, &expected->after, &state);
	world_destroy(&w);
	return failed;
}

static void without_failures(const struct call *call, int dev, struct expected *expected)
{
	struct world w;

	world_create(&w, dev, call);
	world_state(&w, call, &expected->before);
	expected->result = call->call(&w);
	if (expected->result < 0)
		die("%s: %s", call->name, strerror(-expected->result));
	world_state(&w, call, &expected->after);
	world_destroy(&w);
}

/* n 0: without a failure.  What the child found, or CHILD_BROKEN. */
static int in_child(const struct call *call, int dev, unsigned int n, struct expected *expected)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		enum fail_kind failed = FAIL_NONE;

		if (!fail_thread())
			die("failure injection has gone");
		if (n)
			failed = try_nth(call, dev, n, expected);
		else
			without_failures(call, dev, expected);
		_exit(CHILD_OK + failed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork: %m");
	if (!WIFEXITED(status) || WEXITSTATUS(status) < CHILD_OK)
		return CHILD_BROKEN;
	return WEXITSTATUS(status) - CHILD_OK;
}

const char *fail_each(int dev, const struct call *call)
{
	unsigned int counts[FAIL_KINDS] = {};
	struct expected *expected;
	bool again = false;
	cpu_set_t here;
	unsigned int n;
	int kind;

	if (!fail_init())
		return NO_FAILURES;
	if (call->xvm_only && !device_is_xvm(dev))
		return call->xvm_only;
	if (call->nested_only && !device_has_npt(dev))
		return "not without nested paging";
	/* CPUID tells the CPU. */
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		die("sched_setaffinity: %m");
	expected = mmap(NULL, sizeof(*expected), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (expected == MAP_FAILED)
		die("mmap: %m");
	if (in_child(call, dev, 0, expected))
		die("%s: not without failures either", call->name);
	for (n = 1; n < MANY; n++) {
		kind = in_child(call, dev, n, expected);
		if (kind == CHILD_BROKEN)
			die("%s: failure %u", call->name, n);
		if (kind != FAIL_NONE) {
			counts[kind]++;
			continue;
		}
		if (again || n == 1)
			break;
		again = true;
		n = n > ONCE_MORE ? n - ONCE_MORE - 1 : 0;
	}
	printf("# %s: %u failures of slabs, %u of pages, %u of user memory\n", call->name,
	       counts[FAIL_SLAB], counts[FAIL_PAGE], counts[FAIL_USERCOPY]);
	if (n == 1 || n == MANY)
		die("%s: nothing fails, or something for ever", call->name);
	return NULL;
}
