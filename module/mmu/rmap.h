/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reverse maps: from what is mapped to all the page-table entries that map it.
 *
 * A list (struct xvm_rmap) is one word.  Nothing is the word 0, one entry is its
 * pointer, more of them are a chain of descriptors, of which all but the first
 * are full.  So an entry is added in constant time, a removal moves one entry,
 * and a list of n entries takes n / XVM_RMAP_ENTRIES cache misses to walk.
 *
 * A map (struct xvm_rmaps) has a list for each guest frame, of each size of
 * leaf, that something maps, in chunks of 64 frames.  A chunk exists while it
 * holds anything: a VM that never shadows has none, one that shadows a part of
 * its memory those of that part.  Slots may come, move and go: a list belongs
 * to a frame number, whatever slot is there.
 *
 * No function here locks, sleeps or flushes; what may need memory takes it from
 * a stock that was filled before.
 */
#ifndef XVM_MMU_RMAP_H
#define XVM_MMU_RMAP_H

#include <linux/bits.h>
#include <linux/rbtree.h>
#include <linux/types.h>

/* Two cache lines a descriptor: measured by scripts/rmap-sizes, which builds others. */
#ifndef XVM_RMAP_ENTRIES
#define XVM_RMAP_ENTRIES	14
#endif

struct xvm_rmap {
	unsigned long val;
};

struct xvm_rmap_desc {
	struct xvm_rmap_desc *more;	/* full ones; in a stock: the next */
	u32 count;			/* entries in use, from the first on */
	u32 below;			/* entries of all that more leads to */
	u64 *entries[XVM_RMAP_ENTRIES];
};

#define XVM_RMAP_CHUNK_BITS	6
#define XVM_RMAP_CHUNK		BIT(XVM_RMAP_CHUNK_BITS)
#define XVM_RMAP_LEVELS		3	/* sizes of leaves: 4K, 2M, 1G */

struct xvm_rmap_chunk {
	struct rb_node node;
	u64 index;			/* of its first frame, in frames of its level, over 64 */
	u64 used;			/* lists that aren't empty, a bit each */
	u64 marked;			/* frames that the map's user has marked */
	struct xvm_rmap lists[XVM_RMAP_CHUNK];
};

struct xvm_rmaps {
	struct rb_root chunks[XVM_RMAP_LEVELS];
	struct xvm_rmap_chunk *last[XVM_RMAP_LEVELS];	/* found last by who may change the map */
	u64 nr_chunks;
	u64 nr_descs;			/* of all lists that were given this map, too */
	u64 longest;			/* list of a frame that there has been */
};

/* What additions take their memory from. */
struct xvm_rmap_stock {
	struct xvm_rmap_desc *descs;
	struct rb_node *chunks;		/* linked by rb_right */
	unsigned int nr_descs;
	unsigned int nr_chunks;
};

/* Once per module. */
int xvm_rmap_cache_create(void);
void xvm_rmap_cache_destroy(void);

/* Sleeps as gfp lets it.  -ENOMEM: there are fewer than asked for, and what there is stays. */
int xvm_rmap_stock_fill(struct xvm_rmap_stock *stock, unsigned int descs, unsigned int chunks,
			gfp_t gfp);
void xvm_rmap_stock_free(struct xvm_rmap_stock *stock);

/* Lists.  The map counts their descriptors. */

/* The number of entries then, or -ENOMEM: the stock is empty, and nothing has changed. */
int xvm_rmap_add(struct xvm_rmaps *map, struct xvm_rmap *list, u64 *entry,
		 struct xvm_rmap_stock *stock);
/* False: it isn't there. */
bool xvm_rmap_remove(struct xvm_rmaps *map, struct xvm_rmap *list, u64 *entry);
unsigned int xvm_rmap_length(const struct xvm_rmap *list);

struct xvm_rmap_iter {
	const struct xvm_rmap_desc *desc;
	unsigned int next;
};

u64 *xvm_rmap_first(const struct xvm_rmap *list, struct xvm_rmap_iter *iter);
u64 *xvm_rmap_next(struct xvm_rmap_iter *iter);

#define xvm_rmap_for_each(entry, list, iter)						\
	for ((entry) = xvm_rmap_first(list, iter); (entry); (entry) = xvm_rmap_next(iter))

/* Empty the list in one pass.  visit: NULL, or called for each entry that was on it. */
void xvm_rmap_zap(struct xvm_rmaps *map, struct xvm_rmap *list,
		  void (*visit)(void *ctx, u64 *entry), void *ctx);

/* Maps.  gfn: any frame of the leaf's. */

/* As xvm_rmap_add(). */
int xvm_rmaps_add(struct xvm_rmaps *map, unsigned int level, u64 gfn, u64 *entry,
		  struct xvm_rmap_stock *stock);
bool xvm_rmaps_remove(struct xvm_rmaps *map, unsigned int level, u64 gfn, u64 *entry);
/* Changes nothing, so that readers may share a lock.  NULL: nothing maps it. */
const struct xvm_rmap *xvm_rmaps_list(const struct xvm_rmaps *map, unsigned int level, u64 gfn);

/* A mark on a 4K frame; -ENOMEM as above. */
int xvm_rmaps_mark(struct xvm_rmaps *map, u64 gfn, struct xvm_rmap_stock *stock);
void xvm_rmaps_unmark(struct xvm_rmaps *map, u64 gfn);
bool xvm_rmaps_marked(const struct xvm_rmaps *map, u64 gfn);
/* The first frame of [start, end) that has a list, of any size, or is marked; or end. */
u64 xvm_rmaps_next_known(struct xvm_rmaps *map, u64 start, u64 end);
/* The first marked frame of [start, end), or end. */
u64 xvm_rmaps_next_marked(const struct xvm_rmaps *map, u64 start, u64 end);

/*
 * The first frame at or after *gfn, below end, with a list of this level; its
 * first 4K frame goes to *gfn, which is below the one asked for if the leaf
 * begins there.  NULL: there is none.
 */
struct xvm_rmap *xvm_rmaps_next(struct xvm_rmaps *map, unsigned int level, u64 *gfn, u64 end);

/* Empty the lists of all frames that have a part in [start, end).  True: some weren't. */
bool xvm_rmaps_zap(struct xvm_rmaps *map, u64 start, u64 end,
		   void (*visit)(void *ctx, unsigned int level, u64 gfn, u64 *entry), void *ctx);

/* The same of one level. */
bool xvm_rmaps_zap_level(struct xvm_rmaps *map, unsigned int level, u64 start, u64 end,
			 void (*visit)(void *ctx, unsigned int level, u64 gfn, u64 *entry),
			 void *ctx);

/* Memory in use by the map, and by all lists that were given it. */
u64 xvm_rmaps_bytes(const struct xvm_rmaps *map);

#endif
