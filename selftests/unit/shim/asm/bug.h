/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_ASM_BUG_H
#define SHIM_ASM_BUG_H

#include <linux/compiler.h>
#include <stdlib.h>

/* A warning fails the test at once. */
#define WARN_ON(x)	((x) ? (abort(), 1) : 0)
#define WARN_ON_ONCE(x)	WARN_ON(x)

#endif
