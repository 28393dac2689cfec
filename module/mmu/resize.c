// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves made smaller and larger while they are in use: a slot's dirty log wants
 * small ones, and where it ends they may be as large as the host's again.
 *
 * Faults do either where they find a need.  What is done here they need not do:
 * it takes an exit for each page then, at a time when the guest is in a hurry.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "../observe/trace.h"
#include "../xvm.h"

/* Pages whose upper tables are walked with the lock held once: 16 GiB. */
#define SPLIT_CHUNK	BIT(22)

/* Leaves that are made large with one flush, and places looked at for them under one lock. */
#define COLLAPSE_BATCH	64
#define COLLAPSE_STEPS	512
/* Pages that one such step goes on over if nothing is mapped. */
#define COLLAPSE_REACH	BIT_ULL(12)

/*
 * As many tables as were allocated before are made under one lock.  Faults run
 * meanwhile: it is held for reading, and the largest wait is a notifier's.
 */
void xvm_mmu_split(struct xvm *xvm, u64 start, u64 end)
{
	struct xvm_mmu_cache cache = { .xvm = xvm };

	while (start < end) {
		u64 stop = min(end, start + SPLIT_CHUNK), done;

		read_lock(&xvm->mmu.lock);
		done = xvm_pgtable_split(xvm_pgt(xvm), start, stop, &cache);
		read_unlock(&xvm->mmu.lock);
		start = max(start, done);
		if (done != stop) {
			xvm_mmu_cache_topup(&cache, XVM_MMU_CACHE_PAGES);
			/* No memory: what is still large is split by who writes to it. */
			if (!cache.nr)
				break;
		}
		cond_resched();
	}
	xvm_mmu_cache_free(&cache);
}

struct large_leaf {
	u64 gfn;
	u64 pte;
	unsigned int level;
};

/*
 * The leaf of level at gfn would be part of one that is as large as the host's
 * page.  mmu.lock is held for writing, and nothing of it is being invalidated:
 * what the host's tables say now holds.  0: leave it.
 */
static unsigned int larger_leaf(struct xvm *xvm, const struct memslot *slot, u64 gfn, u64 pte,
				struct large_leaf *leaf)
{
	unsigned long hva = memslot_gfn_to_hva(slot, gfn);
	struct xvm_host_entry host;
	u64 pages;

	xvm_hostmap_entry(hva, &host);
	leaf->level = min(host.level, xvm_slot_max_level(slot, gfn));
	if (leaf->level < 2 || host.pfn != xvm_pte_pfn(pte))
		return 0;
	/* As for faults: of VM_PFNMAP memory one page at a time is looked at. */
	if (!pfn_valid(host.pfn) || PageReserved(pfn_to_page(host.pfn)))
		return 0;
	pages = xvm_level_pages(leaf->level);
	leaf->gfn = gfn & ~(pages - 1);
	if (xvm_mmu_retry(xvm, xvm->mmu.invalidate_seq, leaf->gfn,
			  hva & ~((pages << PAGE_SHIFT) - 1), pages))
		return 0;

	leaf->pte = (host.pfn & ~(pages - 1)) << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_USER |
		    XVM_PTE_ACCESSED | XVM_PTE_HUGE;
	/* As for a fault's neighbours: nothing becomes dirty in the host by this. */
	if (host.writable && host.dirty && !(slot->flags & KVM_MEM_READONLY))
		leaf->pte |= XVM_PTE_WRITE | XVM_PTE_MAY_WRITE;
	return leaf->level;
}

/* Under the lock: find some of [gfn, end).  Returns how far it has come. */
static u64 find_collapsible(struct xvm *xvm, const struct memslot *slot, u64 gfn,
			    struct large_leaf *leaves, unsigned int *nr)
{
	u64 end = memslot_end_gfn(slot);
	unsigned int steps = COLLAPSE_STEPS;

	*nr = 0;
	while (gfn < end && steps-- && *nr < COLLAPSE_BATCH) {
		/* Tables may be there, and empty. */
		u64 stop = min(end, (gfn | (COLLAPSE_REACH - 1)) + 1);
		unsigned int level, large;
		u64 pte = xvm_pgtable_next(xvm_pgt(xvm), &gfn, stop, &level);

		if (!pte) {
			gfn = stop;
			continue;
		}
		large = larger_leaf(xvm, slot, gfn, pte, &leaves[*nr]);
		if (large > level)
			++*nr;
		/* Past what was decided about. */
		gfn = (gfn | (xvm_level_pages(max3(large, level, 2U)) - 1)) + 1;
	}
	return gfn;
}

/*
 * Small leaves go, the flush, then the large ones come, so that no TLB ever
 * holds both.
 */
static void collapse(struct xvm *xvm, const struct large_leaf *leaves, unsigned int nr)
{
	/* The table above is there: none is made. */
	struct xvm_mmu_cache cache = { .xvm = xvm };
	unsigned int i;

	for (i = 0; i < nr; i++)
		xvm_mmu_zap_range(xvm, leaves[i].gfn,
				  leaves[i].gfn + xvm_level_pages(leaves[i].level), false);
	xvm_mmu_zap_flush(xvm);
	for (i = 0; i < nr; i++) {
		const struct large_leaf *leaf = &leaves[i];

		if (xvm_pgtable_map(xvm_pgt(xvm), leaf->gfn, leaf->level, leaf->pte, &cache) ==
		    XVM_MAP_NEW)
			xvm_mmu_count_leaves(xvm, leaf->level, 1);
		trace_xvm_collapse(leaf->gfn, leaf->gfn + xvm_level_pages(leaf->level));
	}
}

void xvm_mmu_collapse(struct xvm *xvm, const struct memslot *slot)
{
	struct large_leaf leaves[COLLAPSE_BATCH];
	u64 gfn = slot->base_gfn;
	unsigned int nr;

	/* Shadowed: the next faults see how large they may be. */
	if (xvm->mmu.shadow) {
		write_lock(&xvm->mmu.lock);
		xvm_mmu_zap_range(xvm, gfn, memslot_end_gfn(slot), true);
		xvm_mmu_zap_flush(xvm);
		write_unlock(&xvm->mmu.lock);
		return;
	}
	while (gfn < memslot_end_gfn(slot)) {
		write_lock(&xvm->mmu.lock);
		gfn = find_collapsible(xvm, slot, gfn, leaves, &nr);
		if (nr)
			collapse(xvm, leaves, nr);
		write_unlock(&xvm->mmu.lock);
		xvm_mmu_zap_throttle(xvm);
		cond_resched();
	}
}
