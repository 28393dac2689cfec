// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty ring of a vCPU: the pages that it made writable in logged slots, in
 * a list that user space reads without a call.
 *
 * The vCPU's thread pushes, once the page may be written; user space marks the
 * entries that it has collected, and KVM_RESET_DIRTY_RINGS, which alone takes
 * them back, protects their pages again.  Only then user space copies them: a
 * write before that is in the copy, one after it faults and is pushed anew.
 *
 * A vCPU doesn't run while there is no room for what one exit can push.  All of
 * the ring is user space's to write: entries are read once and not trusted, the
 * indices are kept elsewhere.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "../xvm.h"

int xvm_dirty_ring_enable(struct xvm *xvm, u32 size)
{
	int ret = -EINVAL;

	if (!is_power_of_2(size) || size < XVM_DIRTY_RING_RESERVED * sizeof(struct kvm_dirty_gfn) ||
	    size < PAGE_SIZE)
		return -EINVAL;
	if (size > XVM_DIRTY_RING_MAX_SIZE)
		return -E2BIG;

	mutex_lock(&xvm->lock);
	/* Once, and before there is a vCPU that would lack one. */
	if (!xvm->mmu.dirty_ring_size && !xvm->nr_vcpus) {
		WRITE_ONCE(xvm->mmu.dirty_ring_size, size);
		ret = 0;
	}
	mutex_unlock(&xvm->lock);
	return ret;
}

int xvm_dirty_ring_alloc(struct xvm_vcpu *vcpu)
{
	u32 size = vcpu->xvm->mmu.dirty_ring_size;

	if (!size)
		return 0;
	/* Its size is user space's choice: that there is no room for it is no news for the log. */
	vcpu->dirty_ring.gfns = __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	return vcpu->dirty_ring.gfns ? 0 : -ENOMEM;
}

void xvm_dirty_ring_free(struct xvm_vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.gfns);
}

struct page *xvm_dirty_ring_page(struct xvm_vcpu *vcpu, unsigned long pgoff)
{
	if (!xvm_dirty_ring_has_page(vcpu, pgoff))
		return NULL;
	return vmalloc_to_page((void *)vcpu->dirty_ring.gfns +
			       ((pgoff - KVM_DIRTY_LOG_PAGE_OFFSET) << PAGE_SHIFT));
}

bool xvm_dirty_ring_has_page(struct xvm_vcpu *vcpu, unsigned long pgoff)
{
	return pgoff >= KVM_DIRTY_LOG_PAGE_OFFSET &&
	       pgoff - KVM_DIRTY_LOG_PAGE_OFFSET < vcpu->xvm->mmu.dirty_ring_size >> PAGE_SHIFT;
}

static u32 nr_entries(const struct xvm_vcpu *vcpu)
{
	return vcpu->xvm->mmu.dirty_ring_size / sizeof(struct kvm_dirty_gfn);
}

static u32 used(const struct xvm_dirty_ring *ring)
{
	/* Pairs with the release of entries that were taken back. */
	return ring->pushed - smp_load_acquire(&ring->reset);
}

u32 xvm_dirty_ring_room(const struct xvm_vcpu *vcpu)
{
	const struct xvm_dirty_ring *ring = &vcpu->dirty_ring;

	return ring->gfns ? nr_entries(vcpu) - used(ring) : U32_MAX;
}

void xvm_dirty_ring_push(struct xvm_vcpu *vcpu, const struct memslot *slot, u64 gfn)
{
	struct xvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry = &ring->gfns[ring->pushed & (nr_entries(vcpu) - 1)];

	if (WARN_ON_ONCE(used(ring) >= nr_entries(vcpu)))
		return;
	WRITE_ONCE(entry->slot, (u32)slot->as_id << 16 | slot->id);
	WRITE_ONCE(entry->offset, gfn - slot->base_gfn);
	/* First: who sees the entry resets no further than this. */
	WRITE_ONCE(ring->pushed, ring->pushed + 1);
	/* Pairs with an acquire in user space. */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
}

/* Entries that were taken back and whose pages lie in one word of a slot's pages. */
struct word {
	u32 slot;
	u64 first;
	unsigned long bits;
};

/* Gfns that a reset has to flush, the end exclusive; none if that is 0. */
struct span {
	u64 start, end;
};

/* The slot may be gone or another, the offset anything. */
static void protect(struct xvm *xvm, struct word *word, struct span *span)
{
	struct memslot *slot = NULL;
	u64 nr;

	/* Only the first address space is ever mapped. */
	if (word->bits && word->slot >> 16 == 0)
		slot = memslot_by_id(memslots_active(&xvm->memslots, 0), word->slot);
	if (slot && word->first < slot->npages) {
		nr = min_t(u64, BITS_PER_LONG, slot->npages - word->first);
		if (READ_ONCE(xvm->mmu.dirty_manual) & KVM_DIRTY_LOG_INITIALLY_SET)
			xvm_mmu_split(xvm, slot->base_gfn + word->first,
				      slot->base_gfn + word->first + nr);
		if (xvm_dirty_clean(xvm, slot->base_gfn + word->first, nr, &word->bits)) {
			/* A large leaf may reach beyond the word, not beyond the slot. */
			span->start = min(span->start, slot->base_gfn);
			span->end = max(span->end, memslot_end_gfn(slot));
		}
	}
	word->bits = 0;
}

static u32 reset_ring(struct xvm_vcpu *vcpu, struct span *span)
{
	struct xvm_dirty_ring *ring = &vcpu->dirty_ring;
	/* No further: the vCPU may push, and user space mark, for ever. */
	u32 end = READ_ONCE(ring->pushed);
	struct word word = {};
	u32 nr = 0;

	for (; ring->reset != end; nr++) {
		struct kvm_dirty_gfn *entry = &ring->gfns[ring->reset & (nr_entries(vcpu) - 1)];
		u64 offset;
		u32 slot;

		/* Pairs with a release in user space: it has read the entry. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);
		WRITE_ONCE(entry->flags, 0);
		/* Pairs with used(): the flags are clear when the vCPU sets them again. */
		smp_store_release(&ring->reset, ring->reset + 1);

		if (slot != word.slot || round_down(offset, BITS_PER_LONG) != word.first) {
			protect(vcpu->xvm, &word, span);
			word.slot = slot;
			word.first = round_down(offset, BITS_PER_LONG);
		}
		word.bits |= BIT(offset % BITS_PER_LONG);
		cond_resched();
	}
	protect(vcpu->xvm, &word, span);
	return nr;
}

long xvm_reset_dirty_rings(struct xvm *xvm)
{
	struct span span = { .start = XVM_GFN_END };
	struct xvm_vcpu *vcpu;
	unsigned long i;
	int nr = 0;

	if (!READ_ONCE(xvm->mmu.dirty_ring_size))
		return -EINVAL;
	mutex_lock(&xvm->memslots.lock);
	xvm_for_each_vcpu(i, vcpu, xvm)
		nr += reset_ring(vcpu, &span);
	/* All others who protect hold memslots.lock, or mmu.lock for writing, until they flush. */
	if (span.end)
		xvm_tlb_flush_range(xvm, span.start, span.end);
	mutex_unlock(&xvm->memslots.lock);
	return nr;
}
