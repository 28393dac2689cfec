/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A long-mode guest that tries its own paging: in each run it edits entries, flushes,
 * and makes one access, in kernel or user mode; with what came of that.
 */
#ifndef SELFTESTS_PROBE_H
#define SELFTESTS_PROBE_H

#include "idt.h"

#define CR4_PCIDE (1ul << 17)
#define CR4_LA57 (1ul << 12)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)
#define CR4_PKE (1ul << 22)

#define PF_P 1
#define PF_W 2
#define PF_U 4
#define PF_RSVD 8
#define PF_FETCH 16
#define PF_PK 32

/* Guest memory that tests agree on: tables, and pages full of RETs. */
#define PROBE_TABLE 0xc000
#define PROBE_TABLE_2 0xd000
#define PROBE_PAGE_A GUEST_FREE
#define PROBE_PAGE_B (GUEST_FREE + GUEST_PAGE)
/* The directory of the first GiB. */
#define PROBE_PD (GUEST_TABLES + 2 * GUEST_PAGE)

enum probe_flush { FLUSH_NONE, FLUSH_INVLPG, FLUSH_CR3 };
enum probe_access { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

struct probe {
	uint64_t at[2], value[2]; /* edits, if at isn't 0 */
	enum probe_flush flush;
	uint64_t cr3; /* for FLUSH_CR3; 0: GUEST_TABLES */
	enum probe_access access;
	uint64_t va, data; /* data: what is written, or was read */
	bool user;
	bool ac;
	bool pke;      /* load pkru first */
	uint32_t pkru;
	/* What came of it. */
	bool faulted;
	uint64_t vector, error, cr2;
	int exit;
};

/* Creates the guest, whose user mode sees the kernel's first 2M elsewhere. */
void probe_start(struct guest *g, int dev);
/* Exceptions are noted, and end the run as its last instruction does. */
void probe_run(struct guest *g, struct probe *p);
/*
 * In the mode of the run before, without KVM_SET_SREGS: what was made of the guest's
 * tables is not compared with them first.
 */
void probe_again(struct guest *g, struct probe *p);
/* Nothing but an access. */
struct probe probe_try(struct guest *g, enum probe_access access, uint64_t va);

/* Who makes an access, and which of CR0's and CR4's bits are set. */
struct probe_asker {
	enum probe_access access;
	bool user, ac, wp, smep, smap;
};

/*
 * APM vol. 2, 5.6: may it, if the entries on the way are present, and all of them have
 * these bits, and any has those?  Protection keys aside.
 */
bool probe_permits(uint64_t all, uint64_t any, const struct probe_asker *asker);

/* CR4's SMEP and SMAP, where the device has them. */
uint32_t probe_cr4_bits(int dev);

/* The first word of guest memory there. */
uint64_t probe_word(struct guest *g, uint64_t gpa);

#endif
