// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: map guest memory before the guest touches it.
 *
 * A read that has not happened: no more is asked of the host than a page that
 * can be read, and nothing becomes dirty.  Threads that pre-fault by different
 * vCPUs are as parallel as the faults of those would be.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "../../uapi/xvm.h"
#include "../xvm.h"

/* The level of the leaf that maps gfn; 0: none does. */
static unsigned int mapped_level(struct xvm *xvm, u64 gfn)
{
	unsigned int level = 0;

	read_lock(&xvm->mmu.lock);
	xvm_pgtable_lookup(xvm_pgt(xvm), gfn, &level);
	read_unlock(&xvm->mmu.lock);
	return level;
}

/* Map what is at gpa.  Returns by what level it is mapped then, or -errno. */
static int map_one(struct xvm_vcpu *vcpu, u64 gpa)
{
	struct xvm *xvm = vcpu->xvm;
	int level;

	/* No slot is there, and the tables would take it for a lower one. */
	if (gpa >> PAGE_SHIFT > xvm->memslots.max_gfn)
		return -ENOENT;
	level = mapped_level(xvm, gpa >> PAGE_SHIFT);
	while (!level) {
		int ret = xvm_mmu_fault(vcpu, gpa, 0);

		if (ret < 0)
			return ret;
		if (ret == XVM_FAULT_EMULATE)
			return -ENOENT;
		if (signal_pending(current))
			return -EINTR;
		level = mapped_level(xvm, gpa >> PAGE_SHIFT);
	}
	return level;
}

static int map_range(struct xvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	u64 asked = range->size;
	int ret;

	if (range->flags || !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size) ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	/* By frames alone a shadowed guest has no tables. */
	if (!xvm_npt)
		return -EOPNOTSUPP;

	do {
		u64 size, done;

		ret = signal_pending(current) ? -EINTR : map_one(vcpu, range->gpa);
		if (ret < 0)
			break;
		/* A large leaf may begin before the range and end after it. */
		size = xvm_level_pages(ret) << PAGE_SHIFT;
		done = min(range->size, size - (range->gpa & (size - 1)));
		range->gpa += done;
		range->size -= done;
		ret = 0;
		cond_resched();
	} while (range->size);
	/* As long as there is progress, what stopped it shows in the next call. */
	return range->size < asked ? 0 : ret;
}

long xvm_pre_fault_memory(struct xvm_vcpu *vcpu, struct kvm_pre_fault_memory __user *arg)
{
	struct kvm_pre_fault_memory range;
	long ret;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	ret = map_range(vcpu, &range);
	return copy_to_user(arg, &range, sizeof(range)) ? -EFAULT : ret;
}
