/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_PERCPU_H
#define SHIM_LINUX_PERCPU_H

#include <linux/cpumask.h>

/* The CPU that the code under test runs on. */
extern int shim_cpu;

#define DEFINE_PER_CPU(type, name)	typeof(type) name[SHIM_CPUS]
#define per_cpu(name, cpu)		((name)[cpu])
#define per_cpu_ptr(ptr, cpu)		(&(*(ptr))[cpu])
#define this_cpu_cpumask_var_ptr(name)	((name)[shim_cpu])

#endif
