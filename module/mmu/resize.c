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

/* A walk for leaves that could be larger. */
struct search {
	struct xvm *xvm;
	const struct memslot *slot;
	struct large_leaf *leaves;
	unsigned int nr;
	unsigned int steps;
	u64 done;		/* up to here it is decided */
};

/*
 * What is mapped at gfn, by leaves of level at most, would fit into one as large
 * as the host's page.  mmu.lock is held for writing, and nothing of it is being
 * invalidated: what the host's tables say now holds.  False: leave it.
 */
static bool larger_leaf(const struct search *search, u64 gfn, unsigned int level,
			struct large_leaf *leaf)
{
	const struct memslot *slot = search->slot;
	unsigned long hva = memslot_gfn_to_hva(slot, gfn);
	struct xvm *xvm = search->xvm;
	struct xvm_host_entry host;
	u64 pages, pte, at = gfn;

	xvm_hostmap_entry(hva, &host);
	if (host.level <= level)
		return false;
	leaf->level = min(host.level, xvm_slot_max_level(slot, gfn));
	/* As for faults: of VM_PFNMAP memory one page at a time is looked at. */
	if (leaf->level <= level || !pfn_valid(host.pfn) || PageReserved(pfn_to_page(host.pfn)))
		return false;
	pages = xvm_level_pages(leaf->level);
	leaf->gfn = gfn & ~(pages - 1);
	if (xvm_mmu_retry(xvm, xvm->mmu.invalidate_seq, leaf->gfn,
			  hva & ~((pages << PAGE_SHIFT) - 1), pages))
		return false;
	/* This table may be empty: then the next one has its own turn. */
	pte = xvm_pgtable_next(xvm_pgt(xvm), &at, (gfn | (xvm_level_pages(2) - 1)) + 1, &level);
	if (!pte || xvm_pte_pfn(pte) - at != host.pfn - gfn)
		return false;

	leaf->pte = (host.pfn & ~(pages - 1)) << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_USER |
		    XVM_PTE_ACCESSED | XVM_PTE_HUGE;
	/* As for a fault's neighbours: nothing becomes dirty in the host by this. */
	if (host.writable && host.dirty && !(slot->flags & KVM_MEM_READONLY))
		leaf->pte |= XVM_PTE_WRITE | XVM_PTE_MAY_WRITE;
	return true;
}

static enum xvm_walk_answer search_visit(struct xvm_walk *walk, u64 *ptep, u64 pte, u64 gfn,
					 unsigned int level, enum xvm_walk_visit why)
{
	struct search *search = walk->ctx;
	struct large_leaf *leaf = &search->leaves[search->nr];
	u64 first = max(gfn, walk->start);

	/* A part of what was found last. */
	if (first < search->done)
		return XVM_WALK_SKIP;
	search->done = first;
	if (search->nr == COLLAPSE_BATCH || !search->steps--)
		return XVM_WALK_STOP;
	if (why == XVM_WALK_TABLE && level > 2)
		return XVM_WALK_ON;
	if (larger_leaf(search, first, why == XVM_WALK_TABLE ? 1 : level, leaf)) {
		search->done = leaf->gfn + xvm_level_pages(leaf->level);
		search->nr++;
	}
	return XVM_WALK_SKIP;
}

/* Under the lock: find some of [gfn, end).  Returns how far it has come. */
static u64 find_collapsible(struct xvm *xvm, const struct memslot *slot, u64 gfn,
			    struct large_leaf *leaves, unsigned int *nr)
{
	struct search search = {
		.xvm = xvm,
		.slot = slot,
		.leaves = leaves,
		.steps = COLLAPSE_STEPS,
	};
	struct xvm_walk walk = {
		.visit = search_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = gfn,
		.end = memslot_end_gfn(slot),
		.ctx = &search,
	};
	bool more = xvm_pgtable_walk(xvm_pgt(xvm), &walk);

	*nr = search.nr;
	return more ? search.done : walk.end;
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
