/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before anything of the module's: stands in for x86/arch.h,
 * compat/compat.h and observe/trace.h, so that the rest of xvm.h is the module's
 * own, and lets the test in wherever the module looks at what other CPUs write.
 */
#ifndef SHIM_WORLD_H
#define SHIM_WORLD_H

#define XVM_X86_ARCH_H
#define XVM_COMPAT_H
#define XVM_OBSERVE_TRACE_H

#define XVM_UNBOUND_WQ	NULL

#include <asm/barrier.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct xvm;
struct xvm_vcpu;

/* The test's: other CPUs do something. */
void meanwhile(void);

#undef smp_load_acquire
#define smp_load_acquire(p)					\
	({							\
		meanwhile();					\
		__atomic_load_n(p, __ATOMIC_ACQUIRE);		\
	})

typedef struct {
	long counter;
} atomic64_t;

static inline void atomic64_set(atomic64_t *v, long i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline long atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic64_add(long i, atomic64_t *v)
{
	__atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED);
}

#define atomic64_sub(i, v)	atomic64_add(-(i), v)
#define atomic64_dec(v)		atomic64_add(-1, v)

static inline long atomic64_inc_return(atomic64_t *v)
{
	long new;

	meanwhile();
	new = __atomic_add_fetch(&v->counter, 1, __ATOMIC_SEQ_CST);
	meanwhile();
	return new;
}

#define atomic64_inc(v)	((void)atomic64_inc_return(v))

#define min(a, b)	((a) < (b) ? (a) : (b))
#define max(a, b)	((a) > (b) ? (a) : (b))

/* Of page-table entries: the test's, which sees what links what. */
u64 cmpxchg64(u64 *ptr, u64 old, u64 new);
bool pgtable_l5_enabled(void);

struct xvm_arch {};

struct xvm_vcpu_arch {
	u64 tlb_gen;
};

int xvm_arch_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn);
void trace_xvm_flush(u64 start_gfn, u64 end_gfn, bool ranged, unsigned int ipis);

static inline void trace_xvm_split(u64 start_gfn, u64 end_gfn)
{
}

static inline void trace_xvm_zap(u64 start_gfn, u64 end_gfn)
{
}

#endif
