// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging by write protection: which pages of a slot were written since
 * user space last asked.
 *
 * A logged slot's leaves are made without write permission unless a write
 * faulted, and that sets the page's bit.  Asking takes the bits, then protects
 * those pages again and flushes; only then user space copies them.  A write
 * that came after its bit was taken and before the protection is in the copy;
 * any later one faults and sets the bit anew: none is lost.
 *
 * New leaves of a logged slot are small.  Large ones from before stay, for
 * reading; the first write splits them.
 */
#include <linux/bitmap.h>
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../xvm.h"

/* Bits that are taken, protected and copied in one go, with the lock held once. */
#define CHUNK_BITS	(PAGE_SIZE * BITS_PER_BYTE)

static size_t bitmap_bytes(const struct memslot *slot)
{
	return ALIGN(slot->npages, BITS_PER_LONG) / BITS_PER_BYTE;
}

int xvm_dirty_prepare(const struct memslot *old, struct memslot *new)
{
	if (!new || !(new->flags & KVM_MEM_LOG_DIRTY_PAGES) || (old && old->dirty_bitmap))
		return 0;
	new->dirty_bitmap = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT);
	return new->dirty_bitmap ? 0 : -ENOMEM;
}

void xvm_dirty_free(struct memslot *slot)
{
	kvfree(slot->dirty_bitmap);
	slot->dirty_bitmap = NULL;
}

void xvm_dirty_enabled(struct xvm *xvm, const struct memslot *slot)
{
	u64 gfn, end = memslot_end_gfn(slot);
	bool any = false;

	/* New leaves are logged already; the lock is for others to have in between. */
	for (gfn = slot->base_gfn; gfn < end; gfn += CHUNK_BITS) {
		write_lock(&xvm->mmu.lock);
		any |= xvm_pgtable_wrprotect(&xvm->mmu.pgt, gfn, min_t(u64, end, gfn + CHUNK_BITS),
					     NULL);
		write_unlock(&xvm->mmu.lock);
		cond_resched();
	}
	if (any)
		xvm_tlb_flush_range(xvm, slot->base_gfn, end);
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
		u64 stop = min_t(u64, end, gfn + CHUNK_BITS);

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

/* Take the bits of [first, first + nr) into buf and protect what they name. */
static void take_chunk(struct xvm *xvm, struct memslot *slot, u64 first, unsigned long nr,
		       unsigned long *buf)
{
	unsigned long *bitmap = slot->dirty_bitmap + first / BITS_PER_LONG;
	u64 gfn = slot->base_gfn + first;
	unsigned long i, any = 0;

	for (i = 0; i < BITS_TO_LONGS(nr); i++) {
		buf[i] = READ_ONCE(bitmap[i]) ? xchg(&bitmap[i], 0) : 0;
		any |= buf[i];
	}
	if (!any)
		return;

	write_lock(&xvm->mmu.lock);
	if (xvm_pgtable_wrprotect(&xvm->mmu.pgt, gfn, gfn + nr, buf))
		xvm_tlb_flush_range(xvm, gfn, gfn + nr);
	write_unlock(&xvm->mmu.lock);
}

/* What user space could not be told is still dirty. */
static void give_back(struct memslot *slot, u64 first, unsigned long nr, const unsigned long *buf)
{
	unsigned long bit;

	for_each_set_bit(bit, buf, nr)
		set_bit(first + bit, slot->dirty_bitmap);
}

static int copy_log(struct xvm *xvm, struct memslot *slot, void __user *out)
{
	unsigned long *buf = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
	int err = 0;
	u64 first;

	if (!buf)
		return -ENOMEM;
	for (first = 0; first < slot->npages && !err; first += CHUNK_BITS) {
		unsigned long nr = min_t(u64, slot->npages - first, CHUNK_BITS);

		take_chunk(xvm, slot, first, nr, buf);
		if (copy_to_user(out + first / BITS_PER_BYTE, buf,
				 BITS_TO_LONGS(nr) * sizeof(long))) {
			give_back(slot, first, nr, buf);
			err = -EFAULT;
		}
		cond_resched();
	}
	free_page((unsigned long)buf);
	return err;
}

long xvm_get_dirty_log(struct xvm *xvm, const struct kvm_dirty_log __user *arg)
{
	struct memslot *slot;
	struct kvm_dirty_log log;
	unsigned int as_id;
	long ret;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	if (in_compat_syscall())
		log.dirty_bitmap = compat_ptr((uintptr_t)log.dirty_bitmap);
	as_id = log.slot >> 16;
	if (as_id >= MEMSLOT_MAX_SPACES)
		return -EINVAL;

	mutex_lock(&xvm->memslots.lock);
	slot = memslot_by_id(memslots_active(&xvm->memslots, as_id), log.slot & 0xffff);
	ret = slot && slot->dirty_bitmap ? copy_log(xvm, slot, log.dirty_bitmap) : -ENOENT;
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}
