// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walker and the operations on guest-physical page tables; see pgtable.h.
 */
#include <linux/atomic.h>
#include <linux/compiler.h>

#include "pgtable.h"

static inline unsigned int pgt_index(u64 gfn, unsigned int level)
{
	return (gfn >> (XVM_PGT_BITS * (level - 1))) & (XVM_PGT_ENTRIES - 1);
}

static inline u64 *pgt_child(struct xvm_pgtable *pgt, u64 pte)
{
	return pgt->ops->to_virt(pte & XVM_PTE_ADDR);
}

/* Recursion is bounded by the number of levels. */
static bool walk_table(struct xvm_pgtable *pgt, struct xvm_walk *walk, u64 *table, u64 base,
		       unsigned int level)
{
	u64 step = xvm_level_pages(level);
	u64 gfn = base;
	unsigned int i = 0;

	if (walk->start > base) {
		i = (walk->start - base) / step;
		gfn += i * step;
	}
	for (; i < XVM_PGT_ENTRIES && gfn < walk->end; i++, gfn += step) {
		enum xvm_walk_answer answer = XVM_WALK_ON;
		enum xvm_walk_visit why;
		u64 val;
again:
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
		    walk_table(pgt, walk, pgt_child(pgt, val), gfn, level - 1))
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
		u64 pte = READ_ONCE(table[pgt_index(gfn, l)]);

		if (!(pte & XVM_PTE_PRESENT))
			return 0;
		if (xvm_pte_is_leaf(pte, l)) {
			*level = l;
			return pte;
		}
		table = pgt_child(pgt, pte);
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
	for (i = 0; i < XVM_PGT_ENTRIES; i++)
		table[i] = leaf + i * step;
}

/* The table below *ptep, made if it is missing, or of the leaf there.  NULL: none to be had. */
static u64 *get_child(struct xvm_pgtable *pgt, u64 *ptep, unsigned int level, void *ctx)
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
				pgt->ops->split(ctx, level);
			return table;
		}
	}
	/* Another fault linked its own first: use that. */
	if (table) {
		if (filled)
			fill_table(table, 0, level);
		pgt->ops->unalloc(ctx, table);
	}
	return pgt_child(pgt, pte);
}

enum xvm_map_result xvm_pgtable_map(struct xvm_pgtable *pgt, u64 gfn, unsigned int level, u64 pte,
				    void *ctx)
{
	const u64 rights = XVM_PTE_WRITE | XVM_PTE_MAY_WRITE | XVM_PTE_ACCESSED | XVM_PTE_DIRTY;
	u64 *table = pgt->root;
	u64 *ptep, old, want;
	unsigned int l;

	for (l = pgt->levels; l > level; l--) {
		table = get_child(pgt, &table[pgt_index(gfn, l)], l, ctx);
		if (!table)
			return XVM_MAP_NO_TABLE;
	}

	ptep = &table[pgt_index(gfn, level)];
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
		u64 pte = READ_ONCE(table[pgt_index(gfn, l)]);

		if (!(pte & XVM_PTE_PRESENT) || xvm_pte_is_leaf(pte, l))
			return NULL;
		table = pgt_child(pgt, pte);
	}
	return &table[pgt_index(gfn, 1)];
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
		unmap->pgt->ops->detach(unmap->ctx, pgt_child(unmap->pgt, val), level - 1);
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
	if (level == 1 || get_child(split->pgt, pte, level, split->ctx))
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

/* What a walk is about of the 512 pages from gfn on. */
static u64 part_first(const struct xvm_walk *walk, u64 gfn)
{
	return gfn > walk->start ? gfn : walk->start;
}

static u64 part_end(const struct xvm_walk *walk, u64 gfn, unsigned int level)
{
	u64 end = gfn + xvm_level_pages(level);

	return end < walk->end ? end : walk->end;
}

/* The first bit that is set in [from, end), or end. */
static u64 next_bit(const unsigned long *bits, u64 from, u64 end)
{
	const unsigned int width = 8 * sizeof(*bits);

	while (from < end) {
		unsigned long word = bits[from / width] >> (from % width);

		if (word) {
			from += __builtin_ctzl(word);
			return from < end ? from : end;
		}
		from = (from | (width - 1)) + 1;
	}
	return end;
}

/* Take bits from an entry that can only be a leaf.  True: it had some of them. */
static bool take_bits(u64 *pte, u64 bits)
{
	u64 old, val = READ_ONCE(*pte);

	/* The CPU may be setting A or D in it, a fault W: none of that may be lost. */
	while ((val & XVM_PTE_PRESENT) && (val & bits)) {
		old = cmpxchg64(pte, val, val & ~bits);
		if (old == val)
			return true;
		val = old;
	}
	return false;
}

struct wrprotect {
	struct xvm_pgtable *pgt;
	const unsigned long *only;
	bool any;
};

/* No call for each leaf, and none is looked at without its bit. */
static void wrprotect_small(struct xvm_walk *walk, u64 *table, u64 gfn)
{
	u64 at = part_first(walk, gfn), end = part_end(walk, gfn, 2);
	struct wrprotect *wp = walk->ctx;

	for (;; at++) {
		if (wp->only)
			at = walk->start + next_bit(wp->only, at - walk->start, end - walk->start);
		if (at >= end)
			return;
		wp->any |= take_bits(&table[pgt_index(at, 1)], XVM_PTE_WRITE);
	}
}

