// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging by write protection: which pages of a slot were written since
 * user space last asked.
 *
 * A logged slot's leaves are made without write permission unless a write
 * faulted, and that sets the page's bit.  The calls that take bits protect
 * those pages again: dirty_log.c.
 *
 * New leaves of a logged slot are small.  Large ones from before stay, for
 * reading; the first write splits them.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../xvm.h"

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
	if (!new || !(new->flags & KVM_MEM_LOG_DIRTY_PAGES) || (old && old->dirty_bitmap))
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

void xvm_dirty_enabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn, stop, end = memslot_end_gfn(slot);
	bool any = false;

	/* All is said to be dirty: each page is protected when that is cleared. */
	if (initially_set(xvm))
		return;
	/* New leaves are logged already; the lock is for others to have in between. */
	for (gfn = slot->base_gfn; gfn < end; gfn = stop) {
		stop = min_t(u64, end, gfn + XVM_DIRTY_CHUNK);
		write_lock(&xvm->mmu.lock);
		any |= xvm_pgtable_wrprotect(&xvm->mmu.pgt, gfn, stop, NULL);
		write_unlock(&xvm->mmu.lock);
		cond_resched();
	}
	if (any)
		xvm_tlb_flush_memslot(xvm, slot);
}

/*
 * Where the host's page is larger than the leaves, drop them: the next fault
 * brings a large one.  Returns how many pages from gfn on are done with.
 */
static u64 drop_small_leaves(struct xvm *xvm, const struct memslot *slot, u64 gfn)
{
	unsigned int level, present = 0;
	struct xvm_host_entry host;
	u64 first, pages;

	xvm_hostmap_entry(memslot_gfn_to_hva(slot, gfn), &host);
	level = min(host.level, xvm_slot_max_level(slot, gfn));
	pages = xvm_level_pages(max(level, 2U));
	first = gfn & ~(pages - 1);
	if (level > 1) {
		xvm_pgtable_lookup(&xvm->mmu.pgt, first, &present);
		if (present < level)
			xvm_mmu_zap_range(xvm, first, first + pages);
	}
	return first + pages - gfn;
}

void xvm_dirty_disabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn = slot->base_gfn, end = memslot_end_gfn(slot);

	while (gfn < end) {
		u64 stop = min_t(u64, end, gfn + XVM_DIRTY_CHUNK);

		write_lock(&xvm->mmu.lock);
		while (gfn < stop)
			gfn += drop_small_leaves(xvm, slot, gfn);
		xvm_mmu_zap_flush(xvm);
		write_unlock(&xvm->mmu.lock);
		xvm_mmu_zap_throttle(xvm);
		cond_resched();
	}
}

void xvm_dirty_mark(const struct memslot *slot, u64 gfn)
{
	unsigned long *bitmap = READ_ONCE(slot->dirty_bitmap);

	/* Not only if it is clear: the write before must not be seen after a test of the bit. */
	if (bitmap)
		set_bit(gfn - slot->base_gfn, bitmap);
}
