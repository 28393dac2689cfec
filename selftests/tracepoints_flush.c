// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is flushed when the host takes pages away, and of a log, a ring or a collapse:
 * as the tracepoints tell it, in an instance of tracefs of the test's own.
 *
 * A test breaks if the call of its trace_xvm_*() goes, or tells another range.
 */
#include <stdio.h>

#include "huge.h"
#include "ring.h"
#include "test.h"
#include "trace.h"

TRACE_FIXTURE(tracepoints_flush);

#define HUGE_GFN (HUGE_GPA / GUEST_PAGE)

/*
 * What the host takes away.  Breaks if invalidate_start() zaps without a word, or a
 * flush tells of another range than what was zapped.
 */
TEST_F(tracepoints_flush, zap_and_flush)
{
	unsigned long first, end;
	unsigned int ipis, found = 0;
	uint8_t *mem = far_start(&self->g, self->dev);
	bool npt = device_has_npt(self->dev);
	char *line;

	EXPECT_TOUCHED(FAR_PAGES, true);
	trace_begin("xvm_zap");
	trace_enable("xvm_flush", true);
	ASSERT_EQ(0, madvise(mem + 8 * GUEST_PAGE, 4 * GUEST_PAGE, MADV_DONTNEED));
	trace_enable("xvm_flush", false);
	TRACE_END("xvm_zap");
	EXPECT_EVENT("xvm_zap", "gfn 0x%lx-0x%lx", FAR_GFN + 8, FAR_GFN + 12);
	while ((line = TRACE_NEXT("xvm_flush"))) {
		int fields = sscanf(line, "gfn 0x%lx-0x%lx ipis %u", &first, &end, &ipis);

		/* No word between: SVM flushes no ranges. */
		ASSERT_EQ(3, fields);
		EXPECT_GE(FAR_GFN + 8, first);
		EXPECT_LE(FAR_GFN + 12, end);
		if (npt) {
			EXPECT_EQ(FAR_GFN + 8, first);
			EXPECT_EQ(FAR_GFN + 12, end);
		}
		/* The only vCPU is outside. */
		EXPECT_EQ(0, ipis);
		found++;
	}
	EXPECT_EQ(1, found);
}

/* A single flush, of just that; the only vCPU is outside.  After EXPECT_EVENT(). */
#define EXPECT_FLUSH(first, end)					\
	do {								\
		unsigned int flushes_ = 0;				\
		char want_[80], *line_;					\
									\
		snprintf(want_, sizeof(want_), "gfn 0x%lx-0x%lx ipis 0", first, end); \
		while ((line_ = TRACE_NEXT("xvm_flush"))) {		\
			EXPECT_STREQ(want_, line_);			\
			flushes_++;					\
		}							\
		EXPECT_EQ(1, flushes_);					\
	} while (0)

/*
 * Breaks if a log that begins does not split, or one that ends does not collapse; or if
 * xvm_dirty_enabled(), or xvm_tlb_flush_deferred() for collapse(), calls xvm_tlb_flush_vm().
 */
TEST_F(tracepoints_flush, split_and_collapse)
{
	const uint64_t large = MIB2 / GUEST_PAGE;
	uint8_t *area;
	uint64_t i;

	NEEDS_NPT;
	START_HUGE(area);
	EXPECT_WRITES(2000);
	trace_begin("xvm_split");
	trace_enable("xvm_flush", true);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, HUGE_GPA, HUGE_SIZE, area);
	trace_enable("xvm_flush", false);
	TRACE_END("xvm_split");
	for (i = 0; i < HUGE_PAGES; i += large)
		EXPECT_EVENT("xvm_split", "gfn 0x%lx-0x%lx", HUGE_GFN + i, HUGE_GFN + i + large);
	EXPECT_FLUSH(HUGE_GFN, HUGE_GFN + HUGE_PAGES);
	EXPECT_LEAVES(0);

	/* The host's first one is large no more. */
	ASSERT_EQ(0, madvise(area, GUEST_PAGE, MADV_DONTNEED));
	trace_begin("xvm_collapse");
	trace_enable("xvm_flush", true);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	trace_enable("xvm_flush", false);
	TRACE_END("xvm_collapse");
	for (i = large; i < HUGE_PAGES; i += large)
		EXPECT_EVENT("xvm_collapse", "gfn 0x%lx-0x%lx", HUGE_GFN + i,
			     HUGE_GFN + i + large);
	EXPECT_FLUSH(HUGE_GFN + large, HUGE_GFN + HUGE_PAGES);
	EXPECT_LEAVES(3);
}

/*
 * What was written to one page is flushed of its slot.  Breaks if xvm_dirty_enabled(),
 * copy_log() or clear_log() calls xvm_tlb_flush_vm() instead.
 */
TEST_F(tracepoints_flush, flush_of_a_log)
{
	struct kvm_enable_cap manual = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	uint64_t bits;
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = &bits };
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.num_pages = FAR_PAGES,
		.dirty_bitmap = &bits,
	};
	uint8_t *mem = far_start(&self->g, self->dev);

	EXPECT_TOUCHED(1, true);
	trace_begin("xvm_flush");
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, FAR_SIZE, mem);
	TRACE_END("xvm_flush");
	EXPECT_FLUSH(FAR_GFN, FAR_GFN + FAR_PAGES);

	EXPECT_TOUCHED(1, true);
	trace_begin("xvm_flush");
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &get);
	TRACE_END("xvm_flush");
	EXPECT_EQ(1, bits);
	EXPECT_FLUSH(FAR_GFN, FAR_GFN + FAR_PAGES);

	xioctl(self->g.vm, KVM_ENABLE_CAP, &manual);
	EXPECT_TOUCHED(1, true);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &get);
	EXPECT_EQ(1, bits);
	trace_begin("xvm_flush");
	xioctl(self->g.vm, KVM_CLEAR_DIRTY_LOG, &clear);
	TRACE_END("xvm_flush");
	EXPECT_FLUSH(FAR_GFN, FAR_GFN + FAR_PAGES);
}

/* Breaks if xvm_reset_dirty_rings() calls xvm_tlb_flush_vm(), or flushes for nothing. */
TEST_F(tracepoints_flush, flush_of_a_ring)
{
	uint8_t *mem = far_pages();
	struct ring ring;

	ring_start(&self->g, self->dev, GUEST_PAGE, &ring);
	ring.pages = FAR_PAGES;
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, FAR_SIZE, mem);
	EXPECT_TOUCHED(2, true);
	EXPECT_EQ(0, ring_take(&ring));
	trace_begin("xvm_flush");
	EXPECT_EQ(1, ring_reset(&self->g));
	TRACE_END("xvm_flush");
	EXPECT_FLUSH(FAR_GFN, FAR_GFN + FAR_PAGES);

	/* The host has taken the page away by itself. */
	EXPECT_EQ(1, ring_take(&ring));
	ASSERT_EQ(0, madvise(mem + GUEST_PAGE, GUEST_PAGE, MADV_DONTNEED));
	trace_begin("xvm_flush");
	EXPECT_EQ(1, ring_reset(&self->g));
	TRACE_END("xvm_flush");
	EXPECT_EQ(NULL, TRACE_NEXT("xvm_flush"));
}

TEST_HARNESS_MAIN
