// SPDX-License-Identifier: GPL-2.0-only
/* Updates: KVM's errors one by one, batches, allocation failure, the ends of all ranges. */
#include "kselftest_harness.h"

#include <linux/limits.h>

#include "world.h"

#define BASE	0x7f0000000000UL

FIXTURE(update) {
	struct world world;
};

FIXTURE_SETUP(update)
{
	world_init(&self->world, MEMSLOT_MAX_SPACES);
}

FIXTURE_TEARDOWN(update)
{
	world_destroy(&self->world);
}

static struct memslot_change set(u32 id, u64 gfn, u64 npages)
{
	return (struct memslot_change){
		.id = id,
		.gpa = gfn << PAGE_SHIFT,
		.size = npages << PAGE_SHIFT,
		.hva = BASE + (gfn << PAGE_SHIFT),
	};
}

static int one(struct world *world, struct memslot_change change)
{
	return world_update(world, &change, 1);
}

TEST_F(update, errno_of_each_rule)
{
	struct world *w = &self->world;
	struct memslot_change c;

	ASSERT_EQ(0, one(w, set(1, 16, 8)));
	ASSERT_EQ(0, one(w, set(2, 32, 8)));

#define BAD(err, change)				\
	do {						\
		c = set(3, 64, 8);			\
		change;					\
		EXPECT_EQ(err, one(w, c));		\
	} while (0)

	BAD(-EINVAL, c.flags = 4);
	BAD(-EINVAL, c.flags = 1U << 31);
	BAD(-EINVAL, c.size += 1);
	BAD(-EINVAL, c.gpa += 0x800);
	BAD(-EINVAL, c.hva += 1);
	BAD(-EINVAL, c.hva = -4096UL);
	BAD(-EINVAL, c.as_id = 2);
	BAD(-EINVAL, c.as_id = ~0U);
	BAD(-EINVAL, c.id = 65536);
	BAD(-EINVAL, c.id = ~0U);
	BAD(-EINVAL, c.gpa = -4096ULL);
	BAD(-EINVAL, (c.hva = 0, c.size = 0x80000000ULL << PAGE_SHIFT));
	BAD(-EINVAL, c.gpa = 1ULL << 52);
	BAD(-EINVAL, c.gpa = ((1ULL << 40) - 7) << PAGE_SHIFT);
	BAD(-EINVAL, c.size = 0);
	/* Deletion does not excuse bad fields. */
	BAD(-EINVAL, (c.id = 1, c.size = 0, c.flags = 8));
	BAD(-EINVAL, (c.id = 1, c.size = 0, c.gpa = 1));
	BAD(-EINVAL, (c.id = 1, c.size = 0, c.hva = 1));
	/* Another size, hva or writability is another slot. */
	BAD(-EINVAL, (c = set(1, 16, 9)));
	BAD(-EINVAL, (c = set(1, 16, 8), c.hva += PAGE_SIZE));
	BAD(-EINVAL, (c = set(1, 16, 8), c.flags = KVM_MEM_READONLY));
	/* Overlaps, at either end, around and inside. */
	BAD(-EEXIST, (c = set(3, 9, 8)));
	BAD(-EEXIST, (c = set(3, 23, 1)));
	BAD(-EEXIST, (c = set(3, 8, 64)));
	BAD(-EEXIST, (c = set(3, 18, 2)));
	BAD(-EEXIST, (c = set(2, 32, 8), c.gpa = 20 << PAGE_SHIFT));
#undef BAD
	/* Where several rules are broken. */
	c = set(3, 16, 8);
	c.size = 1ULL << 42;
	EXPECT_EQ(-EEXIST, one(w, c));

	/* And what is fine: neighbours, no change, moving onto oneself, the last frame. */
	EXPECT_EQ(0, one(w, set(3, 24, 8)));
	EXPECT_EQ(0, one(w, set(1, 16, 8)));
	c = set(3, 24, 8);
	c.gpa += 0x10000;
	EXPECT_EQ(0, one(w, c));
	c = set(4, (1ULL << 40) - 8, 8);
	c.hva = BASE;
	EXPECT_EQ(0, one(w, c));
	c = set(5, 0, 16);
	c.as_id = 1;
	EXPECT_EQ(0, one(w, c));
}

TEST_F(update, move_may_overlap_itself)
{
	struct memslot_change c = set(1, 16, 8);

	ASSERT_EQ(0, one(&self->world, c));
	c.gpa += PAGE_SIZE;
	EXPECT_EQ(0, one(&self->world, c));
	c.gpa -= 3 * PAGE_SIZE;
	EXPECT_EQ(0, one(&self->world, c));
	EXPECT_EQ(2, self->world.zapped);
}

