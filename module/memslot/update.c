// SPDX-License-Identifier: GPL-2.0-only
/*
 * Updates as transactions: plan, allocate, let the MMU prepare; from there on nothing fails.
 *
 * KVM marks a slot that goes as invalid first, in a swap and a grace period of its own, so that no
 * vCPU maps it again after it was zapped. Here the MMU's freeze of the range does that: faults in
 * it try again until the new map is published, and see the old map or the new one, never a half.
 */
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

static struct kmem_cache *slot_cache;

int memslot_cache_create(void)
{
	slot_cache = kmem_cache_create("xvm_memslot", sizeof(struct memslot), 0, SLAB_ACCOUNT,
				       NULL);
	return slot_cache ? 0 : -ENOMEM;
}

void memslot_cache_destroy(void)
{
	kmem_cache_destroy(slot_cache);
}

static void slot_free(struct memslots *ms, struct memslot *slot)
{
	if (ms->ops->free)
		ms->ops->free(ms, slot);
	kmem_cache_free(slot_cache, slot);
}

static struct memslot_set *inactive_set(struct memslots *ms, unsigned int as_id)
{
	return &ms->spaces[as_id].sets[!memslots_active(ms, as_id)->idx];
}

static int alloc_slots(struct memslot_plan *plan)
{
	u32 i;

	for (i = 0; i < plan->nr; i++) {
		struct memslot_step *step = &plan->steps[i];
		const struct memslot_change *change = step->change;

		if (step->kind == MEMSLOT_DELETE)
			continue;

		plan->failed = step->index;
		step->new = kmem_cache_zalloc(slot_cache, GFP_KERNEL_ACCOUNT);
		if (!step->new)
			return -ENOMEM;

		step->new->base_gfn = change->gpa >> PAGE_SHIFT;
		step->new->npages = change->size >> PAGE_SHIFT;
		step->new->hva = change->hva;
		step->new->flags = change->flags;
		step->new->id = change->id;
		step->new->as_id = change->as_id;
	}
	return 0;
}

/* Id tables for both sets: the second one must be there when the other set follows. */
static int alloc_ids(struct memslot_plan *plan)
{
	unsigned int as_id, bits;

	for (as_id = 0; as_id < plan->ms->nr_spaces; as_id++) {
		struct memslot_space_plan *space = &plan->spaces[as_id];
		struct memslot_set *set = memslots_active(plan->ms, as_id);

		bits = memslot_set_want_bits(set, space->nr_slots);
		if (!space->touched || bits == set->id_bits)
			continue;

		if (bits) {
			space->edit.ids = memslot_ids_alloc(bits);
			space->other_ids = memslot_ids_alloc(bits);
			if (!space->edit.ids || !space->other_ids) {
				/* Larger tables are needed, smaller ones can wait. */
				if (bits > set->id_bits)
					return -ENOMEM;
				memslot_ids_free(space->edit.ids);
				memslot_ids_free(space->other_ids);
				space->edit.ids = NULL;
				space->other_ids = NULL;
				continue;
			}
		}
		space->edit.id_bits = bits;
		space->edit.resize = true;
	}
	return 0;
}

static int prepare(struct memslot_plan *plan)
{
	u32 i;
	int err;

	if (!plan->ms->ops->prepare)
		return 0;

	for (i = 0; i < plan->nr; i++) {
		struct memslot_step *step = &plan->steps[i];

		plan->failed = step->index;
		err = plan->ms->ops->prepare(plan->ms, step->old, step->new, step->kind);
		if (err)
			return err;
	}
	return 0;
}

static void unwind(struct memslot_plan *plan)
{
	unsigned int as_id;
	u32 i;

	memslot_plan_unmark(plan);

	for (i = 0; i < plan->nr; i++)
		if (plan->steps[i].new)
			slot_free(plan->ms, plan->steps[i].new);

	for (as_id = 0; as_id < plan->ms->nr_spaces; as_id++) {
		memslot_ids_free(plan->spaces[as_id].edit.ids);
		memslot_ids_free(plan->spaces[as_id].other_ids);
	}
}

