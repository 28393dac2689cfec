/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_IO_H
#define SHIM_LINUX_IO_H

#include <linux/types.h>

/* The test's, of table pages alone. */
u64 virt_to_phys(const void *address);
void *phys_to_virt(u64 phys);

#endif
