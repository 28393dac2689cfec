// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large leaves follow the host's large pages: they are used where they may be,
 * and what the guest sees is right before, while and after they come and go.
 */
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "load.h"
#include "pass.h"
#include "stats.h"
#include "test.h"

DEVICE_FIXTURE(hugepage);

#define MIB2 (2ul << 20)
#define GIB (1ul << 30)
#define FAR_GPA 0x1000000ul
#define AREA_SIZE (4 * MIB2)
#define AREA_PAGES (AREA_SIZE / GUEST_PAGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* As guest_start64(), but in memory that has no large pages of its own. */
static void start(struct guest *g, int dev)
{
	guest_create_bare(g, dev);
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	madvise(g->mem, g->mem_size, MADV_NOHUGEPAGE);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	vcpu_create(g, &g->cpu, 0);
	guest_load(g, pass, pass_end);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
}

#define EXPECT_PASS(gpa, pages, first, write)				\
	do {								\
		uint64_t wrong_;					\
									\
		ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, gpa, pages,	\
						 first, write, &wrong_)); \
		ASSERT_EQ(0, wrong_);					\
	} while (0)

#define EXPECT_READS(first) EXPECT_PASS(FAR_GPA, AREA_PAGES, first, false)
#define EXPECT_WRITES(first) EXPECT_PASS(FAR_GPA, AREA_PAGES, first, true)

#define EXPECT_LEAVES(n)						\
	do {								\
		EXPECT_EQ(n, read_stat(self->g.vm, "pages_2m"));		\
		guest_verify(&self->g);					\
	} while (0)

static uint64_t *word(uint8_t *area, uint64_t page)
{
	return (uint64_t *)(area + page * GUEST_PAGE);
}

static void fill(uint8_t *area, uint64_t pages, uint64_t first)
{
	uint64_t i;

	for (i = 0; i < pages; i++)
		*word(area, i) = first + i;
}

static uint64_t mismatches(uint8_t *area, uint64_t pages, uint64_t first)
{
	uint64_t i, n = 0;

	for (i = 0; i < pages; i++)
		n += *word(area, i) != first + i;
	return n;
}

/* Address space, aligned to a large page, with small pages around it. */
static uint8_t *aligned_space(size_t size)
{
	uint8_t *p = mem_alloc(size + 2 * MIB2);
	uint8_t *area = (uint8_t *)(((uintptr_t)p + MIB2) & ~(MIB2 - 1));

	madvise(p, size + 2 * MIB2, MADV_NOHUGEPAGE);
	return area;
}

/* False where the kernel makes no transparent huge pages. */
static bool collapse(uint8_t *area, size_t size)
{
	int tries;

	madvise(area, size, MADV_HUGEPAGE);
	/* It may find a page busy. */
	for (tries = 0; tries < 100; tries++) {
		if (!madvise(area, size, MADV_COLLAPSE))
			return true;
		if (errno != EAGAIN && errno != EBUSY)
			return false;
		usleep(10000);
	}
	return false;
}

static uint8_t *huge_area(uint64_t first)
{
	uint8_t *area = aligned_space(AREA_SIZE);

	madvise(area, AREA_SIZE, MADV_HUGEPAGE);
	fill(area, AREA_PAGES, first);
	return collapse(area, AREA_SIZE) ? area : NULL;
}

/* A guest with AREA_SIZE of huge pages at FAR_GPA, all of them mapped. */
#define START_HUGE(area)						\
	do {								\
		(area) = huge_area(1000);				\
		if (!(area))						\
			SKIP(return, "no transparent huge pages");	\
		start(&self->g, self->dev);				\
		guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area); \
		EXPECT_READS(1000);					\
		EXPECT_LEAVES(4);					\
	} while (0)

/* The whole comes back. */
#define EXPECT_HUGE_AGAIN(area, first)					\
	do {								\
		ASSERT_TRUE(collapse(area, AREA_SIZE));			\
		EXPECT_READS(first);					\
		EXPECT_LEAVES(4);					\
		EXPECT_WRITES(77000);					\
		EXPECT_LEAVES(4);					\
		EXPECT_EQ(0, mismatches(area, AREA_PAGES, 77000));	\
	} while (0)

TEST_F(hugepage, read_and_write)
{
	uint8_t *area;

	START_HUGE(area);
	EXPECT_WRITES(5000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 5000));
	EXPECT_LEAVES(4);
	fill(area, AREA_PAGES, 6000);
	EXPECT_READS(6000);
}

