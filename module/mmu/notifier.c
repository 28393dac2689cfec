// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping the guest's tables in step with the host's: the MMU notifier, and
 * what faults need to know of invalidations.
 *
 * The protocol.  An invalidation announces its range under mmu.lock, zaps,
 * flushes; the host (or the memslot update) then changes the mapping; at the
 * end the sequence moves on and the range is withdrawn.  A fault sampled the
 * sequence before it looked anything up.  Under mmu.lock it finds one of three:
 * its page still in what is announced, its page in one of the ranges that have
 * ended since, or neither: then its page was looked up after every invalidation
 * of it so far, and any later one will zap it.
 */
#include <linux/mmu_notifier.h>

#include "../compat/compat.h"
#include "../xvm.h"

/* Of pages from hva on. */
static bool overlap(unsigned long hva, u64 pages, const struct xvm_hva_range *range)
{
	return hva <= range->last && hva + (pages << PAGE_SHIFT) - 1 >= range->start;
}

bool xvm_mmu_invalidating(const struct xvm_mmu *mmu, unsigned long hva, u64 pages)
{
	return mmu->notifiers_active && overlap(hva, pages, &mmu->announced);
}

/* Of a large leaf any part may be going, not only the page that faulted. */
bool xvm_mmu_retry(struct xvm *xvm, unsigned long seq, u64 gfn, unsigned long hva, u64 pages)
{
	struct xvm_mmu *mmu = &xvm->mmu;

	lockdep_assert_held(&mmu->lock);
	if (xvm_mmu_invalidating(mmu, hva, pages))
		return true;
	if (mmu->frozen && gfn < mmu->frozen_end && gfn + pages > mmu->frozen_start)
		return true;
	/* What is not remembered any more may have been anything. */
	if (mmu->invalidate_seq - seq > XVM_ENDED_RANGES)
		return true;
	for (; seq != mmu->invalidate_seq; seq++)
		if (overlap(hva, pages, &mmu->ended[seq % XVM_ENDED_RANGES]))
			return true;
	return false;
}

bool xvm_mmu_outdated(struct xvm *xvm, unsigned long seq, u64 gfn, unsigned long hva)
{
	bool ret;

	read_lock(&xvm->mmu.lock);
	ret = xvm_mmu_retry(xvm, seq, gfn, hva, 1);
	read_unlock(&xvm->mmu.lock);
	return ret;
}

void xvm_mmu_invalidated(struct xvm *xvm, unsigned long start, unsigned long last)
{
	struct xvm_mmu *mmu = &xvm->mmu;

	lockdep_assert_held_write(&mmu->lock);
	mmu->ended[mmu->invalidate_seq % XVM_ENDED_RANGES] =
		(struct xvm_hva_range) { .start = start, .last = last };
	/* Pairs with the read barrier in fault.c: who reads the new sequence sees the new page. */
	smp_wmb();
	WRITE_ONCE(mmu->invalidate_seq, mmu->invalidate_seq + 1);
}

/* What the slot maps of [start, last]: gfns from the first to before the second. */
static u64 first_gfn(const struct memslot *slot, unsigned long start)
{
	return memslot_hva_to_gfn(slot, max(start, slot->hva));
}

static u64 end_gfn(const struct memslot *slot, unsigned long last)
{
	return memslot_hva_to_gfn(slot, min(last, memslot_last_hva(slot))) + 1;
}

/*
 * Unmap what logged slots map of it, and keep what their leaves say.  Once the
 * lock was let go the slots may be others, and the log be theirs; but what is
 * announced has got no new leaves: it goes on from the address where it was.
 */
