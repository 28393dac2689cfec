/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memslot store with a naive model beside it: an array, searched from end to end. Every
 * operation goes to both, and both must agree in result and state.
 */
#ifndef UNIT_MEMSLOT_WORLD_H
#define UNIT_MEMSLOT_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "../check.h"
#include "memslot.h"

#define MODEL_SLOTS	64
#define MAX_BATCH	16
#define NR_VCPUS	3

struct model_slot {
	u32 as_id;
	u32 id;
	u32 flags;
	u64 gfn;
	u64 npages;
	u64 hva;
};

struct model {
	unsigned int nr;
	struct model_slot slots[MODEL_SLOTS];
	unsigned int nr_spaces;
	u64 max_gfn;
};

/* Which errors are right, as masks of the indices that may be blamed. Both 0: success. */
struct verdict {
	u32 inval;
	u32 exist;
	bool must_wait;		/* for readers of the old map */
};

struct verdict model_update(struct model *model, const struct memslot_change *changes, u32 nr);
const struct model_slot *model_by_gfn(const struct model *model, u32 as_id, u64 gfn);
const struct model_slot *model_by_id(const struct model *model, u32 as_id, u32 id);

/* A reader that entered at some time, and what it must see until it leaves. */
struct view {
	bool inside;
	u64 updates;		/* published when it entered */
	struct memslot_set *sets[MEMSLOT_MAX_SPACES];
	struct model model;
};

struct world {
	struct memslots ms;
	struct model model;
	struct model before;	/* the last update that changed something */
	struct model next;	/* what the update under way makes of it */

	struct memslot_reader readers[NR_VCPUS];
	struct memslot_cache caches[NR_VCPUS][MEMSLOT_MAX_SPACES];
	struct view vcpus[NR_VCPUS];
	struct view shared;
	int shared_idx;

	/* Hooks: how they behave, what they saw. */
	unsigned int fail_prepare;	/* the n-th call fails */
	unsigned int enter_in;		/* at the n-th call of any a vCPU enters */
	bool frozen[MEMSLOT_MAX_SPACES];
	u64 frozen_start[MEMSLOT_MAX_SPACES];
	u64 frozen_end[MEMSLOT_MAX_SPACES];
	bool unflushed;
	unsigned int zapped;
	unsigned int prepared;
	unsigned int committed;
	unsigned int waits;		/* for a reader */
	u64 updates;			/* published when the one under way began */
};

void world_init(struct world *world, unsigned int nr_spaces);
void world_destroy(struct world *world);

/* Apply to store and model, compare. Returns the store's result. */
int world_update(struct world *world, const struct memslot_change *changes, u32 nr);

void world_enter(struct world *world, unsigned int vcpu);
void world_leave(struct world *world, unsigned int vcpu);
void world_enter_shared(struct world *world);
void world_leave_shared(struct world *world);

void world_lookup(struct world *world, unsigned int vcpu, u32 as_id, u64 gfn, u64 nr,
		  unsigned long hva, unsigned long last);

/* invariants.c: a set is whole, and holds what the model holds */
void check_set(struct memslot_set *set, const struct model *model, u32 as_id);
void world_check(struct world *world);

/* Every bit of the store's state, to be freed by the caller. */
unsigned char *world_snapshot(struct world *world, size_t *size);

/* drive.c: one operation after the other, chosen by the bytes of data */
void drive(const unsigned char *data, size_t size);

#endif
