// SPDX-License-Identifier: GPL-2.0-only
/*
 * A reverse map, a word that grows into a chain of descriptors; and those of a VM,
 * by size of leaf, in chunks that are there once something in them is mapped.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>

#include "pgtable.h"
#include "rmap.h"

/* Set in a list's word: what is left of it is a descriptor. */
#define MANY	1UL

static struct kmem_cache *desc_cache, *chunk_cache;

int xvm_rmap_cache_create(void)
{
	/* A descriptor begins with a cache line, so that it takes no more than two. */
	desc_cache = kmem_cache_create("xvm_rmap_desc", sizeof(struct xvm_rmap_desc), 64,
				       SLAB_ACCOUNT, NULL);
	chunk_cache = kmem_cache_create("xvm_rmap_chunk", sizeof(struct xvm_rmap_chunk), 0,
					SLAB_ACCOUNT, NULL);
	if (desc_cache && chunk_cache)
		return 0;
	xvm_rmap_cache_destroy();
	return -ENOMEM;
}

void xvm_rmap_cache_destroy(void)
{
	kmem_cache_destroy(desc_cache);
	kmem_cache_destroy(chunk_cache);
	desc_cache = NULL;
	chunk_cache = NULL;
}

int xvm_rmap_stock_fill(struct xvm_rmap_stock *stock, unsigned int descs, unsigned int chunks,
			gfp_t gfp)
{
	while (stock->nr_descs < descs) {
		struct xvm_rmap_desc *desc = kmem_cache_zalloc(desc_cache, gfp);

		if (!desc)
			return -ENOMEM;
		desc->more = stock->descs;
		stock->descs = desc;
		stock->nr_descs++;
	}
	while (stock->nr_chunks < chunks) {
		struct xvm_rmap_chunk *chunk = kmem_cache_zalloc(chunk_cache, gfp);

		if (!chunk)
			return -ENOMEM;
		chunk->node.rb_right = stock->chunks;
		stock->chunks = &chunk->node;
		stock->nr_chunks++;
	}
	return 0;
}

static struct xvm_rmap_desc *take_desc(struct xvm_rmaps *map, struct xvm_rmap_stock *stock)
{
	struct xvm_rmap_desc *desc = stock->descs;

	if (!desc)
		return NULL;
	stock->descs = desc->more;
	stock->nr_descs--;
	map->nr_descs++;
	return desc;
}

static void free_desc(struct xvm_rmaps *map, struct xvm_rmap_desc *desc)
{
	map->nr_descs--;
	kmem_cache_free(desc_cache, desc);
}

static struct xvm_rmap_chunk *take_chunk(struct xvm_rmaps *map, struct xvm_rmap_stock *stock)
{
	struct xvm_rmap_chunk *chunk;

	if (!stock->chunks)
		return NULL;
	chunk = rb_entry(stock->chunks, struct xvm_rmap_chunk, node);
	stock->chunks = chunk->node.rb_right;
	stock->nr_chunks--;
	map->nr_chunks++;
	return chunk;
}

void xvm_rmap_stock_free(struct xvm_rmap_stock *stock)
{
	struct xvm_rmaps none = {};

	while (stock->descs)
		kmem_cache_free(desc_cache, take_desc(&none, stock));
	while (stock->chunks)
		kmem_cache_free(chunk_cache, take_chunk(&none, stock));
}

static struct xvm_rmap_desc *many(const struct xvm_rmap *list)
{
	return list->val & MANY ? (struct xvm_rmap_desc *)(list->val & ~MANY) : NULL;
}

int xvm_rmap_add(struct xvm_rmaps *map, struct xvm_rmap *list, u64 *entry,
		 struct xvm_rmap_stock *stock)
{
	struct xvm_rmap_desc *first = many(list), *desc;

	if (!list->val) {
		list->val = (unsigned long)entry;
		return 1;
	}
	if (first && first->count < XVM_RMAP_ENTRIES) {
		first->entries[first->count++] = entry;
		return first->count + first->below;
	}

	desc = take_desc(map, stock);
	if (!desc)
		return -ENOMEM;
	desc->more = first;
	desc->below = first ? first->count + first->below : 0;
	desc->count = 0;
	if (!first)
		desc->entries[desc->count++] = (u64 *)list->val;
	desc->entries[desc->count++] = entry;
	list->val = (unsigned long)desc | MANY;
	return desc->count + desc->below;
}

