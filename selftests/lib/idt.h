/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exceptions in a long-mode guest: an IDT whose handlers write down what they
 * were given and go on.
 */
#ifndef SELFTESTS_IDT_H
#define SELFTESTS_IDT_H

#define IDT_STUBS 0xa000  /* 256 entries of 16 bytes */
#define IDT_COMMON 0xb000 /* what all of them jump to */
#define IDT_RECORD 0x20000
#define IDT_USER_STACK 0x1e000

/* Offsets in the record, for the assembler. */
#define RECORD_COUNT 0
#define RECORD_VECTOR 8
#define RECORD_ERROR 16
#define RECORD_RIP 24
#define RECORD_CS 32
#define RECORD_RFLAGS 40
#define RECORD_RSP 48
#define RECORD_CR2 56
#define RECORD_DR6 64
#define RECORD_RESUME 72

#define GUEST_USER_CS 0x4b
#define GUEST_USER_DS 0x43

#ifndef __ASSEMBLER__

#include "guest.h"

struct idt_record {
	uint64_t count; /* of exceptions */
	uint64_t vector, error, rip, cs, rflags, rsp; /* of the last one */
	uint64_t cr2, dr6;
	uint64_t resume; /* where the handler returns to; 0: to where it was */
};

/* After guest_long_mode(): writes the IDT and handlers, sets IDTR. */
void guest_set_idt(struct guest *g, struct vcpu *v);
struct idt_record *guest_record(struct guest *g);

/*
 * Replaces the large page at va by small ones, in a table at table_gpa; returns
 * its 512 entries.
 */
uint64_t *guest_split(struct guest *g, uint64_t va, uint64_t table_gpa);

#endif
#endif
