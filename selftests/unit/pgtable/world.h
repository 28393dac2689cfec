/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables under test, next to a model of them.
 *
 * The model is two flat lists, of leaves (by gfn) and of tables.  The world owns the
 * pages that the tables are made of and knows what each of them is used for.
 */
#ifndef PGTABLE_WORLD_H
#define PGTABLE_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "../check.h"
#include "pgtable.h"

#define MAX_LEAVES	8192
#define MAX_TABLES	512

struct model_leaf {
	u64 gfn;
	unsigned int level;
	u64 pte;
};

/* level: that of its entries; what links to it is one above. */
struct model_table {
	u64 gfn;
	unsigned int level;
};

struct model {
	unsigned int levels;
	unsigned int nr_leaves;
	unsigned int nr_tables;		/* without the root */
	struct model_leaf leaves[MAX_LEAVES];
	struct model_table tables[MAX_TABLES];
};

/* budget: how many tables may still be allocated. */
enum xvm_map_result model_map(struct model *model, u64 gfn, unsigned int level, u64 pte,
			      unsigned int *budget);
/* A map on its way to gfn has come to the table of this level. */
void model_walked_to(struct model *model, u64 gfn, unsigned int level, unsigned int *budget);
unsigned int model_fill(struct model *model, u64 gfn, const u64 *ptes, unsigned int nr);
void model_unmap(struct model *model, u64 start, u64 end, struct xvm_pgtable_count *gone);
/* Of 4K leaves; dirty: from start on.  Returns how many. */
u64 model_unmap_small(struct model *model, u64 start, u64 end, unsigned long *dirty);
/* Returns how far the tables sufficed. */
u64 model_split(struct model *model, u64 start, u64 end, unsigned int *budget);
void model_allow_write(struct model *model, u64 start, u64 end);
bool model_age(struct model *model, u64 start, u64 end, bool clear);
/* Returns whether any leaf had such a bit. */
bool model_take(struct model *model, const struct xvm_pgtable_take *take);
struct model_leaf *model_lookup(struct model *model, u64 gfn);
struct model_leaf *model_leaf_at(struct model *model, u64 gfn, unsigned int level);
bool model_has_table(const struct model *model, u64 gfn, unsigned int level);

/* Random numbers, or a fuzzer's bytes. */
struct source {
	u64 seed;
	const u8 *data;
	size_t size;
};

u32 pick(struct source *source, u32 below);
bool picked_all(const struct source *source);

enum page_use {
	PAGE_LOOSE,	/* given out, linked nowhere yet */
	PAGE_LINKED,
	PAGE_DETACHED,	/* the root of a subtree that was cut off */
};

struct page {
	u64 *table;
	enum page_use use;
	unsigned int level;
	u64 base;		/* the first gfn, once linked */
	struct cache *owner;	/* while loose */
	u64 checksum;		/* once detached: of the whole subtree */
	unsigned int seen;
};

/* What one map operation allocates from. */
struct cache {
	struct world *world;
	unsigned int budget;
	unsigned int unallocs;
};

struct world {
	struct xvm_pgtable pgt;
	struct model model;
	struct source *source;

	struct page pages[MAX_TABLES + 1];
	unsigned int nr_pages;
	u64 leaves[XVM_MAX_LEAF_LEVEL + 1];	/* counted as they come, split and are freed */

	/*
	 * The map that is under way, for whoever breaks into it: before it
	 * changes an entry, another map; after it has read one, a CPU that
	 * marks the entry, which it also does to a walk that takes bits.
	 */
	u64 map_gfn;
	unsigned int map_level;
	unsigned int model_budget;
	void (*competitor)(struct world *world, u64 *ptep, unsigned int level);
	void (*marker)(struct world *world, u64 *ptep, u64 gfn, unsigned int level);
	bool mapping;
	bool breaking_in;
};

/* There is one at a time: a page is freed without a word of whose it is. */
struct world *world_new(unsigned int levels, struct source *source);
void world_end(struct world *world);

/* The operations, each done to the tables and to the model, and compared. */
enum xvm_map_result world_map(struct world *world, u64 gfn, unsigned int level, u64 pte,
			      struct cache *cache);
unsigned int world_fill(struct world *world, u64 gfn, const u64 *ptes, unsigned int nr);
void world_unmap(struct world *world, u64 start, u64 end);
/* Its dirty is the world's own, and whatever the caller says. */
void world_take(struct world *world, struct xvm_pgtable_take *take);
void world_unmap_small(struct world *world, u64 start, u64 end);
u64 world_split(struct world *world, u64 start, u64 end, struct cache *cache);
void world_allow_write(struct world *world, u64 start, u64 end);
bool world_age(struct world *world, u64 start, u64 end, bool clear);
void world_next(struct world *world, u64 gfn, u64 end);
void world_free_detached(struct world *world, unsigned int keep);
void world_count_detached(struct world *world, struct xvm_pgtable_count *count);
void world_lookup(struct world *world, u64 gfn);
void world_walk(struct world *world, u64 start, u64 end, unsigned int visits, u32 skip, u32 stop);

/* Compare all of the tables with the model. */
void world_check(struct world *world);

/* drive.c */
void drive(struct world *world, unsigned int steps);

#endif
