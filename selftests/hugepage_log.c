// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large leaves and dirty logs: they become small where a log begins, no write is
 * lost meanwhile, and they are large again when it has ended.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "failnth.h"
#include "huge.h"
#include "load.h"
#include "test.h"
#include "text.h"

DEVICE_FIXTURE(hugepage_log);

/* The log of slot 1: its bits, taken. */
static uint64_t log_bits(struct guest *g, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	uint64_t i, n = 0;

	memset(bitmap, 0, HUGE_PAGES / 8);
	xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
	for (i = 0; i < HUGE_PAGES / 64; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

static bool has_bit(const uint64_t *bitmap, uint64_t bit)
{
	return bitmap[bit / 64] >> (bit % 64) & 1;
}

/* A log begins, and has the one page that is written then. */
#define EXPECT_LOG_OF_ONE(area, bitmap)					\
	do {								\
		guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES,	\
			       HUGE_GPA, HUGE_SIZE, area);		\
		log_bits(&self->g, bitmap);				\
		EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 1, true); \
		EXPECT_EQ(1, log_bits(&self->g, bitmap));		\
		EXPECT_TRUE(has_bit(bitmap, MIDDLE));			\
	} while (0)

TEST_F(hugepage_log, dirty_log)
{
	const uint64_t written[] = { 0, 3, 511, 512, MIDDLE, HUGE_PAGES - 1 };
	uint64_t bitmap[HUGE_PAGES / 64];
	uint8_t *area;
	unsigned int i;

	START_HUGE(area);
	EXPECT_WRITES(2000);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, HUGE_GPA, HUGE_SIZE,
		       area);
	guest_verify(&self->g);
	log_bits(&self->g, bitmap);

	/* Reading is not writing. */
	EXPECT_READS(2000);
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	for (i = 0; i < ARRAY_SIZE(written); i++)
		EXPECT_PASS(HUGE_GPA + written[i] * GUEST_PAGE, 1,
			    2000 + written[i], true);
	EXPECT_EQ(ARRAY_SIZE(written), log_bits(&self->g, bitmap));
	for (i = 0; i < ARRAY_SIZE(written); i++)
		EXPECT_TRUE(has_bit(bitmap, written[i]));
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	EXPECT_READS(2000);

	EXPECT_WRITES(3000);
	EXPECT_LEAVES(0);
	EXPECT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
	EXPECT_WRITES(4000);
	EXPECT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 4000));

	/* Large again when it ends; and once more. */
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	guest_verify(&self->g);
	EXPECT_WRITES(5000);
	EXPECT_LEAVES(4);
	EXPECT_LOG_OF_ONE(area, bitmap);
	/* Ends with most of the large leaves as they were. */
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	*page_word(area, MIDDLE) = 5000 + MIDDLE;
	EXPECT_READS(5000);
	EXPECT_LEAVES(4);
	EXPECT_WRITES(6000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 6000));
}

static void set_log(struct guest *g, uint8_t *area, bool on)
{
	guest_add_slot(g, 1, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, HUGE_GPA, HUGE_SIZE,
		       area);
}

/* Leaves are split at once where tables are by frame. */
#define NEEDS_NPT(dev)							\
	do {								\
		if (!device_has_npt(dev))				\
			SKIP(return, "splits with nested paging alone"); \
	} while (0)

