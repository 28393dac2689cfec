/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUs, vCPUs and what their TLBs hold, for tlb.c to flush.
 *
 * The model: of 64 guest frames each vCPU has three sets.  What it holds; what of
 * that is stale, since it is not mapped any more; and what of that a flush has
 * promised to be gone before the vCPU is in the guest again.
 */
#ifndef TLB_WORLD_H
#define TLB_WORLD_H

#include "../../../module/xvm.h"
#include "../check.h"

#define GFNS	64
#define VCPUS	6

struct tlb {
	u64 held, stale, promised;
};

/* As the statistics of that name. */
struct counts {
	u64 requests, flushes, ranged, merged, skipped, ipis;
};

struct world {
	struct xvm xvm;
	struct xvm_vcpu vcpus[VCPUS];
	struct tlb tlbs[VCPUS];
	u64 mapped;
	bool takes_ranges;		/* the architecture does */

	/* What tlb.c did since the last look. */
	unsigned int hook_calls, traces;
	u64 hook_start, hook_end;
	u64 trace_start, trace_end;
	bool trace_ranged;
	unsigned int trace_ipis;
	u64 kicked;			/* CPUs */
	bool pinned;

	/* Told, if it's set, what a vCPU has flushed. */
	void (*dropped)(unsigned int vcpu, u64 start_gfn, u64 end_gfn);

	/* What others do while the module runs; told how often it was asked. */
	void (*others)(unsigned int point);
	unsigned int point;
};

/* There is one. */
extern struct world world;

/* main.c */
extern unsigned int steps;
u32 pick(u32 below);			/* at random */

void world_start(bool takes_ranges);
void world_forget(void);		/* what tlb.c did */

u64 frames(u64 start_gfn, u64 end_gfn);	/* a bit each */
bool inside(unsigned int vcpu);
void enter(unsigned int vcpu, int cpu);	/* not where somebody is */
void leave(unsigned int vcpu);
void touch(unsigned int vcpu, u64 gfn);	/* if it is inside, and that is mapped */
void map(u64 set);
void zap(u64 set);
/* Of a flush of these that has returned. */
void flushed(u64 set);
/* Of one that is left to the next entries. */
void will_flush(u64 set);

struct counts counts(void);
void check_counts(const struct counts *before, struct counts growth);

#endif
