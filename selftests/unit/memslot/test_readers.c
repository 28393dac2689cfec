// SPDX-License-Identifier: GPL-2.0-only
/* Who waits for whom: readers that stay while updates go on, in one thread and in many. */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "world.h"

FIXTURE(readers) {
	struct world world;
};

FIXTURE_SETUP(readers)
{
	world_init(&self->world, 1);
}

FIXTURE_TEARDOWN(readers)
{
	world_destroy(&self->world);
}

static int change(struct world *world, u32 id, u64 gfn, u64 npages, u32 flags)
{
	struct memslot_change c = {
		.id = id,
		.flags = flags,
		.gpa = gfn << PAGE_SHIFT,
		.size = npages << PAGE_SHIFT,
		.hva = 0x10000000 + ((u64)id << 20),
	};

	return world_update(world, &c, 1);
}

TEST_F(readers, nobody_inside_nobody_waits)
{
	struct memslot_stats *stats = &self->world.ms.stats;
	u32 i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, change(&self->world, i % 10, i, i % 20 < 10, 0));
	EXPECT_EQ(100, stats->updates);
	EXPECT_EQ(100, stats->grace_skipped);
	EXPECT_EQ(0, stats->grace_polled + stats->grace_waited + stats->grace_deferred);
}

TEST_F(readers, create_does_not_wait)
{
	struct world *w = &self->world;

	world_enter(w, 0);
	EXPECT_EQ(0, change(w, 0, 0, 1, 0));
	EXPECT_EQ(0, w->waits);
	EXPECT_TRUE(w->vcpus[0].inside);
	EXPECT_TRUE(w->ms.spaces[0].stale);
	EXPECT_EQ(1, w->ms.stats.grace_deferred);

	/* The other set must follow before it can be used again. */
	EXPECT_EQ(0, change(w, 1, 1, 1, 0));
	EXPECT_EQ(1, w->waits);
	EXPECT_FALSE(w->vcpus[0].inside);
	EXPECT_EQ(1, w->ms.stats.grace_waited);
	EXPECT_FALSE(w->ms.spaces[0].stale);
}

TEST_F(readers, one_section_holds_up_one_update)
{
	struct world *w = &self->world;
	u32 i;

	/* Always inside when an update looks, never in the same section. */
	for (i = 0; i < 10; i++) {
		world_enter(w, i & 1);
		EXPECT_EQ(0, change(w, i, i, 1, 0));
		world_leave(w, i & 1);
		world_enter(w, i & 1);
		EXPECT_EQ(0, change(w, i + 10, i + 10, 1, 0));
		world_leave(w, i & 1);
	}
	EXPECT_EQ(0, w->waits);
	EXPECT_EQ(0, w->ms.stats.grace_waited);
	EXPECT_EQ(20, w->ms.stats.grace_deferred);
	EXPECT_EQ(19, w->ms.stats.grace_polled);
}

TEST_F(readers, srcu_tells_of_shared_ones)
{
	struct world *w = &self->world;
	int idx;

	/* Sections overlap, so that their count is never 0; SRCU knows that the old one is over. */
	world_enter_shared(w);
	EXPECT_EQ(0, change(w, 0, 0, 1, 0));
	EXPECT_FALSE(poll_state_synchronize_srcu(&w->ms.srcu, w->ms.srcu_cookie));
	idx = memslots_read_lock_shared(&w->ms);
	world_leave_shared(w);
	EXPECT_EQ(0, change(w, 1, 1, 1, 0));
	EXPECT_EQ(0, w->waits);
	EXPECT_EQ(1, w->ms.stats.grace_polled);
	memslots_read_unlock_shared(&w->ms, idx);
}

TEST_F(readers, what_takes_memory_away_waits)
{
	struct world *w = &self->world;

	ASSERT_EQ(0, change(w, 0, 0, 1, 0));
	ASSERT_EQ(0, change(w, 1, 1, 1, 0));

	world_enter(w, 2);
	EXPECT_EQ(0, change(w, 0, 4, 1, 0));
	EXPECT_EQ(1, w->waits);
	world_enter_shared(w);
	EXPECT_EQ(0, change(w, 1, 0, 0, 0));
	EXPECT_EQ(2, w->waits);
	EXPECT_EQ(2, w->ms.stats.grace_waited);
	EXPECT_EQ(0, w->ms.stats.grace_deferred);
}