/* Whoever writes need not wait for a split; when the log ends, nobody need fault. */
TEST_F(hugepage_log, split_when_it_begins)
{
	uint64_t bitmap[HUGE_PAGES / 64], faults = 0;
	bool xvm = device_is_xvm(self->dev);
	uint8_t *area;

	NEEDS_NPT(self->dev);
	START_HUGE(area);
	EXPECT_WRITES(2000);
	set_log(&self->g, area, true);
	EXPECT_LEAVES(0);
	EXPECT_LE(HUGE_PAGES, read_stat(self->g.vm, "pages_4k"));
	EXPECT_READS(2000);
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 2000 + MIDDLE, true);
	EXPECT_EQ(1, log_bits(&self->g, bitmap));
	EXPECT_TRUE(has_bit(bitmap, MIDDLE));

	set_log(&self->g, area, false);
	if (xvm) {
		EXPECT_LEAVES(4);
		faults = read_stat(self->g.cpu.fd, "pf_fixed");
	}
	EXPECT_READS(2000);
	EXPECT_WRITES(3000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 3000));
	EXPECT_LEAVES(4);
	if (xvm)
		EXPECT_EQ(faults, read_stat(self->g.cpu.fd, "pf_fixed"));
}

/*
 * Small pages of the host's stay small, and what was large stays whole, side by side.
 * Breaks without xvm_dirty_clean() in xvm_dirty_enabled(): the log begins with what was
 * written before.
 */
TEST_F(hugepage_log, mixed)
{
	uint64_t bitmap[HUGE_PAGES / 64], faults = 0;
	bool xvm = device_is_xvm(self->dev);
	uint8_t *area;

	NEEDS_NPT(self->dev);
	START_HUGE(area);
	EXPECT_WRITES(2000);
	ASSERT_EQ(0, madvise(page_word(area, MIDDLE), GUEST_PAGE, MADV_DONTNEED));
	*page_word(area, MIDDLE) = 2000 + MIDDLE;
	EXPECT_READS(2000);
	EXPECT_LEAVES(3);
	set_log(&self->g, area, true);
	EXPECT_LEAVES(0);
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	EXPECT_WRITES(3000);
	EXPECT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
	set_log(&self->g, area, false);
	if (xvm)
		faults = read_stat(self->g.cpu.fd, "pf_fixed");
	EXPECT_READS(3000);
	EXPECT_LEAVES(3);
	EXPECT_WRITES(4000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 4000));
	if (xvm)
		EXPECT_EQ(faults, read_stat(self->g.cpu.fd, "pf_fixed"));
	EXPECT_HUGE_AGAIN(area, 4000);
}

/*
 * Of one of four large pages the guest has a small one, and what a fault may map around
 * it, but not the first.  Breaks if larger_leaf() takes a table's first page to be mapped.
 */
TEST_F(hugepage_log, whole_for_one_page)
{
	uint8_t *area = huge_area(1000);

	if (!area)
		SKIP(return, "no transparent huge pages");
	pass_start(&self->g, self->dev);
	set_log(&self->g, area, true);
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 7, true);
	EXPECT_LEAVES(0);
	set_log(&self->g, area, false);
	if (device_is_xvm(self->dev) && device_has_npt(self->dev))
		EXPECT_LEAVES(1);
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 7, false);
	EXPECT_LEAVES(1);
	EXPECT_EQ(7, *page_word(area, MIDDLE));

	/* All that is in it is the guest's, and it is alone. */
	*page_word(area, MIDDLE) = 1000 + MIDDLE;
	EXPECT_PASS(HUGE_GPA + MIB2, 512, 1512, false);
	EXPECT_LEAVES(1);
	EXPECT_WRITES(2000);
	EXPECT_LEAVES(4);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 2000));
}

