// SPDX-License-Identifier: GPL-2.0-only
/* What page tables should do, the slow and obvious way. */
#include <string.h>

#include <linux/bitops.h>

#include "world.h"

static u64 base_of(u64 gfn, unsigned int level)
{
	return gfn & ~(xvm_level_pages(level) - 1);
}

/* How many leaves begin at or before gfn. */
static unsigned int leaves_up_to(const struct model *model, u64 gfn)
{
	unsigned int low = 0, high = model->nr_leaves;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (model->leaves[middle].gfn <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct model_leaf *model_lookup(struct model *model, u64 gfn)
{
	unsigned int n = leaves_up_to(model, gfn);
	struct model_leaf *leaf = n ? &model->leaves[n - 1] : NULL;

	return leaf && gfn - leaf->gfn < xvm_level_pages(leaf->level) ? leaf : NULL;
}

struct model_leaf *model_leaf_at(struct model *model, u64 gfn, unsigned int level)
{
	struct model_leaf *leaf = model_lookup(model, gfn);

	return leaf && leaf->level == level ? leaf : NULL;
}

static void add_leaf(struct model *model, u64 gfn, unsigned int level, u64 pte)
{
	unsigned int n = leaves_up_to(model, gfn);

	CHECK(model->nr_leaves < MAX_LEAVES);
	memmove(&model->leaves[n + 1], &model->leaves[n],
		(model->nr_leaves - n) * sizeof(model->leaves[0]));
	model->leaves[n] = (struct model_leaf) { gfn, level, pte };
	model->nr_leaves++;
}

bool model_has_table(const struct model *model, u64 gfn, unsigned int level)
{
	unsigned int i;

	if (level == model->levels)
		return true;
	for (i = 0; i < model->nr_tables; i++)
		if (model->tables[i].level == level &&
		    model->tables[i].gfn == base_of(gfn, level + 1))
			return true;
	return false;
}

/* A leaf becomes as many as a table has entries, one level below. */
static void split_leaf(struct model *model, struct model_leaf *at)
{
	struct model_leaf leaf = *at;
	u64 pages = xvm_level_pages(leaf.level - 1);
	u64 flags = leaf.pte & ~XVM_PTE_ADDR & ~(leaf.level == 2 ? XVM_PTE_HUGE : 0);
	unsigned int i;

	if (flags & XVM_PTE_WRITE)
		flags |= XVM_PTE_DIRTY;
	memmove(at, at + 1, (&model->leaves[--model->nr_leaves] - at) * sizeof(*at));
	for (i = 0; i < XVM_PGT_ENTRIES; i++)
		add_leaf(model, leaf.gfn + i * pages, leaf.level - 1,
			 (xvm_pte_pfn(leaf.pte) + i * pages) << 12 | flags);
}

static bool add_table(struct model *model, u64 gfn, unsigned int level, unsigned int *budget)
{
	struct model_leaf *leaf;

	if (model_has_table(model, gfn, level))
		return true;
	if (!*budget)
		return false;
	--*budget;
	CHECK(model->nr_tables < MAX_TABLES);
	model->tables[model->nr_tables++] = (struct model_table) {
		.gfn = base_of(gfn, level + 1),
		.level = level,
	};
	leaf = model_leaf_at(model, gfn, level + 1);
	if (leaf)
		split_leaf(model, leaf);
	return true;
}

void model_walked_to(struct model *model, u64 gfn, unsigned int level, unsigned int *budget)
{
	unsigned int l;

	for (l = model->levels; l > level; l--)
		CHECK(add_table(model, gfn, l - 1, budget));
}

enum xvm_map_result model_map(struct model *model, u64 gfn, unsigned int level, u64 pte,
			      unsigned int *budget)
{
	struct model_leaf *leaf;
	unsigned int l;
	bool writable;

	for (l = model->levels; l > level; l--)
		if (!add_table(model, gfn, l - 1, budget))
			return XVM_MAP_NO_TABLE;
	if (level > 1 && model_has_table(model, gfn, level - 1))
		return XVM_MAP_BLOCKED;

	leaf = model_leaf_at(model, gfn, level);
	if (!leaf) {
		add_leaf(model, gfn, level, pte);
		return XVM_MAP_NEW;
	}
	if (xvm_pte_pfn(leaf->pte) != xvm_pte_pfn(pte)) {
		leaf->pte = pte;
		return XVM_MAP_REPLACED;
	}
	writable = leaf->pte & XVM_PTE_WRITE;
	leaf->pte |= pte & (XVM_PTE_WRITE | XVM_PTE_MAY_WRITE | XVM_PTE_ACCESSED |
			    XVM_PTE_DIRTY);
	return (pte & XVM_PTE_WRITE) && !writable ? XVM_MAP_RELAXED : XVM_MAP_SAME;
}

unsigned int model_fill(struct model *model, u64 gfn, const u64 *ptes, unsigned int nr)
{
	unsigned int i, mapped = 0;

	if (!model_has_table(model, gfn, 1))
		return 0;
	for (i = 0; i < nr; i++) {
		if (!ptes[i] || model_lookup(model, gfn + i))
			continue;
		add_leaf(model, gfn + i, 1, ptes[i]);
		mapped++;
	}
	return mapped;
}

static void extend(struct xvm_pgtable_count *gone, u64 start, u64 end)
{
	if (!gone->end || start < gone->start)
		gone->start = start;
	if (end > gone->end)
		gone->end = end;
}

void model_unmap(struct model *model, u64 start, u64 end, struct xvm_pgtable_count *gone)
{
	unsigned int i, kept = 0;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf leaf = model->leaves[i];

		u64 leaf_end = leaf.gfn + xvm_level_pages(leaf.level);

		if (leaf.gfn < end && leaf_end > start) {
			gone->leaves[leaf.level]++;
			extend(gone, leaf.gfn, leaf_end);
		} else {
			model->leaves[kept++] = leaf;
		}
	}
	model->nr_leaves = kept;

	kept = 0;
	for (i = 0; i < model->nr_tables; i++) {
		struct model_table table = model->tables[i];

		u64 table_end = table.gfn + xvm_level_pages(table.level + 1);

		if (table.gfn >= start && table_end <= end) {
			gone->tables++;
			extend(gone, table.gfn, table_end);
		} else {
			model->tables[kept++] = table;
		}
	}
	model->nr_tables = kept;
}

u64 model_unmap_small(struct model *model, u64 start, u64 end, unsigned long *dirty)
{
	unsigned int i, kept = 0;
	u64 nr = 0;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf leaf = model->leaves[i];

		if (leaf.level > 1 || leaf.gfn < start || leaf.gfn >= end) {
			model->leaves[kept++] = leaf;
			continue;
		}
		if (leaf.pte & XVM_PTE_DIRTY)
			set_bit(leaf.gfn - start, dirty);
		nr++;
	}
	model->nr_leaves = kept;
	return nr;
}

