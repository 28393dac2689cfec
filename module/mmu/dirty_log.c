// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls that read and clear a slot's dirty log.
 *
 * Both take bits, then protect those pages again and flush; only then user
 * space copies the pages.  A write that came after its bit was taken and before
 * the flush is in the copy; any later one faults and sets the bit anew: none is
 * lost.  With manual protection, reading takes nothing, and clearing is user
 * space's to ask for.
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
	WRITE_ONCE(xvm->mmu.dirty_manual, cap->args[0]);
	return 0;
}

/* Protect the pages of [first, first + nr) that bits names.  True: flush. */
static bool protect(struct xvm *xvm, const struct memslot *slot, u64 first, unsigned long nr,
		    const unsigned long *bits)
{
	u64 gfn = slot->base_gfn + first;
	bool flush;

	write_lock(&xvm->mmu.lock);
	flush = xvm_pgtable_wrprotect(&xvm->mmu.pgt, gfn, gfn + nr, bits);
	write_unlock(&xvm->mmu.lock);
	return flush;
}

/* Take all bits of [first, first + nr) into buf. */
static bool take_chunk(struct xvm *xvm, struct memslot *slot, u64 first, unsigned long nr,
		       unsigned long *buf)
{
	unsigned long *bitmap = slot->dirty_bitmap + first / BITS_PER_LONG;
	unsigned long i, any = 0;

	for (i = 0; i < BITS_TO_LONGS(nr); i++) {
		buf[i] = READ_ONCE(bitmap[i]) ? xchg(&bitmap[i], 0) : 0;
		any |= buf[i];
	}
	return any && protect(xvm, slot, first, nr, buf);
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
	bool flush = false;
	int err = 0;
	u64 first;

	if (!buf)
		return -ENOMEM;
	for (first = 0; first < slot->npages && !err; first += XVM_DIRTY_CHUNK) {
		unsigned long nr = min_t(u64, slot->npages - first, XVM_DIRTY_CHUNK);

		flush |= take_chunk(xvm, slot, first, nr, buf);
		if (copy_to_user(out + first / BITS_PER_BYTE, buf,
				 BITS_TO_LONGS(nr) * sizeof(long))) {
			give_back(slot, first, nr, buf);
			err = -EFAULT;
		}
		cond_resched();
	}
	if (flush)
		xvm_tlb_flush_memslot(xvm, slot);
	free_page((unsigned long)buf);
	return err;
}

static int peek_log(struct memslot *slot, void __user *out)
{
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
	if (log.slot >> 16 >= MEMSLOT_MAX_SPACES)
		return -EINVAL;

	mutex_lock(&xvm->memslots.lock);
	slot = logged_slot(xvm, log.slot);
	if (slot)
		ret = READ_ONCE(xvm->mmu.dirty_manual) ?
			      peek_log(slot, log.dirty_bitmap) :
			      copy_log(xvm, slot, log.dirty_bitmap);
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}

/* Clear the bits of [first, first + nr) that mask names, and leave in it those that were set. */
static bool clear_chunk(struct xvm *xvm, struct memslot *slot, u64 first, unsigned long nr,
			unsigned long *mask)
{
	atomic_long_t *bitmap = (atomic_long_t *)slot->dirty_bitmap + first / BITS_PER_LONG;
	unsigned long i, any = 0;

	for (i = 0; i < BITS_TO_LONGS(nr); i++) {
		if (mask[i])
			mask[i] &= atomic_long_fetch_andnot(mask[i], &bitmap[i]);
		any |= mask[i];
	}
	return any && protect(xvm, slot, first, nr, mask);
}

static int clear_log(struct xvm *xvm, struct memslot *slot, const struct kvm_clear_dirty_log *log)
{
	size_t bytes = BITS_TO_LONGS(log->num_pages) * sizeof(long);
	unsigned long *mask;
	bool flush = false;
	u64 done;

	/* Whole words, but for the slot's last. */
	if (log->first_page > slot->npages || log->num_pages > slot->npages - log->first_page ||
	    (log->num_pages < slot->npages - log->first_page && log->num_pages % BITS_PER_LONG))
		return -EINVAL;
	if (!bytes)
		return 0;

	/* At once: what can't be read to its end must change nothing. */
	mask = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!mask)
		return -ENOMEM;
	if (copy_from_user(mask, log->dirty_bitmap, bytes)) {
		kvfree(mask);
		return -EFAULT;
	}
	for (done = 0; done < log->num_pages; done += XVM_DIRTY_CHUNK) {
		flush |= clear_chunk(xvm, slot, log->first_page + done,
				     min_t(u64, log->num_pages - done, XVM_DIRTY_CHUNK),
				     mask + done / BITS_PER_LONG);
		cond_resched();
	}
	if (flush)
		xvm_tlb_flush_range(xvm, slot->base_gfn + log->first_page,
				    slot->base_gfn + log->first_page + log->num_pages);
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
	if (log.slot >> 16 >= MEMSLOT_MAX_SPACES || log.first_page % BITS_PER_LONG)
		return -EINVAL;

	mutex_lock(&xvm->memslots.lock);
	slot = logged_slot(xvm, log.slot);
	if (slot)
		ret = clear_log(xvm, slot, &log);
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}
