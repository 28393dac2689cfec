// SPDX-License-Identifier: GPL-2.0-only
/*
 * XVM_VERIFY: what is checked while what is held off, and what is told of it.
 */
#include <linux/mutex.h>
#include <linux/uaccess.h>

#include "../xvm.h"
#include "verify.h"

void verify_violated(struct verify *verify, const char *fmt, ...)
{
	va_list args;

	if (verify->result.violations++)
		return;
	va_start(args, fmt);
	vsnprintf(verify->result.message, sizeof(verify->result.message), fmt, args);
	va_end(args);
}

int xvm_verify(struct xvm *xvm, struct xvm_verify __user *arg)
{
	struct verify verify = { .xvm = xvm };
	int err;

	if (mutex_lock_interruptible(&xvm->memslots.lock))
		return -EINTR;
	verify_slots(&verify);
	err = verify_mmu(&verify);
	mutex_unlock(&xvm->memslots.lock);

	if (!err && copy_to_user(arg, &verify.result, sizeof(verify.result)))
		err = -EFAULT;
	return err;
}
