// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logs that user space clears by itself: what the calls take, what they
 * refuse, and that no write is lost between them.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner.h"
#include "pass.h"
#include "test.h"

DEVICE_FIXTURE(dirty);

#define LOG_GPA		0x1000000ul
#define LOG_PAGES	200 /* the bitmap's last word is not full */
#define LOG_SIZE	(LOG_PAGES * GUEST_PAGE)
#define WORDS		((LOG_PAGES + 63) / 64)

#define MANUAL		KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define ALL_SET		(MANUAL | KVM_DIRTY_LOG_INITIALLY_SET)

/* Writes rsi to the first word of rcx pages from rdi on. */
GUEST_ASM(write_pages, 64,
	  "1: mov %rsi, (%rdi)\n"
	  "add $4096, %rdi\n"
	  "dec %rcx\n"
	  "jnz 1b\n"
	  "hlt");

struct log {
	uint8_t *mem;
	uint64_t bits[WORDS];
};

static long set_manual(struct guest *g, uint64_t options)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { options },
	};

	return kioctl(g->vm, KVM_ENABLE_CAP, &cap);
}

/* A guest that has touched all of the slot before it is logged. */
static void start(struct guest *g, int dev, uint64_t options, struct log *log)
{
	guest_start64(g, dev, write_pages, write_pages_end);
	if (set_manual(g, options))
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: %m");
	log->mem = mem_alloc(LOG_SIZE);
	guest_add_slot(g, 1, 0, LOG_GPA, LOG_SIZE, log->mem);
}

static void write_range(struct guest *g, uint64_t first, uint64_t n, uint64_t value)
{
	struct kvm_regs regs;

	vcpu_get_regs(&g->cpu, &regs);
	regs.rip = GUEST_CODE;
	regs.rdi = LOG_GPA + first * GUEST_PAGE;
	regs.rsi = value;
	regs.rcx = n;
	vcpu_set_regs(&g->cpu, &regs);
	if (vcpu_run(&g->cpu) != KVM_EXIT_HLT)
		die("the guest did not end its writes");
}

static long get_log(struct guest *g, struct log *log)
{
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = log->bits };

	memset(log->bits, 0, sizeof(log->bits));
	return kioctl(g->vm, KVM_GET_DIRTY_LOG, &get);
}

static long clear_log(struct guest *g, uint64_t first, uint32_t n, void *bits)
{
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.first_page = first,
		.num_pages = n,
		.dirty_bitmap = bits,
	};

	return kioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear);
}

static unsigned int count(const struct log *log)
{
	unsigned int i, n = 0;

	for (i = 0; i < WORDS; i++)
		n += __builtin_popcountll(log->bits[i]);
	return n;
}

static bool logged(const struct log *log, unsigned int page)
{
	return log->bits[page / 64] >> (page % 64) & 1;
}

static void log_on(struct guest *g, struct log *log)
{
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, log->mem);
}

