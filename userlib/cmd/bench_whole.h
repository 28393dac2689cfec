/* SPDX-License-Identifier: GPL-2.0-only */
/* Benchmarks of the group memslots that are not about a number of slots. */
#ifndef XVM_CMD_BENCH_WHOLE_H
#define XVM_CMD_BENCH_WHOLE_H

#include "bench.h"

extern const struct bench bench_mapped; /* one large slot, fully mapped */
extern const struct bench bench_vms;	/* VMs created and destroyed */
extern const struct bench bench_grace;	/* grace periods waited for */
extern const struct bench bench_slot_footprint; /* memory of slots */
extern const struct bench bench_vm_footprint;	/* and of empty VMs */

/* What the kernel holds of memory for its own use, once that has settled. */
uint64_t kernel_memory(void);
/* Bytes of page tables that the device counts itself, beside that. */
uint64_t own_tables(int vm);

#endif
