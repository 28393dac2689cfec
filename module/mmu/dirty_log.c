// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls that read and clear a slot's dirty log.
 *
 * Both take the bits of pages and of their leaves, then flush; only then user
 * space copies the pages.  A write that came after its bit was taken and before
 * the flush is in the copy; any later one sets a bit anew: none is lost.  With
 * manual protection, reading takes nothing, and clearing is user space's to ask
 * for.
 */
#include <linux/bitmap.h>
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../xvm.h"

int xvm_dirty_set_manual(struct xvm *xvm, const struct kvm_enable_cap *cap)
{
	u64 options = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* Only whoever clears by himself can do with a log that begins full. */
	if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		options |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (cap->flags || (cap->args[0] & ~options))
		return -EINVAL;
	/* What an update begins with, it goes through with. */
	mutex_lock(&xvm->memslots.lock);
	WRITE_ONCE(xvm->mmu.dirty_manual, cap->args[0]);
	mutex_unlock(&xvm->memslots.lock);
	return 0;
}

/* A slot may have as many words as take a second to go over. */
static void breathe(unsigned long word)
{
	if (!(word % 4096))
		cond_resched();
}

/* What user space could not be told is still dirty. */
static void give_back(struct memslot *slot, const unsigned long *buf)
{
	atomic_long_t *bitmap = (atomic_long_t *)slot->dirty_bitmap;
	unsigned long i;

	for (i = 0; i < BITS_TO_LONGS(slot->npages); i++) {
		if (buf[i])
			atomic_long_or(buf[i], &bitmap[i]);
		breathe(i);
	}
}

static int copy_log(struct xvm *xvm, struct memslot *slot, void __user *out)
{
	size_t bytes = BITS_TO_LONGS(slot->npages) * sizeof(long);
	unsigned long *buf = kvmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	int err = 0;

	/* All of it first: user space learns of every page that was taken, or none was. */
	if (!buf)
		return -ENOMEM;
	if (xvm_dirty_take(xvm, slot, buf))
		xvm_tlb_flush_memslot(xvm, slot);
	if (copy_to_user(out, buf, bytes)) {
		give_back(slot, buf);
		err = -EFAULT;
	}
	kvfree(buf);
	return err;
}

static int peek_log(struct xvm *xvm, struct memslot *slot, void __user *out)
{
	xvm_dirty_collect(xvm, slot);
	return copy_to_user(out, slot->dirty_bitmap,
			    BITS_TO_LONGS(slot->npages) * sizeof(long)) ? -EFAULT : 0;
}

/* memslots.lock is held. */
static struct memslot *logged_slot(struct xvm *xvm, u32 id)
{
	struct memslot *slot = memslot_by_id(memslots_active(&xvm->memslots, id >> 16),
					     id & 0xffff);

	return slot && slot->dirty_bitmap ? slot : NULL;
}

long xvm_get_dirty_log(struct xvm *xvm, const struct kvm_dirty_log __user *arg)
{
	struct memslot *slot;
	struct kvm_dirty_log log;
	long ret = -ENOENT;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	if (in_compat_syscall())
		log.dirty_bitmap = compat_ptr((uintptr_t)log.dirty_bitmap);
	if (READ_ONCE(xvm->mmu.dirty_ring_size))
		return -ENXIO;
	if (!xvm_slot_id_ok(log.slot))
		return -EINVAL;

	mutex_lock(&xvm->memslots.lock);
	slot = logged_slot(xvm, log.slot);
	if (slot)
		ret = READ_ONCE(xvm->mmu.dirty_manual) ?
			      peek_log(xvm, slot, log.dirty_bitmap) :
			      copy_log(xvm, slot, log.dirty_bitmap);
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}

/* Each large leaf's part of it that has a bit in mask. */
static void split(struct xvm *xvm, u64 gfn, u64 nr, const unsigned long *mask)
{
	u64 bit = 0, end;

	while ((bit = find_next_bit(mask, nr, bit)) < nr) {
		end = min(nr, ((gfn + bit) | (xvm_level_pages(2) - 1)) + 1 - gfn);
		xvm_mmu_split(xvm, gfn + bit, gfn + end);
		bit = end;
	}
}

static int clear_log(struct xvm *xvm, struct memslot *slot, const struct kvm_clear_dirty_log *log)
{
	size_t bytes = BITS_TO_LONGS(log->num_pages) * sizeof(long);
	u64 gfn = slot->base_gfn + log->first_page;
	unsigned long *mask;

	/* Whole words, but for the slot's last. */
	if (log->first_page > slot->npages || log->num_pages > slot->npages - log->first_page ||
	    (log->num_pages < slot->npages - log->first_page && log->num_pages % BITS_PER_LONG))
		return -EINVAL;
	if (!bytes)
		return 0;

	/* At once: what can't be read to its end must change nothing. */
	mask = kvmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!mask)
		return -ENOMEM;
	if (copy_from_user(mask, log->dirty_bitmap, bytes)) {
		kvfree(mask);
		return -EFAULT;
	}
	/* First: of a large leaf that was all dirty, some may stay so. */
	if (!slot->as_id)
		split(xvm, gfn, log->num_pages, mask);
	/* A large leaf may reach beyond what was asked for, not beyond the slot. */
	if (xvm_dirty_clear(xvm, slot, log->first_page, log->num_pages, mask))
		xvm_tlb_flush_memslot(xvm, slot);
	kvfree(mask);
	return 0;
}

long xvm_clear_dirty_log(struct xvm *xvm, const struct kvm_clear_dirty_log __user *arg)
{
	struct kvm_clear_dirty_log log;
	struct memslot *slot;
	long ret = -ENOENT;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	if (in_compat_syscall())
		log.dirty_bitmap = compat_ptr((uintptr_t)log.dirty_bitmap);
	if (READ_ONCE(xvm->mmu.dirty_ring_size))
		return -ENXIO;
	if (!xvm_slot_id_ok(log.slot) || log.first_page % BITS_PER_LONG)
		return -EINVAL;

	mutex_lock(&xvm->memslots.lock);
	slot = logged_slot(xvm, log.slot);
	if (slot)
		ret = clear_log(xvm, slot, &log);
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}
