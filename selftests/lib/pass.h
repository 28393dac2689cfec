/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest that passes over pages, reads or writes each, and counts surprises. */
#ifndef SELFTESTS_PASS_H
#define SELFTESTS_PASS_H

#include "guest.h"

extern const uint8_t pass[], pass_end[];	/* at GUEST_CODE */

/*
 * pages from gpa on, whose first words are first and what follows, written or
 * not.  KVM_RUN's answer, and in *wrong the pages that were not as expected.
 */
int run_pass(struct guest *g, uint64_t gpa, uint64_t pages, uint64_t first,
	     bool write, uint64_t *wrong);

#endif
