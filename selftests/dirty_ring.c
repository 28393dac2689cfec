// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings: what may be asked for, what they say, when a vCPU stops for user
 * space to empty one, and that no write is lost between entry, reset and copy.
 */
#include <stdlib.h>
#include <string.h>

#include "pass.h"
#include "ring.h"
#include "runner.h"
#include "test.h"

DEVICE_FIXTURE(dirty_ring);

#define LOG_GPA 0x1000000ul
#define LOG_PAGES 1000ul
#define LOG_SIZE (LOG_PAGES * GUEST_PAGE)

#define RING_SIZE GUEST_PAGE
#define ENTRIES (RING_SIZE / sizeof(struct kvm_dirty_gfn))
#define MAX_SIZE (65536 * sizeof(struct kvm_dirty_gfn))

static void *map_ring(struct guest *g, int prot, int flags)
{
	return mmap(NULL, RING_SIZE, prot, flags, g->cpu.fd, RING_OFFSET);
}

/* A guest with a ring of one page, and a logged slot whose memory it has not touched. */
static uint8_t *start(struct guest *g, int dev, struct ring *ring)
{
	uint8_t *mem = mem_alloc(LOG_SIZE);

	ring_start(g, dev, RING_SIZE, ring);
	ring->pages = LOG_PAGES;
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, mem);
	return mem;
}

static int write_pages(struct guest *g, uint64_t first, uint64_t n)
{
	uint64_t wrong;

	return run_pass(g, LOG_GPA + first * GUEST_PAGE, n, 1, true, &wrong);
}

TEST_F(dirty_ring, capability)
{
	struct guest *g = &self->g;

	guest_create_bare(g, self->dev);
	EXPECT_EQ(MAX_SIZE,
		  ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING));
	EXPECT_EQ(MAX_SIZE, ioctl(g->vm, KVM_CHECK_EXTENSION,
				  KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
	EXPECT_EQ(-EINVAL, ring_reset(g));
	EXPECT_EQ(-EINVAL, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, 0));
	EXPECT_EQ(-EINVAL, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, 5000));
	EXPECT_EQ(-EINVAL, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, 2048));
	EXPECT_EQ(-E2BIG, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, 2 * MAX_SIZE));
	EXPECT_EQ(0, ring_enable(g, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, MAX_SIZE));
	EXPECT_EQ(-EINVAL, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, MAX_SIZE));
	EXPECT_EQ(0, ring_reset(g));
	guest_destroy(g);

	guest_create(g, self->dev, GUEST_SIZE);
	EXPECT_EQ(-EINVAL, ring_enable(g, KVM_CAP_DIRTY_LOG_RING, 4096));
}

TEST_F(dirty_ring, mapping)
{
	struct ring ring;

	start(&self->g, self->dev, &ring);
	EXPECT_EQ(MAP_FAILED, map_ring(&self->g, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED,
		  map_ring(&self->g, PROT_READ | PROT_EXEC, MAP_SHARED));
	/* Newer kernels take no descriptor like a vCPU's for code, before they ask it. */
	EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	EXPECT_NE(MAP_FAILED, map_ring(&self->g, PROT_READ, MAP_SHARED));
}

/* No bitmap beside it. */
TEST_F(dirty_ring, no_bitmap)
{
	uint64_t bitmap[LOG_PAGES / 64 + 1] = {};
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.num_pages = 64,
		.dirty_bitmap = bitmap,
	};
	struct ring ring;

	start(&self->g, self->dev, &ring);
	EXPECT_EQ(-ENXIO, kioctl(self->g.vm, KVM_GET_DIRTY_LOG, &get));
	EXPECT_EQ(-ENXIO, kioctl(self->g.vm, KVM_CLEAR_DIRTY_LOG, &clear));
}

TEST_F(dirty_ring, entries)
{
	struct guest *g = &self->g;
	uint8_t seen[LOG_PAGES] = {};
	struct ring ring;
	long i;

	start(g, self->dev, &ring);
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 3, 8));
	for (i = 3; i < 11; i++)
		EXPECT_EQ(i, ring_take(&ring));
	EXPECT_EQ(-1, ring_take(&ring));

	/* Not protected yet: nothing new.  From the reset on, again. */
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 3, 8));
	EXPECT_EQ(-1, ring_take(&ring));
	EXPECT_EQ(8, ring_reset(g));
	EXPECT_EQ(0, ring_reset(g));
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 0, 100));
	EXPECT_EQ(100, ring_take_all(&ring, seen));
	for (i = 0; i < 100; i++)
		EXPECT_EQ(1, seen[i]);

	/* What was not taken stays. */
	EXPECT_EQ(100, ring_reset(g));
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 50, 2));
	EXPECT_EQ(0, ring_reset(g));
	EXPECT_EQ(50, ring_take(&ring));
	EXPECT_EQ(1, ring_reset(g));
	EXPECT_EQ(51, ring_take(&ring));
	EXPECT_EQ(1, ring_reset(g));
}

