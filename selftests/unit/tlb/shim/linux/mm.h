/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TLB_SHIM_LINUX_MM_H
#define TLB_SHIM_LINUX_MM_H

#include_next <linux/mm.h>

#include <linux/mm_types.h>

/* The test's. */
struct page *virt_to_page(const void *address);
void *page_address(const struct page *page);

#define page_private(page)		((page)->private)
#define set_page_private(page, value)	((page)->private = (value))

#endif
