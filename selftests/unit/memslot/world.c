// SPDX-License-Identifier: GPL-2.0-only
/* Store and model side by side, a made-up MMU behind the hooks, readers that come and go. */
#include <errno.h>
#include <string.h>

#include "world.h"

/* The one world whose updates may block on a reader. */
static struct world *blocked_world;

static struct world *world_of(struct memslots *ms)
{
	return container_of(ms, struct world, ms);
}

static void enter(struct world *world, struct view *view)
{
	unsigned int i;

	view->inside = true;
	view->updates = world->ms.stats.updates;
	view->model = view->updates == world->updates ? world->model : world->next;
	for (i = 0; i < world->ms.nr_spaces; i++)
		view->sets[i] = memslots_active(&world->ms, i);
}

void world_enter(struct world *world, unsigned int vcpu)
{
	CHECK(!world->vcpus[vcpu].inside);
	memslots_read_lock(&world->ms, &world->readers[vcpu]);
	CHECK(memslots_read_locked(&world->readers[vcpu]));
	enter(world, &world->vcpus[vcpu]);
}

/* A vCPU may enter at any moment of an update. */
static void moment(struct world *world)
{
	unsigned int i;

	if (!world->enter_in || --world->enter_in)
		return;
	for (i = 0; i < NR_VCPUS; i++) {
		if (!world->vcpus[i].inside) {
			world_enter(world, i);
			return;
		}
	}
}

/* Until an update has published, everybody must find what was there before. */
static void check_untouched(struct memslots *ms)
{
	unsigned int i;

	for (i = 0; i < ms->nr_spaces; i++)
		check_set(memslots_active(ms, i), &world_of(ms)->model, i);
	moment(world_of(ms));
}

static int hook_prepare(struct memslots *ms, const struct memslot *old, struct memslot *new,
			enum memslot_change_kind kind)
{
	struct world *world = world_of(ms);

	check_untouched(ms);
	CHECK(!old == (kind == MEMSLOT_CREATE) && !new == (kind == MEMSLOT_DELETE));
	if (world->fail_prepare && !--world->fail_prepare)
		return -EPERM;
	if (!new)
		return 0;

	world->prepared++;
	if (new->flags & KVM_MEM_LOG_DIRTY_PAGES && (!old || !old->dirty_bitmap)) {
		new->dirty_bitmap = shim_alloc(8);
		if (!new->dirty_bitmap)
			return -ENOMEM;
	}
	return 0;
}

static void hook_freeze(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn)
{
	struct world *world = world_of(ms);

	check_untouched(ms);
	CHECK(!world->frozen[as_id] && start_gfn < end_gfn);
	world->frozen[as_id] = true;
	world->frozen_start[as_id] = start_gfn;
	world->frozen_end[as_id] = end_gfn;
}

static void hook_zap(struct memslots *ms, const struct memslot *slot, const struct memslot *new)
{
	struct world *world = world_of(ms);

	check_untouched(ms);
	CHECK(world->frozen[slot->as_id]);
	CHECK(!new || (new->id == slot->id && new->base_gfn != slot->base_gfn));
	CHECK(world->frozen_start[slot->as_id] <= slot->base_gfn);
	CHECK(world->frozen_end[slot->as_id] >= memslot_end_gfn(slot));
	CHECK(memslot_by_id(memslots_active(ms, slot->as_id), slot->id) == slot);
	world->unflushed = true;
	world->zapped++;
}

static void hook_flush(struct memslots *ms)
{
	struct world *world = world_of(ms);

	check_untouched(ms);
	CHECK(world->unflushed);
	world->unflushed = false;
}

static void hook_thaw(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn)
{
	struct world *world = world_of(ms);

	CHECK(!world->unflushed && world->frozen[as_id]);
	CHECK(world->frozen_start[as_id] == start_gfn && world->frozen_end[as_id] == end_gfn);
	world->frozen[as_id] = false;
	check_set(memslots_active(ms, as_id), &world->next, as_id);
	moment(world);
}

