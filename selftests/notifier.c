// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host changes the memory behind a slot while the guest reads and writes
 * it: the guest must never see what is no longer there.
 */
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "load.h"
#include "test.h"

DEVICE_FIXTURE(notifier);

#define MIB2 (2ul << 20)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define STORM_MS 1500

/* For a while, for each page in turn. */
#define STORM(l, page)							\
	for (uint64_t storm_end_ = now_ms() + STORM_MS, page = 0;	\
	     load_running(l) && now_ms() < storm_end_;			\
	     page = (page + 1) % LOAD_PAGES)

static void *map_at(void *at, size_t size, int flags, int fd)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE,
		       flags | (at ? MAP_FIXED : 0), fd, 0);

	if (p == MAP_FAILED)
		die("mmap: %m");
	return p;
}

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

TEST_F(notifier, munmap_and_mmap)
{
	struct load l;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), false);
	STORM(&l, page) {
		load_begin(&l, page);
		ASSERT_EQ(0, munmap(load_word(&l, page), GUEST_PAGE));
		if (page % 4 == 0)
			usleep(100);
		map_at(load_word(&l, page), GUEST_PAGE, ANONYMOUS, -1);
		load_rewrite(&l, page);
	}
	EXPECT_EQ(0, load_stop(&l));
}

TEST_F(notifier, mmap_over)
{
	struct load l;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), false);
	STORM(&l, page) {
		load_begin(&l, page);
		map_at(load_word(&l, page), GUEST_PAGE, ANONYMOUS, -1);
		load_rewrite(&l, page);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/*
 * Breaks without zap_hva_range() in invalidate_start().  Without its flush,
 * xvm_mmu_zap_flush(), on a CPU alone that keeps its TLB: an emulated guest leaves too
 * often to use what is stale, and only the counters of tlb: running tell.
 */
TEST_F(notifier, dontneed)
{
	struct load l;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), false);
	STORM(&l, page) {
		load_begin(&l, page);
		ASSERT_EQ(0, madvise(load_word(&l, page), GUEST_PAGE,
				     MADV_DONTNEED));
		load_rewrite(&l, page);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* The whole range at once: flushed as a range, too.  Breaks as dontneed does. */
TEST_F(notifier, dontneed_all)
{
	struct load l;
	uint64_t end_ms;
	int i;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), false);
	end_ms = now_ms() + STORM_MS;
	while (load_running(&l) && now_ms() < end_ms) {
		for (i = 0; i < LOAD_PAGES; i++)
			load_begin(&l, i);
		ASSERT_EQ(0, madvise(l.pages, LOAD_SIZE, MADV_DONTNEED));
		for (i = 0; i < LOAD_PAGES; i++)
			load_rewrite(&l, i);
		usleep(500);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/*
 * A ready page replaces the old one in one step.  Breaks if install() maps
 * without asking stale().
 */
TEST_F(notifier, mremap)
{
	struct load l;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), false);
	STORM(&l, page) {
		uint64_t generation = load_next(&l);
		uint64_t *fresh = mem_alloc(GUEST_PAGE);

		*fresh = generation;
		load_begin(&l, page);
		ASSERT_NE(MAP_FAILED,
			  mremap(fresh, GUEST_PAGE, GUEST_PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED,
				 load_word(&l, page)));
		load_end(&l, page, generation);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* Nothing is lost of what the guest writes, and it waits while it may not. */
TEST_F(notifier, mprotect)
{
	struct load l;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), true);
	STORM(&l, page) {
		ASSERT_EQ(0, mprotect(load_word(&l, page), GUEST_PAGE, PROT_READ));
		if (page % 8 == 0)
			usleep(100);
		ASSERT_EQ(0, mprotect(load_word(&l, page), GUEST_PAGE,
				      PROT_READ | PROT_WRITE));
		ASSERT_EQ(0, mprotect(load_word(&l, page), GUEST_PAGE, PROT_NONE));
		ASSERT_EQ(0, mprotect(load_word(&l, page), GUEST_PAGE,
				      PROT_READ | PROT_WRITE));
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* Read-only to the host: the guest's writes stop at once. */
TEST_F(notifier, mprotect_stops_writes)
{
	struct load l;
	uint64_t before[LOAD_PAGES];
	int i;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), true);
	usleep(200000);
	ASSERT_EQ(0, mprotect(l.pages, LOAD_SIZE, PROT_READ));
	for (i = 0; i < LOAD_PAGES; i++)
		before[i] = load_word(&l, i)[LOAD_COUNTER(0) / 8];
	usleep(200000);
	for (i = 0; i < LOAD_PAGES; i++)
		EXPECT_EQ(before[i], load_word(&l, i)[LOAD_COUNTER(0) / 8]);
	ASSERT_EQ(0, mprotect(l.pages, LOAD_SIZE, PROT_READ | PROT_WRITE));
	usleep(200000);
	EXPECT_GT(load_word(&l, 0)[LOAD_COUNTER(0) / 8], before[0]);
	EXPECT_EQ(0, load_stop(&l));
}

