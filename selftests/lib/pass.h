/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest that passes over pages, reads or writes each, and counts surprises. */
#ifndef SELFTESTS_PASS_H
#define SELFTESTS_PASS_H

#include "guest.h"

extern const uint8_t pass[], pass_end[];	/* at GUEST_CODE */

/*
 * Writes rsi + 1, and ever higher numbers, to each of r9 pages from r8 on in
 * turn, for ever.
 */
extern const uint8_t write_on[], write_on_end[];

/* A guest with the code of pass, in memory of small pages alone. */
void pass_start(struct guest *g, int dev);
/* The same of a VM that is there, but for memory and vCPUs. */
void pass_load(struct guest *g);

/*
 * pages from gpa on, whose first words are first and what follows, written or
 * not.  KVM_RUN's answer, and in *wrong the pages that were not as expected.
 */
int run_pass(struct guest *g, uint64_t gpa, uint64_t pages, uint64_t first,
	     bool write, uint64_t *wrong);

/* For tests whose fixture holds the guest. */
#define EXPECT_PASS(gpa, pages, first, write)				\
	do {								\
		uint64_t wrong_;					\
									\
		ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, gpa, pages,	\
						 first, write, &wrong_)); \
		ASSERT_EQ(0, wrong_);					\
	} while (0)

/* The same of pages of a slot at FAR_GPA; and the VM is sound then. */
#define EXPECT_PAGES(page, pages, first, write)				\
	do {								\
		EXPECT_PASS(FAR_GPA + (page) * GUEST_PAGE, pages, first, write); \
		guest_verify(&self->g);					\
	} while (0)

#endif
