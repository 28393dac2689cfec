/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_XARRAY_H
#define SHIM_LINUX_XARRAY_H

struct xarray {
	void *entries[16];
};

static inline void *xa_load(struct xarray *xa, unsigned long index)
{
	return index < sizeof(xa->entries) / sizeof(xa->entries[0]) ? xa->entries[index] : NULL;
}

#endif
