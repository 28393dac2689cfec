// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invariants of the memslot store: within a set its gfn tree, interval tree
 * and hash hold the same slots, rightly ordered; both sets of an address space
 * hold the same slots, but for those of an update whose readers are still
 * inside; the totals are those of the active sets.
 *
 * memslots.lock keeps both sets as they are.  Every walk ends after as many
 * slots as the set says it has, since a broken tree may have a cycle.
 */
#include <linux/rbtree.h>
#include <linux/sched.h>

#include "../xvm.h"
#include "verify.h"

/* Where the set that is looked at stands, for messages. */
struct view {
	struct verify *verify;
	struct memslot_set *set;
	unsigned int as_id;
};

#define violated(view, fmt, ...)						\
	verify_violated((view)->verify, "space %u set %u: " fmt, (view)->as_id,	\
			(view)->set->idx, ##__VA_ARGS__)

static struct memslot *hva_entry(const struct memslot_set *set, struct rb_node *node)
{
	return (void *)node - offsetof(struct memslot, node[0].hva) -
	       set->idx * sizeof(struct memslot_node);
}

static void check_slot(struct view *view, const struct memslot *slot, const struct memslot *prev)
{
	const struct memslots *ms = &view->verify->xvm->memslots;
	u64 prev_end = prev ? memslot_end_gfn(prev) : 0;

	if (slot->as_id != view->as_id)
		violated(view, "slot %u belongs to space %u", slot->id, slot->as_id);
	if (!slot->npages || slot->npages > MEMSLOT_MAX_PAGES ||
	    memslot_end_gfn(slot) - 1 > ms->max_gfn)
		violated(view, "slot %u at gfn 0x%llx has 0x%llx pages", slot->id,
			 slot->base_gfn, slot->npages);
	if (slot->base_gfn < prev_end)
		violated(view, "slot %u at gfn 0x%llx, expected from 0x%llx, after slot %u",
			 slot->id, slot->base_gfn, prev_end, prev->id);
	if (memslot_by_id(view->set, slot->id) != slot)
		violated(view, "slot %u at gfn 0x%llx is not in the hash", slot->id,
			 slot->base_gfn);
}

static void check_gfn_tree(struct view *view)
{
	struct memslot_set *set = view->set;
	/* Readers move the hint, but only within the set. */
	struct memslot *slot, *prev = NULL, *hint = READ_ONCE(set->last_used);
	bool hint_found = !hint;
	u32 nr = 0;

	for (slot = memslot_first_gfn(set, 0); slot && nr <= set->nr_slots;
	     slot = memslot_next_gfn(set, slot)) {
		check_slot(view, slot, prev);
		hint_found |= slot == hint;
		prev = slot;
		nr++;
		cond_resched();
	}
	if (nr != set->nr_slots)
		violated(view, "%u slots in the gfn tree, expected %u", nr, set->nr_slots);
	if (!hint_found)
		violated(view, "the last-used slot is not in the set");
}

/* The highest byte of the slots below a node: what lets a search pass by a whole subtree. */
static unsigned long subtree_last(const struct view *view, const struct memslot *slot)
{
	const struct rb_node *node = &slot->node[view->set->idx].hva;
	struct rb_node *const children[] = { node->rb_left, node->rb_right };
	unsigned long last = memslot_last_hva(slot);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(children); i++)
		if (children[i])
			last = max(last, hva_entry(view->set, children[i])
						 ->node[view->set->idx].hva_subtree_last);
	return last;
}

static void check_hva_tree(struct view *view)
{
	struct memslot_set *set = view->set;
	struct rb_node *first = rb_first(&set->hva_tree.rb_root), *node;
	unsigned long prev = 0;
	u32 nr = 0;

	for (node = first; node && nr <= set->nr_slots; node = rb_next(node)) {
		const struct memslot *slot = hva_entry(set, node);
		unsigned long last = slot->node[set->idx].hva_subtree_last;

		if (memslot_by_id(set, slot->id) != slot)
			violated(view, "slot %u at hva 0x%lx is not in the hash", slot->id,
				 slot->hva);
		if (slot->hva < prev)
			violated(view, "slot %u at hva 0x%lx, expected from 0x%lx", slot->id,
				 slot->hva, prev);
		if (last != subtree_last(view, slot))
			violated(view, "slot %u's subtree ends at hva 0x%lx, expected 0x%lx",
				 slot->id, last, subtree_last(view, slot));
		prev = slot->hva;
		nr++;
		cond_resched();
	}
	if (nr != set->nr_slots)
		violated(view, "%u slots in the hva tree, expected %u", nr, set->nr_slots);
	if (set->hva_tree.rb_leftmost != first)
		violated(view, "the first slot by hva is not the cached one");
}

