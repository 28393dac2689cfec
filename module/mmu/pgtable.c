// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walker and the operations on guest-physical page tables; see pgtable.h.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/compiler.h>

#include "pgtable.h"

/* Recursion is bounded by the number of levels. */
static bool walk_table(struct xvm_pgtable *pgt, struct xvm_walk *walk, u64 *table, u64 base,
		       unsigned int level)
{
	u64 step = xvm_level_pages(level);
	u64 gfn = base;
	unsigned int i = 0;

	if (walk->start > base) {
		i = (walk->start - base) >> (XVM_PGT_BITS * (level - 1));
		gfn += i * step;
	}
	for (; i < XVM_PGT_ENTRIES && gfn < walk->end; i++, gfn += step) {
		enum xvm_walk_answer answer;
		enum xvm_walk_visit why;
		u64 val;
again:
		answer = XVM_WALK_ON;
		val = READ_ONCE(table[i]);
		if (!(val & XVM_PTE_PRESENT))
			continue;
		why = xvm_pte_is_leaf(val, level) ? XVM_WALK_LEAF : XVM_WALK_TABLE;
		if (walk->visits & why)
			answer = walk->visit(walk, &table[i], val, gfn, level, why);
		if (answer == XVM_WALK_AGAIN)
			goto again;
		if (answer == XVM_WALK_STOP)
			return true;
		if (why == XVM_WALK_TABLE && answer == XVM_WALK_ON &&
		    walk_table(pgt, walk, xvm_pgt_child(pgt, val), gfn, level - 1))
			return true;
	}
	return false;
}

bool xvm_pgtable_walk(struct xvm_pgtable *pgt, struct xvm_walk *walk)
{
	return walk_table(pgt, walk, pgt->root, 0, pgt->levels);
}

u64 xvm_pgtable_lookup(struct xvm_pgtable *pgt, u64 gfn, unsigned int *level)
{
	u64 *table = pgt->root;
	unsigned int l;

	for (l = pgt->levels; l; l--) {
		u64 pte = READ_ONCE(table[xvm_pgt_index(gfn, l)]);

		if (!(pte & XVM_PTE_PRESENT))
			return 0;
		if (xvm_pte_is_leaf(pte, l)) {
			*level = l;
			return pte;
		}
		table = xvm_pgt_child(pgt, pte);
	}
	return 0;
}

struct next {
	u64 pte;
	u64 gfn;
	unsigned int level;
};

static enum xvm_walk_answer next_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				       unsigned int level, enum xvm_walk_visit why)
{
	struct next *next = walk->ctx;

	*next = (struct next) { .pte = val, .gfn = gfn, .level = level };
	return XVM_WALK_STOP;
}

u64 xvm_pgtable_next(struct xvm_pgtable *pgt, u64 *gfn, u64 end, unsigned int *level)
{
	struct next next = {};
	struct xvm_walk walk = {
		.visit = next_visit,
		.visits = XVM_WALK_LEAF,
		.start = *gfn,
		.end = end,
		.ctx = &next,
	};

	if (xvm_pgtable_walk(pgt, &walk)) {
		*gfn = next.gfn;
		*level = next.level;
	}
	return next.pte;
}

/* Make table say what the leaf of this level does; a leaf of 0 is none. */
static void fill_table(u64 *table, u64 leaf, unsigned int level)
{
	u64 step = leaf ? xvm_level_pages(level - 1) << 12 : 0;
	unsigned int i;

	if (level - 1 == 1)
		leaf &= ~XVM_PTE_HUGE;
	/* A TLB may keep the leaf, and the CPU not tell its parts what it writes by that. */
	if (leaf & XVM_PTE_WRITE)
		leaf |= XVM_PTE_DIRTY;
	for (i = 0; i < XVM_PGT_ENTRIES; i++)
		table[i] = leaf + i * step;
}

