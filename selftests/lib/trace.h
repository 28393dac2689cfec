/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What xvm's tracepoints tell, in an instance of tracefs of the test's own; and a guest
 * with small pages for them to tell of.
 */
#ifndef SELFTESTS_TRACE_H
#define SELFTESTS_TRACE_H

#include <stdio.h>
#include <string.h>

#include "pass.h"

#define TRACE_INSTANCE "/sys/kernel/tracing/instances/xvm-selftest"
#define TRACE_EVENTS TRACE_INSTANCE "/events/xvm"

struct trace {
	char *text;	/* what was traced */
	size_t size;
	char *next;
};

/* Makes the instance.  False: no tracefs to write to. */
bool trace_create(struct trace *trace);
void trace_destroy(void);

void trace_enable(const char *event, bool on);
/* From here on, of this process alone. */
void trace_begin(const char *event);
/* Up to here: reads what was traced. */
void trace_end(struct trace *trace, const char *event);
/* What the next line of an event says, or NULL. */
char *trace_next(struct trace *trace, const char *event);

/* Declares a fixture: xvm, open, a guest for the test to create, and a trace. */
#define TRACE_FIXTURE(name)						\
	FIXTURE(name) {							\
		int dev;						\
		struct guest g;						\
		struct trace trace;					\
	};								\
									\
	DEVICE_VARIANTS(name)						\
									\
	FIXTURE_SETUP(name)						\
	{								\
		self->g.vm = -1;					\
		self->dev = open(variant->path, O_RDWR | O_CLOEXEC);	\
		if (self->dev < 0)					\
			SKIP(return, "cannot open %s", variant->path);	\
		if (!device_is_xvm(self->dev))				\
			SKIP(return, "xvm's own");			\
		if (!trace_create(&self->trace))			\
			SKIP(return, "no tracefs to write to");		\
	}								\
									\
	FIXTURE_TEARDOWN(name)						\
	{								\
		(void)variant;						\
		guest_destroy(&self->g);				\
		close(self->dev);					\
		trace_destroy();					\
	}

/* For its tests. */
#define TRACE_END(event) trace_end(&self->trace, event)
#define TRACE_NEXT(event) trace_next(&self->trace, event)

/* Some line says just that.  Before any is taken apart. */
#define EXPECT_EVENT(event, fmt, ...)					\
	do {								\
		char want_[240];					\
									\
		snprintf(want_, sizeof(want_), " %s: " fmt "\n", event, __VA_ARGS__); \
		EXPECT_NE(NULL, strstr(self->trace.text, want_)) {	\
			TH_LOG("no %s", want_);				\
		}							\
	} while (0)

#define NEEDS_NPT							\
	do {								\
		if (!device_has_npt(self->dev))				\
			SKIP(return, "with nested paging alone");	\
	} while (0)

#define FAR_GPA 0x10000000ul
#define FAR_GFN (FAR_GPA / GUEST_PAGE)
#define FAR_PAGES 64ul
#define FAR_SIZE (FAR_PAGES * GUEST_PAGE)

/* Memory for FAR_GPA: small pages, whose first words are 1000 and what follows. */
uint8_t *far_pages(void);
/* A guest with small pages at FAR_GPA, which it has not touched. */
uint8_t *far_start(struct guest *g, int dev);

#define EXPECT_TOUCHED(pages, write)					\
	EXPECT_PASS(FAR_GPA, pages, 1000, write)

#endif
