/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-physical memory: two-dimensional page tables filled on faults, kept in
 * step with the host's mappings by an MMU notifier and with the memslots by
 * their update protocol.
 *
 * Synchronisation.  Faults take mmu.lock for reading and install leaves with
 * cmpxchg, in parallel; so does who takes W, A or D from leaves or splits them.
 * Whoever removes mappings takes it for writing.  A fault looks up slot and pfn
 * without the lock; to know that its answer still holds it samples
 * invalidate_seq before, and asks xvm_mmu_retry() under the lock: an invalidation
 * (host notifier or memslot freeze) that has begun or ended since in its range
 * makes it start over.
 */
#ifndef XVM_MMU_H
#define XVM_MMU_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "pgtable.h"

struct xvm;
struct xvm_vcpu;
struct memslot;
struct memslots;
struct memslot_ops;
struct kvm_pre_fault_memory;
struct xvm_shadow;

/*
 * Table pages at hand where nothing may sleep, topped up before.  The ctx of
 * operations on a VM's tables that make some.
 */
#define XVM_MMU_CACHE_PAGES	32
/* A fault may need all levels but the root. */
#define XVM_FAULT_TABLES	4

struct xvm_mmu_cache {
	struct xvm *xvm;
	unsigned int nr;
	void *pages[XVM_MMU_CACHE_PAGES];
};

/*
 * Subtrees cut off by a zap.  They are filled in under mmu.lock, become
 * freeable once the flush after the zap is done, and go back from a worker,
 * unless so many wait already that the caller has to do it.
 */
struct xvm_zap_queue {
	struct list_head detached;		/* mmu.lock */
	unsigned int nr_detached;		/* mmu.lock */
	spinlock_t lock;
	struct list_head freeable;		/* lock */
	unsigned int nr_freeable;		/* roots of subtrees on freeable; lock */
	struct delayed_work work;
};

/* Invalidations that may end while a fault is under way before it has to start over. */
#define XVM_ENDED_RANGES	16

struct xvm_hva_range {
	unsigned long start, last;
};

struct xvm_mmu {
	rwlock_t lock;
	struct xvm_pgtable pgt;

	/*
	 * Invalidations, written under lock for writing.  invalidate_seq counts
	 * those that ended.  Host notifiers speak of hvas, because slots may
	 * change between their begin and end; memslot updates freeze gfns.
	 */
	unsigned long invalidate_seq;
	unsigned int notifiers_active;
	struct xvm_hva_range announced;		/* union of the active ones */
	struct xvm_hva_range ended[XVM_ENDED_RANGES];	/* by the sequence before it moved on */
	bool frozen;
	u64 frozen_start, frozen_end;		/* gfns, end exclusive */
	u64 flush_start, flush_end;		/* gfns to flush; end exclusive, 0: none */

	/* Bumped by every flush request: a vCPU that has seen less flushes when it enters. */
	atomic64_t tlb_gen;

	u64 dirty_manual;		/* KVM_DIRTY_LOG_*; what user space asked for */
	u32 dirty_ring_size;		/* of each vCPU, in bytes; 0: bitmaps; set once, first */

	/* NULL with nested paging; else pgt stays empty, see shadow/shadow.h. */
	struct xvm_shadow *shadow;

	/* Detached tables on their way back to the kernel; see tdp.c. */
	struct xvm_zap_queue zapped;

	struct mmu_notifier notifier;
};

/* Access bits of a fault. */
#define XVM_FAULT_WRITE		BIT(0)
#define XVM_FAULT_EXEC		BIT(1)

enum xvm_fault_result {
	XVM_FAULT_FIXED,	/* mapped (or it was already): enter again */
	XVM_FAULT_RETRY,	/* an invalidation ran meanwhile: enter again */
	XVM_FAULT_EMULATE,	/* no memory there, or a write to read-only memory: MMIO */
	XVM_FAULT_SLOW,		/* fast path only: needs what may sleep */
};

