// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging: which pages of a slot were written since user space last asked.
 *
 * In nested tables the CPU notes it itself, in the D bit of small leaves, and no
 * write costs an exit.  Who asks collects these bits, and takes them: the page is
 * clean then.  A page that is zapped leaves its D in the slot's bitmap.
 *
 * Shadow tables' D bits are the guest's affair, and a dirty ring has to be told
 * at once: there leaves are made without write permission unless a write
 * faulted, and that sets the page's bit or pushes it.  A page is clean when its
 * leaf is protected again.
 *
 * New leaves of a logged slot are small.  Large ones from before are split when
 * the log begins; what there was no memory for is protected, and split by the
 * first write.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../xvm.h"

/* Pages that are cleaned with the lock held once. */
#define CLEAN_CHUNK	8192UL

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
	new->dirty_bitmap = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
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

/* What is done to a range of pages, to their bits in a slot's bitmap and to their leaves. */
struct pass {
	struct xvm_pgtable_take take;
	unsigned long *bitmap;	/* from take.base on; NULL: of the leaves alone */
	bool mapped;		/* leaves there are the range's own */
};

/* Clear the bits that only names, or else move all of them to dirty. */
static void take_bits(const struct pass *pass, u64 first, u64 stop)
{
	atomic_long_t *bitmap = (atomic_long_t *)pass->bitmap;
	const struct xvm_pgtable_take *take = &pass->take;
	u64 i;

	for (i = first / BITS_PER_LONG; i < BITS_TO_LONGS(stop); i++) {
		if (take->only)
			atomic_long_andnot(take->only[i], &bitmap[i]);
		else
			take->dirty[i] = atomic_long_read(&bitmap[i]) ?
						 atomic_long_xchg(&bitmap[i], 0) : 0;
	}
}

static bool take_leaves(struct xvm *xvm, const struct pass *pass, u64 first)
{
	const struct xvm_pgtable_take *take = &pass->take;
	/* Those that faults have logged. */
	const unsigned long *only = take->only ?: take->dirty;

	if (!pass->mapped)
		return false;
	if (!xvm->mmu.shadow)
		return xvm_pgtable_take(xvm_pgt(xvm), take);
	return xvm_shadow_wrprotect(xvm, take->start, take->end,
				    only ? only + first / BITS_PER_LONG : NULL);
}

/*
 * Over nr pages from take.base on.  A page's bit and its leaf are taken with the
 * lock held once: a zap, which hands D on to the bitmap and flushes, comes before
 * both or after, and so does a shadow fault, which sets the bit and maps with the
 * lock held for writing.
 */
static bool go_over(struct xvm *xvm, struct pass *pass, u64 nr)
{
	struct xvm_pgtable_take *take = &pass->take;
	u64 first, stop;
	bool any = false;

	for (first = 0; first < nr; first = stop) {
		stop = min(nr, first + CLEAN_CHUNK);
		if (take->only && find_next_bit(take->only, stop, first) >= stop)
			continue;
		take->start = take->base + first;
		take->end = take->base + stop;
		read_lock(&xvm->mmu.lock);
		if (pass->bitmap)
			take_bits(pass, first, stop);
		any |= take_leaves(xvm, pass, first);
		read_unlock(&xvm->mmu.lock);
		cond_resched();
	}
	return any;
}

static u64 logged_by(const struct xvm *xvm)
{
	return xvm_dirty_by_cpu(&xvm->mmu) ? XVM_PTE_DIRTY : XVM_PTE_WRITE;
}

bool xvm_dirty_clean(struct xvm *xvm, u64 gfn, u64 nr, const unsigned long *only)
{
	struct pass pass = {
		.take = { .bits = logged_by(xvm), .base = gfn, .only = only },
		.mapped = true,
	};

	return go_over(xvm, &pass, nr);
}

bool xvm_dirty_take(struct xvm *xvm, const struct memslot *slot, unsigned long *taken)
{
	struct pass pass = {
		.take = { .bits = logged_by(xvm), .base = slot->base_gfn, .dirty = taken },
		.bitmap = slot->dirty_bitmap,
		.mapped = !slot->as_id,
	};

	return go_over(xvm, &pass, slot->npages);
}

bool xvm_dirty_clear(struct xvm *xvm, const struct memslot *slot, u64 first, u64 nr,
		     const unsigned long *mask)
{
	struct pass pass = {
		.take = { .bits = logged_by(xvm), .base = slot->base_gfn + first, .only = mask },
		.bitmap = slot->dirty_bitmap + first / BITS_PER_LONG,
		.mapped = !slot->as_id,
	};

	return go_over(xvm, &pass, nr);
}

void xvm_dirty_collect(struct xvm *xvm, const struct memslot *slot)
{
	struct pass pass = {
		.take = { .base = slot->base_gfn, .dirty = slot->dirty_bitmap },
		.mapped = !slot->as_id,
	};

	if (xvm_dirty_by_cpu(&xvm->mmu))
		go_over(xvm, &pass, slot->npages);
}

bool xvm_dirty_in_leaves(const struct xvm *xvm, const struct memslot *slot)
{
	return slot->dirty_bitmap && xvm_dirty_by_cpu(&xvm->mmu);
}

void xvm_dirty_keep(struct xvm *xvm, const struct memslot *slot, u64 start, u64 end)
{
	u64 nr;

	lockdep_assert_held_write(&xvm->mmu.lock);
	nr = xvm_pgtable_unmap_small(xvm_pgt(xvm), start, end, slot->base_gfn, slot->dirty_bitmap);
	xvm_mmu_count_leaves(xvm, 1, -(s64)nr);
	if (nr)
		xvm_tlb_defer(xvm, start, end);
}

void xvm_dirty_keep_yield(struct xvm *xvm)
{
	/* Who takes these bits meanwhile must not find TLBs that go on writing. */
	xvm_mmu_zap_flush(xvm);
	write_unlock(&xvm->mmu.lock);
	write_lock(&xvm->mmu.lock);
}

void xvm_dirty_enabled(struct xvm *xvm, const struct memslot *slot)
{
	/* All is said to be dirty: leaves are split and cleaned when that is cleared. */
	if (initially_set(xvm))
		return;
	/* The freeze is over: every fault since then has seen that the slot is logged. */
	xvm_mmu_split(xvm, slot->base_gfn, memslot_end_gfn(slot));
	if (xvm_dirty_clean(xvm, slot->base_gfn, slot->npages, NULL))
		xvm_tlb_flush_memslot(xvm, slot);
	/* A page that went since then has left what was written before the log began. */
	if (slot->dirty_bitmap && xvm_dirty_by_cpu(&xvm->mmu))
		bitmap_zero(slot->dirty_bitmap, slot->npages);
}

void xvm_dirty_disabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn, stop, end = memslot_end_gfn(slot);

	xvm_mmu_collapse(xvm, slot);
	if (xvm_dirty_by_cpu(&xvm->mmu))
		return;
	/* What stays small was protected for the log alone: no write need fault on it. */
	for (gfn = slot->base_gfn; gfn < end; gfn = stop) {
		stop = min_t(u64, end, gfn + CLEAN_CHUNK);
		read_lock(&xvm->mmu.lock);
		xvm_pgtable_allow_write(xvm_pgt(xvm), gfn, stop);
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
