/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every test file includes: the kselftest harness and a fixture that has a
 * variant for each device, so that stock KVM and xvm answer the same questions.
 */
#ifndef SELFTESTS_TEST_H
#define SELFTESTS_TEST_H

#include <kselftest_harness.h>

#include "guest.h"

/* Each test of the fixture runs on both devices. */
#define DEVICE_VARIANTS(name)						\
	FIXTURE_VARIANT(name) {						\
		const char *path;					\
	};								\
									\
	FIXTURE_VARIANT_ADD(name, kvm) {				\
		.path = "/dev/kvm",					\
	};								\
									\
	FIXTURE_VARIANT_ADD(name, xvm) {				\
		.path = XVM_DEVICE_PATH,				\
	};

/* Declares a fixture: the device, open, and a guest for the test to create. */
#define DEVICE_FIXTURE(name)						\
	FIXTURE(name) {							\
		int dev;						\
		struct guest g;						\
	};								\
									\
	DEVICE_VARIANTS(name)						\
									\
	FIXTURE_SETUP(name)						\
	{								\
		(void)variant;						\
		self->g.vm = -1;					\
		self->dev = open(variant->path, O_RDWR | O_CLOEXEC);	\
		if (self->dev < 0)					\
			SKIP(return, "cannot open %s", variant->path);	\
	}								\
									\
	FIXTURE_TEARDOWN(name)						\
	{								\
		(void)variant;						\
		guest_destroy(&self->g);				\
		close(self->dev);					\
	}

#endif
