/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread that runs a vCPU while the test does something else. */
#ifndef SELFTESTS_RUNNER_H
#define SELFTESTS_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "guest.h"

/* Answers an exit (or -errno); true to run on. */
typedef bool (*exit_handler)(struct vcpu *v, int reason, void *arg);

struct runner {
	struct vcpu *v;
	exit_handler handler; /* may be NULL: every exit ends the run */
	void *arg;
	pthread_t thread;
	atomic_ulong exits; /* answered */
	atomic_bool ended;
	int last; /* what ended it */
};

void runner_start(struct runner *r, struct vcpu *v, exit_handler handler,
		  void *arg);
/* What ended it: -EINTR if it would have run on. */
int runner_stop(struct runner *r);

#endif