TEST_F(dirty, capability)
{
	struct guest *g = &self->g;

	guest_create(g, self->dev, GUEST_SIZE);
	EXPECT_EQ(ALL_SET, ioctl(g->vm, KVM_CHECK_EXTENSION,
				 KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
	EXPECT_EQ(0, set_manual(g, 0));
	EXPECT_EQ(0, set_manual(g, MANUAL));
	EXPECT_EQ(0, set_manual(g, ALL_SET));
	EXPECT_EQ(-EINVAL, set_manual(g, KVM_DIRTY_LOG_INITIALLY_SET));
	EXPECT_EQ(-EINVAL, set_manual(g, 4));
	EXPECT_EQ(-EINVAL, set_manual(g, MANUAL | 1ull << 63));
}

TEST_F(dirty, clear_refuses)
{
	struct guest *g = &self->g;
	struct log log;
	void *hole;

	start(g, self->dev, MANUAL, &log);
	memset(log.bits, 0xff, sizeof(log.bits));
	EXPECT_EQ(-ENOENT, clear_log(g, 0, LOG_PAGES, log.bits));
	log_on(g, &log);
	write_range(g, 0, LOG_PAGES, 1);

	memset(log.bits, 0xff, sizeof(log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 1, 64, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 0, 63, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 0, LOG_PAGES + 1, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 192, 9, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 256, 0, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 1ull << 63, 64, log.bits));
	EXPECT_EQ(-EINVAL, clear_log(g, 64, UINT32_MAX, log.bits));
	/* Readable at first, then not: nothing is cleared. */
	hole = mem_alloc(2 * GUEST_PAGE);
	munmap(hole + GUEST_PAGE, GUEST_PAGE);
	memset(hole, 0xff, GUEST_PAGE);
	EXPECT_EQ(-EFAULT, clear_log(g, 0, LOG_PAGES, hole + GUEST_PAGE - 8));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(LOG_PAGES, count(&log));
	EXPECT_EQ(0, clear_log(g, 0, 0, NULL));
	munmap(hole, GUEST_PAGE);
}

TEST_F(dirty, only_clear_clears)
{
	struct guest *g = &self->g;
	uint64_t mask = 0xf0;
	struct log log;

	start(g, self->dev, MANUAL, &log);
	write_range(g, 0, LOG_PAGES, 1);
	log_on(g, &log);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(0, count(&log));

	write_range(g, 64, 10, 2);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(10, count(&log));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(10, count(&log));

	ASSERT_EQ(0, clear_log(g, 64, 64, &mask));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(6, count(&log));
	EXPECT_TRUE(logged(&log, 67) && !logged(&log, 68));
	EXPECT_TRUE(!logged(&log, 71) && logged(&log, 72));

	/* Cleared pages are watched again; one that was not is still there. */
	write_range(g, 66, 4, 3);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(8, count(&log));
	/* The slot's end may be cleared by less than a word. */
	write_range(g, 195, 5, 4);
	memset(log.bits, 0xff, sizeof(log.bits));
	ASSERT_EQ(0, clear_log(g, 192, LOG_PAGES - 192, log.bits));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(8, count(&log));
}

TEST_F(dirty, initially_set)
{
	struct guest *g = &self->g;
	struct log log;

	start(g, self->dev, ALL_SET, &log);
	write_range(g, 0, LOG_PAGES, 1);
	log_on(g, &log);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(LOG_PAGES, count(&log));
	ASSERT_EQ(0, clear_log(g, 0, LOG_PAGES, log.bits));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(0, count(&log));
	write_range(g, 100, 3, 2);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(3, count(&log));
	EXPECT_TRUE(logged(&log, 100) && logged(&log, 102));
	guest_verify(g);
}

/* Who reads, or has pages mapped by another's fault, has written nothing. */
TEST_F(dirty, only_writes)
{
	struct guest *g = &self->g;
	uint64_t wrong, stale;
	struct log log;

	start(g, self->dev, MANUAL, &log);
	guest_load(g, pass, pass_end);
	log_on(g, &log);
	memset(log.mem, 0, LOG_SIZE);
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(g, LOG_GPA, LOG_PAGES, 0, false, &stale));
	ASSERT_EQ(0, get_log(g, &log));
	/* KVM maps a page that it may write, and takes that for a write. */
	if (device_is_xvm(self->dev))
		EXPECT_EQ(0, count(&log));
	ASSERT_EQ(0, clear_log(g, 0, LOG_PAGES, log.bits));
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(g, LOG_GPA, LOG_PAGES, 0, false, &stale));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(0, count(&log));
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(g, LOG_GPA + 17 * GUEST_PAGE, 1, 100, true, &wrong));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(1, count(&log));
	EXPECT_TRUE(logged(&log, 17));
	guest_verify(g);
}

