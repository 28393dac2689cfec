// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_NR_MMU_PAGES: a guest that uses more tables than may be shadowed goes on, and
 * reads what it should.  With nested paging the limit is taken, and is about nothing.
 */
#include "huge.h"
#include "runner.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_limit);

/* A table for each 2 MiB from VA on; each leads to one of a few pages. */
#define TABLES 0x200000ul
#define NR_TABLES 320ul
#define PAGE(n) (0x380000ul + (n) % NR_PAGES * GUEST_PAGE)
#define NR_PAGES 16
#define VA GIB
#define PRESENT (PTE_P | PTE_W)

#define MIN_LIMIT 64
/* One fault's tables, roots, and what waits for a flush come on top. */
#define NEAR(limit) ((limit) + 16)

/* For ever: the sum of rsi words, the first at rdi, 2M apart. */
GUEST_ASM(sweep, 64,
	  "1: mov %rdi, %rbx\n mov %rsi, %rcx\n xor %r10d, %r10d\n"
	  "2: add (%rbx), %r10\n add $0x200000, %rbx\n dec %rcx\n jnz 2b\n"
	  "out %al, $0x10\n jmp 1b\n");

static uint64_t expected_sum(void)
{
	uint64_t i, sum = 0;

	for (i = 0; i < NR_TABLES; i++)
		sum += 1000 + i % NR_PAGES;
	return sum;
}

static void start(struct guest *g, int dev)
{
	const struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2, .rdi = VA, .rsi = NR_TABLES,
	};
	uint64_t i, *pd;

	guest_start64(g, dev, sweep, sweep_end);
	pd = (uint64_t *)(g->mem + GUEST_TABLES + 3 * GUEST_PAGE);
	for (i = 0; i < NR_TABLES; i++) {
		pd[i] = (TABLES + i * GUEST_PAGE) | PRESENT;
		*(uint64_t *)(g->mem + TABLES + i * GUEST_PAGE) = PAGE(i) | PRESENT;
	}
	for (i = 0; i < NR_PAGES; i++)
		*(uint64_t *)(g->mem + PAGE(i)) = 1000 + i;
	vcpu_set_regs(&g->cpu, &regs);
}

static void go(struct __test_metadata *_metadata, struct guest *g)
{
	struct kvm_regs regs;

	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(expected_sum(), regs.r10);
	guest_verify(g);
}

/* Shadow pages, where they are counted. */
static uint64_t pages(struct guest *g)
{
	return device_is_xvm(g->dev) && !device_has_npt(g->dev) ? read_stat(g->vm, "table_pages") :
								   NR_TABLES;
}

#define EXPECT_LIMITED(g)							\
	do {									\
		uint64_t pages_ = pages(g);					\
										\
		if (pages_ != NR_TABLES)					\
			EXPECT_GE(NEAR(MIN_LIMIT), pages_);			\
	} while (0)

TEST_F(shadow_limit, values)
{
	struct guest *g = &self->g;
	int ret;

	start(g, self->dev);
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, 0ul));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, MIN_LIMIT - 1ul));
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, MIN_LIMIT));
	/* Newer ones have no such call. */
	ret = kioctl(g->vm, KVM_GET_NR_MMU_PAGES, 0ul);
	if (ret != -ENOTTY)
		EXPECT_EQ(MIN_LIMIT, ret);
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, 1ul << 40));
}

/* Five times as many tables.  Breaks if shadow_reclaim() does nothing. */
TEST_F_TIMEOUT(shadow_limit, more_tables, 120)
{
	struct guest *g = &self->g;
	int i;

	start(g, self->dev);
	xioctl(g->vm, KVM_SET_NR_MMU_PAGES, MIN_LIMIT);
	for (i = 0; i < 5; i++) {
		go(_metadata, g);
		EXPECT_LIMITED(g);
	}
}

/* The same when there are more already.  Breaks if xvm_shadow_limit() does nothing. */
TEST_F_TIMEOUT(shadow_limit, lowered, 120)
{
	struct guest *g = &self->g;
	int i;

	start(g, self->dev);
	for (i = 0; i < 3; i++) {
		xioctl(g->vm, KVM_SET_NR_MMU_PAGES, 1000);
		go(_metadata, g);
		EXPECT_LE(NR_TABLES, pages(g));
		xioctl(g->vm, KVM_SET_NR_MMU_PAGES, MIN_LIMIT);
		EXPECT_LIMITED(g);
		/* Without its leaves the guest faults. */
		ASSERT_EQ(0, mprotect(g->mem + PAGE(0), NR_PAGES * GUEST_PAGE, PROT_READ));
		go(_metadata, g);
		EXPECT_LIMITED(g);
		ASSERT_EQ(0, mprotect(g->mem + PAGE(0), NR_PAGES * GUEST_PAGE,
				      PROT_READ | PROT_WRITE));
	}
}

static bool check_sum(struct vcpu *v, int reason, void *arg)
{
	struct kvm_regs regs;

	(void)arg;
	vcpu_get_regs(v, &regs);
	return reason == KVM_EXIT_IO && regs.r10 == expected_sum();
}

static void await_rounds(struct runner *r, unsigned long rounds)
{
	unsigned long end = r->exits + rounds;

	while (r->exits < end && !r->ended)
		usleep(1000);
}

/* It runs meanwhile. */
TEST_F_TIMEOUT(shadow_limit, lowered_while_running, 200)
{
	struct guest *g = &self->g;
	struct runner r;
	int i;

	start(g, self->dev);
	runner_start(&r, &g->cpu, check_sum, NULL);
	for (i = 0; i < 6; i++) {
		xioctl(g->vm, KVM_SET_NR_MMU_PAGES, i % 2 ? MIN_LIMIT : 1000);
		ASSERT_EQ(0, mprotect(g->mem + PAGE(0), NR_PAGES * GUEST_PAGE, PROT_READ));
		/* One may have begun before. */
		await_rounds(&r, 2);
		if (i % 2) {
			EXPECT_LIMITED(g);
		} else {
			EXPECT_LE(NR_TABLES, pages(g));
		}
		ASSERT_EQ(0, mprotect(g->mem + PAGE(0), NR_PAGES * GUEST_PAGE,
				      PROT_READ | PROT_WRITE));
	}
	EXPECT_EQ(-EINTR, runner_stop(&r));
}

/* The largest number there is means no limit.  Breaks if surplus() adds to it. */
TEST_F_TIMEOUT(shadow_limit, unlimited, 60)
{
	struct guest *g = &self->g;

	start(g, self->dev);
	xioctl(g->vm, KVM_SET_NR_MMU_PAGES, ~0ul);
	go(_metadata, g);
	EXPECT_LE(NR_TABLES, pages(g));
	go(_metadata, g);
	EXPECT_LE(NR_TABLES, pages(g));
}

TEST_HARNESS_MAIN