/* tdp.c */
extern bool xvm_npt;		/* module parameter: nested paging, or else shadow paging */
int xvm_mmu_init(struct xvm *xvm);			/* binds to current->mm */
void xvm_mmu_destroy(struct xvm *xvm);			/* after xvm_mmu_notifier_unregister() */
u64 xvm_mmu_root(struct xvm *xvm);			/* physical address for the nested CR3 */
/*
 * Lock held for writing.  What was mapped may still be used until the flush,
 * by whoever does it: nobody may rely on a range being unmapped before.
 * may_yield: the lock may be let go on the way, as what is shadowed has no bound.
 */
void xvm_mmu_zap_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn, bool may_yield);
/* Lock held for writing.  The flush that zaps made due, if any; what they cut off may be freed. */
void xvm_mmu_zap_flush(struct xvm *xvm);
/* No lock held, may sleep.  After a zap by a thread that can make others wait for memory. */
void xvm_mmu_zap_throttle(struct xvm *xvm);
/* Count nr leaves of a level that came, or went. */
void xvm_mmu_count_leaves(struct xvm *xvm, unsigned int level, s64 nr);
/* May sleep.  Fewer than nr are there if there is no memory. */
void xvm_mmu_cache_topup(struct xvm_mmu_cache *cache, unsigned int nr);
void xvm_mmu_cache_free(struct xvm_mmu_cache *cache);

/* fault.c */
/* [no sleep] for the common case: host page present, tables at hand */
enum xvm_fault_result xvm_mmu_fault_fast(struct xvm_vcpu *vcpu, u64 gpa, u32 access);
/* Of the largest leaf around gfn that lies within the slot, if the host has one as large. */
unsigned int xvm_slot_max_level(const struct memslot *slot, u64 gfn);
/* may sleep; >= 0: enum xvm_fault_result, -EFAULT, -EINTR, -ENOMEM */
int xvm_mmu_fault(struct xvm_vcpu *vcpu, u64 gpa, u32 access);

/* prefault.c; the vCPU's mutex is held */
long xvm_pre_fault_memory(struct xvm_vcpu *vcpu, struct kvm_pre_fault_memory __user *arg);

/*
 * May sleep.  Let the guest write to gfn, which it has not touched, if the host
 * gives the page without waiting and no log depends on its fault.
 */
bool xvm_mmu_map_unasked(struct xvm_vcpu *vcpu, u64 gfn);

/* around.c */
struct xvm_around {
	u64 start;			/* gfns, the one that faulted among them */
	unsigned int nr;
	u64 window_end;			/* where the window ends that the slot may cut short */
	unsigned long hva;		/* of start */
	bool writable;			/* the slot lets leaves be so that nobody wrote to yet */
	bool reads;			/* it was a read that faulted: reads of others may follow */
};

/* In a read section: how far around gfn a fault in this slot may map. */
void xvm_around_init(const struct xvm_mmu *mmu, struct xvm_around *around,
		     const struct memslot *slot, u64 gfn);
/*
 * [no sleep] After a 4K leaf was mapped.  seq: from before the slot was looked
 * up; vacant: which pages are not mapped, a bit each.
 */
void xvm_mmu_fault_around(struct xvm_vcpu *vcpu, const struct xvm_around *around,
			  unsigned long seq, u64 vacant);

/* ahead.c */
/* A vCPU's writes to fresh memory; it alone touches this. */
struct xvm_stream {
	u64 gfn;			/* of the last fault that brought in pages */
	u64 next;			/* where the stream goes on */
	u32 pages;			/* it has come to so far */
};

/* may sleep; before the host's page of a write fault is looked up */
void xvm_mmu_populate_ahead(struct xvm_vcpu *vcpu, const struct xvm_around *around, u64 gfn);
/* may sleep; after it was mapped: the same for slots that follow in the window */
void xvm_mmu_stream_on(struct xvm_vcpu *vcpu, const struct xvm_around *around);

