/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory that table pages come from, and CPUs that walk the tables of world.xvm.
 *
 * The model: a vCPU knows the tables that it has walked, until it flushes.  From
 * each it may go on at any time that it is in the guest, whatever was cut off
 * above.  So a table may be freed once nothing links it that is linked itself,
 * and nobody who is inside knows it, or a table above it.  Who is outside and
 * knows it has to flush before it is in the guest again.
 */
#ifndef TLB_TABLES_H
#define TLB_TABLES_H

#include "world.h"

extern bool five_levels;

void tables_start(bool takes_ranges);
/* All vCPUs leave, the VM goes; nothing may be left. */
void tables_end(void);

void lock(void);		/* mmu.lock, for writing */
void unlock(void);

/* As a fault does, over smaller leaves, too. */
void tables_map(u64 gfn, unsigned int level);
/* These two as world.h's.  cached: from a table it knows, if any is on the way to gfn. */
void tables_enter(unsigned int vcpu, int cpu);
void tables_walk(unsigned int vcpu, u64 gfn, bool cached);

unsigned int tables_in_use(void);
bool tables_queued(void);	/* is the worker to run? */
void tables_work(void);		/* it does, if so */

/* zap.c: tests */
void zap_freed_early(void);
void zap_throttled(void);
void zap_left_over(void);
void zap_shadow(void);
void zap_random(void);

#endif
