/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables of a guest's physical memory: one walker, small operations on top.
 *
 * The format is x86's own long-mode one, which is what AMD's nested paging
 * walks (APM vol. 2, 15.25.5: same format, and every guest access counts as a
 * user access, so entries carry U).  Level 1 maps 4K, 2 maps 2M, 3 maps 1G.
 *
 * Nothing here knows locks, VMs or TLBs.  "Shared" operations may run in
 * parallel with each other: they change an entry by cmpxchg from an empty or
 * weaker one, or from a leaf to a table of leaves that map the same.
 * "Exclusive" ones need everybody else kept out.  No operation flushes: its
 * return value says whether the caller has to.
 */
#ifndef XVM_MMU_PGTABLE_H
#define XVM_MMU_PGTABLE_H

#include <linux/bits.h>
#include <linux/types.h>

#define XVM_PTE_PRESENT		BIT_ULL(0)
#define XVM_PTE_WRITE		BIT_ULL(1)
#define XVM_PTE_USER		BIT_ULL(2)
#define XVM_PTE_ACCESSED	BIT_ULL(5)
#define XVM_PTE_DIRTY		BIT_ULL(6)
#define XVM_PTE_HUGE		BIT_ULL(7)
/* For software: the host and the slot let it be written, only a log may not. */
#define XVM_PTE_MAY_WRITE	BIT_ULL(9)
#define XVM_PTE_NX		BIT_ULL(63)
#define XVM_PTE_ADDR		0x000ffffffffff000ULL

#define XVM_PGT_BITS		9
#define XVM_PGT_ENTRIES		BIT(XVM_PGT_BITS)

/* Where table pages come from and go to.  A page is 4K, zeroed by alloc. */
struct xvm_pgtable_ops {
	/* Must not sleep; NULL when there is none at hand.  ctx: the caller's of the operation. */
	u64 *(*alloc)(void *ctx);
	/* Give back, zeroed, what alloc gave in the same operation and what was never linked. */
	void (*unalloc)(void *ctx, u64 *table);
	/* A leaf of this level, with gfn in it, is a full table of leaves one below now. */
	void (*split)(void *ctx, u64 gfn, unsigned int level);
	/* A subtree was cut off: reachable by TLBs' walkers until the flush, by nobody after it. */
	void (*detach)(void *ctx, u64 *table, unsigned int level);
	u64 (*to_phys)(u64 *table);
	u64 *(*to_virt)(u64 phys);
};

struct xvm_pgtable {
	u64 *root;
	unsigned int levels;		/* 4 or 5, as the host's own */
	const struct xvm_pgtable_ops *ops;
};

#define XVM_MAX_LEAF_LEVEL	3

/* Past all frames that an entry can name. */
#define XVM_GFN_END		BIT_ULL(40)

static inline u64 xvm_level_pages(unsigned int level)
{
	return 1ULL << (XVM_PGT_BITS * (level - 1));
}

static inline bool xvm_pte_is_leaf(u64 pte, unsigned int level)
{
	return level == 1 || (pte & XVM_PTE_HUGE);
}

static inline u64 xvm_pte_pfn(u64 pte)
{
	return (pte & XVM_PTE_ADDR) >> 12;
}

/* Which entry of a table of this level is on the way to gfn. */
static inline unsigned int xvm_pgt_index(u64 gfn, unsigned int level)
{
	return (gfn >> (XVM_PGT_BITS * (level - 1))) & (XVM_PGT_ENTRIES - 1);
}

/* The table that a link leads to. */
static inline u64 *xvm_pgt_child(struct xvm_pgtable *pgt, u64 pte)
{
	return pgt->ops->to_virt(pte & XVM_PTE_ADDR);
}

/* What the walker calls back for. */
enum xvm_walk_visit {
	XVM_WALK_LEAF	= 1,	/* a present leaf */
	XVM_WALK_TABLE	= 2,	/* a link to a lower table, before it is walked */
};

/* What a callback answers. */
enum xvm_walk_answer {
	XVM_WALK_ON,		/* go on (into the table, for XVM_WALK_TABLE) */
	XVM_WALK_SKIP,		/* don't enter this table */
	XVM_WALK_AGAIN,		/* the entry has changed: look at it anew */
	XVM_WALK_STOP,		/* end the walk */
};

struct xvm_walk {
	/* pte: the entry; gfn: the first that it maps; val: what it held when read */
	enum xvm_walk_answer (*visit)(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				      unsigned int level, enum xvm_walk_visit why);
	unsigned int visits;	/* enum xvm_walk_visit, or'ed */
	u64 start, end;		/* gfns, end exclusive */
	void *ctx;
};

/* Visit all that is present in [start, end), in ascending order.  True: a callback stopped it. */
bool xvm_pgtable_walk(struct xvm_pgtable *pgt, struct xvm_walk *walk);

/* The leaf that maps gfn and its level, or 0.  Shared. */
u64 xvm_pgtable_lookup(struct xvm_pgtable *pgt, u64 gfn, unsigned int *level);

/* The first leaf that maps any of [*gfn, end), where it begins and its level; 0: none.  Shared. */
u64 xvm_pgtable_next(struct xvm_pgtable *pgt, u64 *gfn, u64 end, unsigned int *level);

