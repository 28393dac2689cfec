/* SPDX-License-Identifier: GPL-2.0-only */
/* What the store's own files share: sets (set.c), readers (reader.c), planning (plan.c). */
#ifndef XVM_MEMSLOT_INTERNAL_H
#define XVM_MEMSLOT_INTERNAL_H

#include "memslot.h"

/* slot->state, under memslots->lock */
enum {
	/* Another place in the map, or none, is planned for it. */
	MEMSLOT_LEAVING = 1 << 0,
	/* A successor takes over its links by id and hva; it is such a successor. */
	MEMSLOT_REPLACED = 1 << 1,
	MEMSLOT_REPLACES = 1 << 2,
	/* dirty_bitmap lives on in the successor. */
	MEMSLOT_GAVE_BITMAP = 1 << 3,
};

/* set.c: edit a set that nobody reads */
void memslot_set_init(struct memslot_set *set, unsigned int idx);
void memslot_set_edit(struct memslot_set *set, const struct memslot_edit *edit);
unsigned int memslot_set_want_bits(const struct memslot_set *set, u32 nr_slots);
struct memslot *memslot_set_empty(struct memslot_set *set);
struct hlist_head *memslot_ids_alloc(unsigned int bits);
void memslot_ids_free(struct hlist_head *ids);

/* reader.c: call begin after publishing; when over() or wait(), nobody reads the older map */
void memslots_grace_begin(struct memslots *ms);
bool memslots_grace_over(struct memslots *ms);
void memslots_grace_defer(struct memslots *ms);
void memslots_grace_wait(struct memslots *ms);
void memslots_grace_end(struct memslots *ms);

/* One slot's change, with all that it takes to carry it out. */
struct memslot_step {
	const struct memslot_change *change;
	u32 index;
	enum memslot_change_kind kind;
	struct memslot *old;
	struct memslot *new;
};

/* What happens to one address space in an update. [start, end) spans the slots with an old. */
struct memslot_space_plan {
	u64 start;
	u64 end;
	u32 nr_slots;
	bool touched;
	struct memslot_edit edit;
	struct hlist_head *other_ids;	/* as edit.ids, for the set that follows */
};

struct memslot_plan {
	struct memslots *ms;
	struct memslot_step *steps;
	u32 nr;
	u32 failed;
	u64 nr_pages;
	struct memslot_step single;
	struct memslot_space_plan spaces[MEMSLOT_MAX_SPACES];
};

/* plan.c: find out what to do, and whether it may be done. Marks slots as leaving. */
int memslot_plan_make(struct memslot_plan *plan, struct memslots *ms,
		      const struct memslot_change *changes, u32 nr);
void memslot_plan_unmark(struct memslot_plan *plan);
void memslot_plan_free(struct memslot_plan *plan);

#endif /* XVM_MEMSLOT_INTERNAL_H */
