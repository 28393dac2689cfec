// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures within the calls of a vCPU.
 *
 * A test breaks if its call goes on with what it has not got: set_cpuid if
 * xvm_cpuid_set() doesn't ask IS_ERR(entries).
 */
#include "failures_calls.h"
#include "test.h"

DEVICE_FIXTURE(failures_vcpu);

#define X(scope, cmd, call)						\
	TEST_F_TIMEOUT(failures_vcpu, call, 400)			\
	{								\
		FAIL_EACH(self->dev, &call_##call);			\
	}
FAILURES_VCPU_CALLS(X)

TEST_HARNESS_MAIN