/* A log that begins full leaves large pages as they are, until some of one are cleared. */
TEST_F(hugepage_log, split_when_cleared)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			  KVM_DIRTY_LOG_INITIALLY_SET },
	};
	uint64_t bitmap[HUGE_PAGES / 64];
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.first_page = 512 + 64,
		.num_pages = 64,
		.dirty_bitmap = bitmap,
	};
	uint8_t *area;

	NEEDS_NPT(self->dev);
	START_HUGE(area);
	EXPECT_WRITES(2000);
	xioctl(self->g.vm, KVM_ENABLE_CAP, &cap);
	set_log(&self->g, area, true);
	EXPECT_LEAVES(4);
	EXPECT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
	EXPECT_WRITES(3000);
	EXPECT_LEAVES(4);

	xioctl(self->g.vm, KVM_CLEAR_DIRTY_LOG, &clear);
	EXPECT_LEAVES(3);
	EXPECT_EQ(HUGE_PAGES - 64, log_bits(&self->g, bitmap));
	EXPECT_WRITES(4000);
	EXPECT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 4000));

	clear.first_page = 0;
	clear.num_pages = HUGE_PAGES;
	xioctl(self->g.vm, KVM_CLEAR_DIRTY_LOG, &clear);
	EXPECT_LEAVES(0);
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 1, true);
	EXPECT_EQ(1, log_bits(&self->g, bitmap));
	EXPECT_TRUE(has_bit(bitmap, MIDDLE));
	set_log(&self->g, area, false);
	EXPECT_WRITES(5000);
	EXPECT_LEAVES(4);
}

/* What the call says when something fails in it, and nothing else. */
static bool refused(long ret, enum fail_kind failed)
{
	return failed && ret == (failed == FAIL_USERCOPY ? -EFAULT : -ENOMEM);
}

/*
 * Whatever fails while a log begins, is read and ends: the call says so and has
 * done nothing, or large pages stay large; no write is lost.  Breaks if
 * copy_log() doesn't give back the bits that user space was not told of, which
 * KVM doesn't either.
 */
TEST_F_TIMEOUT(hugepage_log, failures, 300)
{
	uint64_t bitmap[HUGE_PAGES / 64], kept = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	enum fail_kind on, read, off;
	unsigned int n = 0, rounds = 0;
	uint8_t *area;
	long ret;

	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own promise");
	NEEDS_NPT(self->dev);
	if (!fail_init())
		SKIP(return, "this kernel injects no failures");
	START_HUGE(area);
	do {
		EXPECT_WRITES(2000);
		fail_arm(++n);
		ret = guest_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, HUGE_GPA,
				 HUGE_SIZE, area);
		on = fail_disarm();
		guest_verify(&self->g);
		if (ret) {
			ASSERT_TRUE(refused(ret, on));
			set_log(&self->g, area, true);
		}
		kept += read_stat(self->g.vm, "pages_2m");
		EXPECT_READS(2000);
		ASSERT_EQ(0, log_bits(&self->g, bitmap));
		EXPECT_WRITES(3000);

		fail_arm(n);
		ret = kioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		read = fail_disarm();
		if (ret) {
			ASSERT_TRUE(refused(ret, read));
			ASSERT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
		}
		EXPECT_WRITES(4000);
		ASSERT_EQ(HUGE_PAGES, log_bits(&self->g, bitmap));
		EXPECT_LEAVES(0);

		fail_arm(n);
		ret = guest_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
		off = fail_disarm();
		if (ret) {
			ASSERT_TRUE(refused(ret, off));
			set_log(&self->g, area, false);
		}
		EXPECT_READS(4000);
		EXPECT_LEAVES(4);
		/* Tables are to be among it; a slab's page may have failed in their place. */
		if (!on && !read && !off && !kept && ++rounds < 5)
			n = 0;
	} while (on || read || off || !n);
	EXPECT_LT(0, kept);
}