/* notifier.c */
/* For pages from gfn on, which hva and what follows back. */
bool xvm_mmu_retry(struct xvm *xvm, unsigned long seq, u64 gfn, unsigned long hva, u64 pages);
/*
 * The same of one page, lock not held: what the host has said of hva may be of a slot
 * that is gone.
 */
bool xvm_mmu_outdated(struct xvm *xvm, unsigned long seq, u64 gfn, unsigned long hva);
/* Lock held.  Is the host about to change what pages from hva on map? */
bool xvm_mmu_invalidating(const struct xvm_mmu *mmu, unsigned long hva, u64 pages);
/* Lock held for writing.  An invalidation has ended: faults that looked up before start over. */
void xvm_mmu_invalidated(struct xvm *xvm, unsigned long start, unsigned long last);
int xvm_mmu_notifier_register(struct xvm *xvm);
void xvm_mmu_notifier_unregister(struct xvm *xvm);

/* resize.c; memslots.lock is held, mmu.lock not, may sleep */
/* Make all leaves of a range small, as far as there is memory. */
void xvm_mmu_split(struct xvm *xvm, u64 start_gfn, u64 end_gfn);
/* Make a slot's leaves as large as the host's pages; the slot must allow it. */
void xvm_mmu_collapse(struct xvm *xvm, const struct memslot *slot);

/* age.c */
/* Lock held.  As xvm_pgtable_age(), whichever way the guest's memory is mapped. */
bool xvm_mmu_age_gfns(struct xvm *xvm, u64 first, u64 end, bool clear);
/* [no sleep] Has a guest used any of the memory at [start, end) of user space? */
bool xvm_mmu_test_young(struct xvm *xvm, unsigned long start, unsigned long end);
/* From now on: what it has used before doesn't count any more. */
bool xvm_mmu_clear_young(struct xvm *xvm, unsigned long start, unsigned long end);
bool xvm_mmu_clear_flush_young(struct xvm *xvm, unsigned long start, unsigned long end);

/* dirty.c */
int xvm_dirty_prepare(struct xvm *xvm, const struct memslot *old, struct memslot *new);
void xvm_dirty_free(struct memslot *slot);
void xvm_dirty_enabled(struct xvm *xvm, const struct memslot *slot);	/* just published */
void xvm_dirty_disabled(struct xvm *xvm, const struct memslot *slot);	/* likewise */
/* In a read section, by the vCPU's thread: it has written, or may write from now on. */
void xvm_dirty_mark(struct xvm_vcpu *vcpu, u64 gfn);
/* Do leaves say themselves what was written, so that no write need fault? */
static inline bool xvm_dirty_by_cpu(const struct xvm_mmu *mmu)
{
	return !mmu->shadow && !READ_ONCE(mmu->dirty_ring_size);
}

/*
 * May sleep.  The next write to any of the nr pages from gfn on, of those that
 * only names if it isn't NULL, sets D or faults.  True: a flush is due.
 */
bool xvm_dirty_clean(struct xvm *xvm, u64 gfn, u64 nr, const unsigned long *only);
/* The same of all pages of a logged slot; taken gets the bits of those that were dirty. */
bool xvm_dirty_take(struct xvm *xvm, const struct memslot *slot, unsigned long *taken);
/* The same of those from page first on that mask names; they are clean then. */
bool xvm_dirty_clear(struct xvm *xvm, const struct memslot *slot, u64 first, u64 nr,
		     const unsigned long *mask);
/* May sleep.  Tell the slot's bitmap what its leaves say. */
void xvm_dirty_collect(struct xvm *xvm, const struct memslot *slot);
/* Does the CPU note in the slot's leaves what its log has to be told? */
bool xvm_dirty_in_leaves(const struct xvm *xvm, const struct memslot *slot);

/*
 * Lock held for writing, and then to zap and flush: the small leaves of such a
 * slot's range are unmapped, and what they say is kept in its log.  Of more than
 * so many pages by parts, with the other one, which drops the lock, in between.
 */
