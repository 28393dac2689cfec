// SPDX-License-Identifier: GPL-2.0-only
/* Newer kernels' callbacks for aging return bool, others int. */
#include <linux/mmu_notifier.h>

static bool test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return false;
}

const struct mmu_notifier_ops probe = {
	.test_young = test_young,
};
