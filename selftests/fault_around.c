// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault may map more pages than its own: fewer faults, and nothing else that
 * a guest, its log or its host could notice.
 */
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "pass.h"
#include "stats.h"
#include "test.h"

DEVICE_FIXTURE(fault_around);

#define FAR_GPA 0x1000000ul
#define PAGES 256ul
#define SIZE (PAGES * GUEST_PAGE)

/* Small pages, each with its number. */
static uint8_t *small_pages(uint64_t pages, uint64_t first)
{
	uint8_t *mem = mem_alloc(pages * GUEST_PAGE);
	uint64_t i;

	madvise(mem, pages * GUEST_PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = first + i;
	return mem;
}

static uint64_t *word(uint8_t *mem, uint64_t page)
{
	return (uint64_t *)(mem + page * GUEST_PAGE);
}

static uint64_t fixed(struct guest *g)
{
	return read_stat(g->cpu.fd, "pf_fixed");
}

static void write_parameter(const char *value)
{
	int fd = open("/sys/module/xvm/parameters/fault_around_pages", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("fault_around_pages: %m");
	close(fd);
}

/* The faults for PAGES pages, which the host has, but for the code's own. */
TEST_F(fault_around, count)
{
	static const struct {
		const char *window;
		uint64_t faults;
	} cases[] = {
		{ "0", PAGES }, { "1", PAGES }, { "16", PAGES / 16 },
		{ "64", PAGES / 64 }, { "24", PAGES / 16 }, { "1000", PAGES / 64 },
	};
	uint64_t before, around;
	unsigned int i;
	uint8_t *mem;

	if (!device_is_xvm(self->dev) || !device_has_npt(self->dev))
		SKIP(return, "xvm's own, with nested paging");
	if (geteuid())
		SKIP(return, "only root may set the window");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		write_parameter(cases[i].window);
		mem = small_pages(PAGES, 1000);
		guest_start64(&self->g, self->dev, pass, pass_end);
		guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
		EXPECT_PAGES(0, 1, 1000, false);
		guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
		guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);

		before = fixed(&self->g);
		around = read_stat(self->g.cpu.fd, "pf_around");
		EXPECT_PAGES(0, PAGES, 1000, i % 2);
		EXPECT_EQ(cases[i].faults, fixed(&self->g) - before);
		EXPECT_EQ(PAGES - cases[i].faults,
			  read_stat(self->g.cpu.fd, "pf_around") - around);
		guest_destroy(&self->g);
		munmap(mem, SIZE);
	}
	write_parameter("16");
}

/* What the host does not have is not made. */
TEST_F(fault_around, holes)
{
	uint8_t *mem = small_pages(PAGES, 1000);
	unsigned char there[PAGES];
	uint64_t i;

	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	for (i = 0; i < PAGES; i += 3)
		ASSERT_EQ(0, madvise(word(mem, i), GUEST_PAGE, MADV_DONTNEED));
	for (i = 1; i < PAGES; i += 3)
		EXPECT_PAGES(i, 1, 1000 + i, false);
	ASSERT_EQ(0, mincore(mem, SIZE, there));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i % 3 != 0, there[i] & 1);
	for (i = 0; i < PAGES; i++)
		EXPECT_PAGES(i, 1, i % 3 ? 1000 + i : 0, false);
	EXPECT_PAGES(0, PAGES, 2000, true);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(2000 + i, *word(mem, i));
}

/* A slot in the middle of a window, of memory that goes on around it. */
TEST_F(fault_around, slot_edges)
{
	uint8_t *mem = small_pages(PAGES, 1000);
	uint64_t wrong;

	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA + 5 * GUEST_PAGE, 3 * GUEST_PAGE,
		       word(mem, 100));
	guest_add_slot(&self->g, 2, 0, FAR_GPA + 8 * GUEST_PAGE, GUEST_PAGE,
		       word(mem, 50));
	EXPECT_PAGES(6, 1, 1101, false);
	EXPECT_PAGES(8, 1, 1050, true);
	EXPECT_PAGES(5, 3, 1100, true);
	EXPECT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, FAR_GPA + 4 * GUEST_PAGE, 1,
					  0, false, &wrong));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	EXPECT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, FAR_GPA + 9 * GUEST_PAGE, 1,
					  0, false, &wrong));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
}