static void hook_commit(struct memslots *ms, const struct memslot *old, const struct memslot *new,
			enum memslot_change_kind kind)
{
	struct world *world = world_of(ms);
	const struct memslot *slot = new ?: old;

	CHECK(!world->frozen[slot->as_id]);
	CHECK(!old == (kind == MEMSLOT_CREATE) && !new == (kind == MEMSLOT_DELETE));
	world->committed++;
	moment(world);
	if (!new)
		return;

	CHECK(!new->dirty_bitmap == !(new->flags & KVM_MEM_LOG_DIRTY_PAGES));
	CHECK(memslot_by_id(memslots_active(ms, new->as_id), new->id) == new);
	if (!old)
		return;
	if (old->dirty_bitmap && new->dirty_bitmap)
		CHECK(old->dirty_bitmap == new->dirty_bitmap);
}

static void hook_free(struct memslots *ms, struct memslot *slot)
{
	(void)ms;
	shim_free(slot->dirty_bitmap);
}

static const struct memslot_ops hooks = {
	.prepare = hook_prepare,
	.freeze = hook_freeze,
	.zap = hook_zap,
	.flush = hook_flush,
	.thaw = hook_thaw,
	.commit = hook_commit,
	.free = hook_free,
};

/* An update waits: let a reader go, which saw the old map to the end. */
static void blocked(struct srcu_struct *srcu)
{
	struct world *world = blocked_world;
	unsigned int i;

	CHECK(srcu == &world->ms.srcu);
	world->waits++;
	for (i = 0; i < NR_VCPUS; i++) {
		if (world->vcpus[i].inside) {
			world_leave(world, i);
			return;
		}
	}
	CHECK(world->shared.inside);
	world_leave_shared(world);
}

static void leave(struct world *world, struct view *view)
{
	unsigned int i;

	for (i = 0; i < world->ms.nr_spaces; i++)
		check_set(view->sets[i], &view->model, i);
	view->inside = false;
}

void world_leave(struct world *world, unsigned int vcpu)
{
	leave(world, &world->vcpus[vcpu]);
	memslots_read_unlock(&world->ms, &world->readers[vcpu]);
}

void world_enter_shared(struct world *world)
{
	CHECK(!world->shared.inside);
	world->shared_idx = memslots_read_lock_shared(&world->ms);
	enter(world, &world->shared);
}

void world_leave_shared(struct world *world)
{
	leave(world, &world->shared);
	memslots_read_unlock_shared(&world->ms, world->shared_idx);
}

/* Is there a reader that may use an older map? */
static bool old_reader_inside(const struct world *world)
{
	u64 updates = world->ms.stats.updates;
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++)
		if (world->vcpus[i].inside && world->vcpus[i].updates != updates)
			return true;
	return world->shared.inside && world->shared.updates != updates;
}

static void check_result(struct world *world, int err, u32 failed, struct verdict verdict, u32 nr)
{
	if (err == -EEXIST)
		CHECK(failed < nr && verdict.exist >> failed & 1);
	else if (err == -EINVAL)
		CHECK((failed < nr || !nr) && verdict.inval >> failed & 1);
	else if (err)
		/* A batch needs memory before all of it is judged. */
		CHECK(failed <= nr && (nr > 1 || !(verdict.inval | verdict.exist)));
	else
		CHECK(!(verdict.inval | verdict.exist));

	if (!err && verdict.must_wait)
		CHECK(!old_reader_inside(world));
}

