/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instructions of the mmio test.  The assembler builds the table: a case is
 * its text, assembled, and how often it reads and writes the device.
 *
 * Registers at the start: rbx, rbp, rdi, r11, r12, r13 point into the device's
 * window at MMIO_VA; rsi, r10, r14 are small indices; rcx is 5.  In 16 and 32
 * bits ds, es, gs, ss have the window as their base and fs is flat; in 16 bits
 * the window begins at 0.
 */
#ifndef SELFTESTS_MMIO_CASES_H
#define SELFTESTS_MMIO_CASES_H

#include <stdint.h>

#define MMIO_VA 0x200000
#define MMIO_SCRATCH 0x60000 /* plain memory, compared as well */

/* Groups: macros and not an enum, because the assembler reads them too. */
#define MMIO_MOV 0
#define MMIO_EXTEND 1
#define MMIO_ARITHMETIC 2
#define MMIO_LOGIC 3
#define MMIO_EXCHANGE 4
#define MMIO_STRING 5
#define MMIO_ADDRESSING 6

struct mmio_case {
	const uint8_t *start, *end;
	const char *text;
	int bits, group;
	int len; /* of the last access */
	int reads, writes;
};

/* The linker's names for the ends of the table. */
extern const struct mmio_case __start_mmio_cases[], __stop_mmio_cases[];

#endif