/* The log tells of what was written, not of what was mapped. */
TEST_F(fault_around, dirty_log)
{
	uint64_t bitmap[PAGES / 64] = {};
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	uint8_t *mem = small_pages(PAGES, 1000);
	/* KVM takes a read of a logged page for a write, xvm does not. */
	bool exact = device_is_xvm(self->dev);
	unsigned int page;

	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, SIZE, mem);
	EXPECT_PAGES(3, 1, 1003, true);
	EXPECT_PAGES(40, 1, 1040, false);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_TRUE(bitmap[0] & 1ul << 3);
	if (exact) {
		EXPECT_EQ(1ul << 3, bitmap[0]);
		EXPECT_EQ(0, bitmap[1] | bitmap[2] | bitmap[3]);
	}

	/* Its neighbours are mapped by now; so is it, and protected again. */
	for (page = 0; page < 64; page++) {
		EXPECT_PAGES(page, 1, 1000 + page, true);
		xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		ASSERT_EQ(1ul << page, bitmap[0]);
	}
	EXPECT_PAGES(0, PAGES, 1000, false);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	if (exact)
		EXPECT_EQ(0, bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3]);
	EXPECT_PAGES(0, PAGES, 3000, true);
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_EQ(~0ul, bitmap[0] & bitmap[1] & bitmap[2] & bitmap[3]);
}

/* Neighbours that are shared after a fork stay as the child has them. */
TEST_F(fault_around, fork)
{
	uint8_t *mem = small_pages(PAGES, 1000);
	int ready[2], status;
	char c = 0;
	uint64_t i;
	pid_t pid;

	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			_exit(2);
		for (i = 0; i < PAGES; i++)
			if (*word(mem, i) != 1000 + i)
				_exit(1);
		_exit(0);
	}
	for (i = 0; i < PAGES; i += 16)
		EXPECT_PAGES(i, 1, 5000 + i, true);
	EXPECT_PAGES(0, PAGES, 5000, true);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(5000 + i, *word(mem, i));
	ASSERT_EQ(1, write(ready[1], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Each neighbour has the rights that the host gives it. */
TEST_F(fault_around, mprotect)
{
	uint8_t *mem = small_pages(PAGES, 1000);
	uint64_t i, wrong;

	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	for (i = 0; i < PAGES; i += 4) {
		ASSERT_EQ(0, mprotect(word(mem, i), GUEST_PAGE, PROT_READ));
		ASSERT_EQ(0, mprotect(word(mem, i + 1), GUEST_PAGE, PROT_NONE));
	}
	for (i = 0; i < PAGES; i += 4) {
		EXPECT_PAGES(i + 2, 1, 1002 + i, true);
		EXPECT_PAGES(i, 1, 1000 + i, false);
		EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + i * GUEST_PAGE,
					    1, 1, true, &wrong));
		EXPECT_EQ(-EFAULT,
			  run_pass(&self->g, FAR_GPA + (i + 1) * GUEST_PAGE, 1,
				   1, false, &wrong));
		EXPECT_EQ(1000 + i, *word(mem, i));
	}
}

/* Fresh memory that the host has only read is the zero page everywhere, until it is written. */
TEST_F(fault_around, zero_pages)
{
	bool around = device_is_xvm(self->dev) && device_has_npt(self->dev);
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i, before, wrong;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, *(volatile uint64_t *)word(mem, i));
	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	ASSERT_EQ(0, mprotect(word(mem, 1), GUEST_PAGE, PROT_NONE));
	before = fixed(&self->g);
	for (i = 0; i < PAGES; i++)
		if (i != 1)
			EXPECT_PAGES(i, 1, 0, false);
	/* The window that page 1 cut short, and now and then the code's own page. */
	if (around)
		EXPECT_GT(PAGES / 8, fixed(&self->g) - before);
	EXPECT_EQ(-EFAULT,
		  run_pass(&self->g, FAR_GPA + GUEST_PAGE, 1, 0, false, &wrong));
	ASSERT_EQ(0, mprotect(word(mem, 1), GUEST_PAGE, PROT_READ | PROT_WRITE));

	/* Written by one side, it is another page for both. */
	for (i = 0; i < PAGES; i += 2)
		*word(mem, i) = 1000 + i;
	for (i = 0; i < PAGES; i++)
		EXPECT_PAGES(i, 1, i % 2 ? 0 : 1000 + i, i % 4 == 3);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i % 2 ? 0 : 1000 + i, *word(mem, i));
	EXPECT_PAGES(0, PAGES, 3000, true);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(3000 + i, *word(mem, i));
}

