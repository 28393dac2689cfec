/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of large pages, each small part of which holds a number of its own,
 * and a guest that has it in slot 1.
 */
#ifndef SELFTESTS_HUGE_H
#define SELFTESTS_HUGE_H

#include "pass.h"
#include "stats.h"

#define MIB2 (2ul << 20)
#define GIB (1ul << 30)
#define HUGE_GPA 0x1000000ul
#define HUGE_SIZE (4 * MIB2)
#define HUGE_PAGES (HUGE_SIZE / GUEST_PAGE)
/* The page in the middle of the second large one. */
#define MIDDLE (512 + 100)

uint64_t *page_word(uint8_t *area, uint64_t page);
void fill_pages(uint8_t *area, uint64_t pages, uint64_t first);
uint64_t mismatches(uint8_t *area, uint64_t pages, uint64_t first);

/* Address space, aligned to a large page, with small pages around it. */
uint8_t *huge_space(size_t size);
/* Makes large pages of small ones; later ones are small.  False where the kernel makes none. */
bool huge_collapse(uint8_t *area, size_t size);
/* HUGE_SIZE of filled transparent huge pages, or NULL. */
uint8_t *huge_area(uint64_t first);
/* Pages of hugetlbfs, which are the machine's to have, or NULL. */
uint8_t *hugetlb_area(size_t size, int log2_page);

#define EXPECT_READS(first) EXPECT_PASS(HUGE_GPA, HUGE_PAGES, first, false)
#define EXPECT_WRITES(first) EXPECT_PASS(HUGE_GPA, HUGE_PAGES, first, true)

#define EXPECT_LEAVES(n)						\
	do {								\
		EXPECT_EQ(n, read_stat(self->g.vm, "pages_2m"));		\
		guest_verify(&self->g);					\
	} while (0)

/* A guest with HUGE_SIZE of huge pages at HUGE_GPA, all of them mapped. */
#define START_HUGE(area)						\
	do {								\
		(area) = huge_area(1000);				\
		if (!(area))						\
			SKIP(return, "no transparent huge pages");	\
		pass_start(&self->g, self->dev);				\
		guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area); \
		EXPECT_READS(1000);					\
		EXPECT_LEAVES(4);					\
	} while (0)

/* The whole comes back. */
#define EXPECT_HUGE_AGAIN(area, first)					\
	do {								\
		ASSERT_TRUE(huge_collapse(area, HUGE_SIZE));			\
		EXPECT_READS(first);					\
		EXPECT_LEAVES(4);					\
		EXPECT_WRITES(77000);					\
		EXPECT_LEAVES(4);					\
		EXPECT_EQ(0, mismatches(area, HUGE_PAGES, 77000));	\
	} while (0)

#endif