TEST_F(readers, no_write_goes_unlogged)
{
	struct world *w = &self->world;

	ASSERT_EQ(0, change(w, 0, 0, 1, 0));
	world_enter(w, 0);
	EXPECT_EQ(0, change(w, 0, 0, 1, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ(1, w->waits);

	/* The way back loses nothing. */
	world_enter(w, 0);
	EXPECT_EQ(0, change(w, 0, 0, 1, 0));
	EXPECT_EQ(1, w->waits);
	EXPECT_TRUE(w->vcpus[0].inside);
}

TEST_F(readers, failure_does_not_wait)
{
	struct world *w = &self->world;

	ASSERT_EQ(0, change(w, 0, 0, 1, 0));
	world_enter(w, 0);
	ASSERT_EQ(0, change(w, 1, 1, 1, 0));
	EXPECT_EQ(-EEXIST, change(w, 2, 1, 1, 0));
	shim_fail_alloc = 1;
	EXPECT_EQ(-ENOMEM, change(w, 2, 2, 1, 0));
	EXPECT_EQ(0, w->waits);
	EXPECT_TRUE(w->ms.spaces[0].stale);
}

TEST_F(readers, destroyed_while_behind)
{
	struct world *w = &self->world;

	ASSERT_EQ(0, change(w, 0, 0, 1, KVM_MEM_LOG_DIRTY_PAGES));
	world_enter(w, 0);
	world_enter(w, 1);
	ASSERT_EQ(0, change(w, 0, 0, 1, 0));
	EXPECT_TRUE(w->ms.spaces[0].stale);
}

/*
 * Threads. An updater swaps whole layouts of one range by batches; layout k backs it by the k-th
 * piece of "user memory". Readers must find one layout whole, and its memory must not be taken
 * away before they leave.
 */
#define LAYOUTS		4
#define FRAMES		64
#define SECONDS		2

struct arena {
	struct memslots ms;
	int live[LAYOUTS];	/* may be used */
	int stop;
	unsigned long sections;
};

static unsigned long layout_hva(unsigned int layout, u64 gfn)
{
	return (0x1000000UL * (layout + 1)) + (gfn << PAGE_SHIFT);
}

/* Layout k is 1 << k slots, each with ids of its own. */
static u32 layout_changes(struct memslot_change *changes, unsigned int layout, bool delete)
{
	u32 i, nr = 1 << layout;
	u64 frames = FRAMES / nr;

	for (i = 0; i < nr; i++)
		changes[i] = (struct memslot_change){
			.id = layout * 100 + i,
			.gpa = i * frames << PAGE_SHIFT,
			.size = delete ? 0 : frames << PAGE_SHIFT,
			.hva = layout_hva(layout, i * frames),
		};
	return nr;
}

static void look_around(struct arena *arena, struct memslot_cache *cache, u64 *seed)
{
	struct memslot_set *set = memslots_active(&arena->ms, 0);
	struct memslot *slot;
	int layout = -1;
	u64 gfn;
	int i;

	for (i = 0; i < 8; i++) {
		*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
		gfn = (*seed >> 33) % FRAMES;
		slot = memslot_by_gfn_cached(set, gfn, cache);
		CHECK(slot);
		if (layout < 0)
			layout = slot->id / 100;
		CHECK(slot->id / 100 == layout);
		CHECK(memslot_gfn_to_hva(slot, gfn) == layout_hva(layout, gfn));
		CHECK(__atomic_load_n(&arena->live[layout], __ATOMIC_RELAXED));
	}
	__atomic_add_fetch(&arena->sections, 1, __ATOMIC_RELAXED);
}

static void *vcpu_thread(void *arg)
{
	struct arena *arena = arg;
	struct memslot_cache cache = {};
	struct memslot_reader reader;
	u64 seed = (unsigned long)&seed;

	memslots_add_reader(&arena->ms, &reader);
	while (!__atomic_load_n(&arena->stop, __ATOMIC_RELAXED)) {
		memslots_read_lock(&arena->ms, &reader);
		look_around(arena, &cache, &seed);
		memslots_read_unlock(&arena->ms, &reader);
		/* As a vCPU in its guest: most preemptions should find it outside. */
		sched_yield();
	}
	memslots_del_reader(&arena->ms, &reader);
	return NULL;
}

static void *shared_thread(void *arg)
{
	struct arena *arena = arg;
	u64 seed = (unsigned long)&seed;

	while (!__atomic_load_n(&arena->stop, __ATOMIC_RELAXED)) {
		struct memslot_cache cache = {};
		int idx = memslots_read_lock_shared(&arena->ms);

		look_around(arena, &cache, &seed);
		memslots_read_unlock_shared(&arena->ms, idx);
		sched_yield();
	}
	return NULL;
}

TEST(threads_see_old_or_new)
{
	const struct memslot_ops ops = {};
	struct memslot_change changes[32];
	struct arena *arena = calloc(1, sizeof(*arena));
	time_t end = time(NULL) + SECONDS;
	pthread_t threads[4];
	unsigned int i, layout = 0, next;
	u32 nr;

	ASSERT_NE(NULL, arena);
	ASSERT_EQ(0, memslot_cache_create());
	ASSERT_EQ(0, memslots_init(&arena->ms, &ops, 1, ~0ULL >> PAGE_SHIFT));

	arena->live[0] = 1;
	mutex_lock(&arena->ms.lock);
	nr = layout_changes(changes, 0, false);
	ASSERT_EQ(0, memslots_update(&arena->ms, changes, nr, NULL));
	mutex_unlock(&arena->ms.lock);

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i ? vcpu_thread : shared_thread,
					    arena));

	for (i = 0; time(NULL) < end; i++) {
		next = (layout + 1 + i % (LAYOUTS - 1)) % LAYOUTS;
		if (next == layout)
			continue;
		nr = layout_changes(changes, layout, true);
		nr += layout_changes(changes + nr, next, false);

		__atomic_store_n(&arena->live[next], 1, __ATOMIC_RELAXED);
		mutex_lock(&arena->ms.lock);
		ASSERT_EQ(0, memslots_update(&arena->ms, changes, nr, NULL));
		mutex_unlock(&arena->ms.lock);
		/* The update has returned: nobody may use it any more. */
		__atomic_store_n(&arena->live[layout], 0, __ATOMIC_RELAXED);
		layout = next;
	}

	__atomic_store_n(&arena->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	TH_LOG("%lu sections, %llu updates; grace periods: %llu skipped, %llu polled, %llu waited",
	       arena->sections, (unsigned long long)arena->ms.stats.updates,
	       (unsigned long long)arena->ms.stats.grace_skipped,
	       (unsigned long long)arena->ms.stats.grace_polled,
	       (unsigned long long)arena->ms.stats.grace_waited);
	EXPECT_LT(0, arena->sections);

	memslots_destroy(&arena->ms);
	memslot_cache_destroy();
	EXPECT_EQ(0, shim_allocated);
	free(arena);
}

/*
 * One vCPU against one updater, each as fast as it can. An update that takes memory away must not
 * return while a section that saw an older map goes on.
 */
struct duel {
	struct memslots ms;
	u64 returned;	/* generation of the last update that has returned */
	int stop;
};

static void *duel_thread(void *arg)
{
	struct duel *duel = arg;
	struct memslot_reader reader;
	u64 generation;
	int i;

	memslots_add_reader(&duel->ms, &reader);
	while (!__atomic_load_n(&duel->stop, __ATOMIC_RELAXED)) {
		memslots_read_lock(&duel->ms, &reader);
		generation = memslots_active(&duel->ms, 0)->generation;
		for (i = 0; i < 300; i++)
			CHECK(__atomic_load_n(&duel->returned, __ATOMIC_RELAXED) <= generation);
		memslots_read_unlock(&duel->ms, &reader);
	}
	memslots_del_reader(&duel->ms, &reader);
	return NULL;
}

TEST(racing_vcpu_is_waited_for)
{
	const struct memslot_ops ops = {};
	struct memslot_change c = { .size = PAGE_SIZE };
	struct duel *duel = calloc(1, sizeof(*duel));
	time_t end = time(NULL) + SECONDS;
	pthread_t thread;

	ASSERT_NE(NULL, duel);
	ASSERT_EQ(0, memslot_cache_create());
	ASSERT_EQ(0, memslots_init(&duel->ms, &ops, 1, ~0ULL >> PAGE_SHIFT));

	/* To create a slot takes nothing away, and waits for nobody: before there is a reader. */
	mutex_lock(&duel->ms.lock);
	ASSERT_EQ(0, memslots_update(&duel->ms, &c, 1, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, duel_thread, duel));
	while (time(NULL) < end) {
		c.gpa ^= PAGE_SIZE;
		ASSERT_EQ(0, memslots_update(&duel->ms, &c, 1, NULL));
		__atomic_store_n(&duel->returned, duel->ms.generation, __ATOMIC_RELAXED);
	}
	mutex_unlock(&duel->ms.lock);

	__atomic_store_n(&duel->stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	memslots_destroy(&duel->ms);
	memslot_cache_destroy();
	EXPECT_EQ(0, shim_allocated);
	free(duel);
}

TEST_HARNESS_MAIN
