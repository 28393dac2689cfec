/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_WORKQUEUE_H
#define SHIM_LINUX_WORKQUEUE_H

#include <stdbool.h>

/* It runs when the test lets it. */
struct work_struct {
	void (*func)(struct work_struct *work);
	bool queued, running;
};

struct delayed_work {
	struct work_struct work;
};

#define INIT_DELAYED_WORK(delayed, function)	\
	((delayed)->work = (struct work_struct) { .func = (function) })

static inline struct delayed_work *to_delayed_work(struct work_struct *work)
{
	return container_of(work, struct delayed_work, work);
}

static inline void queue_delayed_work(const void *queue, struct delayed_work *delayed,
				      unsigned long delay)
{
	delayed->work.queued = true;
}

/* Never twice at the same time. */
static inline void flush_delayed_work(struct delayed_work *delayed)
{
	struct work_struct *work = &delayed->work;

	if (!work->queued || work->running)
		return;
	work->queued = false;
	work->running = true;
	work->func(work);
	work->running = false;
}

#endif
