// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invariants of the guest's page tables.  Two walks:
 *
 * The first looks at each leaf: it lies in a slot, may be written only if the
 * slot and the host let it and its slot's log knows, and maps the page that the
 * host maps there, no larger than the host does.  While mmu.lock is held for
 * reading no invalidation can begin, and the host changes a mapping only after
 * one has: so outside the range of those under way, what the host's tables say
 * now is what they said when the leaf was made.
 *
 * The second counts leaves and tables, which only means something for a moment
 * in which nothing was added and nothing that was taken away is still counted.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "../xvm.h"
#include "verify.h"

/* Entries between two breaks of the lock, so that neither host nor faults wait for long. */
#define BATCH		1024
/* Table pages that are counted in one go, everybody kept out: some milliseconds. */
#define MAX_EXCLUSIVE	2048
#define COUNT_ATTEMPTS	64

/*
 * A walk in batches.  It visits links and leaves in order of gfn, and of
 * falling level where the gfn is the same; after a break it starts over where
 * it was, and passes by what it has seen.
 */
struct tour {
	struct xvm_walk walk;
	struct verify *verify;
	/* Or NULL: just count. */
	void (*check)(struct tour *tour, const struct verify_leaf *leaf);
	u64 seen_gfn;
	unsigned int seen_level;
	unsigned int quota;

	struct xvm_pgtable_count count;
	struct memslot *slot;		/* that the last leaf was in */
};

static enum xvm_walk_answer tour_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				       unsigned int level, enum xvm_walk_visit why)
{
	struct tour *tour = container_of(walk, struct tour, walk);

	if (gfn < tour->seen_gfn || (gfn == tour->seen_gfn && level >= tour->seen_level))
		return XVM_WALK_ON;
	if (!tour->quota)
		return XVM_WALK_STOP;
	tour->quota--;
	tour->seen_gfn = gfn;
	tour->seen_level = level;

	if (why == XVM_WALK_TABLE) {
		tour->count.tables++;
		return XVM_WALK_ON;
	}
	tour->count.leaves[level]++;
	if (tour->check) {
		const struct verify_leaf leaf = {
			.pte = val,
			.gfn = gfn,
			.pages = xvm_level_pages(level),
			.level = level,
		};

		tour->check(tour, &leaf);
	}
	return XVM_WALK_ON;
}

static void tour_init(struct tour *tour, struct verify *verify)
{
	*tour = (struct tour) {
		.walk = {
			.visit = tour_visit,
			.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
			.end = 1ULL << (XVM_PGT_BITS * verify->xvm->mmu.pgt.levels),
		},
		.verify = verify,
		.seen_level = UINT_MAX,
		.count.tables = 1,	/* the root, which no link leads to */
	};
}

/* One batch; mmu.lock held. True: there is more. */
static bool tour_go(struct tour *tour, unsigned int quota)
{
	tour->quota = quota;
	tour->walk.start = tour->seen_gfn;
	return xvm_pgtable_walk(xvm_pgt(tour->verify->xvm), &tour->walk);
}

/* All of it, in batches, under mmu.lock for reading. */
static int tour_take(struct tour *tour)
{
	rwlock_t *lock = &tour->verify->xvm->mmu.lock;
	bool more;

	do {
		read_lock(lock);
		more = tour_go(tour, BATCH);
		read_unlock(lock);
		cond_resched();
		if (more && signal_pending(tour->verify->asker))
			return -EINTR;
	} while (more);
	return 0;
}

