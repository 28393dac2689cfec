// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves by the frames they map: what notifiers, memslot updates and the dirty
 * log ask of shadowed memory, by way of the rmaps.
 */
#include <linux/mm.h>

#include "shadow.h"

static void zap_leaf(void *ctx, unsigned int level, u64 gfn, u64 *entry)
{
	struct xvm *xvm = ctx;

	WRITE_ONCE(*entry, 0);
	xvm_mmu_count_leaves(xvm, level, -1);
}

void shadow_limit_aliases(struct xvm *xvm, unsigned int level, u64 gfn)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	const struct xvm_rmap *list = xvm_rmaps_list(rmaps, level, gfn);

	lockdep_assert_held_write(&xvm->mmu.lock);
	if (!list || xvm_rmap_length(list) < SHADOW_MAX_ALIASES)
		return;
	xvm_rmaps_zap_level(rmaps, level, gfn, gfn + 1, zap_leaf, xvm);
	shadow_flush_due(xvm);
}

/*
 * Guest tables in the range, too: what the host has there next may be another
 * page, which nobody has written to by way of the guest.
 */
static void zap_tables(struct xvm *xvm, u64 start, u64 end, bool may_yield)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	u64 gfn;

	for (gfn = start; (gfn = xvm_rmaps_next_marked(rmaps, gfn, end)) != end; gfn++) {
		shadow_zap_gfn(xvm, gfn);
		if (may_yield)
			shadow_yield(xvm);
	}
}

void xvm_shadow_zap_range(struct xvm *xvm, u64 start, u64 end, bool may_yield)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	bool any = false;
	u64 stop;

	lockdep_assert_held_write(&xvm->mmu.lock);
	for (; (start = xvm_rmaps_next_known(rmaps, start, end)) != end; start = stop) {
		stop = min(end, (start | (XVM_RMAP_CHUNK - 1)) + 1);
		/* Leaves first, each list in one pass: a table has to look for its own. */
		if (xvm_rmaps_zap(rmaps, start, stop, zap_leaf, xvm)) {
			/* Counted once: one flush may serve several such ranges. */
			if (!any)
				xvm_tlb_defer(xvm, 0, XVM_GFN_END);
			any = true;
			shadow_flush_due(xvm);
		}
		zap_tables(xvm, start, stop, may_yield);
		/* How many leaves a frame has, and tables leaves, is the guest's choice. */
		if (may_yield)
			shadow_yield(xvm);
	}
}

/* The CPU may be setting A or D in it: none of that may be lost. */
static bool clear_bits(u64 *entry, u64 bits)
{
	u64 val = READ_ONCE(*entry);

	while (val & bits) {
		u64 old = cmpxchg64(entry, val, val & ~bits);

		if (old == val)
			return true;
		val = old;
	}
	return false;
}

static bool clear_list(const struct xvm_rmap *list, u64 bits)
{
	struct xvm_rmap_iter iter;
	bool any = false;
	u64 *entry;

	xvm_rmap_for_each(entry, list, &iter)
		any |= clear_bits(entry, bits);
	return any;
}

/* Is a bit of [first, end) set? */
static bool wanted(const unsigned long *only, u64 first, u64 end)
{
	return find_next_bit(only, end, first) < end;
}

bool xvm_shadow_wrprotect(struct xvm *xvm, u64 start, u64 end, const unsigned long *only)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	unsigned int level;
	bool any = false;

	lockdep_assert_held(&xvm->mmu.lock);
	for (level = 1; level <= XVM_RMAP_LEVELS; level++) {
		u64 pages = xvm_level_pages(level), gfn = start;
		struct xvm_rmap *list;

		for (; (list = xvm_rmaps_next(rmaps, level, &gfn, end)); gfn += pages)
			if (!only || wanted(only, max(gfn, start) - start,
					    min(gfn + pages, end) - start))
				any |= clear_list(list, XVM_PTE_WRITE);
	}
	return any;
}

bool shadow_mapped(struct xvm *xvm, u64 gfn)
{
	unsigned int level;

	for (level = 1; level <= XVM_RMAP_LEVELS; level++)
		if (xvm_rmaps_list(&xvm->mmu.shadow->rmaps, level, gfn))
			return true;
	return false;
}

static bool list_young(const struct xvm_rmap *list)
{
	struct xvm_rmap_iter iter;
	u64 *entry;

	xvm_rmap_for_each(entry, list, &iter)
		if (READ_ONCE(*entry) & XVM_PTE_ACCESSED)
			return true;
	return false;
}

bool xvm_shadow_age(struct xvm *xvm, u64 start, u64 end, bool clear)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	unsigned int level;
	bool young = false;

	lockdep_assert_held(&xvm->mmu.lock);
	for (level = 1; level <= XVM_RMAP_LEVELS; level++) {
		struct xvm_rmap *list;
		u64 gfn = start;

		for (; (list = xvm_rmaps_next(rmaps, level, &gfn, end));
		     gfn += xvm_level_pages(level))
			young |= clear ? clear_list(list, XVM_PTE_ACCESSED) : list_young(list);
	}
	return young;
}
