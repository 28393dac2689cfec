/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SMP_H
#define SHIM_LINUX_SMP_H

#include <linux/percpu.h>

/* The test's: these pin the thread, that interrupts. */
int get_cpu(void);
void put_cpu(void);
void smp_call_function_many(const struct cpumask *mask, void (*func)(void *info), void *info,
			    bool wait);

#endif
