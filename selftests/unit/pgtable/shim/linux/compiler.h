/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_COMPILER_H
#define SHIM_LINUX_COMPILER_H

#include <linux/types.h>

/* The test's: what is read may be old before the reader uses it. */
void after_read(u64 *ptr);

#define READ_ONCE(x)								\
	({									\
		typeof(x) read_once = *(const volatile typeof(x) *)&(x);	\
										\
		after_read(&(x));						\
		read_once;							\
	})
#define WRITE_ONCE(x, val)	(*(volatile typeof(x) *)&(x) = (val))

#endif
