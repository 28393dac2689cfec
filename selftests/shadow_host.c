// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM edits a guest's tables behind everybody's back, KVM_SET_SREGS's included:
 * an entry that something was made from comes to lead elsewhere, and the guest's next
 * fault finds that something in its way.  It must go from the list of what it mapped
 * before another takes its place: the pages of both go next.  An older KVM's didn't.
 */
#include <string.h>

#include "huge.h"
#include "probe.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_host);

#define VA 0x200000ul
#define PRESENT (PTE_P | PTE_W)
#define TABLE PROBE_TABLE
#define TABLE_2 PROBE_TABLE_2
#define PAGE_A PROBE_PAGE_A
#define PAGE_B PROBE_PAGE_B
#define NO_MEMORY 0x40000000ul
#define PDE (PROBE_PD + 8)

/* At this address a large page from 0 on has page A, one from FAR on another. */
#define AT (VA + PAGE_A)
#define FAR 0x200000ul
#define PTE (PAGE_A / GUEST_PAGE * 8)

#define LARGE(gpa) ((gpa) | PRESENT | PTE_PS)
#define SMALL(gpa) ((gpa) | PRESENT)

#define NEEDS_FIX(dev)								\
	do {									\
		if (!device_is_xvm(dev) && !device_has_npt(dev))		\
			SKIP(return, "this kernel's KVM may warn and go astray");	\
	} while (0)

struct edit {
	uint64_t entry;		/* which one is edited */
	uint64_t before, after;	/* what it says */
	uint64_t from, to;	/* where AT leads to */
};

static void start(struct guest *g, int dev, const struct edit *e)
{
	probe_start(g, dev);
	memset(g->mem + TABLE, 0, 2 * GUEST_PAGE);
	*(uint64_t *)(g->mem + TABLE + PTE) = SMALL(PAGE_A);
	*(uint64_t *)(g->mem + TABLE_2 + PTE) = SMALL(PAGE_B);
	*(uint64_t *)(g->mem + PDE) = SMALL(TABLE);
	*(uint64_t *)(g->mem + e->entry) = e->before;
	memset(g->mem + PAGE_A, 0xaa, 2 * GUEST_PAGE);
	memset(g->mem + FAR + PAGE_A, 0xaa, GUEST_PAGE);
}

/* Both pages go: what maps them is known, or it would map what comes in their place. */
static void take_pages(struct __test_metadata *_metadata, struct guest *g, const struct edit *e)
{
	struct probe r = { .flush = FLUSH_INVLPG, .access = ACCESS_READ, .va = AT, .data = 1 };

	ASSERT_EQ(0, madvise(g->mem + e->from, GUEST_PAGE, MADV_DONTNEED));
	guest_verify(g);
	if (e->to == NO_MEMORY)
		return;
	ASSERT_EQ(0, madvise(g->mem + e->to, GUEST_PAGE, MADV_DONTNEED));
	guest_verify(g);
	probe_again(g, &r);
	EXPECT_EQ(KVM_EXIT_IO, r.exit);
	EXPECT_FALSE(r.faulted);
	EXPECT_EQ(0, r.data);
	guest_verify(g);
}

static void host_edit(struct __test_metadata *_metadata, struct guest *g, int dev,
		      const struct edit *e)
{
	struct probe r = { .access = ACCESS_READ, .va = AT };

	start(g, dev, e);
	/* It is clean, so a write comes by once more. */
	probe_run(g, &r);
	ASSERT_EQ(KVM_EXIT_IO, r.exit);
	EXPECT_EQ(0xaaaaaaaaaaaaaaaa, r.data);
	*(uint64_t *)(g->mem + e->entry) = e->after;

	/* A flush would have it dropped before; but hardware that walks may want one. */
	r = (struct probe){
		.access = ACCESS_WRITE, .va = AT, .data = 0x1122,
		.flush = device_has_npt(dev) ? FLUSH_INVLPG : FLUSH_NONE,
	};
	probe_again(g, &r);
	if (e->to == NO_MEMORY) {
		EXPECT_EQ(KVM_EXIT_MMIO, r.exit);
		EXPECT_EQ(NO_MEMORY, g->cpu.run->mmio.phys_addr);
	} else {
		EXPECT_EQ(KVM_EXIT_IO, r.exit);
		EXPECT_FALSE(r.faulted);
		EXPECT_EQ(0x1122, probe_word(g, e->to));
	}
	EXPECT_EQ(0xaaaaaaaaaaaaaaaa, probe_word(g, e->from));
	guest_verify(g);
	take_pages(_metadata, g, e);
}

