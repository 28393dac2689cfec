/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_CPUMASK_H
#define SHIM_LINUX_CPUMASK_H

#include <errno.h>
#include <linux/slab.h>

/* Possible CPUs. */
#define SHIM_CPUS		8
#define GFP_KERNEL	0

struct cpumask {
	unsigned long bits;
};

typedef struct cpumask *cpumask_var_t;

#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < SHIM_CPUS; (cpu)++)
#define cpu_to_node(cpu)		0

static inline bool zalloc_cpumask_var_node(cpumask_var_t *mask, gfp_t gfp, int node)
{
	*mask = shim_alloc(sizeof(**mask));
	return *mask;
}

static inline void free_cpumask_var(cpumask_var_t mask)
{
	shim_free(mask);
}

static inline void cpumask_clear(struct cpumask *mask)
{
	mask->bits = 0;
}

static inline void cpumask_set_cpu(unsigned int cpu, struct cpumask *mask)
{
	if (cpu >= SHIM_CPUS)
		abort();
	mask->bits |= 1ul << cpu;
}

#endif
