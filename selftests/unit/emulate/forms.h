/* SPDX-License-Identifier: GPL-2.0-only */
/* Instruction forms, and random instances of them that are safe to run natively. */
#ifndef FORMS_H
#define FORMS_H

#include <linux/types.h>

#include "native.h"

/* All memory that instances touch: two pages between unmapped ones. */
#define DATA_BASE 0x10000000ULL
#define DATA_SIZE 8192U

#define CF 0x001U
#define PF 0x004U
#define AF 0x010U
#define ZF 0x040U
#define SF 0x080U
#define DF 0x400U
#define OF 0x800U
#define ARITH (CF | PF | AF | ZF | SF | OF)

enum {
	T_MODRM = 1 << 0,
	T_BYTE = 1 << 1,
	T_IMM8 = 1 << 2,
	T_IMMZ = 1 << 3, /* 1, 2 or 4 bytes, with the operand size */
	T_MEM = 1 << 4, /* memory only */
	T_LOCK = 1 << 5,
	T_STACK = 1 << 6,
	T_STRING = 1 << 7,
	T_MOFFS = 1 << 8,
	T_ONE = 1 << 9, /* count of a shift: 1; else CL or the immediate */
	T_CL = 1 << 10,
	T_SHIFT = 1 << 11,
	T_BITREG = 1 << 12, /* bit offset in ModRM.reg */
	T_LOW3 = 1 << 13, /* a register in the opcode */
	T_CC = 1 << 14, /* a condition in the opcode */
	T_ACC = 1 << 15, /* compares with the accumulator */
	T_PAIR = 1 << 16, /* compares with DX:AX */
	T_NOPREFIX = 1 << 17, /* 66, F2 and F3 make it another instruction */
	T_ALIGN = 1 << 18, /* 16 bytes */
	T_DOUBLE = 1 << 19, /* SHLD, SHRD */
	T_PORT = 1 << 20,
	T_NOREP = 1 << 21, /* F2 and F3 make it another instruction */
	T_ONLY64 = 1 << 22,
	T_INVALID = 1 << 23,
};

struct form {
	const char *name;
	u8 opcode[3];
	u8 opcode_len;
	u8 ext; /* ModRM.reg plus 1, or 0 for a register there */
	u8 prefix; /* mandatory, or 0 */
	u32 flags;
	u32 undefined; /* flags, whatever the operands */
};

extern const struct form forms[];
extern const unsigned int nr_forms;

/* Where instances run. */
struct world {
	unsigned int bits; /* 16, 32 or 64: the code segment's */
	struct xvm_emul_seg seg[EMUL_NR_SEGS];
};

struct instance {
	u8 insn[40];
	unsigned int len;
	struct native_state st;
	u32 undefined; /* flags */
};

/* @mem: the contents of the data pages, which an instance may be made to match. */
void instantiate(const struct form *form, const struct world *world, const u8 *mem,
		 struct instance *inst);

#endif
