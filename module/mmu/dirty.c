// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging by write protection: which pages of a slot were written since
 * user space last asked.
 *
 * A logged slot's leaves are made without write permission unless a write
 * faulted, and that sets the page's bit.  The calls that take bits protect
 * those pages again: dirty_log.c.
 *
 * New leaves of a logged slot are small.  Large ones from before are split as
 * soon as they are protected; what there was no memory for, by the first write.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../xvm.h"

/* Pages that are protected with the lock held once. */
#define PROTECT_CHUNK	8192UL

static size_t bitmap_bytes(const struct memslot *slot)
{
	return ALIGN(slot->npages, BITS_PER_LONG) / BITS_PER_BYTE;
}

static bool initially_set(struct xvm *xvm)
{
	return READ_ONCE(xvm->mmu.dirty_manual) & KVM_DIRTY_LOG_INITIALLY_SET;
}

int xvm_dirty_prepare(struct xvm *xvm, const struct memslot *old, struct memslot *new)
{
	if (!new || !(new->flags & KVM_MEM_LOG_DIRTY_PAGES) || (old && old->dirty_bitmap) ||
	    READ_ONCE(xvm->mmu.dirty_ring_size))
		return 0;
	new->dirty_bitmap = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT);
	if (!new->dirty_bitmap)
		return -ENOMEM;
	if (initially_set(xvm))
		bitmap_set(new->dirty_bitmap, 0, new->npages);
	return 0;
}

void xvm_dirty_free(struct memslot *slot)
{
	kvfree(slot->dirty_bitmap);
	slot->dirty_bitmap = NULL;
}

bool xvm_dirty_protect(struct xvm *xvm, u64 gfn, u64 nr, const unsigned long *only)
{
	u64 first, stop;
	bool any = false;

	for (first = 0; first < nr; first = stop) {
		stop = min(nr, first + PROTECT_CHUNK);
		if (only && find_next_bit(only, stop, first) >= stop)
			continue;
		read_lock(&xvm->mmu.lock);
		any |= xvm_mmu_wrprotect(xvm, gfn + first, gfn + stop,
					 only ? only + first / BITS_PER_LONG : NULL);
		read_unlock(&xvm->mmu.lock);
		cond_resched();
	}
	return any;
}

void xvm_dirty_enabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn = slot->base_gfn, end = memslot_end_gfn(slot);

	/* All is said to be dirty: pages are split and protected when that is cleared. */
	if (initially_set(xvm))
		return;
	/* The freeze is over: every fault since then has seen that the slot is logged. */
	if (xvm_dirty_protect(xvm, gfn, slot->npages, NULL))
		xvm_tlb_flush_memslot(xvm, slot);
	/* Last: the parts of a large leaf that is protected are so by themselves. */
	xvm_mmu_split(xvm, gfn, end);
}

void xvm_dirty_disabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn, stop, end = memslot_end_gfn(slot);

	xvm_mmu_collapse(xvm, slot);
	/* What stays small was protected for the log alone: no write need fault on it. */
	for (gfn = slot->base_gfn; gfn < end; gfn = stop) {
		stop = min_t(u64, end, gfn + PROTECT_CHUNK);
		read_lock(&xvm->mmu.lock);
		xvm_pgtable_allow_write(&xvm->mmu.pgt, gfn, stop);
		read_unlock(&xvm->mmu.lock);
		cond_resched();
	}
}

void xvm_dirty_mark(struct xvm_vcpu *vcpu, u64 gfn)
{
	struct memslot *slot = xvm_vcpu_slot(vcpu, gfn);
	unsigned long *bitmap;

	if (!slot)
		return;
	if (vcpu->dirty_ring.gfns) {
		if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			xvm_dirty_ring_push(vcpu, slot, gfn);
		return;
	}
	bitmap = READ_ONCE(slot->dirty_bitmap);
	/* Not only if it is clear: the write before must not be seen after a test of the bit. */
	if (bitmap)
		set_bit(gfn - slot->base_gfn, bitmap);
}