/* Leaves and tables that went away. */
struct xvm_pgtable_count {
	u64 leaves[XVM_MAX_LEAF_LEVEL + 1];	/* by level */
	u64 tables;
	u64 start, end;				/* gfns that unmap took from, whole leaves */
};

enum xvm_map_result {
	XVM_MAP_NEW,		/* nothing was there */
	XVM_MAP_SAME,		/* was there already, with at least these rights */
	XVM_MAP_RELAXED,	/* same page, more rights: no flush needed, see pgtable.c */
	XVM_MAP_REPLACED,	/* another page was there: flush before anyone relies on this one */
	XVM_MAP_NO_TABLE,	/* alloc gave NULL: nothing lost, try again with more */
	XVM_MAP_BLOCKED,	/* a table hangs where the leaf should go: unmap its range first */
};

/*
 * Map one leaf at level.  pte: its whole value.  gfn is aligned to the level.
 * Tables on the way are allocated from ctx; a larger leaf on the way is split,
 * which needs no flush: a TLB that keeps the whole one keeps what its parts say.
 * Shared.
 */
enum xvm_map_result xvm_pgtable_map(struct xvm_pgtable *pgt, u64 gfn, unsigned int level, u64 pte,
				    void *ctx);

/*
 * Of nr pages from gfn on, up to 64 and of one table: where the table is there
 * and nothing is mapped, a bit each.  Shared.
 */
u64 xvm_pgtable_vacant(struct xvm_pgtable *pgt, u64 gfn, unsigned int nr);

/*
 * Map nr 4K leaves from gfn on, whose entries are of one table: where the table
 * is there already, and nothing is mapped.  ptes: as for map; 0: none.  Shared.
 * Returns how many it mapped.
 */
unsigned int xvm_pgtable_fill(struct xvm_pgtable *pgt, u64 gfn, const u64 *ptes, unsigned int nr);

/*
 * Unmap [start, end): subtrees wholly inside are cut off at the highest entry
 * and handed to ops->detach, so time grows with the number of entries at the
 * edges and the top, not with the number of leaves.  A larger leaf that
 * straddles an edge goes as a whole.  Adds to count the leaves that it removed
 * one by one; those in subtrees are counted when they are freed.  Exclusive.
 * True: something was mapped, and count says where.
 */
bool xvm_pgtable_unmap(struct xvm_pgtable *pgt, u64 start, u64 end, void *ctx,
		       struct xvm_pgtable_count *count);

/*
 * Unmap the 4K leaves of [start, end), one by one, and set in dirty the bit
 * (gfn - base) of each that had D.  Larger ones and all tables stay.  Others may
 * set bits in dirty meanwhile.  Exclusive.  Returns how many they were.
 */
u64 xvm_pgtable_unmap_small(struct xvm_pgtable *pgt, u64 start, u64 end, u64 base,
			    unsigned long *dirty);

/*
 * Split the leaves of [start, end) that are larger than 4K, those that straddle
 * an edge included, into tables of 4K leaves with the same rights; if they can be
 * written they count as dirty.  No flush is due, see xvm_pgtable_map().  Tables
 * come from ctx.  Returns end, or the first gfn of the leaf for which alloc gave
 * NULL.  Time grows with the tables above the lowest level, and with those that
 * are made.  Shared.
 */
u64 xvm_pgtable_split(struct xvm_pgtable *pgt, u64 start, u64 end, void *ctx);

/*
 * What a dirty log goes by: W, which a write without it asks for, and D, which
 * the CPU sets when it writes (APM vol. 2, 15.25.5).
 */
struct xvm_pgtable_take {
	u64 start, end;			/* gfns, end exclusive */
	u64 bits;			/* XVM_PTE_WRITE, XVM_PTE_DIRTY or none */
	u64 base;			/* the gfn of the first bit of both bitmaps, <= start */
	const unsigned long *only;	/* look at leaves with their bit set alone; NULL: at all */
	unsigned long *dirty;		/* or NULL: gets the bit of each 4K leaf that had D */
};

/*
 * Take bits from the 4K leaves of a range.  A larger leaf loses both W and D, as
 * a whole, if any of its bits is set in only; it is not reported, and with no
 * bits to take it is left alone.  Others may set bits in dirty meanwhile.
 * Shared: it holds against maps that are over, one that runs meanwhile may give
 * them again.  True: some leaf had such a bit, and a flush is due.
 */
bool xvm_pgtable_take(struct xvm_pgtable *pgt, const struct xvm_pgtable_take *take);

/*
 * Give write permission to the leaves of [start, end) that may have it: all of
 * it is added, so no flush is due.  Shared.
 */
void xvm_pgtable_allow_write(struct xvm_pgtable *pgt, u64 start, u64 end);

/*
 * Is any leaf of [start, end) young: has the CPU used it?  With clear all of them
 * are old afterwards, but for a TLB that still has them: it tells the table of
 * no further use until it is flushed.  Shared.
 */
bool xvm_pgtable_age(struct xvm_pgtable *pgt, u64 start, u64 end, bool clear);

/* Free a detached subtree with all below it through free; may be long: free may reschedule. */
void xvm_pgtable_free(struct xvm_pgtable *pgt, u64 *table, unsigned int level,
		      void (*free)(u64 *table), struct xvm_pgtable_count *count);

#endif
