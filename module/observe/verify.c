// SPDX-License-Identifier: GPL-2.0-only
/*
 * XVM_VERIFY: what is checked while what is held off, and what is told of it.
 */
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "../compat/compat.h"
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

static int verify_locked(struct verify *verify)
{
	verify_slots(verify);
	return verify_mmu(verify);
}

int xvm_verify(struct xvm *xvm, struct xvm_verify __user *arg)
{
	struct verify verify = { .xvm = xvm, .asker = current };
	int err;

	if (mutex_lock_interruptible(&xvm->memslots.lock))
		return -EINTR;
	err = verify_locked(&verify);
	mutex_unlock(&xvm->memslots.lock);
	if (!err && copy_to_user(arg, &verify.result, sizeof(verify.result)))
		err = -EFAULT;
	return err;
}

struct outside {
	struct work_struct work;
	struct verify verify;
	int err;
};

/* A sleep on the lock would not see the asker's signals: the worker gets none. */
static int verify_for_asker(struct verify *verify)
{
	struct mutex *lock = &verify->xvm->memslots.lock;
	int err;

	while (!mutex_trylock(lock)) {
		if (signal_pending(verify->asker))
			return -EINTR;
		schedule_timeout_uninterruptible(1);
	}
	err = verify_locked(verify);
	mutex_unlock(lock);
	return err;
}

/*
 * The host's tables may be walked without a lock only by who uses them: their
 * pages go once all of those have taken an interrupt.
 */
static void verify_worker(struct work_struct *work)
{
	struct outside *outside = container_of(work, struct outside, work);
	struct mm_struct *mm = outside->verify.xvm->mm;
	bool alive = mmget_not_zero(mm);

	if (alive)
		kthread_use_mm(mm);
	outside->err = verify_for_asker(&outside->verify);
	if (alive) {
		kthread_unuse_mm(mm);
		mmput(mm);
	}
}

int xvm_verify_outside(struct xvm *xvm, struct xvm_verify *result)
{
	struct outside outside = { .verify = { .xvm = xvm, .asker = current } };

	INIT_WORK_ONSTACK(&outside.work, verify_worker);
	queue_work(XVM_UNBOUND_WQ, &outside.work);
	flush_work(&outside.work);
	destroy_work_on_stack(&outside.work);
	*result = outside.verify.result;
	return outside.err;
}
