// SPDX-License-Identifier: GPL-2.0-only
/* What page tables should do, the slow and obvious way. */
#include "world.h"

static u64 base_of(u64 gfn, unsigned int level)
{
	return gfn & ~(xvm_level_pages(level) - 1);
}

struct model_leaf *model_leaf_at(struct model *model, u64 gfn, unsigned int level)
{
	unsigned int i;

	for (i = 0; i < model->nr_leaves; i++)
		if (model->leaves[i].level == level &&
		    model->leaves[i].gfn == base_of(gfn, level))
			return &model->leaves[i];
	return NULL;
}

struct model_leaf *model_lookup(struct model *model, u64 gfn)
{
	struct model_leaf *leaf = NULL;
	unsigned int level;

	for (level = 1; level <= 3 && !leaf; level++)
		leaf = model_leaf_at(model, gfn, level);
	return leaf;
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

static bool add_table(struct model *model, u64 gfn, unsigned int level, unsigned int *budget)
{
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

	for (l = model->levels; l > level; l--) {
		if (model_leaf_at(model, gfn, l))
			return XVM_MAP_BLOCKED;
		if (!add_table(model, gfn, l - 1, budget))
			return XVM_MAP_NO_TABLE;
	}
	if (level > 1 && model_has_table(model, gfn, level - 1))
		return XVM_MAP_BLOCKED;

	leaf = model_leaf_at(model, gfn, level);
	if (!leaf) {
		CHECK(model->nr_leaves < MAX_LEAVES);
		model->leaves[model->nr_leaves++] = (struct model_leaf) { gfn, level, pte };
		return XVM_MAP_NEW;
	}
	if (xvm_pte_pfn(leaf->pte) != xvm_pte_pfn(pte)) {
		leaf->pte = pte;
		return XVM_MAP_REPLACED;
	}
	writable = leaf->pte & XVM_PTE_WRITE;
	leaf->pte |= pte & (XVM_PTE_WRITE | XVM_PTE_ACCESSED | XVM_PTE_DIRTY);
	return (pte & XVM_PTE_WRITE) && !writable ? XVM_MAP_RELAXED : XVM_MAP_SAME;
}

void model_unmap(struct model *model, u64 start, u64 end, struct xvm_pgtable_count *gone)
{
	unsigned int i, kept = 0;

	for (i = 0; i < model->nr_leaves; i++) {
		struct model_leaf leaf = model->leaves[i];

		if (leaf.gfn < end && leaf.gfn + xvm_level_pages(leaf.level) > start)
			gone->leaves[leaf.level]++;
		else
			model->leaves[kept++] = leaf;
	}
	model->nr_leaves = kept;

	kept = 0;
	for (i = 0; i < model->nr_tables; i++) {
		struct model_table table = model->tables[i];

		if (table.gfn >= start && table.gfn + xvm_level_pages(table.level + 1) <= end)
			gone->tables++;
		else
			model->tables[kept++] = table;
	}
	model->nr_tables = kept;
}
