// SPDX-License-Identifier: GPL-2.0-only
/* KVM's rules for memslots, in the plainest form: every change is held against every slot. */
#include "world.h"

static bool sane(const struct model *model, const struct memslot_change *change)
{
	if (change->flags > 3)
		return false;
	if (change->size % 4096 || change->gpa % 4096 || change->hva % 4096)
		return false;
	if (change->as_id >= model->nr_spaces || change->id > 65535)
		return false;
	if (change->size > UINT64_MAX - change->gpa || change->size > UINT64_MAX - change->hva)
		return false;
	return change->size / 4096 <= 0x7fffffff;
}

const struct model_slot *model_by_id(const struct model *model, u32 as_id, u32 id)
{
	unsigned int i;

	for (i = 0; i < model->nr; i++)
		if (model->slots[i].as_id == as_id && model->slots[i].id == id)
			return &model->slots[i];
	return NULL;
}

const struct model_slot *model_by_gfn(const struct model *model, u32 as_id, u64 gfn)
{
	unsigned int i;

	for (i = 0; i < model->nr; i++) {
		const struct model_slot *slot = &model->slots[i];

		if (slot->as_id == as_id && gfn >= slot->gfn && gfn < slot->gfn + slot->npages)
			return slot;
	}
	return NULL;
}

static void remove_slot(struct model *model, const struct model_slot *slot)
{
	model->slots[slot - model->slots] = model->slots[--model->nr];
}

static bool overlap(u64 a, u64 na, u64 b, u64 nb)
{
	return a < b + nb && b < a + na;
}

/* The change of the same slot that deletes (or sets) it, before the end of the batch. */
static const struct memslot_change *find(const struct memslot_change *changes, u32 nr, bool delete,
					 const struct memslot_change *like)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (changes[i].as_id == like->as_id && changes[i].id == like->id &&
		    !changes[i].size == delete)
			return &changes[i];
	return NULL;
}

/* May this change do what it asks for? *places: it puts a slot where it was not. */
static bool allowed(const struct model *model, const struct memslot_change *changes, u32 nr, u32 i,
		    bool *places, bool *leaves, bool *must_wait)
{
	const struct memslot_change *change = &changes[i];
	const struct model_slot *slot = model_by_id(model, change->as_id, change->id);

	if (find(changes, i, !change->size, change))
		return false;
	if (!change->size) {
		*leaves = true;
		*must_wait = true;
		return slot;
	}
	if (!slot || find(changes, nr, true, change)) {
		*places = true;
		return true;
	}
	if (slot->hva != change->hva || slot->npages != change->size / 4096 ||
	    (slot->flags & KVM_MEM_READONLY) != (change->flags & KVM_MEM_READONLY))
		return false;
	if (slot->gfn != change->gpa / 4096) {
		*places = true;
		*leaves = true;
		*must_wait = true;
	}
	if (change->flags > slot->flags)
		*must_wait = true;
	return true;
}

struct verdict model_update(struct model *model, const struct memslot_change *changes, u32 nr)
{
	bool places[MAX_BATCH] = {}, leaves[MAX_BATCH] = {};
	struct verdict verdict = {};
	struct model after = *model;
	u32 i, j;

	if (!nr)
		return (struct verdict){ .inval = 1 };

	for (i = 0; i < nr; i++)
		if (!sane(model, &changes[i]))
			return (struct verdict){ .inval = 1U << i };

	for (i = 0; i < nr; i++)
		if (!allowed(model, changes, nr, i, &places[i], &leaves[i], &verdict.must_wait))
			verdict.inval |= 1U << i;
	if (verdict.inval)
		return verdict;

	for (i = 0; i < nr; i++)
		if (leaves[i])
			remove_slot(&after, model_by_id(&after, changes[i].as_id, changes[i].id));

	for (i = 0; i < nr; i++) {
		u64 gfn = changes[i].gpa / 4096, npages = changes[i].size / 4096;

		for (j = 0; places[i] && j < after.nr; j++)
			if (after.slots[j].as_id == changes[i].as_id &&
			    overlap(after.slots[j].gfn, after.slots[j].npages, gfn, npages))
				verdict.exist |= 1U << i;
		for (j = 0; places[i] && j < i; j++)
			if (places[j] && changes[j].as_id == changes[i].as_id &&
			    overlap(changes[j].gpa / 4096, changes[j].size / 4096, gfn, npages))
				verdict.exist |= 1U << i;
		if (places[i] && gfn + npages - 1 > model->max_gfn)
			verdict.inval |= 1U << i;
	}
	/* Where both are wrong with the only change, KVM finds the overlap first. */
	if (nr == 1 && verdict.exist)
		verdict.inval = 0;
	if (verdict.inval | verdict.exist)
		return verdict;

	for (i = 0; i < nr; i++) {
		struct model_slot *slot;

		if (!changes[i].size)
			continue;
		slot = (void *)model_by_id(&after, changes[i].as_id, changes[i].id);
		if (!slot)
			slot = &after.slots[after.nr++];
		CHECK(after.nr < MODEL_SLOTS);
		*slot = (struct model_slot){
			.as_id = changes[i].as_id,
			.id = changes[i].id,
			.flags = changes[i].flags,
			.gfn = changes[i].gpa / 4096,
			.npages = changes[i].size / 4096,
			.hva = changes[i].hva,
		};
	}
	*model = after;
	return verdict;
}
