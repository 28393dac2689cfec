// SPDX-License-Identifier: GPL-2.0-only
/* Does this kernel know flexible return and event delivery? */
#include <asm/cpufeature.h>

int feature = X86_FEATURE_FRED;
