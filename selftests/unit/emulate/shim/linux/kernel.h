/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XVM_SHIM_KERNEL_H
#define XVM_SHIM_KERNEL_H

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
