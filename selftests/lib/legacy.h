/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that tries its own paging as probe.h's does, but that of 32-bit systems:
 * tables of 1024 entries, or PAE's.  It switches to user mode, and sets CR0 and CR4,
 * by itself: between its runs nothing is set but general registers.
 */
#ifndef SELFTESTS_LEGACY_H
#define SELFTESTS_LEGACY_H

#include "probe.h"

#define LEGACY_MEM (16ul << 20)

/* The directory, or PAE's table of four; PAE's four directories. */
#define LEGACY_CR3 0x60000u
#define LEGACY_PD 0x68000u
/* For each test to use: a table, another; pages full of RETs, small ones and a large one. */
#define LEGACY_TABLE 0x70000u
#define LEGACY_TABLE_2 0x71000u
#define LEGACY_PAGE_A 0x80000u
#define LEGACY_PAGE_B 0x81000u
#define LEGACY_LARGE 0x800000u

#define LEGACY_DONE 0x80 /* the vector, where nothing was in the way */

/* How an edit is made: one word; two, the second first; with CMPXCHG8B. */
enum legacy_store { STORE_4, STORE_4_4, STORE_8 };

struct legacy {
	struct guest *g;
	bool pae;
};

struct legacy_probe {
	struct {
		uint32_t at; /* 0: none */
		uint64_t value;
		enum legacy_store store;
	} edit[2];
	uint32_t cr0, cr4; /* 0: as they are */
	enum probe_flush flush;
	uint32_t flush_va; /* 0: va */
	enum probe_access access;
	uint32_t va, data; /* data: what is written, or was read */
	bool user, ac;
	/* What came of it. */
	int exit;
	uint64_t vector, error, cr2;
};

/*
 * A guest whose kernel is mapped one to one below 2M, by small pages without U.  cr4:
 * PAE decides on the format; nx: with EFER.NXE.
 */
void legacy_start(struct legacy *l, struct guest *g, int dev, uint32_t cr4, bool nx);
void legacy_run(struct legacy *l, struct legacy_probe *p);
/* Once more, after an exit on the way (MMIO, a signal); notes what came of it. */
void legacy_resume(struct legacy *l, struct legacy_probe *p);
/* An edit of an entry, flushed for by loading CR3. */
void legacy_edit(struct legacy *l, uint32_t at, uint64_t value);
/* Nothing but an access. */
struct legacy_probe legacy_try(struct legacy *l, enum probe_access access, uint32_t va);

/* Where the entries for an address are, in the directory and in a table. */
uint32_t legacy_pde(const struct legacy *l, uint32_t va);
uint32_t legacy_pte(const struct legacy *l, uint32_t table, uint32_t va);
/* An entry of the format, as it is in memory. */
uint64_t legacy_entry(const struct legacy *l, uint32_t at);
/* By the host, before the guest uses it. */
void legacy_set(const struct legacy *l, uint32_t at, uint64_t value);

#endif