#define STORM_MS 2000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Logging toggles while two vCPUs write: their counters never go back. */
TEST_F_TIMEOUT(hugepage_log, dirty_log_toggled, 60)
{
	struct kvm_dirty_log log = { .slot = 1 };
	uint64_t bitmap[MIB2 / GUEST_PAGE / 64], end_ms;
	uint8_t *area = huge_area(0);
	struct load l;

	if (!area)
		SKIP(return, "no transparent huge pages");
	memset(area, 0, MIB2);
	log.dirty_bitmap = bitmap;
	load_start_in(&l, &self->g, self->dev, area, MIB2, true);
	for (end_ms = now_ms() + STORM_MS; load_running(&l) && now_ms() < end_ms;) {
		guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOAD_GPA,
			       MIB2, area);
		xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		usleep(2000);
		xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		guest_verify(&self->g);
		guest_add_slot(&self->g, 1, 0, LOAD_GPA, MIB2, area);
		usleep(2000);
		guest_verify(&self->g);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/*
 * Brings the copy up to date by the log alone.  manual: a word of it at a time is cleared
 * first, from the end, as what the guest writes is in the first: part of a leaf by then.
 */
static void follow(struct guest *g, uint8_t *copy, uint8_t *area, bool manual)
{
	uint64_t bitmap[MIB2 / GUEST_PAGE / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64 };
	int word, page;

	xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
	for (word = ARRAY_SIZE(bitmap) - 1; word >= 0; word--) {
		clear.first_page = word * 64;
		clear.dirty_bitmap = &bitmap[word];
		if (manual && bitmap[word])
			xioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear);
		for (page = word * 64; page < (word + 1) * 64; page++)
			if (has_bit(bitmap, page))
				memcpy(page_word(copy, page), page_word(area, page),
				       GUEST_PAGE);
	}
}

/*
 * No write is lost between log and copy: a copy kept up to date by the log alone is the
 * memory itself when the vCPUs have stopped.  The log begins again and again, on a large
 * leaf that all of them write.
 */
static void dirty_log_copies(struct __test_metadata *_metadata,
			     FIXTURE_DATA(hugepage_log) * self, uint64_t options)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { options },
	};
	uint8_t *area = huge_area(0), *copy = mem_alloc(MIB2);
	uint64_t end_ms;
	struct load l;
	int round, i;

	if (!area)
		SKIP(return, "no transparent huge pages");
	memset(area, 0, MIB2);
	load_start_in(&l, &self->g, self->dev, area, MIB2, true);
	xioctl(self->g.vm, KVM_ENABLE_CAP, &cap);
	end_ms = now_ms() + STORM_MS;
	do {
		for (i = 0; i < LOAD_VCPUS; i++)
			await_change((uint64_t *)(area + LOAD_COUNTER(i)));
		guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOAD_GPA, MIB2, area);
		/* A log that begins full has all of it to be copied. */
		if (!(options & KVM_DIRTY_LOG_INITIALLY_SET))
			memcpy(copy, area, MIB2);
		for (round = 0; round < 20; round++) {
			follow(&self->g, copy, area, options);
			usleep(1000);
		}
		for (i = 0; i < LOAD_VCPUS; i++)
			ASSERT_EQ(-EINTR, runner_stop(&l.runners[i]));
		follow(&self->g, copy, area, options);
		ASSERT_EQ(0, memcmp(copy, area, MIB2));
		guest_add_slot(&self->g, 1, 0, LOAD_GPA, MIB2, area);
		for (i = 0; i < LOAD_VCPUS; i++)
			runner_start(&l.runners[i], &l.cpus[i], NULL, NULL);
	} while (now_ms() < end_ms);
	EXPECT_EQ(0, load_stop(&l));
}

/* Breaks if copy_log() doesn't flush (on a CPU that keeps TLB entries). */
TEST_F_TIMEOUT(hugepage_log, dirty_log_copies, 60)
{
	dirty_log_copies(_metadata, self, 0);
}

/* Breaks if clear_log() doesn't flush, likewise. */
TEST_F_TIMEOUT(hugepage_log, dirty_log_copies_initially_set, 60)
{
	dirty_log_copies(_metadata, self, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					  KVM_DIRTY_LOG_INITIALLY_SET);
}