/* Whole large pages in the middle of the slot, the rest of it small. */
TEST_F(hugepage, slot_edges)
{
	uint8_t *area = huge_area(1000);

	if (!area)
		SKIP(return, "no transparent huge pages");
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA + GUEST_PAGE,
		       AREA_SIZE - 2 * GUEST_PAGE, area + GUEST_PAGE);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, AREA_PAGES - 2, 1001, false);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, AREA_PAGES - 2, 8000, true);
	EXPECT_EQ(0, mismatches(area + GUEST_PAGE, AREA_PAGES - 2, 8000));
	EXPECT_EQ(1000, *word(area, 0));
	EXPECT_EQ(1000 + AREA_PAGES - 1, *word(area, AREA_PAGES - 1));
	EXPECT_LEAVES(2);
}

/* Guest and user address differ in their offset into a large page. */
TEST_F(hugepage, slot_skewed)
{
	uint8_t *area = huge_area(1000);

	if (!area)
		SKIP(return, "no transparent huge pages");
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA + GUEST_PAGE, AREA_SIZE, area);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, AREA_PAGES, 1000, false);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, AREA_PAGES, 2000, true);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 2000));
	EXPECT_LEAVES(0);
}

/* Two slots that meet in the middle of a large page, then one, and it moves. */
TEST_F(hugepage, slots_change)
{
	const uint64_t part = AREA_SIZE / 2 + 5 * GUEST_PAGE;
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	EXPECT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, FAR_GPA, 1, 0, false, &wrong));
	vcpu_run(&self->g.cpu);
	EXPECT_LEAVES(0);

	guest_add_slot(&self->g, 1, 0, FAR_GPA, part, area);
	guest_add_slot(&self->g, 2, 0, FAR_GPA + part, AREA_SIZE - part,
		       area + part);
	EXPECT_READS(1000);
	EXPECT_LEAVES(3);

	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 2, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);

	ASSERT_EQ(0, guest_slot(&self->g, 1, 0, FAR_GPA + GUEST_PAGE, AREA_SIZE,
				area));
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, AREA_PAGES, 1000, false);
	EXPECT_LEAVES(0);
	ASSERT_EQ(0, guest_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area));
	EXPECT_WRITES(3000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 3000));
	EXPECT_LEAVES(4);
}

TEST_F(hugepage, read_only_slot)
{
	uint8_t *area = huge_area(1000);
	uint64_t wrong;

	if (!area)
		SKIP(return, "no transparent huge pages");
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, KVM_MEM_READONLY, FAR_GPA, AREA_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	ASSERT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, FAR_GPA, 1, 5, true, &wrong));
	EXPECT_TRUE(self->g.cpu.run->mmio.is_write);
	EXPECT_EQ(1000, *word(area, 0));
}

/* The page in the middle of the second large page. */
#define MIDDLE (512 + 100)

TEST_F(hugepage, munmap_part)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, munmap(word(area, MIDDLE), GUEST_PAGE));
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + MIDDLE * GUEST_PAGE, 1,
				    0, false, &wrong));
	EXPECT_PASS(FAR_GPA, MIDDLE, 1000, false);
	EXPECT_LEAVES(3);
	ASSERT_NE(MAP_FAILED, mmap(word(area, MIDDLE), GUEST_PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	*word(area, MIDDLE) = 1000 + MIDDLE;
	EXPECT_READS(1000);
	EXPECT_WRITES(2000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 2000));
	EXPECT_LEAVES(3);
}

TEST_F(hugepage, dontneed_part)
{
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, madvise(word(area, MIDDLE), GUEST_PAGE, MADV_DONTNEED));
	EXPECT_PASS(FAR_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	EXPECT_LEAVES(3);
	*word(area, MIDDLE) = 1000 + MIDDLE;
	EXPECT_READS(1000);
	EXPECT_HUGE_AGAIN(area, 1000);
}

/* All of it, and then fresh huge pages of zeros, by the guest's own faults. */
TEST_F(hugepage, dontneed_all)
{
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, madvise(area, AREA_SIZE, MADV_DONTNEED));
	EXPECT_LEAVES(0);
	EXPECT_PASS(FAR_GPA, 1, 0, false);
	EXPECT_WRITES(4000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 4000));
	EXPECT_HUGE_AGAIN(area, 4000);
}

TEST_F(hugepage, mprotect_part)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	EXPECT_WRITES(2000);
	ASSERT_EQ(0, mprotect(word(area, MIDDLE), GUEST_PAGE, PROT_READ));
	EXPECT_READS(2000);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + MIDDLE * GUEST_PAGE, 1,
				    5, true, &wrong));
	EXPECT_EQ(2000 + MIDDLE, *word(area, MIDDLE));
	EXPECT_PASS(FAR_GPA, MIDDLE, 2000, true);
	EXPECT_LEAVES(3);
	ASSERT_EQ(0, mprotect(word(area, MIDDLE), GUEST_PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + MIDDLE * GUEST_PAGE, 1,
				    5, false, &wrong));
	ASSERT_EQ(0, mprotect(word(area, MIDDLE), GUEST_PAGE,
			      PROT_READ | PROT_WRITE));
	EXPECT_WRITES(2500);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 2500));
	EXPECT_HUGE_AGAIN(area, 2500);
}

