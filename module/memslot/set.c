// SPDX-License-Identifier: GPL-2.0-only
/*
 * One set of slots: a tree by gfn, where slots never overlap, an interval tree by hva, where they
 * may, and a hash table by id. Lookups for readers, edits for the updater.
 */
#include <linux/interval_tree_generic.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

#define MIN_ID_BITS	3

#define hva_start(slot)	((slot)->hva)

/*
 * One interval tree per node index, since a node alone does not say which of the two it is. It
 * takes its bounds from the slot: 16 bytes per node less than struct interval_tree_node.
 */
INTERVAL_TREE_DEFINE(struct memslot, node[0].hva, unsigned long, node[0].hva_subtree_last,
		     hva_start, memslot_last_hva, static, hva0)
INTERVAL_TREE_DEFINE(struct memslot, node[1].hva, unsigned long, node[1].hva_subtree_last,
		     hva_start, memslot_last_hva, static, hva1)

static struct memslot *gfn_entry(const struct memslot_set *set, const struct rb_node *node)
{
	return container_of(node - set->idx, struct memslot, gfn_node[0]);
}

void memslot_set_init(struct memslot_set *set, unsigned int idx)
{
	*set = (struct memslot_set){
		.gfn_tree = RB_ROOT,
		.hva_tree = RB_ROOT_CACHED,
		/* Not 0, which is what an unused memslot_cache holds. */
		.generation = 1,
		.idx = idx,
	};
}

/*
 * Odd, so that it permutes the 16-bit ids: a set of all 65,536 fills each bucket alike, dense and
 * regularly spaced ids spread evenly, and chosen ones can share a bucket 256 at a time at worst.
 */
static u32 id_bucket(u16 id, unsigned int bits)
{
	return (u16)(id * 40503U) >> (16 - bits);
}

/* Grown when full, shrunk to an eighth: a constant share of each update pays for the tables. */
unsigned int memslot_set_want_bits(const struct memslot_set *set, u32 nr_slots)
{
	if (!nr_slots)
		return 0;
	if (set->ids && nr_slots <= 1U << set->id_bits &&
	    (set->id_bits == MIN_ID_BITS || nr_slots >= 1U << set->id_bits >> 3))
		return set->id_bits;
	return max_t(unsigned int, MIN_ID_BITS, order_base_2(nr_slots));
}