/* Bits that nobody has asked for may be cleared as well. */
TEST_F(dirty, cleared_unseen)
{
	struct guest *g = &self->g;
	uint64_t all = ~0ull;
	struct log log;

	start(g, self->dev, MANUAL, &log);
	log_on(g, &log);
	write_range(g, 0, 128, 1);
	ASSERT_EQ(0, clear_log(g, 64, 64, &all));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(64, count(&log));
	EXPECT_TRUE(logged(&log, 63) && !logged(&log, 64));
	write_range(g, 100, 1, 2);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(65, count(&log));
}

/*
 * The log outlives what it was gathered from: pages that the host takes away,
 * and a slot that moves.  Breaks without xvm_dirty_keep() in notifier.c, or in
 * slots.c.
 */
static void outlives(struct __test_metadata *_metadata, struct guest *g, int dev,
		     uint64_t options)
{
	struct log log;

	start(g, dev, options, &log);
	write_range(g, 0, LOG_PAGES, 1);
	log_on(g, &log);
	ASSERT_EQ(0, get_log(g, &log));
	write_range(g, 10, 5, 2);
	ASSERT_EQ(0, madvise(log.mem, 100 * GUEST_PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(5, count(&log));
	EXPECT_TRUE(logged(&log, 10) && logged(&log, 14));
	memset(log.bits, 0xff, sizeof(log.bits));
	if (options)
		ASSERT_EQ(0, clear_log(g, 0, LOG_PAGES, log.bits));

	write_range(g, 198, 2, 3);
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA + LOG_SIZE, LOG_SIZE,
		       log.mem);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(2, count(&log));
	EXPECT_TRUE(logged(&log, 198) && logged(&log, 199));
	guest_verify(g);
}

TEST_F(dirty, outlives_pages)
{
	outlives(_metadata, &self->g, self->dev, 0);
}

TEST_F(dirty, outlives_pages_manual)
{
	outlives(_metadata, &self->g, self->dev, MANUAL);
}

/* Pages of a slot so large that reading its log takes a while, and of its end. */
#define LONG_PAGES	16384
#define END_PAGES	8

struct zapper {
	uint8_t *end;
	atomic_int round;	/* that has begun */
	atomic_int done;	/* that is over; -1: never mind */
};

/* In each round, after a while, the host takes pages from the guest, but not their content. */
static void *zap_once_a_round(void *arg)
{
	struct zapper *zapper = arg;
	int round;

	for (round = 1; zapper->done >= 0; round++) {
		volatile int wait;

		while (zapper->round < round && zapper->done >= 0)
			sched_yield();
		for (wait = round % 50 * 200; wait; wait--)
			;
		mprotect(zapper->end, END_PAGES * GUEST_PAGE, PROT_READ);
		mprotect(zapper->end, END_PAGES * GUEST_PAGE, PROT_READ | PROT_WRITE);
		if (zapper->done >= 0)
			zapper->done = round;
	}
	return NULL;
}

/*
 * What the guest wrote before the log was read is in it, whatever the host zaps
 * meanwhile.  Breaks if go_over() lets go of the lock between a page's bit and
 * its leaf.
 */
TEST_F_TIMEOUT(dirty, zapped_while_read, 300)
{
	enum { ROUNDS = 100, SECONDS = 60, LAST = LONG_PAGES - END_PAGES };
	static uint64_t bits[LONG_PAGES / 64];
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = bits };
	uint8_t *mem = mem_alloc(LONG_PAGES * GUEST_PAGE);
	struct zapper zapper = { .end = mem + LAST * GUEST_PAGE };
	struct guest *g = &self->g;
	int round, lost = 0;
	pthread_t thread;
	time_t end;

	guest_start64(g, self->dev, write_pages, write_pages_end);
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LONG_PAGES * GUEST_PAGE, mem);
	write_range(g, 0, LONG_PAGES, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, zap_once_a_round, &zapper));
	end = time(NULL) + SECONDS;
	/* As many rounds as a kernel with sanitizers has time for. */
	for (round = 1; round == 1 || (round <= ROUNDS && time(NULL) < end); round++) {
		write_range(g, LAST, END_PAGES, round);
		zapper.round = round;
		xioctl(g->vm, KVM_GET_DIRTY_LOG, &get);
		lost += bits[LONG_PAGES / 64 - 1] >> (64 - END_PAGES) !=
			(1 << END_PAGES) - 1;
		while (zapper.done < round)
			sched_yield();
	}
	zapper.done = -1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, lost);
	guest_verify(g);
}