/* Of fresh memory: how many pages the host has. */
static uint64_t present(uint8_t *mem)
{
	unsigned char there[PAGES];
	uint64_t i, nr = 0;

	if (mincore(mem, SIZE, there))
		die("mincore: %m");
	for (i = 0; i < PAGES; i++)
		nr += there[i] & 1;
	return nr;
}

/* Writes to fresh memory, page after page, bring in at most as much again. */
TEST_F(fault_around, stream)
{
	bool ahead = device_is_xvm(self->dev), came = false;
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i, nr, before;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	before = fixed(&self->g);
	for (i = 0; i < PAGES / 2; i++) {
		EXPECT_PAGES(i, 1, 1000 + i, true);
		nr = present(mem);
		ASSERT_GE(nr, i + 1);
		ASSERT_LE(nr, ahead ? 2 * (i + 1) : i + 1);
		came |= nr > i + 1;
	}
	EXPECT_EQ(ahead, came);
	if (ahead && device_has_npt(self->dev))
		EXPECT_LT(fixed(&self->g) - before, PAGES / 8);
	EXPECT_PAGES(PAGES / 2, PAGES / 2, 1000 + PAGES / 2, true);
	EXPECT_EQ(PAGES, present(mem));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(1000 + i, *word(mem, i));
}

/* Who writes will want other pages than that.  Breaks if around->reads is not asked. */
TEST_F(fault_around, zero_pages_for_a_writer)
{
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i, before;

	if (!device_is_xvm(self->dev) || !device_has_npt(self->dev))
		SKIP(return, "xvm's own, with nested paging");
	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, *(volatile uint64_t *)word(mem, i));
	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	/* The code's own pages are there from then on. */
	EXPECT_PAGES(100, 1, 1000, true);
	before = read_stat(self->g.cpu.fd, "pf_around");
	EXPECT_PAGES(3, 1, 1000, true);
	EXPECT_EQ(before, read_stat(self->g.cpu.fd, "pf_around"));
}

/*
 * It goes on where it is awaited, but what was brought in before is left unused.
 * Breaks if used_all() is not asked.
 */
TEST_F(fault_around, stream_with_gaps)
{
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i, used = PAGES / 4;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	EXPECT_PAGES(0, used, 1000, true);
	ASSERT_EQ(used, present(mem));
	for (i = used; i < PAGES; i += 16) {
		EXPECT_PAGES(i, 1, 1000 + i, true);
		used++;
		/* The first gap can't be foreseen. */
		ASSERT_LE(present(mem), used + 16);
	}
}

