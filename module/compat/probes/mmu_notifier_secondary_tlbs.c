// SPDX-License-Identifier: GPL-2.0-only
/* arch_invalidate_secondary_tlbs() took the place of invalidate_range(). */
#include <linux/mmu_notifier.h>

const struct mmu_notifier_ops probe = {
	.arch_invalidate_secondary_tlbs = NULL,
};