/* The table below *ptep, made if it is missing, or of the leaf there.  NULL: none to be had. */
static u64 *get_child(struct xvm_pgtable *pgt, u64 *ptep, u64 gfn, unsigned int level, void *ctx)
{
	u64 pte = READ_ONCE(*ptep);
	u64 *table = NULL;
	bool filled = false;

	while (!(pte & XVM_PTE_PRESENT) || xvm_pte_is_leaf(pte, level)) {
		u64 link, old = pte;

		if (!table)
			table = pgt->ops->alloc(ctx);
		if (!table)
			return NULL;
		if ((old & XVM_PTE_PRESENT) || filled) {
			fill_table(table, old, level);
			filled = true;
		}
		/* Rights are the leaf's to restrict. */
		link = pgt->ops->to_phys(table) | XVM_PTE_PRESENT | XVM_PTE_WRITE | XVM_PTE_USER |
		       XVM_PTE_ACCESSED;
		/* Full barrier: what is in the page is visible before the link to it. */
		pte = cmpxchg64(ptep, old, link);
		if (pte == old) {
			if (old & XVM_PTE_PRESENT)
				pgt->ops->split(ctx, gfn, level);
			return table;
		}
	}
	/* Another fault linked its own first: use that. */
	if (table) {
		if (filled)
			fill_table(table, 0, level);
		pgt->ops->unalloc(ctx, table);
	}
	return xvm_pgt_child(pgt, pte);
}

enum xvm_map_result xvm_pgtable_map(struct xvm_pgtable *pgt, u64 gfn, unsigned int level, u64 pte,
				    void *ctx)
{
	const u64 rights = XVM_PTE_WRITE | XVM_PTE_MAY_WRITE | XVM_PTE_ACCESSED | XVM_PTE_DIRTY;
	u64 *table = pgt->root;
	u64 *ptep, old, want;
	unsigned int l;

	for (l = pgt->levels; l > level; l--) {
		table = get_child(pgt, &table[xvm_pgt_index(gfn, l)], gfn, l, ctx);
		if (!table)
			return XVM_MAP_NO_TABLE;
	}

	ptep = &table[xvm_pgt_index(gfn, level)];
	for (;;) {
		old = READ_ONCE(*ptep);
		if (!(old & XVM_PTE_PRESENT)) {
			if (cmpxchg64(ptep, old, pte) == old)
				return XVM_MAP_NEW;
			continue;
		}
		if (!xvm_pte_is_leaf(old, level))
			return XVM_MAP_BLOCKED;
		if ((old ^ pte) & XVM_PTE_ADDR) {
			if (cmpxchg64(ptep, old, pte) == old)
				return XVM_MAP_REPLACED;
			continue;
		}
		/*
		 * The same page: only ever add rights here.  A TLB may keep the
		 * weaker entry; the access that it refuses faults again, and a
		 * nested page fault drops it (APM vol. 2, 15.25.6 and 5.5.3).
		 */
		want = old | (pte & rights);
		if (want == old)
			return XVM_MAP_SAME;
		if (cmpxchg64(ptep, old, want) == old)
			return want & ~old & XVM_PTE_WRITE ? XVM_MAP_RELAXED : XVM_MAP_SAME;
	}
}

/* Where gfn's 4K leaf is or would be, if the table for it is there. */
static u64 *small_entry(struct xvm_pgtable *pgt, u64 gfn)
{
	u64 *table = pgt->root;
	unsigned int l;

	for (l = pgt->levels; l > 1; l--) {
		u64 pte = READ_ONCE(table[xvm_pgt_index(gfn, l)]);

		if (!(pte & XVM_PTE_PRESENT) || xvm_pte_is_leaf(pte, l))
			return NULL;
		table = xvm_pgt_child(pgt, pte);
	}
	return &table[xvm_pgt_index(gfn, 1)];
}

u64 xvm_pgtable_vacant(struct xvm_pgtable *pgt, u64 gfn, unsigned int nr)
{
	u64 *ptep = small_entry(pgt, gfn), vacant = 0;
	unsigned int i;

	for (i = 0; ptep && i < nr; i++)
		if (!READ_ONCE(ptep[i]))
			vacant |= 1ULL << i;
	return vacant;
}

unsigned int xvm_pgtable_fill(struct xvm_pgtable *pgt, u64 gfn, const u64 *ptes, unsigned int nr)
{
	u64 *ptep = small_entry(pgt, gfn);
	unsigned int i, mapped = 0;

	for (i = 0; ptep && i < nr; i++)
		if (ptes[i] && !READ_ONCE(ptep[i]) && !cmpxchg64(&ptep[i], 0, ptes[i]))
			mapped++;
	return mapped;
}