/* The place of one goes to the last of the first descriptor: the others stay full. */
static void fill_hole(struct xvm_rmaps *map, struct xvm_rmap *list, struct xvm_rmap_desc *desc,
		      unsigned int hole)
{
	struct xvm_rmap_desc *first = many(list);

	desc->entries[hole] = first->entries[--first->count];
	if (first->count + first->below == 1) {
		/* The last one may be in the next descriptor. */
		struct xvm_rmap_desc *holder = first->count ? first : first->more;

		list->val = (unsigned long)holder->entries[0];
		if (holder != first)
			free_desc(map, holder);
		free_desc(map, first);
	} else if (!first->count) {
		list->val = (unsigned long)first->more | MANY;
		free_desc(map, first);
	}
}

bool xvm_rmap_remove(struct xvm_rmaps *map, struct xvm_rmap *list, u64 *entry)
{
	struct xvm_rmap_desc *desc;
	unsigned int i;

	if (!(list->val & MANY)) {
		if (list->val != (unsigned long)entry)
			return false;
		list->val = 0;
		return true;
	}
	for (desc = many(list); desc; desc = desc->more)
		for (i = 0; i < desc->count; i++)
			if (desc->entries[i] == entry) {
				fill_hole(map, list, desc, i);
				return true;
			}
	return false;
}

unsigned int xvm_rmap_length(const struct xvm_rmap *list)
{
	const struct xvm_rmap_desc *first = many(list);

	return first ? first->count + first->below : !!list->val;
}

u64 *xvm_rmap_first(const struct xvm_rmap *list, struct xvm_rmap_iter *iter)
{
	iter->desc = many(list);
	iter->next = 1;
	return iter->desc ? iter->desc->entries[0] : (u64 *)list->val;
}

u64 *xvm_rmap_next(struct xvm_rmap_iter *iter)
{
	if (!iter->desc)
		return NULL;
	if (iter->next == iter->desc->count) {
		iter->desc = iter->desc->more;
		iter->next = 0;
		if (!iter->desc)
			return NULL;
	}
	return iter->desc->entries[iter->next++];
}

void xvm_rmap_zap(struct xvm_rmaps *map, struct xvm_rmap *list,
		  void (*visit)(void *ctx, u64 *entry), void *ctx)
{
	struct xvm_rmap_desc *desc = many(list), *more;
	u64 *single = desc ? NULL : (u64 *)list->val;
	unsigned int i;

	list->val = 0;
	if (single && visit)
		visit(ctx, single);
	for (; desc; desc = more) {
		more = desc->more;
		for (i = 0; visit && i < desc->count; i++)
			visit(ctx, desc->entries[i]);
		free_desc(map, desc);
	}
}

/* In frames of the level. */
static u64 frame(unsigned int level, u64 gfn)
{
	return gfn >> XVM_PGT_BITS * (level - 1);
}

