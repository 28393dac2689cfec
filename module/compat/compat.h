/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, one feature a block; compat-config.h holds what
 * the probes found.  Nothing outside compat/ names a kernel version.
 */
#ifndef XVM_COMPAT_H
#define XVM_COMPAT_H

#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>
#include <asm/svm.h>

#include "compat-config.h"

#ifdef HAVE_FOLL_INTERRUPTIBLE
#define XVM_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define XVM_FOLL_INTERRUPTIBLE	0
#endif

/* Kernels without it always let NUMA balancing see an access. */
#ifdef HAVE_FOLL_HONOR_NUMA_FAULT
#define XVM_FOLL_HONOR_NUMA_FAULT	FOLL_HONOR_NUMA_FAULT
#else
#define XVM_FOLL_HONOR_NUMA_FAULT	0
#endif

/* The pfn that a VM_PFNMAP or VM_IO area maps at hva; mmap_lock is held. -errno: nothing there. */
static inline int xvm_follow_pfnmap(struct vm_area_struct *vma, unsigned long hva, u64 *pfn,
				    bool *writable)
{
#ifdef HAVE_FOLLOW_PFNMAP_START
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *ptl; /* of the page table */
	pte_t *ptep;
	int ret = follow_pte(vma->vm_mm, hva, &ptep, &ptl);

	if (ret)
		return ret;
	*pfn = pte_pfn(*ptep);
	*writable = pte_write(*ptep);
	__acquire(ptl); /* by follow_pte(), which does not say so */
	pte_unmap_unlock(ptep, ptl);
#endif
	return 0;
}

/* Its old name is deprecated where it has the new one. */
#ifdef HAVE_SYSTEM_DFL_WQ
#define XVM_UNBOUND_WQ	system_dfl_wq
#else
#define XVM_UNBOUND_WQ	system_unbound_wq
#endif

/* What an MMU notifier's callbacks for aging return. */
#ifdef HAVE_MMU_NOTIFIER_YOUNG_BOOL
#define XVM_YOUNG_RESULT	bool
#else
#define XVM_YOUNG_RESULT	int
#endif

/* Whether indirect calls are checked by type: the option, by its old name and its new one. */
#define XVM_CFI	(IS_ENABLED(CONFIG_CFI_CLANG) || IS_ENABLED(CONFIG_CFI))

static inline void xvm_vmcb_enable_npt(struct vmcb *vmcb)
{
#ifdef HAVE_VMCB_MISC_CTL
	vmcb->control.misc_ctl |= SVM_MISC_ENABLE_NP;
#else
	vmcb->control.nested_ctl |= SVM_NESTED_CTL_NP_ENABLE;
#endif
}

/* Deliver #MC to the host's handler.  Under FRED INT n can't stand in for an exception. */
static inline void xvm_host_machine_check(void)
{
#ifdef HAVE_FEATURE_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		pr_emerg("machine check while a guest ran\n");
		return;
	}
#endif
	asm volatile("int $18");
}

#endif
