/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's failure injection: the n-th thing that can fail for the calling
 * thread does.  It needs CONFIG_FAULT_INJECTION, as the lab's debug kernel has.
 */
#ifndef SELFTESTS_FAILNTH_H
#define SELFTESTS_FAILNTH_H

#include <stdbool.h>

enum fail_kind {
	FAIL_NONE, /* fewer things than n */
	FAIL_SLAB,
	FAIL_PAGE,
	FAIL_USERCOPY,
	FAIL_KINDS,
};

/* Once for the machine; it readies the calling thread.  False: this kernel can't. */
bool fail_init(void);
/* What each thread and each child needs for itself. */
bool fail_thread(void);
/* The n-th from now on, 1 the next. */
void fail_arm(unsigned int n);
/* No more; what failed since fail_arm(). */
enum fail_kind fail_disarm(void);

#endif