/* A new file on a file system of its own, which nothing else sees; -1: not allowed. */
static int ramfs_file(void)
{
	int fs = fsopen("ramfs", FSOPEN_CLOEXEC), mnt = -1, fd = -1;

	if (fs >= 0 && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (mnt >= 0)
		fd = openat(mnt, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	close(mnt);
	close(fs);
	return fd;
}

/*
 * A stream has nobody copy a file's page, or write to it, but the guest itself.
 * Memory that is shared as a file of tmpfs is memory.  Breaks without any of the
 * conditions of is_plain_memory(), but that for devices.
 */
TEST_F(fault_around, stream_into_files)
{
	const struct {
		int fd, flags;
		bool ahead;
	} files[] = {
		{ memfd_create("selftest", MFD_CLOEXEC), MAP_PRIVATE, false },
		{ memfd_create("selftest", MFD_CLOEXEC), MAP_SHARED, true },
		{ ramfs_file(), MAP_SHARED, false },
	};
	uint64_t i, nr;
	uint8_t *mem;
	bool came;
	int f;

	for (f = 0; f < ARRAY_SIZE(files); f++) {
		if (files[f].fd < 0)
			SKIP(return, "no ramfs of its own");
		ASSERT_EQ(0, ftruncate(files[f].fd, SIZE));
		mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, files[f].flags,
			   files[f].fd, 0);
		ASSERT_NE(MAP_FAILED, mem);
		guest_start64(&self->g, self->dev, pass, pass_end);
		guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
		came = false;
		for (i = 0; i < PAGES / 2; i++) {
			EXPECT_PAGES(i, 1, 1000 + i, true);
			EXPECT_EQ(1000 + i, *word(mem, i));
			nr = present(mem);
			ASSERT_GE(nr, i + 1);
			ASSERT_LE(nr, files[f].ahead ? 2 * (i + 1) : i + 1);
			came |= nr > i + 1;
		}
		EXPECT_EQ(files[f].ahead && device_is_xvm(self->dev), came);
		guest_destroy(&self->g);
		munmap(mem, SIZE);
		close(files[f].fd);
	}
}

/*
 * The host has the pages, of slots of a page each: a fault maps those of the slots
 * that follow as well, each as its own slot lets it.
 */
TEST_F(fault_around, slots_of_a_page)
{
	const uint64_t read_only = 5;
	uint8_t *mem = small_pages(PAGES, 1000);
	uint64_t i, before, wrong;

	guest_start64(&self->g, self->dev, pass, pass_end);
	for (i = 0; i < PAGES; i++)
		guest_add_slot(&self->g, 1 + i, i == read_only ? KVM_MEM_READONLY : 0,
			       FAR_GPA + i * GUEST_PAGE, GUEST_PAGE,
			       word(mem, PAGES - 1 - i));
	before = fixed(&self->g);
	for (i = 0; i < PAGES; i++)
		EXPECT_PAGES(i, 1, 1000 + PAGES - 1 - i, false);
	if (device_is_xvm(self->dev) && device_has_npt(self->dev))
		EXPECT_LT(fixed(&self->g) - before, PAGES / 8);
	EXPECT_EQ(KVM_EXIT_MMIO, run_pass(&self->g, FAR_GPA + read_only * GUEST_PAGE, 1,
					  7, true, &wrong));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	EXPECT_EQ(1000 + PAGES - 1 - read_only, *word(mem, PAGES - 1 - read_only));
	EXPECT_PAGES(6, PAGES - 6, 2000, true);
	EXPECT_EQ(2000, *word(mem, PAGES - 1 - 6));
}

/*
 * Slots of a page each, in another order than their memory: the stream goes on
 * over them.  What it brings into one that is logged was not written yet.
 */
TEST_F(fault_around, stream_over_slots)
{
	const uint64_t logged = PAGES / 2 + 5;
	bool ahead = device_is_xvm(self->dev) && device_has_npt(self->dev);
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i, nr, before, bits;
	struct kvm_dirty_log log = {
		.slot = 1 + logged,
		.dirty_bitmap = &bits,
	};

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	for (i = 0; i < PAGES; i++)
		guest_add_slot(&self->g, 1 + i,
			       i == logged ? KVM_MEM_LOG_DIRTY_PAGES : 0,
			       FAR_GPA + i * GUEST_PAGE, GUEST_PAGE,
			       word(mem, PAGES - 1 - i));
	before = fixed(&self->g);
	for (i = 0; i < PAGES; i++) {
		xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
		ASSERT_EQ(i == logged + 1, bits & 1);
		EXPECT_PAGES(i, 1, 1000 + i, true);
		nr = present(mem);
		ASSERT_GE(nr, i + 1);
		ASSERT_LE(nr, ahead ? 2 * (i + 1) : i + 1);
	}
	if (ahead)
		EXPECT_LT(fixed(&self->g) - before, PAGES / 4);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(1000 + i, *word(mem, PAGES - 1 - i));
}

/* Whoever doesn't write in a stream gets no more than he touches. */
TEST_F(fault_around, no_stream)
{
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	guest_start64(&self->g, self->dev, pass, pass_end);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	for (i = 0; i < PAGES / 2; i++)
		EXPECT_PAGES(i * 97 % PAGES, 1, 1000, true);
	EXPECT_EQ(PAGES / 2, present(mem));

}

/* What a handler of userfaultfd has to fill in, it is asked for when it is needed. */
TEST_F(fault_around, stream_into_uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	uint8_t *mem = mem_alloc(SIZE);
	struct uffdio_register range = {
		.range = { (uint64_t)mem + SIZE / 2, SIZE / 2 },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffd_msg msg;
	int uffd;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		SKIP(return, "no userfaultfd: %m");
	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	xioctl(uffd, UFFDIO_API, &api);
	xioctl(uffd, UFFDIO_REGISTER, &range);
	guest_start64(&self->g, self->dev, pass, pass_end);
	/* A window of fault-around lies across the border. */
	guest_add_slot(&self->g, 1, 0, FAR_GPA + 5 * GUEST_PAGE, SIZE - 5 * GUEST_PAGE,
		       mem);
	EXPECT_PAGES(5, PAGES / 2, 1000, true);
	EXPECT_EQ(-1, read(uffd, &msg, sizeof(msg)));
	EXPECT_EQ(EAGAIN, errno);
	close(uffd);
}

TEST_HARNESS_MAIN
