/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_GFP_H
#define SHIM_LINUX_GFP_H

#include <errno.h>
#include <linux/slab.h>

/* The test's, which knows who may still walk a page. */
unsigned long get_zeroed_page(gfp_t gfp);
void free_page(unsigned long address);

#endif