#define XVM_DIRTY_KEEP_PAGES	BIT_ULL(15)
void xvm_dirty_keep(struct xvm *xvm, const struct memslot *slot, u64 start, u64 end);
void xvm_dirty_keep_yield(struct xvm *xvm);

/* dirty_log.c: ioctls */
int xvm_dirty_set_manual(struct xvm *xvm, const struct kvm_enable_cap *cap);
long xvm_get_dirty_log(struct xvm *xvm, const struct kvm_dirty_log __user *arg);
long xvm_clear_dirty_log(struct xvm *xvm, const struct kvm_clear_dirty_log __user *arg);

/* dirty_ring.c */
#define XVM_DIRTY_RING_MAX_SIZE	(65536 * sizeof(struct kvm_dirty_gfn))

/* Entries that stay free for what an exit pushes before the vCPU looks. */
#define XVM_DIRTY_RING_RESERVED	64

struct xvm_dirty_ring {
	struct kvm_dirty_gfn *gfns;	/* shared with user space; NULL: there is none */
	u32 pushed;			/* entries ever; the vCPU's thread */
	u32 reset;			/* taken back; memslots.lock */
};

int xvm_dirty_ring_enable(struct xvm *xvm, u32 size);
long xvm_reset_dirty_rings(struct xvm *xvm);		/* how many entries, or -errno */
int xvm_dirty_ring_alloc(struct xvm_vcpu *vcpu);	/* if the VM uses rings */
void xvm_dirty_ring_free(struct xvm_vcpu *vcpu);
/* Of the vCPU's mapping: NULL where no ring is. */
bool xvm_dirty_ring_has_page(struct xvm_vcpu *vcpu, unsigned long pgoff);
struct page *xvm_dirty_ring_page(struct xvm_vcpu *vcpu, unsigned long pgoff);
/* Entries that are free, where there is a ring.  The vCPU's thread, as for the next two. */
u32 xvm_dirty_ring_room(const struct xvm_vcpu *vcpu);
/* Must it stop for user space to make room? */
static inline bool xvm_dirty_ring_full(const struct xvm_vcpu *vcpu)
{
	return xvm_dirty_ring_room(vcpu) <= XVM_DIRTY_RING_RESERVED;
}

void xvm_dirty_ring_push(struct xvm_vcpu *vcpu, const struct memslot *slot, u64 gfn);

/* hostmap.c: hva to pfn */
struct xvm_hostmap {
	u64 pfn;
	bool writable;			/* may be mapped writable */
	struct page *page;		/* referenced until xvm_hostmap_put; NULL: none */
};

int xvm_hostmap_fast(unsigned long hva, bool write, struct xvm_hostmap *map);	/* [no sleep] */
/* may sleep; -EFAULT, -EINTR (a signal came; a poisoned page sends SIGBUS), -ENOMEM */
int xvm_hostmap_get(unsigned long hva, bool write, struct xvm_hostmap *map);
/* may sleep, but doesn't wait for the page: for writing, or -EAGAIN */
int xvm_hostmap_nowait(unsigned long hva, struct xvm_hostmap *map);
void xvm_hostmap_put(struct xvm_hostmap *map);
/*
 * [no sleep] mmap_lock is not held.  How many of the nr pages from hva on, before any other,
 * are memory that the host has never given, nor has swapped out.  0 if that can't be told now.
 */
unsigned int xvm_hostmap_fresh(unsigned long hva, unsigned int nr);

/* The entry of the host's own tables that maps an address. */
struct xvm_host_entry {
	unsigned int level;		/* as in pgtable.h; 0: nothing is mapped there */
	u64 pfn;			/* of the address itself */
	bool writable;
	bool dirty;
	bool zero;			/* the readable zero page, which the fast lookup lacks */
	bool none;			/* nor is there a page elsewhere, swapped out for one */
};

/*
 * [no sleep] Of current->mm, without a lock: what it says holds if no
 * invalidation of the address has begun before mmu.lock is held.
 */
void xvm_hostmap_entry(unsigned long hva, struct xvm_host_entry *entry);