/*
 * Logging that begins when the guest has its pages, which may be large.  Breaks without
 * xvm_dirty_clean() in xvm_dirty_enabled().
 */
TEST_F(dirty_ring, begins_late)
{
	struct guest *g = &self->g;
	struct ring ring;
	uint8_t *mem;
	uint64_t wrong;

	mem = start(g, self->dev, &ring);
	guest_add_slot(g, 1, 0, LOG_GPA, LOG_SIZE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 0, LOG_PAGES));
	EXPECT_EQ(-1, ring_take(&ring));
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE,
		       mem);
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(g, LOG_GPA, LOG_PAGES, 1, false, &wrong));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(-1, ring_take(&ring));
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 700, 1));
	EXPECT_EQ(700, ring_take(&ring));
	EXPECT_EQ(-1, ring_take(&ring));
}

TEST_F(dirty_ring, full)
{
	struct guest *g = &self->g;
	uint8_t seen[LOG_PAGES] = {};
	unsigned int i, exits = 0;
	struct ring ring;
	int reason;

	start(g, self->dev, &ring);
	reason = write_pages(g, 0, LOG_PAGES);
	while (reason == KVM_EXIT_DIRTY_RING_FULL) {
		/* However often it is asked. */
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, vcpu_run(&g->cpu));
		ASSERT_EQ(ENTRIES - RING_RESERVED, ring_take_all(&ring, seen));
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, vcpu_run(&g->cpu));
		ASSERT_EQ(ENTRIES - RING_RESERVED, ring_reset(g));
		exits++;
		reason = vcpu_run(&g->cpu);
	}
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	ring_take_all(&ring, seen);
	EXPECT_LE(LOG_PAGES / (ENTRIES - RING_RESERVED), exits);
	for (i = 0; i < LOG_PAGES; i++)
		EXPECT_NE(0, seen[i]);
}

/* All of the ring is user space's to write. */
TEST_F(dirty_ring, scribbled)
{
	static const struct kvm_dirty_gfn junk[] = {
		{ .slot = 1, .offset = LOG_PAGES },
		{ .slot = 1, .offset = ~0ull },
		{ .slot = 7, .offset = 0 },
		{ .slot = 1 << 16 | 1, .offset = 0 },
		{ .slot = ~0u, .offset = 1ull << 52 },
	};
	const unsigned int n = sizeof(junk) / sizeof(junk[0]);
	struct guest *g = &self->g;
	struct ring ring;
	unsigned int i;

	start(g, self->dev, &ring);
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 0, n));
	for (i = 0; i < n; i++) {
		ring.entries[i] = junk[i];
		ring.entries[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
	EXPECT_EQ(n, ring_reset(g));
	guest_verify(g);
	if (!device_is_xvm(self->dev))
		return;
	/* KVM goes on with what was never pushed, and loses count. */
	for (i = 0; i < ENTRIES; i++)
		ring.entries[i].flags = KVM_DIRTY_GFN_F_RESET;
	EXPECT_EQ(0, ring_reset(g));
	ring.next = n;
	ASSERT_EQ(KVM_EXIT_HLT, write_pages(g, 20, 1));
	EXPECT_EQ(20, ring_take(&ring));
}

static bool run_on(struct vcpu *v, int reason, void *arg)
{
	(void)v;
	(void)arg;
	return reason == KVM_EXIT_DIRTY_RING_FULL;
}

/*
 * A copy brought up to date by the ring alone is the guest's memory in the end.
 * Breaks if a page is pushed before it may be written, or if the reset flushes
 * before it protects, or not at all (on a CPU that keeps TLB entries).
 */
TEST_F(dirty_ring, no_write_is_lost)
{
	static uint64_t copy[LOG_PAGES];
	uint8_t seen[LOG_PAGES];
	struct guest *g = &self->g;
	struct runner runner;
	struct kvm_regs regs;
	struct ring ring;
	uint8_t *mem;
	unsigned int i, page;
	bool last = false;

	mem = start(g, self->dev, &ring);
	guest_load(g, write_on, write_on_end);
	vcpu_get_regs(&g->cpu, &regs);
	regs.rip = GUEST_CODE;
	regs.r8 = LOG_GPA;
	regs.r9 = LOG_PAGES;
	vcpu_set_regs(&g->cpu, &regs);
	memset(copy, 0, sizeof(copy));

	runner_start(&runner, &g->cpu, run_on, NULL);
	for (i = 0; !last; i++) {
		/* The guest has come round; the last round finds one that has stopped. */
		last = i >= 300 && copy[0] > 2;
		if (last)
			ASSERT_EQ(-EINTR, runner_stop(&runner));
		memset(seen, 0, sizeof(seen));
		ASSERT_EQ(ring_take_all(&ring, seen), ring_reset(g));
		for (page = 0; page < LOG_PAGES; page++)
			if (seen[page])
				copy[page] = *(volatile uint64_t *)
					      (mem + page * GUEST_PAGE);
		usleep(1000);
	}
	for (page = 0; page < LOG_PAGES; page++)
		EXPECT_EQ(*(uint64_t *)(mem + page * GUEST_PAGE), copy[page]);
}

#define HALF (LOG_PAGES / 2)

/* A guest of two vCPUs, with a ring of size bytes each; and a logged slot. */
static void start_two(struct guest *g, int dev, size_t size, struct vcpu *second,
		      struct ring rings[2])
{
	ring_start(g, dev, size, &rings[0]);
	vcpu_create(g, second, 1);
	guest_long_mode(g, second, GUEST_CODE);
	ring_map(second, size, &rings[1]);
	rings[0].pages = LOG_PAGES;
	rings[1].pages = LOG_PAGES;
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, mem_alloc(LOG_SIZE));
}

