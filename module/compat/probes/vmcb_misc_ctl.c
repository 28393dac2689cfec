// SPDX-License-Identifier: GPL-2.0-only
/* The VMCB's nested_ctl was renamed. */
#include <linux/mm.h>
#include <asm/svm.h>

const struct vmcb_control_area probe = {
	.misc_ctl = SVM_MISC_ENABLE_NP,
};