TEST_F(update, flags_zap_nothing)
{
	struct memslot_change c = set(1, 16, 8);
	unsigned long *bitmap;

	ASSERT_EQ(0, one(&self->world, c));
	c.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT_EQ(0, one(&self->world, c));
	mutex_lock(&self->world.ms.lock);
	bitmap = memslot_by_id(memslots_active(&self->world.ms, 0), 1)->dirty_bitmap;
	mutex_unlock(&self->world.ms.lock);
	ASSERT_NE(NULL, bitmap);

	/* A move keeps the bitmap. */
	c.gpa = 0;
	EXPECT_EQ(0, one(&self->world, c));
	mutex_lock(&self->world.ms.lock);
	EXPECT_EQ(bitmap, memslot_by_id(memslots_active(&self->world.ms, 0), 1)->dirty_bitmap);
	mutex_unlock(&self->world.ms.lock);
	EXPECT_EQ(1, self->world.zapped);

	c.flags = 0;
	EXPECT_EQ(0, one(&self->world, c));
	EXPECT_EQ(1, self->world.zapped);
}

TEST_F(update, batch_is_a_set)
{
	struct world *w = &self->world;
	struct memslot_change del = {}, c[4];

	ASSERT_EQ(0, one(w, set(0, 0, 8)));
	ASSERT_EQ(0, one(w, set(1, 8, 8)));
	ASSERT_EQ(0, one(w, set(2, 16, 8)));

	/* Three slots rotate: each step alone would overlap. */
	c[0] = set(0, 0, 8);
	c[0].gpa = 8 << PAGE_SHIFT;
	c[1] = set(1, 8, 8);
	c[1].gpa = 16 << PAGE_SHIFT;
	c[2] = set(2, 16, 8);
	c[2].gpa = 0;
	EXPECT_EQ(0, world_update(w, c, 3));
	EXPECT_EQ(4, w->ms.stats.updates);

	/* Grow one over its neighbour, which goes; the order does not matter. */
	del.id = 1;
	c[0] = set(2, 0, 16);
	c[1] = del;
	c[1].id = 0;
	c[2] = del;
	c[2].id = 2;
	EXPECT_EQ(0, world_update(w, c, 3));
	EXPECT_EQ(2, w->ms.nr_slots);

	/* Nothing to do is fine too, and publishes nothing. */
	c[0] = set(2, 0, 16);
	EXPECT_EQ(0, world_update(w, c, 1));
	EXPECT_EQ(5, w->ms.stats.updates);
}

static int blame(struct world *w, const struct memslot_change *changes, u32 nr, u32 *failed)
{
	int err;

	mutex_lock(&w->ms.lock);
	err = memslots_update(&w->ms, changes, nr, failed);
	mutex_unlock(&w->ms.lock);
	return err;
}

TEST_F(update, batch_names_the_culprit)
{
	struct world *w = &self->world;
	struct memslot_change c[4] = { set(9, 90, 1), set(8, 80, 1), set(7, 70, 1), set(6, 60, 1) };
	u32 failed = 77;

	c[2].flags = 4;
	EXPECT_EQ(-EINVAL, blame(w, c, 4, &failed));
	EXPECT_EQ(2, failed);

	c[2] = set(9, 70, 1);
	EXPECT_EQ(-EINVAL, blame(w, c, 4, &failed));
	EXPECT_EQ(2, failed);

	c[2] = set(7, 90, 1);
	EXPECT_EQ(-EEXIST, blame(w, c, 4, &failed));
	EXPECT_EQ(2, failed);

	c[2] = (struct memslot_change){ .id = 7 };
	EXPECT_EQ(-EINVAL, blame(w, c, 4, &failed));
	EXPECT_EQ(2, failed);

	c[2] = set(7, 70, 1);
	c[3].gpa = 1ULL << 52;
	EXPECT_EQ(-EINVAL, blame(w, c, 4, &failed));
	EXPECT_EQ(3, failed);

	EXPECT_EQ(-EINVAL, blame(w, c, 0, &failed));
	EXPECT_EQ(0, failed);
	/* Refused by its length alone: the array is not looked at. */
	EXPECT_EQ(-E2BIG, blame(w, c, MEMSLOT_MAX_BATCH + 1, &failed));
	EXPECT_EQ(-E2BIG, blame(w, c, ~0U, &failed));
	EXPECT_EQ(MEMSLOT_MAX_BATCH, failed);
	EXPECT_EQ(0, w->ms.nr_slots);
	EXPECT_EQ(0, w->ms.stats.updates);
}