static struct xvm_rmap_chunk *find_chunk(const struct xvm_rmaps *map, unsigned int level,
					 u64 index)
{
	struct rb_node *node = map->chunks[level - 1].rb_node;

	while (node) {
		struct xvm_rmap_chunk *chunk = rb_entry(node, struct xvm_rmap_chunk, node);

		if (index == chunk->index)
			return chunk;
		node = index < chunk->index ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* For who may change the map: neighbours are asked for one after the other. */
static struct xvm_rmap_chunk *get_chunk(struct xvm_rmaps *map, unsigned int level, u64 index)
{
	struct xvm_rmap_chunk *chunk = map->last[level - 1];

	if (chunk && chunk->index == index)
		return chunk;
	chunk = find_chunk(map, level, index);
	if (chunk)
		map->last[level - 1] = chunk;
	return chunk;
}

static struct xvm_rmap_chunk *make_chunk(struct xvm_rmaps *map, unsigned int level, u64 index,
					 struct xvm_rmap_stock *stock)
{
	struct rb_root *root = &map->chunks[level - 1];
	struct rb_node **link = &root->rb_node, *parent = NULL;
	struct xvm_rmap_chunk *chunk = get_chunk(map, level, index);

	if (chunk)
		return chunk;
	chunk = take_chunk(map, stock);
	if (!chunk)
		return NULL;
	chunk->index = index;
	while (*link) {
		parent = *link;
		link = index < rb_entry(parent, struct xvm_rmap_chunk, node)->index ?
			       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&chunk->node, parent, link);
	rb_insert_color(&chunk->node, root);
	map->last[level - 1] = chunk;
	return chunk;
}

/* Give an empty one back. */
static void put_chunk(struct xvm_rmaps *map, unsigned int level, struct xvm_rmap_chunk *chunk)
{
	if (chunk->used || chunk->marked)
		return;
	rb_erase(&chunk->node, &map->chunks[level - 1]);
	if (map->last[level - 1] == chunk)
		map->last[level - 1] = NULL;
	map->nr_chunks--;
	kmem_cache_free(chunk_cache, chunk);
}

int xvm_rmaps_add(struct xvm_rmaps *map, unsigned int level, u64 gfn, u64 *entry,
		  struct xvm_rmap_stock *stock)
{
	u64 f = frame(level, gfn);
	struct xvm_rmap_chunk *chunk = make_chunk(map, level, f >> XVM_RMAP_CHUNK_BITS, stock);
	unsigned int i = f % XVM_RMAP_CHUNK;
	int length;

	if (!chunk)
		return -ENOMEM;
	length = xvm_rmap_add(map, &chunk->lists[i], entry, stock);
	if (length < 0) {
		put_chunk(map, level, chunk);
		return length;
	}
	chunk->used |= 1ULL << i;
	if (length > map->longest)
		map->longest = length;
	return length;
}

bool xvm_rmaps_remove(struct xvm_rmaps *map, unsigned int level, u64 gfn, u64 *entry)
{
	u64 f = frame(level, gfn);
	struct xvm_rmap_chunk *chunk = get_chunk(map, level, f >> XVM_RMAP_CHUNK_BITS);
	unsigned int i = f % XVM_RMAP_CHUNK;

	if (!chunk || !xvm_rmap_remove(map, &chunk->lists[i], entry))
		return false;
	if (!chunk->lists[i].val) {
		chunk->used &= ~(1ULL << i);
		put_chunk(map, level, chunk);
	}
	return true;
}

const struct xvm_rmap *xvm_rmaps_list(const struct xvm_rmaps *map, unsigned int level, u64 gfn)
{
	u64 f = frame(level, gfn);
	const struct xvm_rmap_chunk *chunk = find_chunk(map, level, f >> XVM_RMAP_CHUNK_BITS);

	if (!chunk || !(chunk->used >> f % XVM_RMAP_CHUNK & 1))
		return NULL;
	return &chunk->lists[f % XVM_RMAP_CHUNK];
}

int xvm_rmaps_mark(struct xvm_rmaps *map, u64 gfn, struct xvm_rmap_stock *stock)
{
	struct xvm_rmap_chunk *chunk = make_chunk(map, 1, gfn >> XVM_RMAP_CHUNK_BITS, stock);

	if (!chunk)
		return -ENOMEM;
	chunk->marked |= 1ULL << gfn % XVM_RMAP_CHUNK;
	return 0;
}

void xvm_rmaps_unmark(struct xvm_rmaps *map, u64 gfn)
{
	struct xvm_rmap_chunk *chunk = get_chunk(map, 1, gfn >> XVM_RMAP_CHUNK_BITS);

	if (!chunk)
		return;
	chunk->marked &= ~(1ULL << gfn % XVM_RMAP_CHUNK);
	put_chunk(map, 1, chunk);
}

bool xvm_rmaps_marked(const struct xvm_rmaps *map, u64 gfn)
{
	const struct xvm_rmap_chunk *chunk = find_chunk(map, 1, gfn >> XVM_RMAP_CHUNK_BITS);

	return chunk && chunk->marked >> gfn % XVM_RMAP_CHUNK & 1;
}

/* The first chunk that ends after a frame. */
static struct xvm_rmap_chunk *chunk_from(const struct xvm_rmaps *map, unsigned int level, u64 f)
{
	struct rb_node *node = map->chunks[level - 1].rb_node;
	struct xvm_rmap_chunk *best = NULL;

	while (node) {
		struct xvm_rmap_chunk *chunk = rb_entry(node, struct xvm_rmap_chunk, node);

		if (chunk->index < f >> XVM_RMAP_CHUNK_BITS) {
			node = node->rb_right;
		} else {
			best = chunk;
			node = node->rb_left;
		}
	}
	return best;
}

/* The first frame from f on whose bit is set in what bits() picks of a chunk; or end. */
static u64 next_frame(const struct xvm_rmaps *map, unsigned int level, u64 f, u64 end,
		      u64 (*bits)(const struct xvm_rmap_chunk *chunk),
		      struct xvm_rmap_chunk **found)
{
	struct xvm_rmap_chunk *chunk = chunk_from(map, level, f);

	while (chunk && chunk->index << XVM_RMAP_CHUNK_BITS < end) {
		u64 first = chunk->index << XVM_RMAP_CHUNK_BITS, left = bits(chunk);

		if (f > first)
			left = left >> (f - first) << (f - first);
		if (left) {
			f = first + __builtin_ctzll(left);
			*found = chunk;
			return f < end ? f : end;
		}
		chunk = rb_entry_safe(rb_next(&chunk->node), struct xvm_rmap_chunk, node);
	}
	return end;
}

static u64 used(const struct xvm_rmap_chunk *chunk)
{
	return chunk->used;
}

static u64 marked(const struct xvm_rmap_chunk *chunk)
{
	return chunk->marked;
}

u64 xvm_rmaps_next_marked(const struct xvm_rmaps *map, u64 start, u64 end)
{
	struct xvm_rmap_chunk *chunk;

	return next_frame(map, 1, start, end, marked, &chunk);
}

struct xvm_rmap *xvm_rmaps_next(struct xvm_rmaps *map, unsigned int level, u64 *gfn, u64 end)
{
	unsigned int shift = XVM_PGT_BITS * (level - 1);
	u64 last = frame(level, end + (1ULL << shift) - 1), f;
	struct xvm_rmap_chunk *chunk;

	f = next_frame(map, level, *gfn >> shift, last, used, &chunk);
	if (f == last)
		return NULL;
	*gfn = f << shift;
	return &chunk->lists[f % XVM_RMAP_CHUNK];
}

static u64 known(const struct xvm_rmap_chunk *chunk)
{
	return chunk->used | chunk->marked;
}

u64 xvm_rmaps_next_known(struct xvm_rmaps *map, u64 start, u64 end)
{
	struct xvm_rmap_chunk *chunk;
	u64 first = next_frame(map, 1, start, end, known, &chunk);
	unsigned int level;

	for (level = 2; level <= XVM_RMAP_LEVELS; level++) {
		u64 gfn = start;

		if (xvm_rmaps_next(map, level, &gfn, first))
			first = gfn > start ? gfn : start;
	}
	return first;
}

struct zap {
	void (*visit)(void *ctx, unsigned int level, u64 gfn, u64 *entry);
	void *ctx;
	unsigned int level;
	u64 gfn;
};

static void zap_entry(void *ctx, u64 *entry)
{
	struct zap *zap = ctx;

	zap->visit(zap->ctx, zap->level, zap->gfn, entry);
}

bool xvm_rmaps_zap_level(struct xvm_rmaps *map, unsigned int level, u64 start, u64 end,
			 void (*visit)(void *ctx, unsigned int level, u64 gfn, u64 *entry),
			 void *ctx)
{
	struct zap zap = { .visit = visit, .ctx = ctx, .level = level, .gfn = start };
	struct xvm_rmap *list;
	bool any = false;

	while ((list = xvm_rmaps_next(map, level, &zap.gfn, end))) {
		u64 f = frame(level, zap.gfn);
		struct xvm_rmap_chunk *chunk = get_chunk(map, level, f >> XVM_RMAP_CHUNK_BITS);

		xvm_rmap_zap(map, list, visit ? zap_entry : NULL, &zap);
		chunk->used &= ~(1ULL << f % XVM_RMAP_CHUNK);
		put_chunk(map, level, chunk);
		zap.gfn += xvm_level_pages(level);
		any = true;
	}
	return any;
}

bool xvm_rmaps_zap(struct xvm_rmaps *map, u64 start, u64 end,
		   void (*visit)(void *ctx, unsigned int level, u64 gfn, u64 *entry), void *ctx)
{
	bool any = false;
	unsigned int level;

	for (level = 1; level <= XVM_RMAP_LEVELS; level++)
		any |= xvm_rmaps_zap_level(map, level, start, end, visit, ctx);
	return any;
}

u64 xvm_rmaps_bytes(const struct xvm_rmaps *map)
{
	return map->nr_chunks * sizeof(struct xvm_rmap_chunk) +
	       map->nr_descs * sizeof(struct xvm_rmap_desc);
}
