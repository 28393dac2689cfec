/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Coverage of the module by KCOV: which of its basic blocks a thread's calls
 * went through, and which came after which.
 */
#ifndef FUZZ_KCOV_H
#define FUZZ_KCOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for so many blocks a thread and program; what comes later is not seen. */
#define KCOV_TRACE 0x20000

struct kcov {
	int fd;
	uint64_t *trace; /* [0]: how many follow; shared with children */
};

/* Where the module is, or 0: it isn't, or nobody may see. */
uint64_t module_text(void);

bool kcov_open(struct kcov *kcov);
/* For the calling thread, until it ends. */
void kcov_enable(struct kcov *kcov);

/* A set of small numbers. */
#define SET_BITS (1u << 22)

struct set {
	uint64_t words[SET_BITS / 64];
	unsigned int nr;
};

/* True: it was not in it. */
static inline bool set_add(struct set *set, uint32_t number)
{
	uint64_t bit = 1ul << (number & 63), *word = &set->words[number % SET_BITS / 64];

	if (*word & bit)
		return false;
	*word |= bit;
	set->nr++;
	return true;
}

static inline bool set_has(const struct set *set, uint32_t number)
{
	return set->words[number % SET_BITS / 64] >> (number & 63) & 1;
}

#endif
