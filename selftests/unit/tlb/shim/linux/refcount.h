/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_REFCOUNT_H
#define SHIM_LINUX_REFCOUNT_H

typedef struct {
	int refs;
} refcount_t;

#endif