TEST_F(hugepage_log, hugetlb_2m)
{
	uint64_t bitmap[HUGE_PAGES / 64], wrong;
	uint8_t *area = hugetlb_area(HUGE_SIZE, 21);

	if (!area)
		SKIP(return, "no reserved pages of 2 MiB");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	EXPECT_WRITES(1000);
	EXPECT_LEAVES(4);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 1000));

	EXPECT_LOG_OF_ONE(area, bitmap);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	EXPECT_WRITES(2000);
	EXPECT_LEAVES(4);

	/* One of the large pages is dropped: zeros. */
	ASSERT_EQ(0, madvise(area + MIB2, MIB2, MADV_DONTNEED));
	EXPECT_LEAVES(3);
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	fill_pages(area, HUGE_PAGES, 3000);
	EXPECT_READS(3000);
	EXPECT_LEAVES(4);

	ASSERT_EQ(0, munmap(area + MIB2, MIB2));
	EXPECT_PASS(HUGE_GPA, 512, 3000, false);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, HUGE_GPA + MIDDLE * GUEST_PAGE, 1,
				    0, false, &wrong));
	EXPECT_LEAVES(3);
	guest_destroy(&self->g);
	munmap(area, HUGE_SIZE);
}

#define GIB_PAGES (GIB / GUEST_PAGE)

#define POOL_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"

/* One page of the machine's largest; the kernel may find no room for it any more. */
static uint8_t *gigantic_page(bool *made)
{
	uint8_t *page = hugetlb_area(GIB, 30);

	*made = !page;
	if (*made) {
		write_text(POOL_1G, "1");
		page = hugetlb_area(GIB, 30);
	}
	return page;
}

TEST_F_TIMEOUT(hugepage_log, hugetlb_1g, 120)
{
	const uint64_t places[] = { 0, 511, 512, 100000, GIB_PAGES - 1 };
	/* Shadowed, a leaf is no larger than the guest's page, of 2M here. */
	const bool npt = device_has_npt(self->dev);
	struct kvm_dirty_log log = { .slot = 1 };
	uint64_t *bitmap;
	unsigned int i;
	uint8_t *page;
	bool made;

	page = gigantic_page(&made);
	if (!page)
		SKIP(return, "no page of 1 GiB to be had");
	bitmap = mem_alloc(GIB_PAGES / 8);
	log.dirty_bitmap = bitmap;
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, GIB, GIB, page);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		EXPECT_PASS(GIB + places[i] * GUEST_PAGE, 1, 100 + i, true);
		EXPECT_EQ(100 + i, *page_word(page, places[i]));
	}
	EXPECT_EQ(npt, read_stat(self->g.vm, "pages_1g"));
	EXPECT_LEAVES(npt ? 0 : 4);

	/* A write splits it twice, if logging has not yet. */
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, GIB, GIB, page);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	for (i = 0; i < ARRAY_SIZE(places); i++)
		EXPECT_PASS(GIB + places[i] * GUEST_PAGE, 1, 100 + i, false);
	EXPECT_PASS(GIB + 100000 * GUEST_PAGE, 1, 5, true);
	guest_verify(&self->g);
	EXPECT_EQ(0, read_stat(self->g.vm, "pages_1g"));
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	for (i = 0; i < GIB_PAGES; i++)
		ASSERT_EQ(i == 100000, has_bit(bitmap, i));

	guest_add_slot(&self->g, 1, 0, GIB, GIB, page);
	EXPECT_PASS(GIB, 1, 100, false);
	EXPECT_EQ(npt, read_stat(self->g.vm, "pages_1g"));
	guest_verify(&self->g);

	/* Not all of it: the next size down. */
	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 1, 0, GIB, GIB - GUEST_PAGE, page);
	EXPECT_PASS(GIB, 1, 100, false);
	EXPECT_PASS(GIB + GIB - 2 * GUEST_PAGE, 1, 7, true);
	EXPECT_EQ(0, read_stat(self->g.vm, "pages_1g"));
	EXPECT_LEAVES(1);
	guest_destroy(&self->g);
	munmap(page, GIB);
	if (made)
		write_text(POOL_1G, "0");
}

TEST_HARNESS_MAIN