static void keep_logs(struct xvm *xvm, unsigned long start, unsigned long last)
{
	for (;;) {
		struct memslot_set *set = memslots_active(&xvm->memslots, 0);
		struct memslot *slot = memslot_first_hva(set, start, last);
		unsigned long stop;

		while (slot && !xvm_dirty_in_leaves(xvm, slot))
			slot = memslot_next_hva(set, slot, start, last);
		if (!slot)
			return;
		start = max(start, slot->hva);
		stop = start + min(last - start, (XVM_DIRTY_KEEP_PAGES << PAGE_SHIFT) - 1);
		for (; slot; slot = memslot_next_hva(set, slot, start, stop))
			if (xvm_dirty_in_leaves(xvm, slot))
				xvm_dirty_keep(xvm, slot, first_gfn(slot, start),
					       end_gfn(slot, stop));
		if (stop == last)
			return;
		xvm_dirty_keep_yield(xvm);
		start = stop + 1;
	}
}

/* Zap what the slots map of [start, last]; who has announced it may let the lock go meanwhile. */
static void zap_hva_range(struct xvm *xvm, unsigned long start, unsigned long last, bool may_yield)
{
	struct memslot_set *set;
	struct memslot *slot;

	keep_logs(xvm, start, last);
	/* One set to the end: it stays as it is, and what moved from it meanwhile is zapped. */
	set = memslots_active(&xvm->memslots, 0);
	memslot_for_each_hva(slot, set, start, last)
		xvm_mmu_zap_range(xvm, first_gfn(slot, start), end_gfn(slot, last), may_yield);
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct xvm *xvm = container_of(mn, struct xvm, mmu.notifier);
	struct xvm_mmu *mmu = &xvm->mmu;
	unsigned long last = range->end - 1;
	int idx = memslots_read_lock_shared(&xvm->memslots);

	write_lock(&mmu->lock);
	if (!mmu->notifiers_active++) {
		mmu->announced = (struct xvm_hva_range) { .start = range->start, .last = last };
	} else {
		/* A union may be too large: faults between then retry without need, no worse. */
		mmu->announced.start = min(mmu->announced.start, range->start);
		mmu->announced.last = max(mmu->announced.last, last);
	}
	zap_hva_range(xvm, range->start, last, mmu_notifier_range_blockable(range));
	/* Also for what a slot update has removed of this range, and not flushed yet. */
	xvm_mmu_zap_flush(xvm);
	write_unlock(&mmu->lock);

	memslots_read_unlock_shared(&xvm->memslots, idx);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct xvm *xvm = container_of(mn, struct xvm, mmu.notifier);

	write_lock(&xvm->mmu.lock);
	xvm_mmu_invalidated(xvm, range->start, range->end - 1);
	WARN_ON_ONCE(!xvm->mmu.notifiers_active);
	xvm->mmu.notifiers_active--;
	write_unlock(&xvm->mmu.lock);
}

/* The address space is going away with its owner: drop everything, nobody faults any more. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct xvm *xvm = container_of(mn, struct xvm, mmu.notifier);

	write_lock(&xvm->mmu.lock);
	xvm_mmu_zap_range(xvm, 0, XVM_GFN_END, true);
	xvm_mmu_zap_flush(xvm);
	write_unlock(&xvm->mmu.lock);
}

static XVM_YOUNG_RESULT clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					  unsigned long start, unsigned long end)
{
	return xvm_mmu_clear_flush_young(container_of(mn, struct xvm, mmu.notifier), start, end);
}

static XVM_YOUNG_RESULT clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				    unsigned long start, unsigned long end)
{
	return xvm_mmu_clear_young(container_of(mn, struct xvm, mmu.notifier), start, end);
}

static XVM_YOUNG_RESULT test_young(struct mmu_notifier *mn, struct mm_struct *mm,
				   unsigned long address)
{
	return xvm_mmu_test_young(container_of(mn, struct xvm, mmu.notifier), address, address + 1);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = release,
};

int xvm_mmu_notifier_register(struct xvm *xvm)
{
	xvm->mmu.notifier.ops = &notifier_ops;
	return mmu_notifier_register(&xvm->mmu.notifier, xvm->mm);
}

void xvm_mmu_notifier_unregister(struct xvm *xvm)
{
	mmu_notifier_unregister(&xvm->mmu.notifier, xvm->mm);
}