/* Large pages that may only be read, and then written. */
TEST_F(hugepage, mprotect_all)
{
	uint64_t wrong;
	uint8_t *area;

	START_HUGE(area);
	ASSERT_EQ(0, mprotect(area, AREA_SIZE, PROT_READ));
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA, 1, 5, true, &wrong));
	ASSERT_EQ(0, mprotect(area, AREA_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_WRITES(2500);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 2500));
	EXPECT_LEAVES(4);
}

/* The host's page of zeros is large too, and nobody may write it. */
TEST_F(hugepage, zeros)
{
	uint8_t *area = aligned_space(AREA_SIZE);
	uint64_t i;

	madvise(area, AREA_SIZE, MADV_HUGEPAGE);
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	for (i = 0; i < AREA_PAGES; i += 100)
		EXPECT_PASS(FAR_GPA + i * GUEST_PAGE, 1, 0, false);
	guest_verify(&self->g);
	EXPECT_WRITES(9000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 9000));
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
		_exit(mismatches(area, AREA_PAGES, 2000) ? 1 : 0);
	}
	EXPECT_READS(2000);
	EXPECT_WRITES(3000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 3000));
	ASSERT_EQ(1, write(ready[1], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_HUGE_AGAIN(area, 3000);
}

/* The log of slot 1: its bits, taken. */
static uint64_t log_bits(struct guest *g, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	uint64_t i, n = 0;

	memset(bitmap, 0, AREA_PAGES / 8);
	xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
	for (i = 0; i < AREA_PAGES / 64; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

static bool has_bit(const uint64_t *bitmap, uint64_t bit)
{
	return bitmap[bit / 64] >> (bit % 64) & 1;
}

TEST_F(hugepage, dirty_log)
{
	const uint64_t written[] = { 0, 3, 511, 512, MIDDLE, AREA_PAGES - 1 };
	uint64_t bitmap[AREA_PAGES / 64];
	uint8_t *area;
	unsigned int i;

	START_HUGE(area);
	EXPECT_WRITES(2000);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, AREA_SIZE,
		       area);
	guest_verify(&self->g);
	log_bits(&self->g, bitmap);

	/* Reading is not writing. */
	EXPECT_READS(2000);
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	for (i = 0; i < ARRAY_SIZE(written); i++)
		EXPECT_PASS(FAR_GPA + written[i] * GUEST_PAGE, 1,
			    2000 + written[i], true);
	EXPECT_EQ(ARRAY_SIZE(written), log_bits(&self->g, bitmap));
	for (i = 0; i < ARRAY_SIZE(written); i++)
		EXPECT_TRUE(has_bit(bitmap, written[i]));
	EXPECT_EQ(0, log_bits(&self->g, bitmap));
	EXPECT_READS(2000);

	EXPECT_WRITES(3000);
	EXPECT_LEAVES(0);
	EXPECT_EQ(AREA_PAGES, log_bits(&self->g, bitmap));
	EXPECT_WRITES(4000);
	EXPECT_EQ(AREA_PAGES, log_bits(&self->g, bitmap));
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 4000));

	/* Large again when it ends; and once more. */
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	guest_verify(&self->g);
	EXPECT_WRITES(5000);
	EXPECT_LEAVES(4);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, AREA_SIZE,
		       area);
	log_bits(&self->g, bitmap);
	EXPECT_PASS(FAR_GPA + MIDDLE * GUEST_PAGE, 1, 1, true);
	EXPECT_EQ(1, log_bits(&self->g, bitmap));
	EXPECT_TRUE(has_bit(bitmap, MIDDLE));
	/* Ends with most of the large leaves as they were. */
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	*word(area, MIDDLE) = 5000 + MIDDLE;
	EXPECT_READS(5000);
	EXPECT_LEAVES(4);
	EXPECT_WRITES(6000);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 6000));
}

#define STORM_MS 2000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Logging toggles while two vCPUs write: their counters never go back. */
TEST_F_TIMEOUT(hugepage, dirty_log_toggled, 60)
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
 * No write is lost between log and copy: a copy kept up to date by the log
 * alone is the memory itself in the end.
 */
