// SPDX-License-Identifier: GPL-2.0-only
/*
 * From requested changes to a plan: what becomes of each slot, and whether KVM's rules allow it.
 * Nothing that a reader can see is touched; memslot_plan_unmark() takes back the rest.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sort.h>

#include "internal.h"

#define KNOWN_FLAGS	(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

static u64 first_gfn(const struct memslot_change *change)
{
	return change->gpa >> PAGE_SHIFT;
}

static u64 nr_pages(const struct memslot_change *change)
{
	return change->size >> PAGE_SHIFT;
}

static u64 end_gfn(const struct memslot_change *change)
{
	return first_gfn(change) + nr_pages(change);
}

/* All that a change can have wrong by itself; also asked of deletions, as KVM does. */
static bool change_is_sane(struct memslots *ms, const struct memslot_change *change)
{
	u64 sum;

	if (change->flags & ~KNOWN_FLAGS)
		return false;
	if ((change->size | change->gpa | change->hva) & ~PAGE_MASK)
		return false;
	if (check_add_overflow(change->hva, change->size, &sum))
		return false;
	if (ms->ops->check_hva && !ms->ops->check_hva(ms, change->hva, change->size))
		return false;
	if (change->as_id >= ms->nr_spaces || change->id >= MEMSLOT_NR_IDS)
		return false;
	if (change->gpa + change->size < change->gpa)
		return false;
	return nr_pages(change) <= MEMSLOT_MAX_PAGES;
}

