// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a memslot update asks of the MMU.  Freezing a gfn range is the same
 * thing as a host notifier's invalidation, seen from the guest's side.
 *
 * Only address space 0 is ever mapped: vCPUs reach the other one in SMM alone,
 * which they don't have.
 */
#include <linux/uaccess.h>

#include "../observe/trace.h"
#include "../xvm.h"

static struct xvm *to_xvm(struct memslots *ms)
{
	return container_of(ms, struct xvm, memslots);
}

static bool slots_check_hva(struct memslots *ms, u64 hva, u64 size)
{
	unsigned long plain = untagged_addr((unsigned long)hva);

	return hva == plain && access_ok((void __user *)plain, size);
}

static int slots_prepare(struct memslots *ms, const struct memslot *old, struct memslot *new,
			 enum memslot_change_kind kind)
{
	return xvm_dirty_prepare(to_xvm(ms), old, new);
}

static void slots_free(struct memslots *ms, struct memslot *slot)
{
	xvm_dirty_free(slot);
}

static void slots_freeze(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn)
{
	struct xvm_mmu *mmu = &to_xvm(ms)->mmu;

	if (as_id)
		return;
	write_lock(&mmu->lock);
	mmu->frozen = true;
	mmu->frozen_start = start_gfn;
	mmu->frozen_end = end_gfn;
	write_unlock(&mmu->lock);
}

/* The log goes along: all who ask for it are kept out until after the flush. */
static void keep_log(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn, stop, end = memslot_end_gfn(slot);

	for (gfn = slot->base_gfn; gfn < end; gfn = stop) {
		stop = min(end, gfn + XVM_DIRTY_KEEP_PAGES);
		xvm_dirty_keep(xvm, slot, gfn, stop);
		if (stop < end)
			xvm_dirty_keep_yield(xvm);
	}
}

static void slots_zap(struct memslots *ms, const struct memslot *slot, const struct memslot *new)
{
	struct xvm *xvm = to_xvm(ms);

	if (slot->as_id)
		return;
	write_lock(&xvm->mmu.lock);
	if (new && new->flags & KVM_MEM_LOG_DIRTY_PAGES && xvm_dirty_in_leaves(xvm, slot))
		keep_log(xvm, slot);
	xvm_mmu_zap_range(xvm, slot->base_gfn, memslot_end_gfn(slot), true);
	write_unlock(&xvm->mmu.lock);
}

static void slots_flush(struct memslots *ms)
{
	struct xvm *xvm = to_xvm(ms);

	write_lock(&xvm->mmu.lock);
	xvm_mmu_zap_flush(xvm);
	write_unlock(&xvm->mmu.lock);
}

static void slots_thaw(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn)
{
	struct xvm_mmu *mmu = &to_xvm(ms)->mmu;

	if (as_id)
		return;
	write_lock(&mmu->lock);
	/* Which memory a fault then found, in slots that are not those any more, is not known. */
	xvm_mmu_invalidated(to_xvm(ms), 0, ULONG_MAX);
	mmu->frozen = false;
	write_unlock(&mmu->lock);
	xvm_mmu_zap_throttle(to_xvm(ms));
}

static void slots_commit(struct memslots *ms, const struct memslot *old, const struct memslot *new,
			 enum memslot_change_kind kind)
{
	trace_xvm_memslot(kind, new ?: old);
	if (kind != MEMSLOT_FLAGS || new->as_id)
		return;
	if (new->flags & ~old->flags & KVM_MEM_LOG_DIRTY_PAGES)
		xvm_dirty_enabled(to_xvm(ms), new);
	if (old->flags & ~new->flags & KVM_MEM_LOG_DIRTY_PAGES)
		xvm_dirty_disabled(to_xvm(ms), new);
}

const struct memslot_ops xvm_memslot_ops = {
	.check_hva = slots_check_hva,
	.prepare = slots_prepare,
	.free = slots_free,
	.freeze = slots_freeze,
	.zap = slots_zap,
	.flush = slots_flush,
	.thaw = slots_thaw,
	.commit = slots_commit,
};