/* The same of up to 64 pages, a bit each. */
struct xvm_host_pages {
	u64 present;
	u64 writable;			/* and has been written */
	u64 zero;
};

void xvm_hostmap_scan(unsigned long hva, unsigned int nr, struct xvm_host_pages *pages);

/*
 * tlb.c.  When one of these returns, no vCPU uses a translation that was
 * removed or restricted before.  A range reaches over all of each leaf that
 * was.  The architecture may flush it alone; else the VM is flushed.
 */
void xvm_tlb_flush_vm(struct xvm *xvm);
void xvm_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn);
/* Not now: each vCPU flushes when it enters the next time. */
void xvm_tlb_flush_later(struct xvm *xvm);
void xvm_tlb_flush_memslot(struct xvm *xvm, const struct memslot *slot);
/* Lock held for writing.  Flushes that may wait for the end of a walk, or of several, and that. */
void xvm_tlb_defer(struct xvm *xvm, u64 start_gfn, u64 end_gfn);
bool xvm_tlb_flush_deferred(struct xvm *xvm);		/* false: none was due */
int xvm_tlb_init(void);			/* once per module */
void xvm_tlb_exit(void);

/*
 * shadow/: instead of the nested tables, where xvm_npt is off.  A vCPU's part is
 * called with its mutex held.
 */
int xvm_shadow_init(void);	/* once per module */
/* Between the two reclaim may take a VM's shadow pages, and flush, which looks at vCPUs. */
void xvm_shadow_show(struct xvm *xvm);
void xvm_shadow_hide(struct xvm *xvm);
void xvm_shadow_exit(void);
int xvm_shadow_create(struct xvm *xvm);
void xvm_shadow_destroy(struct xvm *xvm);
int xvm_shadow_vcpu_create(struct xvm_vcpu *vcpu);
void xvm_shadow_vcpu_destroy(struct xvm_vcpu *vcpu);
void xvm_shadow_stale(struct xvm_vcpu *vcpu);	/* what decides on its root has changed */
/* User space has set registers: perhaps it has changed the guest's tables for that, too. */
void xvm_shadow_resync(struct xvm_vcpu *vcpu);
/* Between announcing an entry and entering: may it go in with the root that it has? */
bool xvm_shadow_ready(struct xvm_vcpu *vcpu);
int xvm_shadow_load(struct xvm_vcpu *vcpu);	/* may sleep; a root; -ENOMEM */
/* As the nested ones; error: a page fault's.  FIXED also for a fault that is the guest's own. */
enum xvm_fault_result xvm_shadow_fault_fast(struct xvm_vcpu *vcpu, u64 gva, u32 error);
int xvm_shadow_fault(struct xvm_vcpu *vcpu, u64 gva, u32 error, u64 *gpa);
void xvm_shadow_invlpg(struct xvm_vcpu *vcpu, u64 gva);
/* The emulator has written guest memory, in one page. */
void xvm_shadow_written(struct xvm_vcpu *vcpu, u64 gpa, unsigned int len);
/* The emulator can't do what writes a table: true if the guest can, now. */
bool xvm_shadow_release_table(struct xvm_vcpu *vcpu);
/* Lock held for writing.  As xvm_mmu_zap_range(). */
void xvm_shadow_zap_range(struct xvm *xvm, u64 start, u64 end, bool may_yield);
/* Lock held.  Take W from leaves of [start, end), those alone that only names unless it's NULL. */
bool xvm_shadow_wrprotect(struct xvm *xvm, u64 start, u64 end, const unsigned long *only);
/* Lock held.  As xvm_pgtable_age(). */
bool xvm_shadow_age(struct xvm *xvm, u64 start, u64 end, bool clear);
/* KVM_SET_NR_MMU_PAGES has changed; may sleep. */
void xvm_shadow_limit(struct xvm *xvm);
void xvm_shadow_free_zapped(struct xvm *xvm);	/* after the flush */

/* slots.c: the MMU's answers to memslot updates */
extern const struct memslot_ops xvm_memslot_ops;

#endif
