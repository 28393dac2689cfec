// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory whose faults user space resolves (userfaultfd): the guest waits for
 * each page that it touches, for no other, and sees what it is given.
 */
#include <errno.h>
#include <linux/memfd.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "pass.h"
#include "test.h"

DEVICE_FIXTURE(uffd);

#define FAR_GPA 0x1000000ul
#define PAGES 64ul
#define MIB2 (2ul << 20)

/* A slot's memory, and the thread that resolves its faults. */
struct lazy {
	int uffd;
	uint8_t *mem;	/* the slot's; the guest's side */
	uint8_t *other; /* the same memory, by a mapping without userfaultfd */
	size_t page, size;
	pthread_t thread;
	int stop[2];
	/* Of the thread: answers a fault at this offset. */
	void (*resolve)(struct lazy *lazy, uint64_t offset, uint64_t flags);
	unsigned int faults;
	uint64_t seen[PAGES]; /* in each page's first word when it faulted */
};

static void ufd_ioctl(struct lazy *lazy, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(lazy->uffd, request, arg);
	} while (ret && errno == EAGAIN);
	if (ret && errno != EEXIST)
		die("userfaultfd, %#lx: %m", request);
}

static void *serve(void *arg)
{
	struct lazy *lazy = arg;
	struct pollfd fds[2] = {
		{ .fd = lazy->uffd, .events = POLLIN },
		{ .fd = lazy->stop[0], .events = POLLIN },
	};
	struct uffd_msg msg;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %m");
		if (fds[1].revents)
			return NULL;
		if (read(lazy->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			die("event %#x", msg.event);
		lazy->faults++;
		lazy->resolve(lazy,
			      (msg.arg.pagefault.address & -lazy->page) -
				      (uintptr_t)lazy->mem,
			      msg.arg.pagefault.flags);
	}
}

/* False: this kernel can't. */
static bool lazy_open(struct lazy *lazy, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	lazy->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return lazy->uffd >= 0 && !ioctl(lazy->uffd, UFFDIO_API, &api);
}

static void lazy_register(struct lazy *lazy, uint64_t mode)
{
	struct uffdio_register reg = {
		.range.start = (uintptr_t)lazy->mem,
		.range.len = lazy->size,
		.mode = mode,
	};

	ufd_ioctl(lazy, UFFDIO_REGISTER, &reg);
}

static void lazy_serve(struct lazy *lazy)
{
	if (pipe(lazy->stop) ||
	    pthread_create(&lazy->thread, NULL, serve, lazy))
		die("the thread that serves faults: %m");
}

static void lazy_stop(struct lazy *lazy)
{
	if (write(lazy->stop[1], "", 1) != 1)
		die("pipe: %m");
	pthread_join(lazy->thread, NULL);
	close(lazy->stop[0]);
	close(lazy->stop[1]);
	close(lazy->uffd);
}

static void map_anonymous(struct lazy *lazy)
{
	lazy->page = GUEST_PAGE;
	lazy->size = PAGES * GUEST_PAGE;
	lazy->mem = mem_alloc(lazy->size);
	madvise(lazy->mem, lazy->size, MADV_NOHUGEPAGE);
}

/* A file in memory, mapped twice.  False: no huge pages. */
static bool map_file(struct lazy *lazy, unsigned int flags, size_t page,
		     size_t size)
{
	int fd = memfd_create("selftest", MFD_CLOEXEC | flags);

	lazy->page = page;
	lazy->size = size;
	if (fd < 0 || ftruncate(fd, size))
		return false;
	lazy->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	lazy->other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return lazy->mem != MAP_FAILED && lazy->other != MAP_FAILED;
}

static void fill(uint8_t *mem, size_t size, uint64_t first)
{
	uint64_t i;

	for (i = 0; i < size / GUEST_PAGE; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = first + i;
}

static int wrong_words(uint8_t *mem, size_t size, uint64_t first)
{
	int wrong = 0;
	uint64_t i;

	for (i = 0; i < size / GUEST_PAGE; i++)
		wrong += *(uint64_t *)(mem + i * GUEST_PAGE) != first + i;
	return wrong;
}

/* The page comes with its number. */
static void copy_page(struct lazy *lazy, uint64_t offset, uint64_t flags)
{
	uint64_t page[GUEST_PAGE / 8] = { 1000 + offset / GUEST_PAGE };
	struct uffdio_copy copy = {
		.dst = (uintptr_t)lazy->mem + offset,
		.src = (uintptr_t)page,
		.len = GUEST_PAGE,
	};

	(void)flags;
	ufd_ioctl(lazy, UFFDIO_COPY, &copy);
}

static void continue_page(struct lazy *lazy, uint64_t offset, uint64_t flags)
{
	struct uffdio_continue go = {
		.range.start = (uintptr_t)lazy->mem + offset,
		.range.len = lazy->page,
	};

	if (!(flags & UFFD_PAGEFAULT_FLAG_MINOR))
		die("not a minor fault");
	ufd_ioctl(lazy, UFFDIO_CONTINUE, &go);
}

static void protect(struct lazy *lazy, uint64_t offset, uint64_t size, bool on)
{
	struct uffdio_writeprotect wp = {
		.range.start = (uintptr_t)lazy->mem + offset,
		.range.len = size,
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	ufd_ioctl(lazy, UFFDIO_WRITEPROTECT, &wp);
}

/* What a snapshot does: keep the page as it is, then let it be written. */
static void save_page(struct lazy *lazy, uint64_t offset, uint64_t flags)
{
	if (!(flags & UFFD_PAGEFAULT_FLAG_WP))
		die("not a write-protection fault");
	lazy->seen[offset / GUEST_PAGE] = *(uint64_t *)(lazy->mem + offset);
	protect(lazy, offset, GUEST_PAGE, false);
}

static void start(struct guest *g, int dev, struct lazy *lazy)
{
	guest_start64(g, dev, pass, pass_end);
	guest_add_slot(g, 1, 0, FAR_GPA, lazy->size, lazy->mem);
}

/* A guest in anonymous memory, of which no page is there. */
#define START_MISSING(lazy)						\
	do {								\
		if (!lazy_open(&(lazy), 0))				\
			SKIP(return, "no userfaultfd");			\
		map_anonymous(&(lazy));					\
		lazy_register(&(lazy), UFFDIO_REGISTER_MODE_MISSING);	\
		lazy_serve(&(lazy));					\
		start(&self->g, self->dev, &(lazy));			\
	} while (0)

TEST_F(uffd, missing)
{
	struct lazy lazy = { .resolve = copy_page };
	unsigned char there[PAGES];

	START_MISSING(lazy);
	/* One page: nobody asks for its neighbours. */
	EXPECT_PAGES(5, 1, 1005, false);
	EXPECT_EQ(1, lazy.faults);
	EXPECT_PAGES(7, 1, 7, true);
	EXPECT_EQ(2, lazy.faults);
	ASSERT_EQ(0, mincore(lazy.mem, lazy.size, there));
	EXPECT_EQ(0, there[6] & 1);
	EXPECT_EQ(7, *(uint64_t *)(lazy.mem + 7 * GUEST_PAGE));

	EXPECT_PAGES(8, PAGES - 8, 1008, false);
	EXPECT_EQ(PAGES - 6, lazy.faults);
	/* What the host drops has to be asked for again. */
	ASSERT_EQ(0, madvise(lazy.mem + 20 * GUEST_PAGE, GUEST_PAGE,
			     MADV_DONTNEED));
	EXPECT_PAGES(8, PAGES - 8, 1008, false);
	EXPECT_EQ(PAGES - 5, lazy.faults);
	EXPECT_PAGES(0, PAGES, 3000, true);
	EXPECT_EQ(0, wrong_words(lazy.mem, lazy.size, 3000));
	lazy_stop(&lazy);
}

TEST_F(uffd, missing_shmem)
{
	struct lazy lazy = { .resolve = copy_page };

	if (!lazy_open(&lazy, UFFD_FEATURE_MISSING_SHMEM))
		SKIP(return, "no userfaultfd on shared memory");
	ASSERT_TRUE(map_file(&lazy, 0, GUEST_PAGE, PAGES * GUEST_PAGE));
	lazy_register(&lazy, UFFDIO_REGISTER_MODE_MISSING);
	lazy_serve(&lazy);
	start(&self->g, self->dev, &lazy);
	EXPECT_PAGES(0, PAGES, 1000, false);
	EXPECT_EQ(PAGES, lazy.faults);
	EXPECT_EQ(0, wrong_words(lazy.other, lazy.size, 1000));
	lazy_stop(&lazy);
}

/* The pages are there, but the guest waits until it is let on to each. */
static void minor(struct __test_metadata *_metadata, struct guest *g, int dev,
		  struct lazy *lazy)
{
	const uint64_t pages = lazy->size / GUEST_PAGE;
	uint64_t wrong;

	fill(lazy->other, lazy->size, 2000);
	lazy->resolve = continue_page;
	lazy_register(lazy, UFFDIO_REGISTER_MODE_MINOR);
	lazy_serve(lazy);
	start(g, dev, lazy);
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(g, FAR_GPA, pages / 2, 2000, false, &wrong));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(lazy->size / lazy->page / 2, lazy->faults);
	guest_verify(g);
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(g, FAR_GPA, pages, 4000, true, &wrong));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(lazy->size / lazy->page, lazy->faults);
	EXPECT_EQ(0, wrong_words(lazy->other, lazy->size, 4000));
	lazy_stop(lazy);
}

TEST_F(uffd, minor_shmem)
{
	struct lazy lazy = {};

	if (!lazy_open(&lazy, UFFD_FEATURE_MINOR_SHMEM))
		SKIP(return, "no minor faults on shared memory");
	ASSERT_TRUE(map_file(&lazy, 0, GUEST_PAGE, PAGES * GUEST_PAGE));
	minor(_metadata, &self->g, self->dev, &lazy);
}

TEST_F(uffd, minor_hugetlb)
{
	struct lazy lazy = {};

	if (!lazy_open(&lazy, UFFD_FEATURE_MINOR_HUGETLBFS))
		SKIP(return, "no minor faults on hugetlbfs");
	if (!map_file(&lazy, MFD_HUGETLB | MFD_HUGE_2MB, MIB2, 4 * MIB2))
		SKIP(return, "no reserved pages of 2 MiB");
	minor(_metadata, &self->g, self->dev, &lazy);
}

TEST_F(uffd, write_protect)
{
	struct lazy lazy = { .resolve = save_page };
	uint64_t i;

	if (!lazy_open(&lazy, UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		SKIP(return, "no write protection by userfaultfd");
	map_anonymous(&lazy);
	fill(lazy.mem, lazy.size, 500);
	lazy_register(&lazy, UFFDIO_REGISTER_MODE_WP);
	lazy_serve(&lazy);
	start(&self->g, self->dev, &lazy);
	/* All mapped for writing. */
	EXPECT_PAGES(0, PAGES, 600, true);
	EXPECT_EQ(0, lazy.faults);

	protect(&lazy, 0, lazy.size, true);
	EXPECT_PAGES(0, PAGES, 600, false);
	EXPECT_EQ(0, lazy.faults);
	EXPECT_PAGES(0, PAGES, 700, true);
	EXPECT_EQ(PAGES, lazy.faults);
	/* Each was seen before the guest's write came to it. */
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(600 + i, lazy.seen[i]);
	EXPECT_EQ(0, wrong_words(lazy.mem, lazy.size, 700));

	/* One that was not mapped for the guest before. */
	protect(&lazy, 0, lazy.size, true);
	guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, lazy.size, lazy.mem);
	EXPECT_PAGES(10, 1, 10, true);
	EXPECT_EQ(PAGES + 1, lazy.faults);
	EXPECT_EQ(710, lazy.seen[10]);
	EXPECT_PAGES(11, PAGES - 11, 711, false);
	EXPECT_EQ(PAGES + 1, lazy.faults);
	lazy_stop(&lazy);
}

static void no_answer(struct lazy *lazy, uint64_t offset, uint64_t flags)
{
	(void)lazy;
	(void)offset;
	(void)flags;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Kernels before 6.2 can't let go of a fault for a signal. */
static bool kernel_interrupts_faults(void)
{
	struct utsname name;
	int major, minor;

	return !uname(&name) &&
	       sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 2));
}

/* Nobody resolves the fault: a signal ends the wait, and the guest can go on later. */
TEST_F(uffd, signal)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct lazy lazy = { .resolve = no_answer };
	uint64_t wrong;

	if (!kernel_interrupts_faults())
		SKIP(return, "this kernel waits for the page");
	START_MISSING(lazy);
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	EXPECT_EQ(-EINTR, run_pass(&self->g, FAR_GPA, PAGES, 1000, false, &wrong));
	EXPECT_GE(lazy.faults, 1);
	guest_verify(&self->g);
	/* It is woken by the first page, and asks for the others. */
	lazy.resolve = copy_page;
	copy_page(&lazy, 0, 0);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	EXPECT_EQ(0, wrong_words(lazy.mem, lazy.size, 1000));
	lazy_stop(&lazy);
}

