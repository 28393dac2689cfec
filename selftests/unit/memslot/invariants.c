// SPDX-License-Identifier: GPL-2.0-only
/* What must hold at any time: in each set, between the two sets, between store and model. */
#include <string.h>

#include "world.h"

static struct memslot_node *node_of(const struct memslot_set *set, struct memslot *slot)
{
	return &slot->node[set->idx];
}

static struct memslot *by_hva_node(const struct memslot_set *set, struct rb_node *node)
{
	size_t offset = set->idx ? offsetof(struct memslot, node[1].hva) :
				   offsetof(struct memslot, node[0].hva);

	return node ? (struct memslot *)((char *)node - offset) : NULL;
}

/* Returns the last byte of any slot below node. */
static unsigned long check_hva_tree(const struct memslot_set *set, struct rb_node *node,
				    unsigned int *nr)
{
	struct memslot *slot = by_hva_node(set, node);
	struct memslot *left, *right;
	unsigned long last;

	if (!slot)
		return 0;

	left = by_hva_node(set, node->rb_left);
	right = by_hva_node(set, node->rb_right);
	CHECK(!left || left->hva <= slot->hva);
	CHECK(!right || right->hva >= slot->hva);

	last = max(memslot_last_hva(slot), check_hva_tree(set, node->rb_left, nr));
	last = max(last, check_hva_tree(set, node->rb_right, nr));
	CHECK(node_of(set, slot)->hva_subtree_last == last);
	++*nr;
	return last;
}

static void check_ids(struct memslot_set *set)
{
	struct hlist_node *node;
	unsigned int i, nr = 0;

	if (!set->nr_slots) {
		CHECK(!set->ids && !set->id_bits);
		return;
	}
	CHECK(set->nr_slots <= 1U << set->id_bits);
	CHECK(set->id_bits == 3 || set->nr_slots >= (1U << set->id_bits) / 8);
	for (i = 0; i < 1U << set->id_bits; i++)
		hlist_for_each(node, &set->ids[i])
			nr++;
	CHECK(nr == set->nr_slots);
}

void check_set(struct memslot_set *set, const struct model *model, u32 as_id)
{
	struct memslot *slot, *prev = NULL, *last_used = NULL;
	unsigned int i, nr = 0, nr_hva = 0;

	for (i = 0; i < model->nr; i++)
		nr += model->slots[i].as_id == as_id;
	CHECK(set->nr_slots == nr);

	nr = 0;
	for (slot = memslot_first_gfn(set, 0); slot; slot = memslot_next_gfn(set, slot)) {
		const struct model_slot *want = model_by_id(model, as_id, slot->id);

		CHECK(want && slot->as_id == as_id && slot->flags == want->flags);
		CHECK(slot->base_gfn == want->gfn && slot->npages == want->npages);
		CHECK(slot->hva == want->hva);
		CHECK(!prev || memslot_end_gfn(prev) <= slot->base_gfn);
		CHECK(memslot_by_id(set, slot->id) == slot);
		if (set->last_used == slot)
			last_used = slot;
		prev = slot;
		nr++;
	}
	CHECK(set->nr_slots == nr);
	CHECK(set->last_used == last_used);

	check_hva_tree(set, set->hva_tree.rb_root.rb_node, &nr_hva);
	CHECK(nr_hva == nr);
	CHECK(set->hva_tree.rb_leftmost == rb_first(&set->hva_tree.rb_root));
	check_ids(set);
}

static void check_view(const struct view *view, unsigned int nr_spaces)
{
	unsigned int i;

	for (i = 0; view->inside && i < nr_spaces; i++)
		check_set(view->sets[i], &view->model, i);
}

void world_check(struct world *world)
{
	struct memslots *ms = &world->ms;
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < world->model.nr; i++)
		pages += world->model.slots[i].npages;
	CHECK(ms->nr_pages == pages);
	CHECK(ms->nr_slots == world->model.nr);

	mutex_lock(&ms->lock);
	for (i = 0; i < ms->nr_spaces; i++) {
		struct memslot_space *space = &ms->spaces[i];
		struct memslot_set *active = memslots_active(ms, i);
		struct memslot_set *other = &space->sets[!active->idx];
		struct memslot *slot;

		CHECK(active == &space->sets[active->idx]);
		check_set(active, &world->model, i);
		check_set(other, space->stale ? &world->before : &world->model, i);

		/* The very same objects, once the other set has followed. */
		for (slot = memslot_first_gfn(active, 0); slot && !space->stale;
		     slot = memslot_next_gfn(active, slot)) {
			CHECK(memslot_by_id(other, slot->id) == slot);
			CHECK(!slot->state);
		}
	}
	mutex_unlock(&ms->lock);

	for (i = 0; i < NR_VCPUS; i++)
		check_view(&world->vcpus[i], ms->nr_spaces);
	check_view(&world->shared, ms->nr_spaces);
}

static void append(unsigned char **bytes, size_t *size, const void *from, size_t n)
{
	*bytes = realloc(*bytes, *size + n);
	CHECK(*bytes);
	memcpy(*bytes + *size, from, n);
	*size += n;
}

unsigned char *world_snapshot(struct world *world, size_t *size)
{
	struct memslots *ms = &world->ms;
	unsigned char *bytes = NULL;
	struct memslot *slot;
	unsigned int i, j;

	*size = 0;
	append(&bytes, size, &ms->ops, (char *)&ms->srcu - (char *)&ms->ops);
	append(&bytes, size, &ms->grace_pending, (char *)(ms + 1) - (char *)&ms->grace_pending);
	for (i = 0; i < ms->nr_spaces; i++) {
		for (j = 0; j < 2; j++) {
			struct memslot_set *set = &ms->spaces[i].sets[j];

			for (slot = memslot_first_gfn(set, 0); slot;
			     slot = memslot_next_gfn(set, slot))
				append(&bytes, size, slot, sizeof(*slot));
			if (set->ids)
				append(&bytes, size, set->ids, sizeof(*set->ids) << set->id_bits);
		}
	}
	return bytes;
}