/* With every slot of the trees found in the hash, equal numbers mean equal slots. */
static void check_ids(struct view *view)
{
	const struct memslot_set *set = view->set;
	const struct hlist_node *node;
	u32 nr = 0, i;

	for (i = 0; set->ids && i < 1U << set->id_bits; i++) {
		hlist_for_each(node, &set->ids[i])
			if (++nr > set->nr_slots)
				break;
		cond_resched();
	}
	if (nr != set->nr_slots)
		violated(view, "%u slots in the hash, expected %u", nr, set->nr_slots);
}

/* Slots of the last update that one of the two sets must have and the other must not. */
static u32 check_moved(struct view *view, const struct memslot *slot,
		       const struct memslot_set *in, const struct memslot_set *out)
{
	u32 nr = 0;

	for (; slot; slot = slot->next) {
		if (memslot_by_id(in, slot->id) != slot)
			violated(view, "slot %u of the last update is missing from set %u",
				 slot->id, in->idx);
		if (memslot_by_id(out, slot->id) == slot)
			violated(view, "slot %u of the last update is in set %u too early or late",
				 slot->id, out->idx);
		nr++;
		cond_resched();
	}
	return nr;
}

/*
 * The other set lacks what the last update brought and still has what it took
 * away, as long as it is stale; else the sets hold the very same objects.
 */
static void check_pair(struct view *view, struct memslot_space *space)
{
	struct memslot_set *active = view->set, *other = &space->sets[!active->idx];
	struct memslot *slot;
	u32 come = 0, gone = 0, missing = 0;

	if (space->stale) {
		come = check_moved(view, space->edit.come, active, other);
		gone = check_moved(view, space->edit.gone, other, active);
	}
	for (slot = memslot_first_gfn(active, 0); slot; slot = memslot_next_gfn(active, slot)) {
		missing += memslot_by_id(other, slot->id) != slot;
		cond_resched();
	}
	if (missing != come || active->nr_slots - come != other->nr_slots - gone)
		violated(view, "the other set has %u slots and lacks %u, expected %u and %u",
			 other->nr_slots, missing, active->nr_slots - come + gone, come);
	if (other->generation > active->generation)
		violated(view, "generation %llu, but %llu in the other set", active->generation,
			 other->generation);
}

static void check_set(struct view *view)
{
	check_gfn_tree(view);
	check_hva_tree(view);
	check_ids(view);
}

static void check_space(struct verify *verify, unsigned int as_id)
{
	struct memslots *ms = &verify->xvm->memslots;
	struct memslot_space *space = &ms->spaces[as_id];
	struct memslot_set *active = memslots_active(ms, as_id);
	struct view view = { .verify = verify, .as_id = as_id };

	view.set = &space->sets[!active->idx];
	check_set(&view);
	view.set = active;
	check_set(&view);

	/* Only trees that are whole can be compared. */
	if (verify->result.violations)
		return;
	check_pair(&view, space);
}

void verify_slots(struct verify *verify)
{
	struct memslots *ms = &verify->xvm->memslots;
	u64 nr_pages = 0, nr_slots = 0;
	struct memslot *slot;
	unsigned int as_id;

	for (as_id = 0; as_id < ms->nr_spaces; as_id++)
		check_space(verify, as_id);
	if (verify->result.violations)
		return;

	for (as_id = 0; as_id < ms->nr_spaces; as_id++) {
		struct memslot_set *set = memslots_active(ms, as_id);

		for (slot = memslot_first_gfn(set, 0); slot; slot = memslot_next_gfn(set, slot)) {
			nr_pages += slot->npages;
			nr_slots++;
			cond_resched();
		}
	}
	verify->result.slots = nr_slots;
	if (nr_slots != ms->nr_slots)
		verify_violated(verify, "%llu memslots, counted as %u", nr_slots, ms->nr_slots);
	if (nr_pages != ms->nr_pages)
		verify_violated(verify, "memslots of %llu pages, counted as %llu", nr_pages,
				ms->nr_pages);
}
