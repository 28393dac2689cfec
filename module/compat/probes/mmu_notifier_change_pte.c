// SPDX-License-Identifier: GPL-2.0-only
/* Older kernels tell a changed host PTE by a callback of its own. */
#include <linux/mmu_notifier.h>

const struct mmu_notifier_ops probe = {
	.change_pte = NULL,
};