TEST_F_TIMEOUT(hugepage, dirty_log_copies, 60)
{
	struct kvm_dirty_log log = { .slot = 1 };
	uint64_t bitmap[MIB2 / GUEST_PAGE / 64], end_ms;
	uint8_t *area = huge_area(0), *copy = mem_alloc(MIB2);
	bool last = false;
	struct load l;
	int page;

	if (!area)
		SKIP(return, "no transparent huge pages");
	memset(area, 0, MIB2);
	log.dirty_bitmap = bitmap;
	load_start_in(&l, &self->g, self->dev, area, MIB2, true);
	usleep(50000);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOAD_GPA, MIB2,
		       area);
	memcpy(copy, area, MIB2);
	for (end_ms = now_ms() + STORM_MS; !last;) {
		last = now_ms() >= end_ms || !load_running(&l);
		if (last)
			EXPECT_EQ(0, load_stop(&l));
		xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		for (page = 0; page < (int)(MIB2 / GUEST_PAGE); page++)
			if (has_bit(bitmap, page))
				memcpy(word(copy, page), word(area, page),
				       GUEST_PAGE);
		usleep(1000);
	}
	EXPECT_EQ(0, memcmp(copy, area, MIB2));
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "# %s: %m\n", path);
	close(fd);
}

TEST_F(hugepage, shared_memory)
{
	uint8_t *space = aligned_space(AREA_SIZE), *area;
	int fd = memfd_create("selftest", MFD_CLOEXEC);

	write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, AREA_SIZE));
	area = mmap(space, AREA_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(space, area);
	madvise(area, AREA_SIZE, MADV_HUGEPAGE);
	fill(area, AREA_PAGES, 1000);
	if (!collapse(area, AREA_SIZE))
		SKIP(return, "no transparent huge pages for shared memory");
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	EXPECT_READS(1000);
	EXPECT_LEAVES(4);
	EXPECT_WRITES(2000);

	/* A hole, which is zeros, and then other content through the file. */
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       MIDDLE * GUEST_PAGE, GUEST_PAGE));
	EXPECT_PASS(FAR_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	*word(area, MIDDLE) = 2000 + MIDDLE;
	EXPECT_READS(2000);
	EXPECT_HUGE_AGAIN(area, 2000);
	close(fd);
}

/* Pages of hugetlbfs; large ones of the machine's, not of the process's. */
static uint8_t *hugetlb_area(size_t size, int log2_page)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
				  log2_page << MAP_HUGE_SHIFT, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

TEST_F(hugepage, hugetlb_2m)
{
	uint64_t bitmap[AREA_PAGES / 64], wrong;
	uint8_t *area = hugetlb_area(AREA_SIZE, 21);

	if (!area)
		SKIP(return, "no reserved pages of 2 MiB");
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	EXPECT_WRITES(1000);
	EXPECT_LEAVES(4);
	EXPECT_EQ(0, mismatches(area, AREA_PAGES, 1000));

	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, AREA_SIZE,
		       area);
	log_bits(&self->g, bitmap);
	EXPECT_PASS(FAR_GPA + MIDDLE * GUEST_PAGE, 1, 1, true);
	EXPECT_EQ(1, log_bits(&self->g, bitmap));
	EXPECT_TRUE(has_bit(bitmap, MIDDLE));
	guest_add_slot(&self->g, 1, 0, FAR_GPA, AREA_SIZE, area);
	EXPECT_WRITES(2000);
	EXPECT_LEAVES(4);

	/* One of the large pages is dropped: zeros. */
	ASSERT_EQ(0, madvise(area + MIB2, MIB2, MADV_DONTNEED));
	EXPECT_LEAVES(3);
	EXPECT_PASS(FAR_GPA + MIDDLE * GUEST_PAGE, 1, 0, false);
	fill(area, AREA_PAGES, 3000);
	EXPECT_READS(3000);
	EXPECT_LEAVES(4);

	ASSERT_EQ(0, munmap(area + MIB2, MIB2));
	EXPECT_PASS(FAR_GPA, 512, 3000, false);
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + MIDDLE * GUEST_PAGE, 1,
				    0, false, &wrong));
	EXPECT_LEAVES(3);
	guest_destroy(&self->g);
	munmap(area, AREA_SIZE);
}

#define GIB_PAGES (GIB / GUEST_PAGE)

#define POOL_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"

/* One page of the machine's largest; the kernel may find no room for it any more. */
static uint8_t *gigantic_page(bool *made)
{
	uint8_t *page = hugetlb_area(GIB, 30);

	*made = !page;
	if (*made) {
		write_file(POOL_1G, "1");
		page = hugetlb_area(GIB, 30);
	}
	return page;
}

TEST_F_TIMEOUT(hugepage, hugetlb_1g, 120)
{
	const uint64_t places[] = { 0, 511, 512, 100000, GIB_PAGES - 1 };
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
	start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, GIB, GIB, page);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		EXPECT_PASS(GIB + places[i] * GUEST_PAGE, 1, 100 + i, true);
		EXPECT_EQ(100 + i, *word(page, places[i]));
	}
	EXPECT_EQ(1, read_stat(self->g.vm, "pages_1g"));
	EXPECT_LEAVES(0);

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
	EXPECT_EQ(1, read_stat(self->g.vm, "pages_1g"));
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
		write_file(POOL_1G, "0");
}

TEST_HARNESS_MAIN