/*
 * fork() makes all pages copy-on-write.  The guest's writes go to the parent's
 * copy, the child keeps what was there, and the guest sees the parent's writes.
 */
TEST_F_TIMEOUT(notifier, fork_and_cow, 60)
{
	struct load l;
	uint64_t end_ms = now_ms() + 2 * STORM_MS;
	int i, rounds = 0;

	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), true);
	/* On a slow machine until it has forked a few times. */
	while (load_running(&l) && (now_ms() < end_ms || rounds < 4)) {
		int status;
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid) {
			uint64_t seen[LOAD_PAGES], counter[LOAD_PAGES];

			for (i = 0; i < LOAD_PAGES; i++) {
				seen[i] = load_word(&l, i)[0];
				counter[i] = load_word(&l, i)[LOAD_COUNTER(0) / 8];
			}
			usleep(30000);
			for (i = 0; i < LOAD_PAGES; i++)
				if (seen[i] != load_word(&l, i)[0] ||
				    counter[i] != load_word(&l, i)[LOAD_COUNTER(0) / 8])
					_exit(1);
			/* The child's own writes stay with the child. */
			for (i = 0; i < LOAD_PAGES; i++)
				memset(load_word(&l, i), 0xcc, GUEST_PAGE);
			_exit(0);
		}
		for (i = 0; i < LOAD_PAGES; i += 3) {
			load_begin(&l, i);
			load_rewrite(&l, i);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		rounds++;
	}
	EXPECT_GT(rounds, 3);
	EXPECT_EQ(0, load_stop(&l));
}