/* Breaks if check_guest() doesn't drop what was made from another entry than the walk's. */
TEST_F(shadow_host, page_to_other_page)
{
	const struct edit e = { TABLE + PTE, SMALL(PAGE_A), SMALL(PAGE_B), PAGE_A, PAGE_B };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* Nothing is made of the new entry; what was made of the old one stays known. */
TEST_F(shadow_host, page_to_mmio)
{
	const struct edit e = { TABLE + PTE, SMALL(PAGE_A), SMALL(NO_MEMORY), PAGE_A, NO_MEMORY };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* Breaks, with a large page of the host's, if neither check_guest() nor set_leaf() drops. */
TEST_F(shadow_host, large_page_to_other_page)
{
	const struct edit e = { PDE, LARGE(0), LARGE(FAR), PAGE_A, FAR + PAGE_A };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* As page_to_other_page: the leaf is a large one, and a link takes its place. */
TEST_F(shadow_host, large_page_to_table)
{
	const struct edit e = { PDE, LARGE(FAR), SMALL(TABLE), FAR + PAGE_A, PAGE_A };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* As large_page_to_other_page. */
TEST_F(shadow_host, table_to_large_page)
{
	const struct edit e = { PDE, SMALL(TABLE), LARGE(FAR), PAGE_A, FAR + PAGE_A };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* Breaks if neither check_guest() nor shadow_link() drops the link to the first table. */
TEST_F(shadow_host, table_to_other_table)
{
	const struct edit e = { PDE, SMALL(TABLE), SMALL(TABLE_2), PAGE_A, PAGE_B };

	NEEDS_FIX(self->dev);
	host_edit(_metadata, &self->g, self->dev, &e);
}

/* A large page of the guest's, of HUGE_GPA, and what the host has there. */
static void start_huge(struct guest *g, int dev, uint8_t *area)
{
	probe_start(g, dev);
	guest_add_slot(g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	*(uint64_t *)(g->mem + PDE) = LARGE(HUGE_GPA);
	fill_pages(area, HUGE_PAGES, 1000);
}

static uint64_t read_again(struct guest *g, uint64_t va)
{
	struct probe r = { .access = ACCESS_READ, .va = va };

	probe_again(g, &r);
	return r.exit == KVM_EXIT_IO && !r.faulted ? r.data : ~0ul;
}

/*
 * A link to small pages, in whose place the host's large page comes: the guest's entry
 * is the same.  Breaks if set_leaf() doesn't drop the entry that it replaces.
 */
TEST_F(shadow_host, link_to_large_leaf)
{
	uint8_t *area = huge_space(HUGE_SIZE);
	struct guest *g = &self->g;
	int i;

	start_huge(g, self->dev, area);
	EXPECT_EQ(1003, probe_try(g, ACCESS_READ, VA + 3 * GUEST_PAGE).data);
	for (i = 0; i < 4; i++) {
		if (!huge_collapse(area, HUGE_SIZE))
			SKIP(return, "no transparent huge pages");
		ASSERT_EQ(1005, read_again(g, VA + 5 * GUEST_PAGE));
		EXPECT_LT(0, read_stat(g->vm, "pages_2m"));
		guest_verify(g);
		/* Small again, and its link with it. */
		ASSERT_EQ(0, madvise(area, GUEST_PAGE, MADV_DONTNEED));
		ASSERT_EQ(1007, read_again(g, VA + 7 * GUEST_PAGE));
		guest_verify(g);
	}
	ASSERT_EQ(0, madvise(area, HUGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, read_again(g, VA + 7 * GUEST_PAGE));
}

TEST_HARNESS_MAIN