/* A vCPU writes pages, in a thread of its own. */
static void write_begin(struct runner *runner, struct vcpu *v, uint64_t first, uint64_t n)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rdi = LOG_GPA + first * GUEST_PAGE,
		.rcx = n,
		.r15 = true,
	};

	vcpu_set_regs(v, &regs);
	runner_start(runner, v, NULL, NULL);
}

/* The exit that ended it, by itself. */
static int write_end(struct runner *runner)
{
	while (!runner->ended)
		usleep(1000);
	return runner_stop(runner);
}

/* Takes all that a ring has: true if that is each of n pages once. */
static bool took(struct ring *ring, uint64_t first, uint64_t n)
{
	uint8_t seen[LOG_PAGES] = {};
	uint64_t page;

	if (ring_take_all(ring, seen) != n)
		return false;
	for (page = first; page < first + n; page++)
		if (!seen[page])
			return false;
	return true;
}

/*
 * Each ring has what its vCPU has written, whoever wrote there before.  Breaks if
 * xvm_reset_dirty_rings() goes over one ring alone, or xvm_dirty_mark() pushes to any
 * but the writer's.
 */
TEST_F(dirty_ring, two_vcpus)
{
	const size_t size = 1024 * sizeof(struct kvm_dirty_gfn);
	struct guest *g = &self->g;
	struct vcpu second, *vcpus[] = { &g->cpu, &second };
	struct runner runners[2];
	struct ring rings[2];
	int round, i;

	start_two(g, self->dev, size, &second, rings);
	for (round = 0; round < 4; round++) {
		const uint64_t first[] = { round % 2 ? HALF : 0, round % 2 ? 0 : HALF };

		for (i = 0; i < 2; i++)
			write_begin(&runners[i], vcpus[i], first[i], HALF);
		for (i = 0; i < 2; i++)
			ASSERT_EQ(KVM_EXIT_HLT, write_end(&runners[i]));
		for (i = 0; i < 2; i++)
			EXPECT_TRUE(took(&rings[i], first[i], HALF));
		EXPECT_EQ(2 * HALF, ring_reset(g));
		EXPECT_EQ(0, ring_reset(g));
		guest_verify(g);
	}
	vcpu_destroy(&second);
}

/*
 * A vCPU whose ring is full waits for its own entries to be taken; the other one goes on.
 * Breaks if reset_ring() takes back what nobody has marked.
 */
TEST_F(dirty_ring, full_beside_another)
{
	enum { OTHERS = 100 };
	uint8_t seen[LOG_PAGES] = {};
	struct guest *g = &self->g;
	struct runner runners[2];
	struct ring rings[2];
	struct vcpu second;
	unsigned int n, i;
	int reason;

	start_two(g, self->dev, RING_SIZE, &second, rings);
	write_begin(&runners[0], &g->cpu, 0, HALF);
	write_begin(&runners[1], &second, HALF, OTHERS);
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, write_end(&runners[0]));
	ASSERT_EQ(KVM_EXIT_HLT, write_end(&runners[1]));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(took(&rings[1], HALF, OTHERS));
		EXPECT_EQ(OTHERS, ring_reset(g));
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, vcpu_run(&g->cpu));
		write_begin(&runners[1], &second, HALF, OTHERS);
		ASSERT_EQ(KVM_EXIT_HLT, write_end(&runners[1]));
	}
	EXPECT_TRUE(took(&rings[1], HALF, OTHERS));
	EXPECT_EQ(OTHERS, ring_reset(g));

	do {
		n = ring_take_all(&rings[0], seen);
		EXPECT_LE(ENTRIES - RING_RESERVED, n);
		ASSERT_EQ(n, ring_reset(g));
		reason = vcpu_run(&g->cpu);
	} while (reason == KVM_EXIT_DIRTY_RING_FULL);
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	ring_take_all(&rings[0], seen);
	for (i = 0; i < LOG_PAGES; i++)
		EXPECT_EQ(i < HALF, !!seen[i]);
	EXPECT_EQ(-1, ring_take(&rings[1]));
	vcpu_destroy(&second);
}

TEST_HARNESS_MAIN