#define violated(verify, slot, leaf, fmt, ...)					\
	verify_violated(verify, "slot %u gfn 0x%llx level %u: " fmt, (slot)->id,	\
			(leaf)->gfn, (leaf)->level, ##__VA_ARGS__)

/* A leaf is never larger than the host's mapping: one entry of the host says all. */
static void check_host(struct verify *verify, const struct memslot *slot,
		       const struct verify_leaf *leaf)
{
	unsigned long hva = memslot_gfn_to_hva(slot, leaf->gfn);
	u64 pfn = xvm_pte_pfn(leaf->pte);
	struct xvm_host_entry host;

	/* Without an address space the host is dropping all: there is nothing to compare with. */
	if (!current->mm || xvm_mmu_invalidating(&verify->xvm->mmu, hva, leaf->pages))
		return;

	xvm_hostmap_entry(hva, &host);
	if (!host.level)
		violated(verify, slot, leaf, "maps pfn 0x%llx, but the host no page", pfn);
	else if (host.pfn != pfn)
		violated(verify, slot, leaf, "maps pfn 0x%llx, expected the host's 0x%llx", pfn,
			 host.pfn);
	else if (host.level < leaf->level)
		violated(verify, slot, leaf, "the host's mapping is of level %u", host.level);
	else if (leaf->pte & XVM_PTE_WRITE && !host.writable)
		violated(verify, slot, leaf, "writable, but read-only in the host");
}

/*
 * What can be written without that showing in the leaf is known to be dirty.  Bits
 * are taken with memslots.lock held, which is ours: no cleaning is under way.
 */
static void check_logged(struct verify *verify, const struct memslot *slot,
			 const struct verify_leaf *leaf)
{
	u64 first = leaf->gfn - slot->base_gfn;

	if (leaf->level == 1 && xvm_dirty_by_cpu(&verify->xvm->mmu))
		return;
	/* With rings it is in one of those, or in user space's hands. */
	if (verify->xvm->mmu.dirty_ring_size || !slot->dirty_bitmap ||
	    !(leaf->pte & XVM_PTE_WRITE))
		return;
	/* A fault sets the bit first; pairs with the compare-and-exchange that maps. */
	smp_rmb();
	if (find_next_zero_bit(slot->dirty_bitmap, first + leaf->pages, first) <
	    first + leaf->pages)
		violated(verify, slot, leaf, "leaf 0x%llx is writable, but not logged as dirty",
			 leaf->pte);
}

void verify_leaf(struct verify *verify, struct memslot **last, const struct verify_leaf *leaf)
{
	struct memslot *slot = *last;

	if (!slot || !memslot_holds(slot, leaf->gfn)) {
		slot = memslot_by_gfn(memslots_active(&verify->xvm->memslots, 0), leaf->gfn);
		*last = slot;
	}
	if (!slot) {
		verify_violated(verify, "gfn 0x%llx level %u: leaf 0x%llx, but no slot", leaf->gfn,
				leaf->level, leaf->pte);
		return;
	}
	if (leaf->gfn + leaf->pages > memslot_end_gfn(slot)) {
		violated(verify, slot, leaf, "leaf 0x%llx ends at gfn 0x%llx, the slot at 0x%llx",
			 leaf->pte, leaf->gfn + leaf->pages, memslot_end_gfn(slot));
		return;
	}
	if (xvm_pte_pfn(leaf->pte) & (leaf->pages - 1)) {
		violated(verify, slot, leaf, "leaf 0x%llx has an unaligned pfn", leaf->pte);
		return;
	}
	if (leaf->pte & XVM_PTE_WRITE && slot->flags & KVM_MEM_READONLY) {
		violated(verify, slot, leaf, "leaf 0x%llx is writable, but the slot read-only",
			 leaf->pte);
		return;
	}
	check_logged(verify, slot, leaf);
	check_host(verify, slot, leaf);
}

static void check_leaf(struct tour *tour, const struct verify_leaf *leaf)
{
	verify_leaf(tour->verify, &tour->slot, leaf);
}

/* The counters and, for whether they are comparable, what moves with every zap. */
struct snapshot {
	u64 leaves[4];
	u64 tables;
	u64 tlb_gen;
};

/*
 * mmu.lock held for writing: all faults have counted what they mapped.  False:
 * tables on their way back are still counted; zap_flush() alone adds to them.
 */
static bool take_snapshot(struct xvm *xvm, struct snapshot *snap)
{
	struct xvm_zap_queue *queue = &xvm->mmu.zapped;
	bool idle;

	spin_lock(&queue->lock);
	idle = list_empty(&queue->detached) && list_empty(&queue->freeable);
	spin_unlock(&queue->lock);
	/* No memslot update frees any by itself: memslots.lock is ours. */
	if (!idle || work_busy(&queue->work.work))
		return false;

	*snap = (struct snapshot) {
		.leaves[1] = atomic64_read(&xvm->stat.pages_4k),
		.leaves[2] = atomic64_read(&xvm->stat.pages_2m),
		.leaves[3] = atomic64_read(&xvm->stat.pages_1g),
		.tables = atomic64_read(&xvm->stat.table_pages),
		.tlb_gen = atomic64_read(&xvm->mmu.tlb_gen),
	};
	return true;
}

static void compare(struct verify *verify, const struct xvm_pgtable_count *found,
		    const struct snapshot *snap)
{
	unsigned int level;

	verify->result.table_pages = found->tables;
	if (found->tables != snap->tables)
		verify_violated(verify, "%llu table pages, counted as %llu", found->tables,
				snap->tables);
	for (level = 1; level < ARRAY_SIZE(snap->leaves); level++) {
		verify->result.leaves += found->leaves[level];
		if (found->leaves[level] != snap->leaves[level])
			verify_violated(verify, "%llu leaves of level %u, counted as %llu",
					found->leaves[level], level, snap->leaves[level]);
	}
}

/* One attempt: 0, or -EAGAIN if it says nothing since something moved. */
static int count_once(struct verify *verify)
{
	struct xvm *xvm = verify->xvm;
	struct snapshot before, after;
	struct tour tour;
	bool quiet;
	int err;

	tour_init(&tour, verify);
	flush_delayed_work(&xvm->mmu.zapped.work);

	write_lock(&xvm->mmu.lock);
	quiet = take_snapshot(xvm, &before);
	if (quiet && before.tables <= MAX_EXCLUSIVE) {
		tour_go(&tour, UINT_MAX);
		write_unlock(&xvm->mmu.lock);
		compare(verify, &tour.count, &before);
		return 0;
	}
	write_unlock(&xvm->mmu.lock);
	if (!quiet)
		return -EAGAIN;

	/* Too many to keep everybody out: see whether anything moved meanwhile. */
	err = tour_take(&tour);
	if (err)
		return err;
	write_lock(&xvm->mmu.lock);
	quiet = take_snapshot(xvm, &after);
	write_unlock(&xvm->mmu.lock);
	if (!quiet || memcmp(&before, &after, sizeof(before)))
		return -EAGAIN;
	compare(verify, &tour.count, &before);
	return 0;
}

int verify_mmu(struct verify *verify)
{
	unsigned int attempt;
	struct tour tour;
	int err;

	if (verify->xvm->mmu.shadow)
		return verify_shadow(verify);
	/* Broken slots are no measure for leaves, nor safe to look anything up in. */
	if (!verify->result.violations) {
		tour_init(&tour, verify);
		tour.check = check_leaf;
		err = tour_take(&tour);
		if (err)
			return err;
	}

	for (attempt = 0; attempt < COUNT_ATTEMPTS; attempt++) {
		err = count_once(verify);
		if (err != -EAGAIN)
			break;
		cond_resched();
	}
	return err;
}
