// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bits of leaves, a range at a time: write permission, dirty, accessed.
 *
 * Leaves of 4K are gone over without a call for each: there are many.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/compiler.h>

#include "pgtable.h"

/* Bits of a bitmap's word. */
#define WORD	(8 * sizeof(unsigned long))

/* What a walk is about of the pages of an entry at gfn. */
static u64 part_first(const struct xvm_walk *walk, u64 gfn)
{
	return gfn > walk->start ? gfn : walk->start;
}

static u64 part_end(const struct xvm_walk *walk, u64 gfn, unsigned int level)
{
	u64 end = gfn + xvm_level_pages(level);

	return end < walk->end ? end : walk->end;
}

/* Is a bit of [from, end) set? */
static bool any_bit(const unsigned long *bits, u64 from, u64 end)
{
	for (; from < end; from = (from | (WORD - 1)) + 1) {
		unsigned long word = bits[from / WORD] >> (from % WORD);

		if (word)
			return from + __builtin_ctzl(word) < end;
	}
	return false;
}

/* Take bits, if any, from an entry that can only be a leaf, or none.  Returns what it held. */
static u64 take_bits(u64 *pte, u64 bits)
{
	u64 old, val = READ_ONCE(*pte);

	/* The CPU may be setting A or D in it, a fault W: none of that may be lost. */
	while ((val & XVM_PTE_PRESENT) && (val & bits)) {
		old = cmpxchg64(pte, val, val & ~bits);
		if (old == val)
			break;
		val = old;
	}
	return val;
}

struct taking {
	struct xvm_pgtable *pgt;
	const struct xvm_pgtable_take *take;
	bool any;
};

/* Of the leaves of [at, end), which share a word of the bitmaps: the bits of those looked for. */
static unsigned long find_in_word(const struct xvm_pgtable_take *take, u64 *pte, u64 at, u64 end)
{
	const u64 bits = take->bits | (take->dirty ? XVM_PTE_DIRTY : 0);
	unsigned int i, nr = end - at, first = (at - take->base) % WORD;
	unsigned long only = ~0ul, found = 0;

	if (take->only)
		only = take->only[(at - take->base) / WORD];
	if (!only)
		return 0;
	/* No branch would be foreseen: which pages are written is anybody's guess. */
#pragma GCC unroll 8
	for (i = 0; i < nr; i++)
		found |= (unsigned long)!!(READ_ONCE(pte[i]) & bits) << i;
	return found << first & only;
}

/* They stay in the leaves: in most cases the bitmap has had them from there before. */
static void note_word(unsigned long *word, unsigned long found)
{
	if (found && (found & ~READ_ONCE(*word)))
		atomic_long_or(found, (atomic_long_t *)word);
}

static void take_small(struct xvm_walk *walk, u64 *table, u64 gfn)
{
	u64 at = part_first(walk, gfn), end = part_end(walk, gfn, 2), next;
	struct taking *taking = walk->ctx;
	const struct xvm_pgtable_take *take = taking->take;

	for (; at < end; at = next) {
		u64 base = at - (at - take->base) % WORD;
		unsigned long found;

		next = end < base + WORD ? end : base + WORD;
		found = find_in_word(take, &table[xvm_pgt_index(at, 1)], at, next);
		if (!take->bits) {
			note_word(&take->dirty[(base - take->base) / WORD], found);
			continue;
		}
		for (; found; found &= found - 1) {
			u64 hit = base + __builtin_ctzl(found);
			u64 had = take_bits(&table[xvm_pgt_index(hit, 1)], take->bits);

			taking->any |= had & take->bits;
			if (take->dirty && had & XVM_PTE_DIRTY)
				set_bit(hit - take->base, take->dirty);
		}
	}
}

static enum xvm_walk_answer take_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				       unsigned int level, enum xvm_walk_visit why)
{
	const u64 bits = XVM_PTE_WRITE | XVM_PTE_DIRTY;
	struct taking *taking = walk->ctx;
	const struct xvm_pgtable_take *take = taking->take;
	u64 first = part_first(walk, gfn) - take->base;
	u64 end = part_end(walk, gfn, level) - take->base;

	if (why == XVM_WALK_TABLE) {
		if (level > 2)
			return XVM_WALK_ON;
		take_small(walk, xvm_pgt_child(taking->pgt, val), gfn);
		return XVM_WALK_SKIP;
	}
	if (!take->bits || !(val & bits) ||
	    (take->only && !any_bit(take->only, first, end)))
		return XVM_WALK_ON;
	/* The CPU may have set A or D, or a write have split it. */
	if (cmpxchg64(pte, val, val & ~bits) != val)
		return XVM_WALK_AGAIN;
	taking->any = true;
	return XVM_WALK_ON;
}

bool xvm_pgtable_take(struct xvm_pgtable *pgt, const struct xvm_pgtable_take *take)
{
	struct taking taking = { .pgt = pgt, .take = take };
	struct xvm_walk walk = {
		.visit = take_visit,
		.visits = XVM_WALK_LEAF | XVM_WALK_TABLE,
		.start = take->start,
		.end = take->end,
		.ctx = &taking,
	};

	xvm_pgtable_walk(pgt, &walk);
	return taking.any;
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
		u64 *pte = &table[xvm_pgt_index(at, 1)];
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
		allow_small(walk, xvm_pgt_child(pgt, val), gfn);
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
		u64 *pte = &table[xvm_pgt_index(at, 1)];

		young |= take_bits(pte, age->clear ? XVM_PTE_ACCESSED : 0) & XVM_PTE_ACCESSED;
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
		age->young |= age_small(walk, xvm_pgt_child(age->pgt, val), gfn);
	} else if (val & XVM_PTE_ACCESSED) {
		if (age->clear && cmpxchg64(pte, val, val & ~XVM_PTE_ACCESSED) != val)
			return XVM_WALK_AGAIN;
		age->young = true;
	}
	return age->young && !age->clear ? XVM_WALK_STOP : XVM_WALK_SKIP;
}

/* Most often the host asks about a single page: straight down to its leaf. */
static bool age_page(struct xvm_pgtable *pgt, u64 gfn, bool clear)
{
	unsigned int level = pgt->levels;
	u64 *table = pgt->root;

	for (;;) {
		u64 *pte = &table[xvm_pgt_index(gfn, level)];
		u64 val = READ_ONCE(*pte);

		if (!(val & XVM_PTE_PRESENT))
			return false;
		if (!xvm_pte_is_leaf(val, level)) {
			table = xvm_pgt_child(pgt, val);
			level--;
			continue;
		}
		if (!(val & XVM_PTE_ACCESSED))
			return false;
		/* Else the CPU has set D, or a write has split it: look again. */
		if (!clear || cmpxchg64(pte, val, val & ~XVM_PTE_ACCESSED) == val)
			return true;
	}
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

	if (end - start == 1)
		return age_page(pgt, start, clear);
	xvm_pgtable_walk(pgt, &walk);
	return age.young;
}