u64 model_split(struct model *model, u64 start, u64 end, unsigned int *budget)
{
	unsigned int i = 0;

	while (i < model->nr_leaves) {
		struct model_leaf leaf = model->leaves[i];

		if (leaf.level == 1 || leaf.gfn >= end ||
		    leaf.gfn + xvm_level_pages(leaf.level) <= start)
			i++;
		else if (!add_table(model, leaf.gfn, leaf.level - 1, budget))
			return leaf.gfn;
	}
	return end;
}

void model_allow_write(struct model *model, u64 start, u64 end)
{
	unsigned int i;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf *leaf = &model->leaves[i];

		if (leaf->gfn < end && leaf->gfn + xvm_level_pages(leaf->level) > start &&
		    leaf->pte & XVM_PTE_MAY_WRITE)
			leaf->pte |= XVM_PTE_WRITE;
	}
}

bool model_age(struct model *model, u64 start, u64 end, bool clear)
{
	bool young = false;
	unsigned int i;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf *leaf = &model->leaves[i];

		if (leaf->gfn >= end || leaf->gfn + xvm_level_pages(leaf->level) <= start ||
		    !(leaf->pte & XVM_PTE_ACCESSED))
			continue;
		young = true;
		if (clear)
			leaf->pte &= ~XVM_PTE_ACCESSED;
	}
	return young;
}

static bool bit_set(const unsigned long *bitmap, u64 bit)
{
	const unsigned int width = 8 * sizeof(*bitmap);

	return bitmap[bit / width] >> (bit % width) & 1;
}

bool model_take(struct model *model, const struct xvm_pgtable_take *take)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf *leaf = &model->leaves[i];
		u64 leaf_end = leaf->gfn + xvm_level_pages(leaf->level);
		u64 gfn, from = leaf->gfn > take->start ? leaf->gfn : take->start;
		bool meant = !take->only && from < take->end && leaf_end > take->start;
		u64 bits = take->bits;

		for (gfn = from; take->only && gfn < take->end && gfn < leaf_end && !meant; gfn++)
			meant = bit_set(take->only, gfn - take->base);
		if (!meant)
			continue;
		if (leaf->level > 1 && bits)
			bits = XVM_PTE_WRITE | XVM_PTE_DIRTY;
		if (take->dirty && leaf->level == 1 && leaf->pte & XVM_PTE_DIRTY)
			set_bit(from - take->base, take->dirty);
		any |= (leaf->pte & bits) != 0;
		leaf->pte &= ~bits;
	}
	return any;
}