/* Fail each allocation once, as long as there is one to fail; world_update() compares all bits. */
static unsigned int fail_each(struct world *w, const struct memslot_change *changes, u32 nr)
{
	unsigned int n;

	for (n = 1;; n++) {
		shim_fail_alloc = n;
		if (!world_update(w, changes, nr))
			return n - 1;
	}
}

TEST_F(update, no_allocation_may_fail_unnoticed)
{
	struct world *w = &self->world;
	struct memslot_change c[9];
	unsigned int i;

	/* A slot, two tables; with a dirty bitmap. */
	c[0] = set(0, 0, 8);
	EXPECT_EQ(3, fail_each(w, c, 1));
	c[0] = set(1, 8, 8);
	c[0].flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT_EQ(2, fail_each(w, c, 1));

	/* Flags, move, deletion: which needs nothing. */
	c[0] = set(0, 0, 8);
	c[0].flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT_EQ(2, fail_each(w, c, 1));
	c[0].gpa = 16 << PAGE_SHIFT;
	EXPECT_EQ(1, fail_each(w, c, 1));
	c[0].size = 0;
	EXPECT_EQ(0, fail_each(w, c, 1));

	/* A batch of all kinds, in which the tables double. */
	for (i = 0; i < 9; i++)
		c[i] = set(i, 64 + i, 1);
	c[1] = (struct memslot_change){ .id = 1 };
	EXPECT_EQ(1 + 7, fail_each(w, c, 8));
	EXPECT_EQ(7, w->ms.nr_slots);
	c[0] = set(1, 1, 1);
	c[1] = set(8, 8, 1);
	EXPECT_EQ(1 + 2 + 2, fail_each(w, c, 2));
}

TEST_F(update, prepare_may_fail)
{
	struct memslot_change c[3] = { set(0, 0, 8), set(1, 8, 8), set(2, 16, 8) };
	unsigned int n;

	for (n = 1; n <= 3; n++) {
		self->world.fail_prepare = n;
		EXPECT_EQ(-EPERM, world_update(&self->world, c, 3));
	}
	EXPECT_EQ(0, world_update(&self->world, c, 3));
	for (n = 0; n < 3; n++)
		c[n].size = 0;
	self->world.fail_prepare = 2;
	EXPECT_EQ(-EPERM, world_update(&self->world, c, 3));
	EXPECT_EQ(0, self->world.zapped);
	EXPECT_EQ(0, world_update(&self->world, c, 3));
	EXPECT_EQ(3, self->world.zapped);
}

TEST(init_may_fail)
{
	const struct memslot_ops ops = {};
	struct memslots ms;

	shim_fail_alloc = 1;
	EXPECT_EQ(-ENOMEM, memslot_cache_create());
	ASSERT_EQ(0, memslot_cache_create());
	shim_fail_alloc = 1;
	EXPECT_EQ(-ENOMEM, memslots_init(&ms, &ops, 2, ~0ULL >> PAGE_SHIFT));
	memslot_cache_destroy();
	EXPECT_EQ(0, shim_allocated);
}

/* As many pages as 64 bits count cannot be had by slots alone. */
TEST(total_overflows)
{
	const struct memslot_ops ops = {};
	struct memslot_change c = set(0, 0, 8);
	struct memslots ms;

	ASSERT_EQ(0, memslot_cache_create());
	ASSERT_EQ(0, memslots_init(&ms, &ops, 1, ~0ULL >> PAGE_SHIFT));
	mutex_lock(&ms.lock);
	ms.nr_pages = U64_MAX - 8;
	EXPECT_EQ(0, memslots_update(&ms, &c, 1, NULL));
	c = set(1, 8, 1);
	EXPECT_EQ(-EINVAL, memslots_update(&ms, &c, 1, NULL));
	c = set(0, 0, 0);
	EXPECT_EQ(0, memslots_update(&ms, &c, 1, NULL));
	EXPECT_EQ(U64_MAX - 8, ms.nr_pages);
	mutex_unlock(&ms.lock);
	memslots_destroy(&ms);
	memslot_cache_destroy();
}

static u64 slots_of(struct memslots *ms, u32 as_id)
{
	struct memslot *slot;
	u64 nr = 0;

	memslot_for_each_gfn(slot, memslots_active(ms, as_id), 0, ~0ULL)
		nr++;
	return nr;
}

