// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large leaves and dirty rings: a log that begins splits them, a reset protects
 * what was taken and nothing else, they are large again when the log has ended,
 * and no write is lost meanwhile.
 */
#include <string.h>

#include "huge.h"
#include "ring.h"
#include "runner.h"
#include "test.h"

DEVICE_FIXTURE(hugepage_ring);

#define PER_HUGE (MIB2 / GUEST_PAGE)

/* Holds all pages at once, or is always about to be full. */
#define LONG_RING (2 * HUGE_PAGES * sizeof(struct kvm_dirty_gfn))
#define SHORT_RING GUEST_PAGE

enum kind { TRANSPARENT, HUGETLB };

static uint8_t *make_area(enum kind kind)
{
	uint8_t *area;

	if (kind == TRANSPARENT)
		return huge_area(1000);
	area = hugetlb_area(HUGE_SIZE, 21);
	if (area)
		fill_pages(area, HUGE_PAGES, 1000);
	return area;
}

static void set_log(struct guest *g, uint8_t *area, bool on)
{
	guest_add_slot(g, 1, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, HUGE_GPA, HUGE_SIZE, area);
}

/* A guest with a ring, and large leaves that it may write, in a slot without a log. */
#define START(area, kind, ring, size)					\
	do {								\
		(area) = make_area(kind);				\
		if (!(area))						\
			SKIP(return, "no huge pages");			\
		ring_start(&self->g, self->dev, size, ring);		\
		(ring)->pages = HUGE_PAGES;				\
		guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area); \
		EXPECT_READS(1000);					\
		EXPECT_WRITES(1000);					\
		EXPECT_LEAVES(4);					\
		EXPECT_EQ(-1, ring_take(ring));				\
	} while (0)

/* Large leaves, where they come and go with the log and not with the next fault. */
#define EXPECT_LEAVES_NOW(n)						\
	do {								\
		guest_verify(&self->g);					\
		if (device_has_npt(self->dev))				\
			EXPECT_LEAVES(n);				\
	} while (0)

#define WRITE(page, pages, first)					\
	EXPECT_PASS(HUGE_GPA + (page) * GUEST_PAGE, pages, first, true)

/* Takes all that the ring has: true if that is each page of [first, end) once. */
static bool took(struct ring *ring, uint64_t first, uint64_t end)
{
	uint8_t seen[HUGE_PAGES] = {};
	uint64_t page;

	if (ring_take_all(ring, seen) != end - first)
		return false;
	for (page = first; page < end; page++)
		if (!seen[page])
			return false;
	return true;
}

/*
 * Breaks if xvm_dirty_enabled() doesn't split: one write then stands for 512 pages;
 * or if protect() takes W from a word's other pages, too.
 */
static void split_and_reset(struct __test_metadata *_metadata,
			    FIXTURE_DATA(hugepage_ring) * self, enum kind kind)
{
	const uint64_t middle = MIDDLE;
	struct ring ring;
	uint8_t *area;
	int i;

	START(area, kind, &ring, LONG_RING);
	set_log(&self->g, area, true);
	EXPECT_LEAVES_NOW(0);
	EXPECT_READS(1000);
	EXPECT_EQ(-1, ring_take(&ring));
	WRITE(middle, 1, 2000);
	EXPECT_TRUE(took(&ring, middle, middle + 1));
	EXPECT_EQ(1, ring_reset(&self->g));

	/* All of them; of what is not taken back yet nothing is told twice. */
	EXPECT_WRITES(3000);
	EXPECT_LEAVES(0);
	EXPECT_TRUE(took(&ring, 0, HUGE_PAGES));
	EXPECT_WRITES(4000);
	EXPECT_EQ(-1, ring_take(&ring));
	EXPECT_EQ(HUGE_PAGES, ring_reset(&self->g));
	EXPECT_LEAVES(0);
	EXPECT_LE(HUGE_PAGES, read_stat(self->g.vm, "pages_4k"));

	/* Of twenty, across the edge of two large pages, five are taken back: they fault again. */
	WRITE(PER_HUGE - 10, 20, 5000);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(PER_HUGE - 10 + i, ring_take(&ring));
	EXPECT_EQ(5, ring_reset(&self->g));
	WRITE(PER_HUGE - 10, 20, 6000);
	EXPECT_TRUE(took(&ring, PER_HUGE - 10, PER_HUGE + 10));
	EXPECT_EQ(20, ring_reset(&self->g));
	EXPECT_LEAVES(0);

	EXPECT_WRITES(7000);
	EXPECT_TRUE(took(&ring, 0, HUGE_PAGES));
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 7000));
}

TEST_F(hugepage_ring, split_and_reset)
{
	split_and_reset(_metadata, self, TRANSPARENT);
}

TEST_F(hugepage_ring, split_and_reset_hugetlb)
{
	split_and_reset(_metadata, self, HUGETLB);
}

/*
 * Breaks if xvm_dirty_disabled() doesn't collapse, or leaves what the log had protected
 * so that writes fault, or if a log that begins once more leaves something writable.
 */