/* No reader is left in the inactive sets: bring them into line, free what the last update left. */
static void follow(struct memslots *ms)
{
	unsigned int as_id;

	for (as_id = 0; as_id < ms->nr_spaces; as_id++) {
		struct memslot_space *space = &ms->spaces[as_id];
		struct memslot *slot, *next;

		if (!space->stale)
			continue;

		memslot_set_edit(inactive_set(ms, as_id), &space->edit);

		for (slot = space->edit.come; slot; slot = slot->next)
			slot->state &= ~MEMSLOT_REPLACES;

		for (slot = space->edit.gone; slot; slot = next) {
			next = slot->next;
			if (slot->state & MEMSLOT_GAVE_BITMAP)
				slot->dirty_bitmap = NULL;
			slot_free(ms, slot);
			cond_resched();
		}
		space->stale = false;
	}
}

/* Make the new map, in the sets that nobody reads. */
static void edit_inactive(struct memslot_plan *plan)
{
	unsigned int as_id;
	u32 i;

	for (i = plan->nr; i--;) {
		struct memslot_step *step = &plan->steps[i];
		struct memslot_edit *edit = &plan->spaces[step->change->as_id].edit;

		if (step->old && step->new) {
			step->old->state |= MEMSLOT_REPLACED;
			step->new->state |= MEMSLOT_REPLACES;
		}
		if (step->old) {
			step->old->next = edit->gone;
			edit->gone = step->old;
		}
		if (step->new) {
			step->new->next = edit->come;
			edit->come = step->new;
		}
	}

	for (as_id = 0; as_id < plan->ms->nr_spaces; as_id++)
		if (plan->spaces[as_id].touched)
			memslot_set_edit(inactive_set(plan->ms, as_id), &plan->spaces[as_id].edit);
}

static void freeze(struct memslot_plan *plan)
{
	const struct memslot_ops *ops = plan->ms->ops;
	bool zapped = false;
	unsigned int as_id;
	u32 i;

	for (as_id = 0; ops->freeze && as_id < plan->ms->nr_spaces; as_id++) {
		const struct memslot_space_plan *space = &plan->spaces[as_id];

		if (space->start < space->end)
			ops->freeze(plan->ms, as_id, space->start, space->end);
	}

	for (i = 0; ops->zap && i < plan->nr; i++) {
		const struct memslot_step *step = &plan->steps[i];

		if (step->kind == MEMSLOT_DELETE || step->kind == MEMSLOT_MOVE) {
			ops->zap(plan->ms, step->old, step->new);
			zapped = true;
		}
	}
	if (zapped && ops->flush)
		ops->flush(plan->ms);
}

static void thaw(struct memslot_plan *plan)
{
	const struct memslot_ops *ops = plan->ms->ops;
	unsigned int as_id;

	for (as_id = 0; ops->thaw && as_id < plan->ms->nr_spaces; as_id++) {
		const struct memslot_space_plan *space = &plan->spaces[as_id];

		if (space->start < space->end)
			ops->thaw(plan->ms, as_id, space->start, space->end);
	}
}

/* The old object keeps its pointer for those who read it now; who frees it is in its state. */
static void hand_on(struct memslot *old, struct memslot *new)
{
	if (!new->dirty_bitmap && new->flags & KVM_MEM_LOG_DIRTY_PAGES) {
		new->dirty_bitmap = old->dirty_bitmap;
		old->state |= MEMSLOT_GAVE_BITMAP;
	}
}

static void publish(struct memslot_plan *plan)
{
	struct memslots *ms = plan->ms;
	unsigned int as_id;
	u32 i;

	for (i = 0; i < plan->nr; i++)
		if (plan->steps[i].old && plan->steps[i].new)
			hand_on(plan->steps[i].old, plan->steps[i].new);

	for (as_id = 0; as_id < ms->nr_spaces; as_id++) {
		struct memslot_space_plan *from = &plan->spaces[as_id];
		struct memslot_space *space = &ms->spaces[as_id];
		struct memslot_set *set = inactive_set(ms, as_id);

		if (!from->touched)
			continue;

		set->generation = ++ms->generation;
		space->edit = from->edit;
		space->edit.ids = from->other_ids;
		space->stale = true;
		ms->nr_slots += set->nr_slots - memslots_active(ms, as_id)->nr_slots;
		rcu_assign_pointer(space->active, set);
	}

	WRITE_ONCE(ms->nr_pages, plan->nr_pages);
	ms->stats.updates++;
	ms->stats.changes += plan->nr;
}

