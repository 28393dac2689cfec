// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures within the calls of the device and of a VM.
 *
 * A test breaks if its call says that it has failed and has done a part: get_log
 * without give_back() in copy_log(), as the second call finds the bits gone.
 */
#include "failures_calls.h"
#include "test.h"

DEVICE_FIXTURE(failures);

#define X(scope, cmd, call)						\
	TEST_F_TIMEOUT(failures, call, 400)				\
	{								\
		FAIL_EACH(self->dev, &call_##call);			\
	}
FAILURES_CALLS(X)
#undef X

static void fail_nothing(struct __test_metadata *_metadata, const char *what, int fd,
			 unsigned long cmd, unsigned long arg)
{
	enum fail_kind failed;
	long result;

	/* Stock KVM allocates its controllers. */
	if (cmd == KVM_CREATE_IRQCHIP && !device_is_xvm(fd))
		return;
	/* The first thing that can fail would. */
	fail_arm(1);
	result = kioctl(fd, cmd, arg);
	failed = fail_disarm();
	EXPECT_LE(0, result) {
		TH_LOG("%s", what);
	}
	EXPECT_EQ(FAIL_NONE, failed) {
		TH_LOG("%s", what);
	}
}

TEST_F(failures, none)
{
	int dev = self->dev, vm, vcpu;
	struct guest with_vcpu;

	if (!fail_init())
		SKIP(return, NO_FAILURES);
	guest_create_bare(&self->g, dev);
	vm = self->g.vm;
	guest_create(&with_vcpu, dev, GUEST_SIZE);
	vcpu = with_vcpu.cpu.fd;
#define X(scope, cmd, arg) fail_nothing(_metadata, #cmd " of a " #scope, scope, cmd, arg);
	FAILURES_NONE(X)
#undef X
	guest_destroy(&with_vcpu);
}

TEST_HARNESS_MAIN
