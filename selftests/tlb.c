// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many TLB flushes are asked for, made together, left out, and whom they
 * interrupt.  Counts that only xvm has are checked there alone.
 */
#include <string.h>

#include "batch.h"
#include "load.h"
#include "pass.h"
#include "stats.h"
#include "test.h"

DEVICE_FIXTURE(tlb);

#define FAR_GPA 0x1000000ul
#define PAGES 32ul
#define SIZE (PAGES * GUEST_PAGE)

struct counts {
	uint64_t asked, interrupting, ipis, merged, skipped;
};

static struct counts read_counts(struct guest *g)
{
	return (struct counts){
		.asked = read_stat(g->vm, "remote_tlb_flush_requests"),
		.interrupting = read_stat(g->vm, "remote_tlb_flush"),
		.ipis = read_stat(g->vm, "remote_tlb_flush_ipis"),
		.merged = read_stat(g->vm, "remote_tlb_flush_merged"),
		.skipped = read_stat(g->vm, "remote_tlb_flush_skipped"),
	};
}

#define EXPECT_GROWTH(before, ...)					\
	do {								\
		struct counts growth_ = { __VA_ARGS__ };		\
		struct counts now_ = read_counts(&self->g);		\
									\
		EXPECT_EQ(growth_.asked, now_.asked - (before).asked);	\
		EXPECT_EQ(growth_.ipis, now_.ipis - (before).ipis);	\
		EXPECT_EQ(growth_.merged, now_.merged - (before).merged); \
		EXPECT_EQ(growth_.skipped, now_.skipped - (before).skipped); \
		(before) = now_;					\
	} while (0)

static uint8_t *small_pages(size_t size)
{
	uint8_t *mem = mem_alloc(size);

	madvise(mem, size, MADV_NOHUGEPAGE);
	memset(mem, 0, size);
	return mem;
}

/* A slot of which the guest has touched some pages from the start. */
static void touched_slot(struct guest *g, uint32_t slot, uint64_t gpa,
			 uint8_t *mem, uint64_t pages)
{
	uint64_t wrong;

	guest_add_slot(g, slot, 0, gpa, SIZE, mem);
	if (pages && run_pass(g, gpa, pages, 1, true, &wrong) != KVM_EXIT_HLT)
		die("the guest did not end its writes");
}

/* The vCPU is outside the guest: nobody is interrupted. */
TEST_F(tlb, nobody_inside)
{
	struct counts before;
	uint8_t *mem;

	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	mem = small_pages(SIZE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	touched_slot(&self->g, 1, FAR_GPA, mem, PAGES);
	before = read_counts(&self->g);

	ASSERT_EQ(0, madvise(mem, SIZE, MADV_DONTNEED));
	EXPECT_GROWTH(before, .asked = 1);
	/* There is nothing left to flush. */
	memset(mem, 0, SIZE);
	ASSERT_EQ(0, madvise(mem, SIZE, MADV_DONTNEED));
	EXPECT_GROWTH(before, .skipped = 1);
	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	EXPECT_GROWTH(before, .skipped = 1);
	EXPECT_EQ(0, read_stat(self->g.vm, "remote_tlb_flush_ranged"));
}

TEST_F(tlb, one_flush_for_a_batch)
{
	struct xvm_memory_change changes[4];
	struct counts before;
	int i;

	NEEDS_BATCH(self->dev);
	guest_start64(&self->g, self->dev, pass, pass_end);
	for (i = 0; i < 4; i++) {
		/* Nothing of the last one is mapped. */
		touched_slot(&self->g, i + 1, (i + 1) * FAR_GPA,
			     small_pages(SIZE), i < 3 ? PAGES : 0);
		changes[i] = change_delete(i + 1);
	}
	before = read_counts(&self->g);
	ASSERT_EQ(0, apply(&self->g, changes, 4, NULL));
	EXPECT_GROWTH(before, .asked = 1, .merged = 2);
}

TEST_F(tlb, dirty_log)
{
	uint64_t bits, wrong;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };
	struct counts before;
	uint8_t *mem;

	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	mem = small_pages(SIZE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	touched_slot(&self->g, 1, FAR_GPA, mem, PAGES);
	guest_add_slot(&self->g, 2, 0, 2 * FAR_GPA, SIZE, mem);
	before = read_counts(&self->g);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, SIZE, mem);
	EXPECT_GROWTH(before, .asked = 1);
	/* Nothing of it is mapped, so nothing has to be protected. */
	guest_add_slot(&self->g, 2, KVM_MEM_LOG_DIRTY_PAGES, 2 * FAR_GPA, SIZE,
		       mem);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_EQ(0, bits);
	EXPECT_GROWTH(before, .asked = 0);
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, PAGES, 1, true, &wrong));
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_EQ((1ul << PAGES) - 1, bits);
	EXPECT_GROWTH(before, .asked = 1);
}

/*
 * Running guests are interrupted, but not for what none of them had mapped.
 * Breaks if invalidate_start() doesn't flush, which a guest under emulation
 * hardly notices itself.
 */
TEST_F(tlb, running)
{
	struct counts before, after;
	struct load l;
	uint8_t *mem;
	int i;

	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	mem = small_pages(SIZE);
	load_start(&l, &self->g, self->dev, small_pages(LOAD_SIZE), true);
	guest_add_slot(&self->g, 3, 0, 4 * FAR_GPA, SIZE, mem);
	/* Nothing of it is mapped.  What the load itself needs, or the host does, may flush. */
	for (i = 0; i < 50; i++) {
		before = read_counts(&self->g);
		ASSERT_EQ(0, madvise(mem, SIZE, MADV_DONTNEED));
		after = read_counts(&self->g);
		if (after.asked == before.asked && after.skipped == before.skipped + 1)
			break;
		usleep(1000);
	}
	EXPECT_LT(i, 50);

	for (i = 0; i < 200; i++) {
		/* A protection that comes and goes: nothing of the load is lost. */
		ASSERT_EQ(0, mprotect(l.pages, LOAD_SIZE, PROT_READ));
		ASSERT_EQ(0, mprotect(l.pages, LOAD_SIZE,
				      PROT_READ | PROT_WRITE));
		usleep(1000);
	}
	EXPECT_EQ(0, load_stop(&l));
	after = read_counts(&self->g);
	EXPECT_GT(after.asked, before.asked);
	EXPECT_GT(after.ipis, before.ipis);
	EXPECT_LE(after.interrupting - before.interrupting,
		  after.asked - before.asked);
	EXPECT_GE(after.ipis - before.ipis,
		  after.interrupting - before.interrupting);
	EXPECT_LE(after.ipis - before.ipis,
		  LOAD_VCPUS * (after.interrupting - before.interrupting));
}

TEST_HARNESS_MAIN
