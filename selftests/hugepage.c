// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large leaves follow the host's large pages: they are used where they may be,
 * and what the guest sees is right before, while and after they come and go.
 */
#include <linux/memfd.h>
#include <sys/wait.h>

#include "huge.h"
#include "test.h"
#include "text.h"

DEVICE_FIXTURE(hugepage);

TEST_F(hugepage, read_and_write)
{
	uint8_t *area;

	START_HUGE(area);
	EXPECT_WRITES(5000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 5000));
	EXPECT_LEAVES(4);
	fill_pages(area, HUGE_PAGES, 6000);
	EXPECT_READS(6000);
}

/* Whole large pages in the middle of the slot, the rest of it small. */
TEST_F(hugepage, slot_edges)
{
	uint8_t *area = huge_area(1000);

	if (!area)
		SKIP(return, "no transparent huge pages");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA + GUEST_PAGE,
		       HUGE_SIZE - 2 * GUEST_PAGE, area + GUEST_PAGE);
	EXPECT_PASS(HUGE_GPA + GUEST_PAGE, HUGE_PAGES - 2, 1001, false);
	EXPECT_PASS(HUGE_GPA + GUEST_PAGE, HUGE_PAGES - 2, 8000, true);
	EXPECT_EQ(0, mismatches(area + GUEST_PAGE, HUGE_PAGES - 2, 8000));
	EXPECT_EQ(1000, *page_word(area, 0));
	EXPECT_EQ(1000 + HUGE_PAGES - 1, *page_word(area, HUGE_PAGES - 1));
	EXPECT_LEAVES(2);
}

/* Guest and user address differ in their offset into a large page. */
TEST_F(hugepage, slot_skewed)
{
	uint8_t *area = huge_area(1000);

	if (!area)
		SKIP(return, "no transparent huge pages");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA + GUEST_PAGE, HUGE_SIZE, area);
	EXPECT_PASS(HUGE_GPA + GUEST_PAGE, HUGE_PAGES, 1000, false);
	EXPECT_PASS(HUGE_GPA + GUEST_PAGE, HUGE_PAGES, 2000, true);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 2000));
	EXPECT_LEAVES(0);
}

/* Two slots that meet in the middle of a large page, then one, and it moves. */
TEST_F(hugepage, slots_change)
{
	const uint64_t part = HUGE_SIZE / 2 + 5 * GUEST_PAGE;
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	EXPECT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, HUGE_GPA, 1, 0, false, &wrong));
	vcpu_run(&self->g.cpu);
	EXPECT_LEAVES(0);

	guest_add_slot(&self->g, 1, 0, HUGE_GPA, part, area);
	guest_add_slot(&self->g, 2, 0, HUGE_GPA + part, HUGE_SIZE - part,
		       area + part);
	EXPECT_READS(1000);
	EXPECT_LEAVES(3);

	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 2, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);

	ASSERT_EQ(0, guest_slot(&self->g, 1, 0, HUGE_GPA + GUEST_PAGE, HUGE_SIZE,
				area));
	EXPECT_PASS(HUGE_GPA + GUEST_PAGE, HUGE_PAGES, 1000, false);
	EXPECT_LEAVES(0);
	ASSERT_EQ(0, guest_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area));
	EXPECT_WRITES(3000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 3000));
	EXPECT_LEAVES(4);
}

TEST_F(hugepage, read_only_slot)
{
	uint8_t *area = huge_area(1000);
	uint64_t wrong;

	if (!area)
		SKIP(return, "no transparent huge pages");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, KVM_MEM_READONLY, HUGE_GPA, HUGE_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	ASSERT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, HUGE_GPA, 1, 5, true, &wrong));
	EXPECT_TRUE(self->g.cpu.run->mmio.is_write);
	EXPECT_EQ(1000, *page_word(area, 0));
}

TEST_F(hugepage, munmap_part)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, munmap(page_word(area, MIDDLE), GUEST_PAGE));
	EXPECT_EQ(-EFAULT, run_pass(&self->g, HUGE_GPA + MIDDLE * GUEST_PAGE, 1,
				    0, false, &wrong));
	EXPECT_PASS(HUGE_GPA, MIDDLE, 1000, false);
	EXPECT_LEAVES(3);
	ASSERT_NE(MAP_FAILED, mmap(page_word(area, MIDDLE), GUEST_PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	*page_word(area, MIDDLE) = 1000 + MIDDLE;
	EXPECT_READS(1000);
	EXPECT_WRITES(2000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 2000));
	EXPECT_LEAVES(3);
}