static int shared_memory(size_t size)
{
	int fd = memfd_create("selftest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		die("memfd: %m");
	return fd;
}

TEST_F(notifier, punch_hole)
{
	int fd = shared_memory(LOAD_SIZE);
	struct load l;

	load_start(&l, &self->g, self->dev,
		   map_at(NULL, LOAD_SIZE, MAP_SHARED, fd), false);
	STORM(&l, page) {
		uint64_t generation = load_next(&l);

		load_begin(&l, page);
		ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
					       FALLOC_FL_KEEP_SIZE,
				       page * GUEST_PAGE, GUEST_PAGE));
		/* Through the file, not through the mapping. */
		ASSERT_EQ(8, pwrite(fd, &generation, 8, page * GUEST_PAGE));
		load_end(&l, page, generation);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* The end of the file moves over the slot: beyond it the guest faults. */
TEST_F(notifier, truncate)
{
	int fd = shared_memory(LOAD_SIZE), i;
	struct load l;

	load_start(&l, &self->g, self->dev,
		   map_at(NULL, LOAD_SIZE, MAP_SHARED, fd), false);
	STORM(&l, page) {
		for (i = page; i < LOAD_PAGES; i++)
			load_begin(&l, i);
		ASSERT_EQ(0, ftruncate(fd, page * GUEST_PAGE));
		ASSERT_EQ(0, ftruncate(fd, LOAD_SIZE));
		for (i = page; i < LOAD_PAGES; i++)
			load_rewrite(&l, i);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* A private mapping of a file: the first write of either side copies the page. */
TEST_F(notifier, private_file)
{
	int fd = shared_memory(LOAD_SIZE);
	struct load l;
	int i;

	load_start(&l, &self->g, self->dev,
		   map_at(NULL, LOAD_SIZE, MAP_PRIVATE, fd), false);
	STORM(&l, page) {
		uint64_t generation = load_next(&l);

		/* Dropping the copy shows the file's page; then copy anew. */
		load_begin(&l, page);
		ASSERT_EQ(0, madvise(load_word(&l, page), GUEST_PAGE,
				     MADV_DONTNEED));
		ASSERT_EQ(8, pwrite(fd, &generation, 8, page * GUEST_PAGE));
		load_end(&l, page, generation);
		load_begin(&l, page);
		load_rewrite(&l, page);
	}
	EXPECT_EQ(0, load_stop(&l));
	/* The guest's memory is not the file. */
	for (i = 0; i < LOAD_PAGES; i++)
		*load_word(&l, i) = 1;
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

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atol(text);
}

/* Pages with equal contents become one; a write makes them two again. */
TEST_F_TIMEOUT(notifier, ksm, 60)
{
	const char *run = "/sys/kernel/mm/ksm/run";
	uint64_t end_ms = now_ms() + 20000;
	uint8_t *pages = mem_alloc(LOAD_SIZE);
	struct load l;
	int i;

	if (access(run, W_OK))
		SKIP(return, "no KSM");
	ASSERT_EQ(0, madvise(pages, LOAD_SIZE, MADV_MERGEABLE));
	load_start(&l, &self->g, self->dev, pages, false);
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5");
	write_file(run, "1");
	/* Merged: all pages of one generation are alike. */
	for (i = 0; i < LOAD_PAGES; i++) {
		load_begin(&l, i);
		*load_word(&l, i) = 7;
		load_end(&l, i, 7);
	}
	while (read_number("/sys/kernel/mm/ksm/pages_sharing") < LOAD_PAGES / 2 &&
	       now_ms() < end_ms)
		usleep(20000);
	EXPECT_GE(read_number("/sys/kernel/mm/ksm/pages_sharing"),
		  LOAD_PAGES / 2);
	/* Written by the host, then merged again, and so on. */
	end_ms = now_ms() + STORM_MS;
	while (load_running(&l) && now_ms() < end_ms) {
		for (i = 0; i < LOAD_PAGES; i++) {
			load_begin(&l, i);
			load_rewrite(&l, i);
			load_begin(&l, i);
			*load_word(&l, i) = 7;
			load_end(&l, i, 7);
		}
		usleep(20000);
	}
	EXPECT_EQ(0, load_stop(&l));
	write_file(run, "2");
	write_file(run, "0");
}

/* The same with a guest that writes into pages that are being merged. */
TEST_F_TIMEOUT(notifier, ksm_guest_writes, 60)
{
	const char *run = "/sys/kernel/mm/ksm/run";
	uint8_t *pages = mem_alloc(LOAD_SIZE);
	struct load l;

	if (access(run, W_OK))
		SKIP(return, "no KSM");
	ASSERT_EQ(0, madvise(pages, LOAD_SIZE, MADV_MERGEABLE));
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	write_file(run, "1");
	load_start(&l, &self->g, self->dev, pages, true);
	usleep(2 * STORM_MS * 1000);
	EXPECT_EQ(0, load_stop(&l));
	write_file(run, "2");
	write_file(run, "0");
}

/* The host moves pages together, wherever it finds them in use. */
TEST_F_TIMEOUT(notifier, compaction, 60)
{
	const char *compact = "/proc/sys/vm/compact_memory";
	uint8_t *pages = mem_alloc(2 * MIB2), *area;
	uint64_t end_ms = now_ms() + STORM_MS;
	struct load l;

	if (access(compact, W_OK))
		SKIP(return, "no compaction");
	area = (uint8_t *)(((uintptr_t)pages + MIB2 - 1) & ~(MIB2 - 1));
	madvise(area, MIB2, MADV_NOHUGEPAGE);
	memset(area, 0, MIB2);
	load_start_in(&l, &self->g, self->dev, area, MIB2, true);
	while (load_running(&l) && now_ms() < end_ms) {
		write_file(compact, "1");
		usleep(5000);
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* Small pages collapse into a huge one under the guest, and split again. */
TEST_F_TIMEOUT(notifier, huge_page_collapse, 60)
{
	uint8_t *area = mem_alloc(2 * MIB2);
	struct load l;
	uint64_t end_ms;
	int collapsed = 0;

	area = (uint8_t *)(((uintptr_t)area + MIB2 - 1) & ~(MIB2 - 1));
	if (madvise(area, MIB2, MADV_NOHUGEPAGE))
		SKIP(return, "no transparent huge pages");
	memset(area, 0, MIB2);
	ASSERT_EQ(0, madvise(area, MIB2, MADV_HUGEPAGE));
	load_start_in(&l, &self->g, self->dev, area, MIB2, true);
	end_ms = now_ms() + STORM_MS;
	while (load_running(&l) && now_ms() < end_ms) {
		/* It may find a page busy: not each time, but sometimes. */
		if (!madvise(area, MIB2, MADV_COLLAPSE))
			collapsed++;
		usleep(5000);
		/* Split: the protection of a part that the guest leaves alone. */
		ASSERT_EQ(0, mprotect(area + MIB2 - GUEST_PAGE, GUEST_PAGE,
				      PROT_READ));
		ASSERT_EQ(0, mprotect(area + MIB2 - GUEST_PAGE, GUEST_PAGE,
				      PROT_READ | PROT_WRITE));
		/* And a hole, so that the next collapse has to copy. */
		ASSERT_EQ(0, madvise(area + MIB2 - GUEST_PAGE, GUEST_PAGE,
				     MADV_DONTNEED));
	}
	EXPECT_GT(collapsed, 0);
	EXPECT_EQ(0, load_stop(&l));
}

/* The guest has a huge page of the host, of which parts are dropped. */
TEST_F(notifier, huge_page_split)
{
	uint8_t *area = mem_alloc(2 * MIB2);
	struct load l;

	area = (uint8_t *)(((uintptr_t)area + MIB2 - 1) & ~(MIB2 - 1));
	if (madvise(area, MIB2, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	memset(area, 0, MIB2);
	load_start_in(&l, &self->g, self->dev, area, MIB2, false);
	STORM(&l, page) {
		load_begin(&l, page);
		ASSERT_EQ(0, madvise(load_word(&l, page), GUEST_PAGE,
				     MADV_DONTNEED));
		load_rewrite(&l, page);
		if (page == LOAD_PAGES - 1)
			madvise(area, MIB2, MADV_COLLAPSE);
	}
	EXPECT_EQ(0, load_stop(&l));
}

TEST_F(notifier, hugetlb)
{
	const char *pool = "/proc/sys/vm/nr_hugepages";
	long reserved = read_number(pool);
	struct load l;
	uint8_t *p;
	int i;

	if (reserved <= 0)
		write_file(pool, "2");
	p = mmap(NULL, MIB2, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	load_start_in(&l, &self->g, self->dev, p, MIB2, false);
	STORM(&l, round) {
		for (i = 0; i < LOAD_PAGES; i++)
			load_begin(&l, i);
		ASSERT_EQ(0, madvise(p, MIB2, MADV_DONTNEED));
		for (i = 0; i < LOAD_PAGES; i++)
			load_rewrite(&l, i);
	}
	EXPECT_EQ(0, load_stop(&l));
	guest_destroy(&self->g);
	munmap(p, MIB2);
	if (!reserved)
		write_file(pool, "0");
}

/* Slots come and go at the same time as the host's pages. */
TEST_F_TIMEOUT(notifier, with_slot_changes, 60)
{
	uint8_t *mem = mem_alloc(LOAD_SIZE);
	struct load l;

	load_start(&l, &self->g, self->dev, mem, false);
	STORM(&l, page) {
		load_begin(&l, page);
		ASSERT_EQ(0, madvise(load_word(&l, page), GUEST_PAGE,
				     MADV_DONTNEED));
		load_rewrite(&l, page);
		/* The same memory under two other addresses, and gone again. */
		guest_add_slot(&self->g, 2, 0, 2 * LOAD_GPA, LOAD_SIZE, mem);
		guest_add_slot(&self->g, 2, 0, 3 * LOAD_GPA, LOAD_SIZE, mem);
		guest_add_slot(&self->g, 2, 0, 0, 0, NULL);
	}
	EXPECT_EQ(0, load_stop(&l));
}

TEST_HARNESS_MAIN