/*
 * Does the promise made by the ioctl's return take that readers of the old map have left? They may
 * still use memory that is taken away, or write to a slot without logging it.
 */
static bool must_wait(const struct memslot_plan *plan)
{
	u32 i;

	for (i = 0; i < plan->nr; i++) {
		const struct memslot_step *step = &plan->steps[i];

		if (step->kind == MEMSLOT_DELETE || step->kind == MEMSLOT_MOVE)
			return true;
		if (step->kind == MEMSLOT_FLAGS &&
		    step->new->flags & ~step->old->flags & KVM_MEM_LOG_DIRTY_PAGES)
			return true;
	}
	return false;
}

static void carry_out(struct memslot_plan *plan)
{
	struct memslots *ms = plan->ms;
	u32 i;

	memslots_grace_wait(ms);
	follow(ms);

	edit_inactive(plan);
	freeze(plan);
	publish(plan);
	memslots_grace_begin(ms);
	thaw(plan);

	for (i = 0; ms->ops->commit && i < plan->nr; i++)
		ms->ops->commit(ms, plan->steps[i].old, plan->steps[i].new, plan->steps[i].kind);

	if (must_wait(plan))
		memslots_grace_wait(ms);
	if (memslots_grace_over(ms))
		follow(ms);
	else
		memslots_grace_defer(ms);
}

int memslots_update(struct memslots *ms, const struct memslot_change *changes, u32 nr,
		    u32 *failed)
{
	struct memslot_plan plan;
	int err;

	lockdep_assert_held(&ms->lock);

	err = memslot_plan_make(&plan, ms, changes, nr);
	if (!err && plan.nr) {
		err = alloc_slots(&plan);
		if (!err) {
			plan.failed = nr;
			err = alloc_ids(&plan);
		}
		if (!err)
			err = prepare(&plan);
		if (!err)
			carry_out(&plan);
	}
	if (err) {
		unwind(&plan);
		if (failed)
			*failed = plan.failed;
	}
	memslot_plan_free(&plan);
	return err;
}

int memslots_init(struct memslots *ms, const struct memslot_ops *ops, unsigned int nr_spaces,
		  u64 max_gfn)
{
	unsigned int as_id;
	int err;

	if (WARN_ON_ONCE(!nr_spaces || nr_spaces > MEMSLOT_MAX_SPACES))
		return -EINVAL;

	memset(ms, 0, sizeof(*ms));
	err = init_srcu_struct(&ms->srcu);
	if (err)
		return err;

	mutex_init(&ms->lock);
	spin_lock_init(&ms->readers_lock);
	INIT_LIST_HEAD(&ms->readers);
	atomic_set(&ms->shared_readers, 0);
	ms->ops = ops;
	ms->max_gfn = max_gfn;
	ms->nr_spaces = nr_spaces;
	ms->generation = 1;
	for (as_id = 0; as_id < nr_spaces; as_id++) {
		struct memslot_space *space = &ms->spaces[as_id];

		memslot_set_init(&space->sets[0], 0);
		memslot_set_init(&space->sets[1], 1);
		RCU_INIT_POINTER(space->active, &space->sets[0]);
	}
	return 0;
}

void memslots_destroy(struct memslots *ms)
{
	unsigned int as_id;

	memslots_grace_end(ms);

	mutex_lock(&ms->lock);
	follow(ms);
	for (as_id = 0; as_id < ms->nr_spaces; as_id++) {
		struct memslot *slot, *next;

		memslot_ids_free(inactive_set(ms, as_id)->ids);
		for (slot = memslot_set_empty(memslots_active(ms, as_id)); slot; slot = next) {
			next = slot->next;
			slot_free(ms, slot);
			cond_resched();
		}
	}
	mutex_unlock(&ms->lock);

	cleanup_srcu_struct(&ms->srcu);
	mutex_destroy(&ms->lock);
}