static void whole_again(struct __test_metadata *_metadata,
			FIXTURE_DATA(hugepage_ring) * self, enum kind kind)
{
	bool at_once = device_is_xvm(self->dev);
	struct ring ring;
	uint8_t *area;
	int round;

	START(area, kind, &ring, LONG_RING);
	for (round = 0; round < 3; round++) {
		set_log(&self->g, area, true);
		EXPECT_LEAVES_NOW(0);
		WRITE(0, round ? HUGE_PAGES : 1, 10000);
		EXPECT_TRUE(took(&ring, 0, round ? HUGE_PAGES : 1));
		/* Protected when it ends, writable, or still to be taken back. */
		if (round != 1)
			EXPECT_EQ(round ? HUGE_PAGES : 1, ring_reset(&self->g));

		set_log(&self->g, area, false);
		if (at_once)
			EXPECT_LEAVES_NOW(4);
		EXPECT_WRITES(20000 + round);
		EXPECT_LEAVES(4);
		EXPECT_EQ(-1, ring_take(&ring));
		EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 20000 + round));
		if (round == 1) {
			/* What is taken back late was of a slot that has no log. */
			EXPECT_EQ(HUGE_PAGES, ring_reset(&self->g));
			guest_verify(&self->g);
			EXPECT_WRITES(30000);
			EXPECT_LEAVES(4);
			EXPECT_EQ(-1, ring_take(&ring));
			EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 30000));
		}
	}
}

TEST_F(hugepage_ring, whole_again)
{
	whole_again(_metadata, self, TRANSPARENT);
}

TEST_F(hugepage_ring, whole_again_hugetlb)
{
	whole_again(_metadata, self, HUGETLB);
}

static bool run_on(struct vcpu *v, int reason, void *arg)
{
	(void)v;
	(void)arg;
	return reason == KVM_EXIT_DIRTY_RING_FULL;
}

/* Takes what the ring has, and brings the copy up to date by that. */
static void follow(struct guest *g, struct ring *ring, const uint8_t *area, uint64_t *copy)
{
	uint8_t seen[HUGE_PAGES] = {};
	uint64_t page;

	if (ring_take_all(ring, seen) != ring_reset(g))
		die("not all that was taken was taken back");
	for (page = 0; page < HUGE_PAGES; page++)
		if (seen[page])
			copy[page] = *(volatile uint64_t *)(area + page * GUEST_PAGE);
}

/*
 * A guest writes on and on while the log begins and ends.  While it is there, a copy
 * made when it began and brought up to date by the ring alone is the memory itself in
 * the end.  Breaks if xvm_dirty_enabled() doesn't clean what it has split, or if a
 * page is pushed before it may be written.
 */
static void no_write_is_lost(struct __test_metadata *_metadata,
			     FIXTURE_DATA(hugepage_ring) * self, enum kind kind)
{
	static uint64_t copy[HUGE_PAGES];
	struct guest *g = &self->g;
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.r8 = HUGE_GPA,
		.r9 = HUGE_PAGES,
	};
	uint64_t page, wrong;
	struct runner runner;
	struct ring ring;
	int cycle, round;
	uint8_t *area;

	START(area, kind, &ring, SHORT_RING);
	guest_load(g, write_on, write_on_end);
	vcpu_set_regs(&g->cpu, &regs);
	for (cycle = 0; cycle < 4; cycle++) {
		runner_start(&runner, &g->cpu, run_on, NULL);
		/* Large leaves are written, or are about to be. */
		usleep(5000);
		set_log(g, area, true);
		for (page = 0; page < HUGE_PAGES; page++)
			copy[page] = *(volatile uint64_t *)(area + page * GUEST_PAGE);
		for (round = 0; round < 60; round++) {
			follow(g, &ring, area, copy);
			usleep(500);
		}
		ASSERT_EQ(-EINTR, runner_stop(&runner));
		follow(g, &ring, area, copy);
		for (page = 0, wrong = 0; page < HUGE_PAGES; page++)
			wrong += copy[page] != *page_word(area, page);
		EXPECT_EQ(0, wrong);

		/* It ends under a guest that writes; what it said meanwhile is of no use. */
		runner_start(&runner, &g->cpu, run_on, NULL);
		set_log(g, area, false);
		ring_take_all(&ring, NULL);
		ring_reset(g);
		usleep(5000);
		ASSERT_EQ(-EINTR, runner_stop(&runner));
		ring_take_all(&ring, NULL);
		ring_reset(g);
		guest_verify(g);
	}
	guest_load(g, pass, pass_end);
	EXPECT_WRITES(50000);
	EXPECT_LEAVES(4);
}

TEST_F_TIMEOUT(hugepage_ring, no_write_is_lost, 120)
{
	no_write_is_lost(_metadata, self, TRANSPARENT);
}

TEST_F_TIMEOUT(hugepage_ring, no_write_is_lost_hugetlb, 120)
{
	no_write_is_lost(_metadata, self, HUGETLB);
}

TEST_HARNESS_MAIN