int world_update(struct world *world, const struct memslot_change *changes, u32 nr)
{
	bool injected = world->fail_prepare || shim_fail_alloc;
	size_t size, size_after;
	unsigned char *state, *state_after;
	struct verdict verdict;
	u32 failed = 0;
	int err;

	world->updates = world->ms.stats.updates;
	world->next = world->model;
	verdict = model_update(&world->next, changes, nr);

	mutex_lock(&world->ms.lock);
	state = world_snapshot(world, &size);
	blocked_world = world;
	shim_srcu_blocked = blocked;

	err = memslots_update(&world->ms, changes, nr, &failed);
	CHECK(injected || (err != -ENOMEM && err != -EPERM));
	check_result(world, err, failed, verdict, nr);

	if (err) {
		state_after = world_snapshot(world, &size_after);
		CHECK(size == size_after && !memcmp(state, state_after, size));
		free(state_after);
	} else if (world->ms.stats.updates != world->updates) {
		world->before = world->model;
		world->model = world->next;
	}
	world->updates = world->ms.stats.updates;
	world->enter_in = 0;
	free(state);
	mutex_unlock(&world->ms.lock);

	world->fail_prepare = 0;
	shim_fail_alloc = 0;
	world_check(world);
	return err;
}

/* Every way to look, against the model. */
void world_lookup(struct world *world, unsigned int vcpu, u32 as_id, u64 gfn, u64 nr,
		  unsigned long hva, unsigned long last)
{
	const struct model *model = &world->model;
	const struct model_slot *want = model_by_gfn(model, as_id, gfn), *nearest = NULL;
	struct memslot *slot, *prev = NULL;
	struct memslot_set *set;
	unsigned int i, hits = 0;

	mutex_lock(&world->ms.lock);
	set = memslots_active(&world->ms, as_id);

	slot = memslot_by_gfn_cached(set, gfn, &world->caches[vcpu][as_id]);
	CHECK(!slot == !want && slot == memslot_by_gfn(set, gfn));
	CHECK(!want || slot->id == want->id);
	if (want)
		CHECK(memslot_hva_to_gfn(slot, memslot_gfn_to_hva(slot, gfn)) == gfn);

	for (i = 0; i < model->nr; i++) {
		const struct model_slot *s = &model->slots[i];

		if (s->as_id == as_id && s->gfn <= gfn && (!nearest || s->gfn > nearest->gfn))
			nearest = s;
	}
	slot = memslot_by_gfn_approx(set, gfn);
	CHECK(!slot == !nearest && (!slot || slot->id == nearest->id));

	memslot_for_each_gfn(slot, set, gfn, gfn + nr) {
		CHECK(slot->base_gfn < gfn + nr && memslot_end_gfn(slot) > gfn);
		CHECK(!prev || memslot_end_gfn(prev) <= slot->base_gfn);
		prev = slot;
		hits++;
	}
	for (i = 0; i < model->nr; i++) {
		const struct model_slot *s = &model->slots[i];

		hits -= s->as_id == as_id && s->gfn < gfn + nr && s->gfn + s->npages > gfn;
	}
	CHECK(!hits);

	memslot_for_each_hva(slot, set, hva, last) {
		CHECK(slot->hva <= last && memslot_last_hva(slot) >= hva);
		hits++;
	}
	for (i = 0; i < model->nr; i++) {
		const struct model_slot *s = &model->slots[i];

		hits -= s->as_id == as_id && s->hva <= last && s->hva + s->npages * 4096 - 1 >= hva;
	}
	CHECK(!hits);
	mutex_unlock(&world->ms.lock);
}

void world_init(struct world *world, unsigned int nr_spaces)
{
	unsigned int i;

	memset(world, 0, sizeof(*world));
	world->model.nr_spaces = nr_spaces;
	world->model.max_gfn = (1ULL << 40) - 1;
	CHECK(!memslot_cache_create());
	CHECK(!memslots_init(&world->ms, &hooks, nr_spaces, world->model.max_gfn));
	for (i = 0; i < NR_VCPUS; i++)
		memslots_add_reader(&world->ms, &world->readers[i]);
}

void world_destroy(struct world *world)
{
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++) {
		if (world->vcpus[i].inside)
			world_leave(world, i);
		memslots_del_reader(&world->ms, &world->readers[i]);
	}
	if (world->shared.inside)
		world_leave_shared(world);
	memslots_destroy(&world->ms);
	memslot_cache_destroy();
	CHECK(!shim_allocated);
}