struct hlist_head *memslot_ids_alloc(unsigned int bits)
{
	return kvcalloc(1UL << bits, sizeof(struct hlist_head), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

void memslot_ids_free(struct hlist_head *ids)
{
	kvfree(ids);
}

static void id_insert(struct memslot_set *set, struct memslot *slot)
{
	hlist_add_head(&slot->id_node[set->idx], &set->ids[id_bucket(slot->id, set->id_bits)]);
}

static void gfn_insert(struct memslot_set *set, struct memslot *slot)
{
	struct rb_node **link = &set->gfn_tree.rb_node, *parent = NULL;
	struct rb_node *node = &slot->gfn_node[set->idx];

	/* While a batch is half done, a slot in this place may still have to leave. */
	while (*link) {
		parent = *link;
		if (slot->base_gfn < gfn_entry(set, parent)->base_gfn)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(node, parent, link);
	rb_insert_color(node, &set->gfn_tree);
}

static void set_insert(struct memslot_set *set, struct memslot *slot)
{
	gfn_insert(set, slot);
	if (set->idx)
		hva1_insert(slot, &set->hva_tree);
	else
		hva0_insert(slot, &set->hva_tree);
	id_insert(set, slot);
	set->nr_slots++;
}

static void set_erase(struct memslot_set *set, struct memslot *slot)
{
	rb_erase(&slot->gfn_node[set->idx], &set->gfn_tree);
	if (set->idx)
		hva1_remove(slot, &set->hva_tree);
	else
		hva0_remove(slot, &set->hva_tree);
	hlist_del(&slot->id_node[set->idx]);
	if (set->last_used == slot)
		set->last_used = NULL;
	set->nr_slots--;
}

/* One slot for another of the same id and hva. */
static void set_replace(struct memslot_set *set, struct memslot *old, struct memslot *new)
{
	struct memslot_node *from = &old->node[set->idx], *to = &new->node[set->idx];

	if (old->base_gfn == new->base_gfn) {
		rb_replace_node(&old->gfn_node[set->idx], &new->gfn_node[set->idx],
				&set->gfn_tree);
	} else {
		rb_erase(&old->gfn_node[set->idx], &set->gfn_tree);
		gfn_insert(set, new);
	}

	to->hva_subtree_last = from->hva_subtree_last;
	rb_replace_node_cached(&from->hva, &to->hva, &set->hva_tree);

	hlist_add_behind(&new->id_node[set->idx], &old->id_node[set->idx]);
	hlist_del(&old->id_node[set->idx]);

	if (set->last_used == old)
		set->last_used = new;
}

/* Use another table, or none if the set is empty. */
static void set_rehash(struct memslot_set *set, struct hlist_head *ids, unsigned int bits)
{
	struct hlist_head *old = set->ids;
	struct rb_node *node;

	set->ids = ids;
	set->id_bits = bits;
	for (node = rb_first(&set->gfn_tree); node; node = rb_next(node))
		id_insert(set, gfn_entry(set, node));
	memslot_ids_free(old);
}

void memslot_set_edit(struct memslot_set *set, const struct memslot_edit *edit)
{
	struct memslot *slot;

	if (edit->resize && edit->ids)
		set_rehash(set, edit->ids, edit->id_bits);

	for (slot = edit->gone; slot; slot = slot->next) {
		if (!(slot->state & MEMSLOT_REPLACED))
			set_erase(set, slot);
		cond_resched();
	}

	for (slot = edit->come; slot; slot = slot->next) {
		if (slot->state & MEMSLOT_REPLACES)
			set_replace(set, memslot_by_id(set, slot->id), slot);
		else
			set_insert(set, slot);
		cond_resched();
	}

	if (edit->resize && !edit->ids)
		set_rehash(set, NULL, 0);
}

/* All slots as a list, which is all that is left of the set. */
struct memslot *memslot_set_empty(struct memslot_set *set)
{
	struct memslot *slot, *list = NULL;
	struct rb_node *node;

	for (node = rb_first(&set->gfn_tree); node; node = rb_next(node)) {
		slot = gfn_entry(set, node);
		slot->next = list;
		list = slot;
	}
	memslot_ids_free(set->ids);
	memslot_set_init(set, set->idx);
	return list;
}

struct memslot *memslot_by_id(const struct memslot_set *set, u32 id)
{
	struct hlist_node *node;

	if (!set->ids || id >= MEMSLOT_NR_IDS)
		return NULL;

	hlist_for_each(node, &set->ids[id_bucket(id, set->id_bits)]) {
		struct memslot *slot = container_of(node - set->idx, struct memslot, id_node[0]);

		if (slot->id == id)
			return slot;
	}
	return NULL;
}

struct memslot *memslot_by_gfn_approx(struct memslot_set *set, u64 gfn)
{
	struct memslot *below = NULL, *slot = READ_ONCE(set->last_used);
	struct rb_node *node = set->gfn_tree.rb_node;

	if (slot && memslot_holds(slot, gfn))
		return slot;

	while (node) {
		slot = gfn_entry(set, node);
		if (gfn < slot->base_gfn) {
			node = node->rb_left;
			continue;
		}
		below = slot;
		if (memslot_holds(slot, gfn)) {
			WRITE_ONCE(set->last_used, slot);
			break;
		}
		node = node->rb_right;
	}
	return below;
}

struct memslot *memslot_by_gfn(struct memslot_set *set, u64 gfn)
{
	struct memslot *slot = memslot_by_gfn_approx(set, gfn);

	return slot && memslot_holds(slot, gfn) ? slot : NULL;
}

struct memslot *memslot_first_gfn(struct memslot_set *set, u64 start)
{
	struct rb_node *node = set->gfn_tree.rb_node;
	struct memslot *slot, *first = NULL;

	while (node) {
		slot = gfn_entry(set, node);
		if (start < memslot_end_gfn(slot)) {
			first = slot;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return first;
}

struct memslot *memslot_next_gfn(const struct memslot_set *set, const struct memslot *slot)
{
	struct rb_node *node = rb_next(&slot->gfn_node[set->idx]);

	return node ? gfn_entry(set, node) : NULL;
}

struct memslot *memslot_first_hva(struct memslot_set *set, unsigned long start, unsigned long last)
{
	if (set->idx)
		return hva1_iter_first(&set->hva_tree, start, last);
	return hva0_iter_first(&set->hva_tree, start, last);
}

struct memslot *memslot_next_hva(const struct memslot_set *set, struct memslot *slot,
				 unsigned long start, unsigned long last)
{
	if (set->idx)
		return hva1_iter_next(slot, start, last);
	return hva0_iter_next(slot, start, last);
}