/* Every id of every space, without hooks; one by one, then away and back by batch. */
TEST(all_ids)
{
	const struct memslot_ops ops = {};
	struct memslot_change *all, c;
	long empty;
	struct memslots ms;
	u32 i, failed;

	all = calloc(2 * MEMSLOT_NR_IDS, sizeof(*all));
	ASSERT_NE(NULL, all);
	ASSERT_EQ(0, memslot_cache_create());
	ASSERT_EQ(0, memslots_init(&ms, &ops, 2, ~0ULL >> PAGE_SHIFT));
	empty = shim_allocated;
	mutex_lock(&ms.lock);

	for (i = 0; i < 2 * MEMSLOT_NR_IDS; i++) {
		/* All over the gfns, in no order. */
		all[i] = set(i & 0xffff, (i * 40503U & 0xffff) * 3, 2);
		all[i].as_id = i >> 16;
		ASSERT_EQ(0, memslots_update(&ms, &all[i], 1, NULL));
	}
	EXPECT_EQ(2 * MEMSLOT_NR_IDS, ms.nr_slots);
	EXPECT_EQ(4ULL * MEMSLOT_NR_IDS, ms.nr_pages);
	EXPECT_EQ(MEMSLOT_NR_IDS, slots_of(&ms, 0));
	EXPECT_EQ(MEMSLOT_NR_IDS, slots_of(&ms, 1));
	for (i = 0; i < 2 * MEMSLOT_NR_IDS; i++) {
		struct memslot_set *active = memslots_active(&ms, i >> 16);
		struct memslot *slot = memslot_by_id(active, i & 0xffff);

		ASSERT_EQ(i & 0xffff, slot->id);
		ASSERT_EQ(slot, memslot_by_gfn(active, slot->base_gfn + 1));
		/* Full tables: one bucket, one slot. */
		ASSERT_EQ(NULL, active->ids[i & 0xffff].first->next);
	}
	c = set(0, 3 * MEMSLOT_NR_IDS, 1);
	c.id = MEMSLOT_NR_IDS;
	EXPECT_EQ(-EINVAL, memslots_update(&ms, &c, 1, NULL));

	for (i = 0; i < 2 * MEMSLOT_NR_IDS; i++)
		all[i].size = 0;
	EXPECT_EQ(0, memslots_update(&ms, all, 2 * MEMSLOT_NR_IDS, &failed));
	EXPECT_EQ(0, ms.nr_slots);
	EXPECT_EQ(0, ms.nr_pages);
	EXPECT_EQ(empty, shim_allocated);

	for (i = 0; i < 2 * MEMSLOT_NR_IDS; i++)
		all[i].size = PAGE_SIZE;
	EXPECT_EQ(0, memslots_update(&ms, all, 2 * MEMSLOT_NR_IDS, &failed));
	EXPECT_EQ(2 * MEMSLOT_NR_IDS, ms.nr_slots);

	/* Tables shrink on the way down. */
	for (i = 2 * MEMSLOT_NR_IDS; i--;) {
		all[i].size = 0;
		ASSERT_EQ(0, memslots_update(&ms, &all[i], 1, NULL));
	}
	EXPECT_EQ(empty, shim_allocated);

	mutex_unlock(&ms.lock);
	memslots_destroy(&ms);
	memslot_cache_destroy();
	EXPECT_EQ(0, shim_allocated);
	free(all);
}

/* A shrink that gets no memory is put off, not failed. */
TEST(shrink_may_wait)
{
	const struct memslot_ops ops = {};
	struct memslot_change c;
	struct memslots ms;
	u32 i;

	ASSERT_EQ(0, memslot_cache_create());
	ASSERT_EQ(0, memslots_init(&ms, &ops, 1, ~0ULL >> PAGE_SHIFT));
	mutex_lock(&ms.lock);
	for (i = 0; i < 128; i++) {
		c = set(i, i, 1);
		ASSERT_EQ(0, memslots_update(&ms, &c, 1, NULL));
	}
	for (i = 0; i < 128; i++) {
		c = set(i, i, 0);
		shim_fail_alloc = 1 + (i & 1);
		ASSERT_EQ(0, memslots_update(&ms, &c, 1, NULL));
		ASSERT_EQ(i < 127 ? 7 : 0, memslots_active(&ms, 0)->id_bits);
	}
	shim_fail_alloc = 0;
	mutex_unlock(&ms.lock);
	memslots_destroy(&ms);
	memslot_cache_destroy();
	EXPECT_EQ(0, shim_allocated);
}

/* The driver's operations, from a fixed sequence of pseudo-random bytes: see fuzz.c for more. */
TEST(random_against_model)
{
	unsigned char data[2048];
	unsigned int round, i;

	srandom(1);
	for (round = 0; round < 400; round++) {
		for (i = 0; i < sizeof(data); i++)
			data[i] = random() >> 8;
		drive(data, sizeof(data));
	}
}

TEST_HARNESS_MAIN