static enum xvm_walk_answer wrprotect_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
					    unsigned int level, enum xvm_walk_visit why)
{
	struct wrprotect *wp = walk->ctx;
	u64 first = part_first(walk, gfn) - walk->start;
	u64 end = part_end(walk, gfn, level) - walk->start;

	if (why == XVM_WALK_TABLE) {
		if (level > 2)
			return XVM_WALK_ON;
		wrprotect_small(walk, pgt_child(wp->pgt, val), gfn);
		return XVM_WALK_SKIP;
	}
	if (!(val & XVM_PTE_WRITE) || (wp->only && next_bit(wp->only, first, end) == end))
		return XVM_WALK_ON;
	/* The CPU may have set A or D, or a write have split it. */
	if (cmpxchg64(pte, val, val & ~XVM_PTE_WRITE) != val)
		return XVM_WALK_AGAIN;
	wp->any = true;
	return XVM_WALK_ON;
}

bool xvm_pgtable_wrprotect(struct xvm_pgtable *pgt, u64 start, u64 end, const unsigned long *only)
{
	struct wrprotect wp = { .pgt = pgt, .only = only };
	struct xvm_walk walk = {
		.visit = wrprotect_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = start,
		.end = end,
		.ctx = &wp,
	};

	xvm_pgtable_walk(pgt, &walk);
	return wp.any;
}

static bool may_write(u64 pte)
{
	const u64 bits = XVM_PTE_PRESENT | XVM_PTE_WRITE | XVM_PTE_MAY_WRITE;

	return (pte & bits) == (XVM_PTE_PRESENT | XVM_PTE_MAY_WRITE);
}

static void allow_small(struct xvm_walk *walk, u64 *table, u64 gfn)
{
	u64 at = part_first(walk, gfn), end = part_end(walk, gfn, 2);

	for (; at < end; at++) {
		u64 *pte = &table[pgt_index(at, 1)];
		u64 old, val = READ_ONCE(*pte);

		for (; may_write(val); val = old) {
			old = cmpxchg64(pte, val, val | XVM_PTE_WRITE);
			if (old == val)
				break;
		}
	}
}

static enum xvm_walk_answer allow_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
					unsigned int level, enum xvm_walk_visit why)
{
	struct xvm_pgtable *pgt = walk->ctx;

	if (why == XVM_WALK_TABLE) {
		if (level > 2)
			return XVM_WALK_ON;
		allow_small(walk, pgt_child(pgt, val), gfn);
		return XVM_WALK_SKIP;
	}
	if (may_write(val) && cmpxchg64(pte, val, val | XVM_PTE_WRITE) != val)
		return XVM_WALK_AGAIN;
	return XVM_WALK_ON;
}

void xvm_pgtable_allow_write(struct xvm_pgtable *pgt, u64 start, u64 end)
{
	struct xvm_walk walk = {
		.visit = allow_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = start,
		.end = end,
		.ctx = pgt,
	};

	xvm_pgtable_walk(pgt, &walk);
}

struct age {
	struct xvm_pgtable *pgt;
	bool clear;
	bool young;
};

/* True: it was young. */
static bool age_small(struct xvm_walk *walk, u64 *table, u64 gfn)
{
	u64 at = part_first(walk, gfn), end = part_end(walk, gfn, 2);
	struct age *age = walk->ctx;
	bool young = false;

	for (; at < end && (age->clear || !young); at++) {
		u64 *pte = &table[pgt_index(at, 1)];

		young |= age->clear ? take_bits(pte, XVM_PTE_ACCESSED) :
				      READ_ONCE(*pte) & XVM_PTE_ACCESSED;
	}
	return young;
}

static enum xvm_walk_answer age_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				      unsigned int level, enum xvm_walk_visit why)
{
	struct age *age = walk->ctx;

	/* A link's own bit says nothing: it is set when the link is made. */
	if (why == XVM_WALK_TABLE && level > 2)
		return XVM_WALK_ON;
	if (why == XVM_WALK_TABLE) {
		age->young |= age_small(walk, pgt_child(age->pgt, val), gfn);
	} else if (val & XVM_PTE_ACCESSED) {
		if (age->clear && cmpxchg64(pte, val, val & ~XVM_PTE_ACCESSED) != val)
			return XVM_WALK_AGAIN;
		age->young = true;
	}
	return age->young && !age->clear ? XVM_WALK_STOP : XVM_WALK_SKIP;
}

bool xvm_pgtable_age(struct xvm_pgtable *pgt, u64 start, u64 end, bool clear)
{
	struct age age = { .pgt = pgt, .clear = clear };
	struct xvm_walk walk = {
		.visit = age_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = start,
		.end = end,
		.ctx = &age,
	};

	xvm_pgtable_walk(pgt, &walk);
	return age.young;
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
			xvm_pgtable_free(pgt, pgt_child(pgt, pte), level - 1, free, count);
	}
	count->tables++;
	free(table);
}
