// SPDX-License-Identifier: GPL-2.0-only
#include "runner.h"

#include <signal.h>
#include <string.h>

static void *runner_main(void *arg)
{
	struct runner *r = arg;

	for (;;) {
		int reason = vcpu_run(r->v);

		if (reason == -EINTR || !r->handler ||
		    !r->handler(r->v, reason, r->arg)) {
			r->last = reason;
			r->ended = true;
			return NULL;
		}
		r->exits++;
	}
}

static void no_op(int sig)
{
	(void)sig;
}

void runner_start(struct runner *r, struct vcpu *v, exit_handler handler,
		  void *arg)
{
	struct sigaction action = { .sa_handler = no_op };

	memset(r, 0, sizeof(*r));
	r->v = v;
	r->handler = handler;
	r->arg = arg;
	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&r->thread, NULL, runner_main, r))
		die("pthread_create");
}

int runner_stop(struct runner *r)
{
	/* The flag for a run that has yet to start, the signal for one under way. */
	r->v->run->immediate_exit = 1;
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
	r->v->run->immediate_exit = 0;
	return r->last;
}