TEST_F(hugepage, dontneed_part)
{
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, madvise(page_word(area, MIDDLE), GUEST_PAGE, MADV_DONTNEED));
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	EXPECT_LEAVES(3);
	*page_word(area, MIDDLE) = 1000 + MIDDLE;
	EXPECT_READS(1000);
	EXPECT_HUGE_AGAIN(area, 1000);
}

/* All of it, and then fresh huge pages of zeros, by the guest's own faults. */
TEST_F(hugepage, dontneed_all)
{
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, madvise(area, HUGE_SIZE, MADV_HUGEPAGE));
	ASSERT_EQ(0, madvise(area, HUGE_SIZE, MADV_DONTNEED));
	EXPECT_LEAVES(0);
	EXPECT_PASS(HUGE_GPA, 1, 0, false);
	EXPECT_WRITES(4000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 4000));
	EXPECT_HUGE_AGAIN(area, 4000);
}

TEST_F(hugepage, mprotect_part)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	EXPECT_WRITES(2000);
	ASSERT_EQ(0, mprotect(page_word(area, MIDDLE), GUEST_PAGE, PROT_READ));
	EXPECT_READS(2000);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, HUGE_GPA + MIDDLE * GUEST_PAGE, 1,
				    5, true, &wrong));
	EXPECT_EQ(2000 + MIDDLE, *page_word(area, MIDDLE));
	EXPECT_PASS(HUGE_GPA, MIDDLE, 2000, true);
	EXPECT_LEAVES(3);
	ASSERT_EQ(0, mprotect(page_word(area, MIDDLE), GUEST_PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, run_pass(&self->g, HUGE_GPA + MIDDLE * GUEST_PAGE, 1,
				    5, false, &wrong));
	ASSERT_EQ(0, mprotect(page_word(area, MIDDLE), GUEST_PAGE,
			      PROT_READ | PROT_WRITE));
	EXPECT_WRITES(2500);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 2500));
	EXPECT_HUGE_AGAIN(area, 2500);
}

/* Large pages that may only be read, and then written. */
TEST_F(hugepage, mprotect_all)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, mprotect(area, HUGE_SIZE, PROT_READ));
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, HUGE_GPA, 1, 5, true, &wrong));
	ASSERT_EQ(0, mprotect(area, HUGE_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_WRITES(2500);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 2500));
	EXPECT_LEAVES(4);
}

/* The host's page of zeros is large too, and nobody may write it. */
TEST_F(hugepage, zeros)
{
	uint8_t *area = huge_space(HUGE_SIZE);
	uint64_t i;

	madvise(area, HUGE_SIZE, MADV_HUGEPAGE);
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	for (i = 0; i < HUGE_PAGES; i += 100)
		EXPECT_PASS(HUGE_GPA + i * GUEST_PAGE, 1, 0, false);
	guest_verify(&self->g);
	EXPECT_WRITES(9000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 9000));
	EXPECT_READS(9000);
}

/* Shared after fork: the guest's writes stay out of the child's copy. */
TEST_F(hugepage, fork)
{
	int ready[2], status;
	uint8_t *area;
	char c = 0;
	pid_t pid;

	START_HUGE(area);
	EXPECT_WRITES(2000);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			_exit(2);
		_exit(mismatches(area, HUGE_PAGES, 2000) ? 1 : 0);
	}
	EXPECT_READS(2000);
	EXPECT_WRITES(3000);
	EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 3000));
	ASSERT_EQ(1, write(ready[1], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_HUGE_AGAIN(area, 3000);
}

TEST_F(hugepage, shared_memory)
{
	uint8_t *space = huge_space(HUGE_SIZE), *area;
	int fd = memfd_create("selftest", MFD_CLOEXEC);

	write_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, HUGE_SIZE));
	area = mmap(space, HUGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(space, area);
	madvise(area, HUGE_SIZE, MADV_HUGEPAGE);
	fill_pages(area, HUGE_PAGES, 1000);
	if (!huge_collapse(area, HUGE_SIZE))
		SKIP(return, "no transparent huge pages for shared memory");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	EXPECT_WRITES(2000);

	/* A hole, which is zeros, and then other content through the file. */
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       MIDDLE * GUEST_PAGE, GUEST_PAGE));
	EXPECT_PASS(HUGE_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	*page_word(area, MIDDLE) = 2000 + MIDDLE;
	EXPECT_READS(2000);
	EXPECT_HUGE_AGAIN(area, 2000);
	close(fd);
}

TEST_HARNESS_MAIN