struct unmap {
	struct xvm_pgtable *pgt;
	struct xvm_pgtable_count *count;
	void *ctx;
	bool any;
};

static enum xvm_walk_answer unmap_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
					unsigned int level, enum xvm_walk_visit why)
{
	struct unmap *unmap = walk->ctx;

	if (why == XVM_WALK_TABLE &&
	    (gfn < walk->start || gfn + xvm_level_pages(level) > walk->end))
		return XVM_WALK_ON;

	/* The CPU may set A or D meanwhile, in the entry or below it: both go with it. */
	WRITE_ONCE(*pte, 0);
	if (!unmap->any)
		unmap->count->start = gfn;
	unmap->any = true;
	unmap->count->end = gfn + xvm_level_pages(level);
	if (why == XVM_WALK_TABLE)
		unmap->pgt->ops->detach(unmap->ctx, xvm_pgt_child(unmap->pgt, val), level - 1);
	else
		unmap->count->leaves[level]++;
	return XVM_WALK_SKIP;
}

bool xvm_pgtable_unmap(struct xvm_pgtable *pgt, u64 start, u64 end, void *ctx,
		       struct xvm_pgtable_count *count)
{
	struct unmap unmap = { .pgt = pgt, .ctx = ctx, .count = count };
	struct xvm_walk walk = {
		.visit = unmap_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = start,
		.end = end,
		.ctx = &unmap,
	};

	xvm_pgtable_walk(pgt, &walk);
	return unmap.any;
}

struct unmap_small {
	u64 base;
	unsigned long *dirty;
	u64 nr;
};

static enum xvm_walk_answer unmap_small_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
					      unsigned int level, enum xvm_walk_visit why)
{
	struct unmap_small *unmap = walk->ctx;

	if (level > 1)
		return XVM_WALK_ON;
	/* The CPU may have set D. */
	if (cmpxchg64(pte, val, 0) != val)
		return XVM_WALK_AGAIN;
	if (val & XVM_PTE_DIRTY)
		set_bit(gfn - unmap->base, unmap->dirty);
	unmap->nr++;
	return XVM_WALK_ON;
}

u64 xvm_pgtable_unmap_small(struct xvm_pgtable *pgt, u64 start, u64 end, u64 base,
			    unsigned long *dirty)
{
	struct unmap_small unmap = { .base = base, .dirty = dirty };
	struct xvm_walk walk = {
		.visit = unmap_small_visit,
		.visits = XVM_WALK_LEAF,
		.start = start,
		.end = end,
		.ctx = &unmap,
	};

	xvm_pgtable_walk(pgt, &walk);
	return unmap.nr;
}

struct split {
	struct xvm_pgtable *pgt;
	void *ctx;
	u64 done;
};

static enum xvm_walk_answer split_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
					unsigned int level, enum xvm_walk_visit why)
{
	struct split *split = walk->ctx;

	/* There is nothing to split in a table of the lowest level. */
	if (why == XVM_WALK_TABLE)
		return level == 2 ? XVM_WALK_SKIP : XVM_WALK_ON;
	if (level == 1 || get_child(split->pgt, pte, gfn, level, split->ctx))
		return level == 1 ? XVM_WALK_ON : XVM_WALK_AGAIN;
	split->done = gfn;
	return XVM_WALK_STOP;
}

u64 xvm_pgtable_split(struct xvm_pgtable *pgt, u64 start, u64 end, void *ctx)
{
	struct split split = { .pgt = pgt, .ctx = ctx, .done = end };
	struct xvm_walk walk = {
		.visit = split_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = start,
		.end = end,
		.ctx = &split,
	};

	xvm_pgtable_walk(pgt, &walk);
	return split.done;
}

void xvm_pgtable_free(struct xvm_pgtable *pgt, u64 *table, unsigned int level,
		      void (*free)(u64 *table), struct xvm_pgtable_count *count)
{
	unsigned int i;

	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		u64 pte = READ_ONCE(table[i]);

		if (!(pte & XVM_PTE_PRESENT))
			continue;
		if (xvm_pte_is_leaf(pte, level))
			count->leaves[level]++;
		else
			xvm_pgtable_free(pgt, xvm_pgt_child(pgt, pte), level - 1, free, count);
	}
	count->tables++;
	free(table);
}
