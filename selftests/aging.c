// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host learns which pages a guest uses: by idle page tracking, page by page,
 * where the kernel has it, and by the generations of its LRU lists.
 *
 * Breaks if xvm_pgtable_age() finds nothing young, or nothing ever old.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lru_gen.h"
#include "pass.h"
#include "test.h"
#include "text.h"

DEVICE_FIXTURE(aging);

#define FAR_GPA 0x10000000ul
/* More than a TLB holds, which keeps what it has when pages are made old. */
#define PAGES 8192ul
#define SIZE (PAGES * GUEST_PAGE)

static uint8_t *start(struct guest *g, int dev)
{
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = 1000 + i;
	guest_start64(g, dev, pass, pass_end);
	guest_add_slot(g, 1, 0, FAR_GPA, SIZE, mem);
	return mem;
}

static void read_pages(struct guest *g, uint64_t first, uint64_t n)
{
	uint64_t wrong;
	int ret = run_pass(g, FAR_GPA + first * GUEST_PAGE, n, 1000 + first,
			   false, &wrong);

	if (ret != KVM_EXIT_HLT || wrong)
		die("the guest read %lu wrong pages: %s", wrong, exit_name(ret));
}

/* Pages that were just allocated wait in each CPU's own list. */
static void drain_lists(void)
{
	if (!write_text("/proc/sys/vm/drop_caches", "1"))
		die("drop_caches: %m");
}

struct idle {
	int bitmap;
	uint64_t *pfns;
};

static void find_pfns(struct idle *idle, const uint8_t *mem)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t i;

	idle->pfns = mem_alloc(PAGES * sizeof(uint64_t));
	if (pread(fd, idle->pfns, PAGES * 8, (uintptr_t)mem / GUEST_PAGE * 8) !=
	    (ssize_t)(PAGES * 8))
		die("pagemap: %m");
	for (i = 0; i < PAGES; i++)
		idle->pfns[i] &= (1ull << 55) - 1;
	close(fd);
}

/*
 * The bitmap is of 64 frames a word, and to read or write one takes a look at each of
 * them: so each word once, which serves those of its pages that are neighbours here too.
 */
static void make_idle(struct idle *idle)
{
	uint64_t page, word = 0;

	for (page = 0; page < PAGES; page++) {
		off_t at = idle->pfns[page] / 64 * 8;

		word |= 1ull << (idle->pfns[page] % 64);
		if (page + 1 < PAGES && idle->pfns[page + 1] / 64 * 8 == at)
			continue;
		if (pwrite(idle->bitmap, &word, 8, at) != 8)
			die("page_idle: %m");
		word = 0;
	}
}

/* How many of the pages with each number modulo 16. */
static void count_idle(struct idle *idle, uint64_t counts[16])
{
	uint64_t page, word = 0;
	off_t last = -1;

	memset(counts, 0, 16 * sizeof(*counts));
	for (page = 0; page < PAGES; page++) {
		off_t at = idle->pfns[page] / 64 * 8;

		if (at != last && pread(idle->bitmap, &word, 8, at) != 8)
			die("page_idle: %m");
		last = at;
		counts[page % 16] += word >> (idle->pfns[page] % 64) & 1;
	}
}

TEST_F_TIMEOUT(aging, idle_pages, 120)
{
	struct guest *g = &self->g;
	uint64_t counts[16], i;
	struct idle idle;

	idle.bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	if (idle.bitmap < 0)
		SKIP(return, "the kernel has no idle page tracking");
	find_pfns(&idle, start(g, self->dev));
	drain_lists();

	/* Each read brings the neighbours in: nobody has used those. */
	make_idle(&idle);
	for (i = 0; i < PAGES; i += 16)
		read_pages(g, i, 1);
	count_idle(&idle, counts);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i ? PAGES / 16 : 0, counts[i]);

	/* What is mapped and used is young, once. */
	read_pages(g, 0, PAGES);
	count_idle(&idle, counts);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(0, counts[i]);
	make_idle(&idle);
	count_idle(&idle, counts);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(PAGES / 16, counts[i]);
	for (i = 3; i < PAGES; i += 16)
		read_pages(g, i, 1);
	count_idle(&idle, counts);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i == 3 ? 0 : PAGES / 16, counts[i]);
	guest_verify(g);
}

#define CGROUP "/sys/fs/cgroup"
#define GROUP CGROUP "/xvm-aging"

/* A memory cgroup of the test's own, for all that it allocates from now on. */
static bool enter_group(void)
{
	return write_text(CGROUP "/cgroup.subtree_control", "+memory") &&
	       (!mkdir(GROUP, 0755) || errno == EEXIST) &&
	       write_text(GROUP "/cgroup.procs", "0");
}

static void leave_group(void)
{
	if (!write_text(CGROUP "/cgroup.procs", "0") || rmdir(GROUP))
		die("leaving the cgroup: %m");
}

static unsigned long used_pages(void)
{
	return lru_gen_used("/xvm-aging");
}

/* The process's own pages are few; some of the memory's may be looked at late. */
#define MOST (PAGES - PAGES / 8)
#define FEW (PAGES / 8)

TEST_F_TIMEOUT(aging, generations, 120)
{
	struct guest *g = &self->g;

	if (!lru_gen_enabled() || !enter_group())
		SKIP(return, "no multi-generational LRU lists");
	start(g, self->dev);
	drain_lists();
	read_pages(g, 0, PAGES);
	EXPECT_LE(MOST, used_pages());
	EXPECT_GE(FEW, used_pages());
	read_pages(g, 0, PAGES);
	EXPECT_LE(MOST, used_pages());
	EXPECT_GE(FEW, used_pages());
	read_pages(g, 0, PAGES / 2);
	EXPECT_LE(PAGES / 2 - FEW, used_pages());
	EXPECT_GE(FEW, used_pages());
	guest_destroy(g);
	leave_group();
}

TEST_HARNESS_MAIN