/* What changes about a slot that stays, or -EINVAL for what only a new slot may have. */
static int kind_of_change(const struct memslot *old, const struct memslot_change *change)
{
	if (change->hva != old->hva || nr_pages(change) != old->npages ||
	    (change->flags ^ old->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	if (first_gfn(change) != old->base_gfn)
		return MEMSLOT_MOVE;
	return MEMSLOT_FLAGS;
}

static int by_id(const void *l, const void *r)
{
	const struct memslot_step *a = l, *b = r;

	if (a->change->as_id != b->change->as_id)
		return a->change->as_id < b->change->as_id ? -1 : 1;
	if (a->change->id != b->change->id)
		return a->change->id < b->change->id ? -1 : 1;
	if (!a->change->size != !b->change->size)
		return a->change->size ? 1 : -1;
	return a->index < b->index ? -1 : 1;
}

static int by_place(const void *l, const void *r)
{
	const struct memslot_step *a = l, *b = r;

	if (a->change->as_id != b->change->as_id)
		return a->change->as_id < b->change->as_id ? -1 : 1;
	if (a->change->gpa != b->change->gpa)
		return a->change->gpa < b->change->gpa ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static bool same_slot(const struct memslot_change *a, const struct memslot_change *b)
{
	return a->as_id == b->as_id && a->id == b->id;
}

/*
 * Look up what each change is about. Steps are sorted by_id(): of one slot, the deletion comes
 * first. Changes that change nothing drop out.
 */
static int plan_kinds(struct memslot_plan *plan)
{
	const struct memslot_change *prev = NULL;
	u32 i, nr = 0;

	for (i = 0; i < plan->nr; i++) {
		struct memslot_step step = plan->steps[i];
		const struct memslot_change *change = step.change;
		struct memslot_space_plan *space = &plan->spaces[change->as_id];
		struct memslot *slot;
		int kind;

		plan->failed = step.index;
		slot = memslot_by_id(memslots_active(plan->ms, change->as_id), change->id);

		if (prev && same_slot(prev, change)) {
			if (!change->size || prev->size)
				return -EINVAL;
			slot = NULL;
		}
		prev = change;

		if (!change->size) {
			if (!slot)
				return -EINVAL;
			kind = MEMSLOT_DELETE;
			plan->nr_pages -= slot->npages;
			space->nr_slots--;
		} else if (!slot) {
			kind = MEMSLOT_CREATE;
			space->nr_slots++;
		} else {
			kind = kind_of_change(slot, change);
			if (kind < 0)
				return kind;
			if (kind == MEMSLOT_FLAGS && change->flags == slot->flags)
				continue;
		}

		if (slot) {
			space->start = min(space->start, slot->base_gfn);
			space->end = max(space->end, memslot_end_gfn(slot));
			if (kind != MEMSLOT_FLAGS)
				slot->state |= MEMSLOT_LEAVING;
		}
		space->touched = true;
		step.kind = kind;
		step.old = slot;
		plan->steps[nr++] = step;
	}
	plan->nr = nr;
	return 0;
}

static int plan_total(struct memslot_plan *plan)
{
	u32 i;

	for (i = 0; i < plan->nr; i++) {
		const struct memslot_step *step = &plan->steps[i];

		if (step->kind == MEMSLOT_CREATE &&
		    check_add_overflow(plan->nr_pages, nr_pages(step->change), &plan->nr_pages)) {
			plan->failed = step->index;
			return -EINVAL;
		}
	}
	return 0;
}

/* Is there a slot in the way that does not leave? */
static bool place_is_taken(struct memslots *ms, const struct memslot_change *change)
{
	struct memslot_set *set = memslots_active(ms, change->as_id);
	struct memslot *slot;

	memslot_for_each_gfn(slot, set, first_gfn(change), end_gfn(change)) {
		if (!(slot->state & MEMSLOT_LEAVING))
			return true;
		cond_resched();
	}
	return false;
}

/* Steps are sorted by_place(). */
static int plan_places(struct memslot_plan *plan)
{
	const struct memslot_step *prev = NULL;
	u32 i;

	for (i = 0; i < plan->nr; i++) {
		const struct memslot_step *step = &plan->steps[i];
		const struct memslot_change *change = step->change;

		if (step->kind != MEMSLOT_CREATE && step->kind != MEMSLOT_MOVE)
			continue;

		plan->failed = step->index;
		if (prev && prev->change->as_id == change->as_id &&
		    first_gfn(change) < end_gfn(prev->change)) {
			plan->failed = max(prev->index, step->index);
			return -EEXIST;
		}
		if (place_is_taken(plan->ms, change))
			return -EEXIST;
		if (end_gfn(change) - 1 > plan->ms->max_gfn)
			return -EINVAL;
		prev = step;
		cond_resched();
	}
	return 0;
}

/* Callers mostly list their slots in order; sort() knows no shortcut for that. */
static void sort_steps(struct memslot_plan *plan, int (*cmp)(const void *, const void *))
{
	u32 i;

	for (i = 1; i < plan->nr; i++) {
		if (cmp(&plan->steps[i - 1], &plan->steps[i]) > 0) {
			sort(plan->steps, plan->nr, sizeof(*plan->steps), cmp, NULL);
			return;
		}
	}
}

static int plan_init(struct memslot_plan *plan, struct memslots *ms,
		     const struct memslot_change *changes, u32 nr)
{
	u32 i;

	*plan = (struct memslot_plan){ .ms = ms, .nr_pages = ms->nr_pages };

	for (i = 0; i < ms->nr_spaces; i++) {
		plan->spaces[i].start = U64_MAX;
		plan->spaces[i].nr_slots = memslots_active(ms, i)->nr_slots;
	}

	if (!nr)
		return -EINVAL;
	if (nr > MEMSLOT_MAX_BATCH) {
		plan->failed = MEMSLOT_MAX_BATCH;
		return -E2BIG;
	}

	for (i = 0; i < nr; i++) {
		if (!change_is_sane(ms, &changes[i])) {
			plan->failed = i;
			return -EINVAL;
		}
	}

	plan->steps = &plan->single;
	if (nr > 1) {
		plan->steps = kvcalloc(nr, sizeof(*plan->steps),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!plan->steps) {
			plan->failed = nr;
			return -ENOMEM;
		}
	}
	plan->nr = nr;
	for (i = 0; i < nr; i++)
		plan->steps[i] = (struct memslot_step){ .change = &changes[i], .index = i };
	return 0;
}

int memslot_plan_make(struct memslot_plan *plan, struct memslots *ms,
		      const struct memslot_change *changes, u32 nr)
{
	int err;

	err = plan_init(plan, ms, changes, nr);
	if (err)
		return err;

	sort_steps(plan, by_id);
	err = plan_kinds(plan);
	if (err)
		return err;

	err = plan_total(plan);
	if (err)
		return err;

	sort_steps(plan, by_place);
	return plan_places(plan);
}

/* The plan, made in full or in part, is not carried out. */
void memslot_plan_unmark(struct memslot_plan *plan)
{
	u32 i;

	for (i = 0; i < plan->nr; i++)
		if (plan->steps[i].old)
			plan->steps[i].old->state &= ~MEMSLOT_LEAVING;
}

void memslot_plan_free(struct memslot_plan *plan)
{
	if (plan->steps != &plan->single)
		kvfree(plan->steps);
}