static struct guest *waiting;
static uint8_t *fresh;

/* Other memory for the slot, and the old one gone, while a fault waits for a page of that. */
static void replace_slot(struct lazy *lazy, uint64_t offset, uint64_t flags)
{
	struct uffdio_range range = { .start = (uintptr_t)lazy->mem, .len = lazy->size };

	(void)offset;
	(void)flags;
	guest_add_slot(waiting, 1, 0, 0, 0, NULL);
	guest_add_slot(waiting, 1, 0, FAR_GPA, lazy->size, fresh);
	if (munmap(lazy->mem, lazy->size))
		die("munmap: %m");
	ufd_ioctl(lazy, UFFDIO_WAKE, &range);
}

/* Breaks if fault_slow() takes EFAULT for an answer, whatever xvm_mmu_outdated() says. */
TEST_F(uffd, slot_replaced_meanwhile)
{
	struct lazy lazy = { .resolve = replace_slot };

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM's update waits for the page");
	waiting = &self->g;
	fresh = mem_alloc(PAGES * GUEST_PAGE);
	START_MISSING(lazy);
	EXPECT_PAGES(0, PAGES, 4000, true);
	EXPECT_EQ(1, lazy.faults);
	EXPECT_EQ(0, wrong_words(fresh, lazy.size, 4000));
	lazy_stop(&lazy);
}

/* Mapping ahead waits for the pages as well. */
TEST_F(uffd, pre_fault)
{
	struct kvm_pre_fault_memory range = { .gpa = FAR_GPA };
	struct lazy lazy = { .resolve = copy_page };

	if (ioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <= 0)
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	START_MISSING(lazy);
	range.size = lazy.size;
	EXPECT_EQ(0, kioctl(self->g.cpu.fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(PAGES, lazy.faults);
	EXPECT_PAGES(0, PAGES, 1000, false);
	lazy_stop(&lazy);
}

TEST_HARNESS_MAIN