/* Slots of the second address space are never mapped: reading their log takes nothing. */
TEST_F(dirty, other_address_space)
{
	struct kvm_userspace_memory_region other = {
		.slot = 1 << 16 | 1,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = LOG_GPA,
		.memory_size = LOG_SIZE,
	};
	struct guest *g = &self->g;
	uint64_t bits[WORDS] = {};
	struct kvm_dirty_log get = { .slot = 1 << 16 | 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = {
		.slot = 1 << 16 | 1,
		.num_pages = LOG_PAGES,
		.dirty_bitmap = bits,
	};
	struct log log;
	int i;

	start(g, self->dev, MANUAL, &log);
	if (ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "one address space");
	log_on(g, &log);
	other.userspace_addr = (uint64_t)mem_alloc(LOG_SIZE);
	xioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &other);
	write_range(g, 5, 3, 1);

	xioctl(g->vm, KVM_GET_DIRTY_LOG, &get);
	for (i = 0; i < WORDS; i++)
		EXPECT_EQ(0, bits[i]);
	memset(bits, 0xff, sizeof(bits));
	xioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear);
	ASSERT_EQ(0, get_log(g, &log));
	EXPECT_EQ(3, count(&log));
	EXPECT_TRUE(logged(&log, 5) && logged(&log, 7));
	guest_verify(g);
}

/*
 * The reader's copy, brought up to date by the log alone, is the guest's memory
 * in the end.  Breaks if clear_log() flushes before it protects, or not at all
 * (on a CPU that keeps TLB entries).
 */
static int copy_follows(struct guest *g, int dev, uint64_t options, int rounds)
{
	static uint64_t copy[LOG_PAGES];
	struct runner runner;
	struct kvm_regs regs;
	struct log log;
	int i, page, wrong = 0;
	bool last = false;

	start(g, dev, options, &log);
	guest_load(g, write_on, write_on_end);
	log_on(g, &log);
	vcpu_get_regs(&g->cpu, &regs);
	regs.r8 = LOG_GPA;
	regs.r9 = LOG_PAGES;
	regs.rsi = 0;
	vcpu_set_regs(&g->cpu, &regs);
	memset(copy, 0, sizeof(copy));

	runner_start(&runner, &g->cpu, NULL, NULL);
	for (i = 0; !last; i++) {
		/* The guest has come round; the last round finds one that has stopped. */
		last = i >= rounds && copy[0] >= 2;
		if (last && runner_stop(&runner) != -EINTR)
			die("the guest ended by itself");
		if (get_log(g, &log) ||
		    (options && clear_log(g, 0, LOG_PAGES, log.bits)))
			die("the log: %m");
		for (page = 0; page < LOG_PAGES; page++)
			if (logged(&log, page))
				copy[page] = *(volatile uint64_t *)
					      (log.mem + page * GUEST_PAGE);
		usleep(1000);
	}
	for (page = 0; page < LOG_PAGES; page++)
		wrong += copy[page] != *(uint64_t *)(log.mem + page * GUEST_PAGE);
	return wrong;
}

TEST_F(dirty, no_write_is_lost)
{
	EXPECT_EQ(0, copy_follows(&self->g, self->dev, 0, 300));
}

TEST_F(dirty, no_write_is_lost_manual)
{
	EXPECT_EQ(0, copy_follows(&self->g, self->dev, MANUAL, 300));
}

TEST_F(dirty, no_write_is_lost_initially_set)
{
	EXPECT_EQ(0, copy_follows(&self->g, self->dev, ALL_SET, 300));
}

TEST_HARNESS_MAIN
