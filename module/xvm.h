/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two objects everything else hangs from: a VM and its vCPUs.
 *
 * Locks, outermost first:
 *   xvm->lock		VM configuration and the vCPU table (mutex)
 *   vcpu->mutex	one thread at a time in a vCPU (mutex, killable)
 *   memslots.lock	memslot updates (mutex, see memslot/memslot.h)
 *   memslots.srcu	readers of the memslots
 *   mm's own locks	mmap_lock, page-table locks
 *   vms_lock		VMs with shadow pages, for reclaim (mutex, mmu/shadow/shrink.c)
 *   mmu.lock		tables and SPTEs (rwlock, never held across a sleep)
 *
 * Lifetime: a VM lives as long as any reference: its own descriptor, each
 * vCPU's descriptor, a statistics descriptor, an open file in its debugfs folder.
 * Dropping the last one tears it down.
 */
#ifndef XVM_H
#define XVM_H

#include <linux/kvm.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/signal_types.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "memslot/memslot.h"
#include "mmu/mmu.h"
#include "observe/stats.h"
#include "x86/arch.h"

/*
 * All ids but the last: programs (KVM's own tests too) find the end of the table
 * by asking for one slot more, and that would be the next address space's first.
 */
#define XVM_NR_SLOTS		(MEMSLOT_NR_IDS - 1)

/* The address space stands in the upper half. */
static inline bool xvm_slot_id_ok(u32 slot)
{
	return slot >> 16 < MEMSLOT_MAX_SPACES && (slot & 0xffff) < XVM_NR_SLOTS;
}

#define XVM_MAX_VCPUS		4096
#define XVM_MAX_VCPU_IDS	(4 * XVM_MAX_VCPUS)
#define XVM_VCPU_MMAP_SIZE	(2 * PAGE_SIZE)	/* kvm_run, and the data of port I/O */

struct xvm {
	struct memslots memslots;
	struct xvm_mmu mmu;
	struct mm_struct *mm;		/* the creator's; its mm_count is held */

	struct mutex lock;		/* configuration and the vCPU table */
	struct xarray vcpus;		/* by index; entries only ever added, under lock */
	unsigned int nr_vcpus;		/* published after the entry it counts */

	refcount_t refs;
	struct xvm_vm_stat stat;
	struct xvm_observe observe;
	struct xvm_arch arch;
};

/* Where a vCPU's thread is, as seen by who wants its attention (tlb.c). */
enum xvm_vcpu_mode {
	XVM_OUTSIDE_GUEST,	/* it will look at what changed before it enters */
	XVM_IN_GUEST,		/* an IPI is needed */
};

struct xvm_vcpu {
	struct xvm *xvm;
	unsigned int id;		/* as user space chose it; the APIC id */
	unsigned int index;		/* in xvm->vcpus */
	struct mutex mutex;

	int mode;			/* enum xvm_vcpu_mode */
	int cpu;			/* where it runs while IN_GUEST */
	wait_queue_head_t wait;		/* sleeps here when halted */

	struct kvm_run *run;		/* shared with user space: read once, never trust */
	void *pio_data;			/* second page of the mapping */
	sigset_t sigmask;		/* while KVM_RUN runs, if active */
	bool sigmask_active;

	struct memslot_reader slots_reader;
	struct memslot_cache slot_cache;
	struct xvm_mmu_cache mmu_cache;
	struct xvm_dirty_ring dirty_ring;
	struct xvm_stream stream;
	struct xvm_shadow_vcpu *shadow;	/* NULL with nested paging */
	struct xvm_vcpu_stat stat;
	struct xvm_vcpu_arch arch;
};

/* vm.c */
struct xvm *xvm_get(struct xvm *xvm);
void xvm_put(struct xvm *xvm);
int xvm_create_vm(unsigned long type);
long xvm_check_extension(struct xvm *xvm, long ext);	/* xvm: NULL for the system scope */

/* vcpu.c */
int xvm_create_vcpu(struct xvm *xvm, unsigned long id);
void xvm_destroy_vcpus(struct xvm *xvm);

/* Entries appear before the count that covers them, and never go while the VM lives. */
static inline unsigned int xvm_nr_vcpus(struct xvm *xvm)
{
	/* Pairs with the release in xvm_create_vcpu(). */
	return smp_load_acquire(&xvm->nr_vcpus);
}

/* To walk or change it: tables are cut off, and then freed, with the lock held for writing. */
static inline struct xvm_pgtable *xvm_pgt(struct xvm *xvm)
{
	lockdep_assert_held(&xvm->mmu.lock);
	return &xvm->mmu.pgt;
}

/* In a read section, by the vCPU's thread: the slot of the address space that it runs in. */
static inline struct memslot *xvm_vcpu_slot(struct xvm_vcpu *vcpu, u64 gfn)
{
	return memslot_by_gfn_cached(memslots_active(&vcpu->xvm->memslots, 0), gfn,
				     &vcpu->slot_cache);
}

#define xvm_for_each_vcpu(i, vcpu, xvm)						\
	for ((i) = 0; (i) < xvm_nr_vcpus(xvm) &&				\
		      ((vcpu) = xa_load(&(xvm)->vcpus, (i))); (i)++)

#endif
