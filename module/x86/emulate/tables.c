// SPDX-License-Identifier: GPL-2.0-only
/* The opcode maps: what is emulated, and how its operands are encoded. */
#include "internal.h"

#define ENTRY(op_, dst_, src_, flags_)                                     \
	{                                                                  \
		.op = OP_##op_, .dst = FORM_##dst_, .src = FORM_##src_,    \
		.flags = (flags_)                                          \
	}
/* A byte form and, at the next opcode, its full-size form. */
#define PAIR(code, op_, dst_, src_, flags_)                                \
	[code] = ENTRY(op_, dst_, src_, (flags_) | F_BYTE),                \
	[(code) + 1] = ENTRY(op_, dst_, src_, flags_)
#define GROUP(group_, flags_)                                              \
	{                                                                  \
		.op = OP_GROUP, .dst = GROUP_##group_, .flags = F_MODRM | (flags_) \
	}
#define ALU(code, op_, wr, lock)                                           \
	PAIR((code), op_, RM, REG, F_MODRM | F_READ | (wr) | (lock)),      \
	PAIR((code) + 2, op_, REG, RM, F_MODRM | F_READ | (wr)),           \
	PAIR((code) + 4, op_, ACC, IMM, F_READ | (wr))

enum {
	GROUP_1_BYTE, /* 80, 82 */
	GROUP_1, /* 81 */
	GROUP_1_IMM8, /* 83 */
	GROUP_1A, /* 8F */
	GROUP_2_IMM_BYTE, /* C0 */
	GROUP_2_IMM, /* C1 */
	GROUP_2_ONE_BYTE, /* D0 */
	GROUP_2_ONE, /* D1 */
	GROUP_2_CL_BYTE, /* D2 */
	GROUP_2_CL, /* D3 */
	GROUP_3_BYTE, /* F6 */
	GROUP_3, /* F7 */
	GROUP_4, /* FE */
	GROUP_5, /* FF */
	GROUP_7, /* 0F 01 */
	GROUP_8, /* 0F BA */
	GROUP_9, /* 0F C7 */
	GROUP_11_BYTE, /* C6 */
	GROUP_11, /* C7 */
	NR_GROUPS,
};

#define GROUP_ALU(src_, extra)                                             \
	{                                                                  \
		ENTRY(ADD, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(OR, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),   \
		ENTRY(ADC, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(SBB, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(AND, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(SUB, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(XOR, RM, src_, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(CMP, RM, src_, F_MODRM | F_READ | (extra)),          \
	}
#define GROUP_SHIFT(src_, extra)                                           \
	{                                                                  \
		ENTRY(ROL, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(ROR, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(RCL, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(RCR, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(SHL, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(SHR, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(SHL, RM, src_, F_MODRM | F_RMW | (extra)),           \
		ENTRY(SAR, RM, src_, F_MODRM | F_RMW | (extra)),           \
	}
#define GROUP_UNARY(extra)                                                 \
	{                                                                  \
		ENTRY(TEST, RM, IMM, F_MODRM | F_READ | (extra)),          \
		ENTRY(TEST, RM, IMM, F_MODRM | F_READ | (extra)),          \
		ENTRY(NOT, RM, NONE, F_MODRM | F_RMW | F_LOCK | (extra)),  \
		ENTRY(NEG, RM, NONE, F_MODRM | F_RMW | F_LOCK | (extra)),  \
	}

static const struct emul_entry groups[NR_GROUPS][8] = {
	[GROUP_1_BYTE] = GROUP_ALU(IMM8, F_BYTE),
	[GROUP_1] = GROUP_ALU(IMM, 0),
	[GROUP_1_IMM8] = GROUP_ALU(IMM8, 0),
	[GROUP_1A] = { ENTRY(POP, RM, NONE, F_MODRM | F_WRITE | F_STACK) },
	[GROUP_2_IMM_BYTE] = GROUP_SHIFT(IMM8, F_BYTE),
	[GROUP_2_IMM] = GROUP_SHIFT(IMM8, 0),
	[GROUP_2_ONE_BYTE] = GROUP_SHIFT(ONE, F_BYTE),
	[GROUP_2_ONE] = GROUP_SHIFT(ONE, 0),
	[GROUP_2_CL_BYTE] = GROUP_SHIFT(CL, F_BYTE),
	[GROUP_2_CL] = GROUP_SHIFT(CL, 0),
	[GROUP_3_BYTE] = GROUP_UNARY(F_BYTE),
	[GROUP_3] = GROUP_UNARY(0),
	[GROUP_4] = {
		ENTRY(INC, RM, NONE, F_MODRM | F_RMW | F_LOCK | F_BYTE),
		ENTRY(DEC, RM, NONE, F_MODRM | F_RMW | F_LOCK | F_BYTE),
	},
	[GROUP_5] = {
		ENTRY(INC, RM, NONE, F_MODRM | F_RMW | F_LOCK),
		ENTRY(DEC, RM, NONE, F_MODRM | F_RMW | F_LOCK),
		[6] = ENTRY(PUSH, NONE, RM, F_MODRM | F_STACK),
	},
	[GROUP_7] = {
		[7] = ENTRY(INVLPG, RM, NONE, F_MODRM | F_MEM | F_BYTE),
	},
	[GROUP_8] = {
		[4] = ENTRY(BT, RM, IMM8, F_MODRM | F_READ),
		[5] = ENTRY(BTS, RM, IMM8, F_MODRM | F_RMW | F_LOCK),
		[6] = ENTRY(BTR, RM, IMM8, F_MODRM | F_RMW | F_LOCK),
		[7] = ENTRY(BTC, RM, IMM8, F_MODRM | F_RMW | F_LOCK),
	},
	[GROUP_9] = {
		[1] = ENTRY(CMPXCHG_PAIR, RM, NONE, F_MODRM | F_LOCK | F_MEM),
	},
	[GROUP_11_BYTE] = { ENTRY(MOV, RM, IMM, F_MODRM | F_WRITE | F_BYTE) },
	[GROUP_11] = { ENTRY(MOV, RM, IMM, F_MODRM | F_WRITE) },
};

static const struct emul_entry map_one_byte[256] = {
	ALU(0x00, ADD, F_WRITE, F_LOCK),
	ALU(0x08, OR, F_WRITE, F_LOCK),
	ALU(0x10, ADC, F_WRITE, F_LOCK),
	ALU(0x18, SBB, F_WRITE, F_LOCK),
	ALU(0x20, AND, F_WRITE, F_LOCK),
	ALU(0x28, SUB, F_WRITE, F_LOCK),
	ALU(0x30, XOR, F_WRITE, F_LOCK),
	ALU(0x38, CMP, 0, 0),
	[0x50 ... 0x57] = ENTRY(PUSH, NONE, OPREG, F_STACK),
	[0x58 ... 0x5f] = ENTRY(POP, OPREG, NONE, F_WRITE | F_STACK),
	[0x63] = ENTRY(MOVSX, REG, RM32, F_MODRM | F_WRITE | F_ONLY64),
	[0x68] = ENTRY(PUSH, NONE, IMM, F_STACK),
	[0x69] = ENTRY(IMUL, REG, IMM, F_MODRM | F_WRITE | F_SRC2_RM),
	[0x6a] = ENTRY(PUSH, NONE, IMM8, F_STACK),
	[0x6b] = ENTRY(IMUL, REG, IMM8, F_MODRM | F_WRITE | F_SRC2_RM),
	PAIR(0x6c, INS, NONE, DX, 0),
	PAIR(0x6e, OUTS, NONE, DX, 0),
	[0x80] = GROUP(1_BYTE, 0),
	[0x81] = GROUP(1, 0),
	[0x82] = GROUP(1_BYTE, F_NO64),
	[0x83] = GROUP(1_IMM8, 0),
	PAIR(0x84, TEST, RM, REG, F_MODRM | F_READ),
	PAIR(0x86, XCHG, RM, REG, F_MODRM | F_RMW | F_LOCK),
	PAIR(0x88, MOV, RM, REG, F_MODRM | F_WRITE),
	PAIR(0x8a, MOV, REG, RM, F_MODRM | F_WRITE),
	[0x8c] = ENTRY(MOV, RM, SREG, F_MODRM | F_WRITE),
	[0x8f] = GROUP(1A, 0),
	PAIR(0xa0, MOV, ACC, MOFFS, F_WRITE),
	PAIR(0xa2, MOV, MOFFS, ACC, F_WRITE),
	PAIR(0xa4, MOVS, NONE, NONE, 0),
	PAIR(0xa6, CMPS, NONE, NONE, 0),
	PAIR(0xa8, TEST, ACC, IMM, F_READ),
	PAIR(0xaa, STOS, NONE, NONE, 0),
	PAIR(0xac, LODS, NONE, NONE, 0),
	PAIR(0xae, SCAS, NONE, NONE, 0),
	[0xc0] = GROUP(2_IMM_BYTE, 0),
	[0xc1] = GROUP(2_IMM, 0),
	[0xc6] = GROUP(11_BYTE, 0),
	[0xc7] = GROUP(11, 0),
	[0xd0] = GROUP(2_ONE_BYTE, 0),
	[0xd1] = GROUP(2_ONE, 0),
	[0xd2] = GROUP(2_CL_BYTE, 0),
	[0xd3] = GROUP(2_CL, 0),
	PAIR(0xe4, IN, ACC, IMM8, F_WRITE),
	PAIR(0xe6, OUT, ACC, IMM8, F_READ),
	PAIR(0xec, IN, ACC, DX, F_WRITE),
	PAIR(0xee, OUT, ACC, DX, F_READ),
	[0xf6] = GROUP(3_BYTE, 0),
	[0xf7] = GROUP(3, 0),
	[0xfe] = GROUP(4, 0),
	[0xff] = GROUP(5, 0),
};

static const struct emul_entry map_0f[256] = {
	[0x01] = GROUP(7, 0),
	[0x10 ... 0x11] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0x28 ... 0x29] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0x2b] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0x40 ... 0x4f] = ENTRY(CMOVCC, REG, RM, F_MODRM | F_RMW),
	[0x6e ... 0x6f] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0x7e ... 0x7f] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0x90 ... 0x9f] = ENTRY(SETCC, RM, NONE, F_MODRM | F_WRITE | F_BYTE),
	[0xa3] = ENTRY(BT, RM, REG, F_MODRM | F_READ),
	[0xa4] = ENTRY(SHLD, RM, IMM8, F_MODRM | F_RMW | F_SRC2_REG),
	[0xa5] = ENTRY(SHLD, RM, CL, F_MODRM | F_RMW | F_SRC2_REG),
	[0xab] = ENTRY(BTS, RM, REG, F_MODRM | F_RMW | F_LOCK),
	[0xac] = ENTRY(SHRD, RM, IMM8, F_MODRM | F_RMW | F_SRC2_REG),
	[0xad] = ENTRY(SHRD, RM, CL, F_MODRM | F_RMW | F_SRC2_REG),
	[0xaf] = ENTRY(IMUL, REG, RM, F_MODRM | F_RMW),
	PAIR(0xb0, CMPXCHG, RM, REG, F_MODRM | F_RMW | F_LOCK),
	[0xb3] = ENTRY(BTR, RM, REG, F_MODRM | F_RMW | F_LOCK),
	[0xb6] = ENTRY(MOV, REG, RM8, F_MODRM | F_WRITE),
	[0xb7] = ENTRY(MOV, REG, RM16, F_MODRM | F_WRITE),
	[0xba] = GROUP(8, 0),
	[0xbb] = ENTRY(BTC, RM, REG, F_MODRM | F_RMW | F_LOCK),
	[0xbe] = ENTRY(MOVSX, REG, RM8, F_MODRM | F_WRITE),
	[0xbf] = ENTRY(MOVSX, REG, RM16, F_MODRM | F_WRITE),
	PAIR(0xc0, XADD, RM, REG, F_MODRM | F_RMW | F_LOCK),
	[0xc3] = ENTRY(MOV, RM, REG, F_MODRM | F_WRITE | F_MEM | F_DWORD | F_NOPREFIX),
	[0xc7] = GROUP(9, 0),
	[0xd6] = ENTRY(SSE, RM, NONE, F_MODRM),
	[0xe7] = ENTRY(SSE, RM, NONE, F_MODRM),
};

/* 0F 38 F0 and F1. */
static const struct emul_entry movbe[2] = {
	ENTRY(MOVBE, REG, RM, F_MODRM | F_WRITE | F_MEM),
	ENTRY(MOVBE, RM, REG, F_MODRM | F_WRITE | F_MEM),
};

const struct emul_entry *emul_lookup(u16 opcode)
{
	static const struct emul_entry unknown;

	switch (opcode >> 8) {
	case 0:
		return &map_one_byte[opcode];
	case 1:
		return &map_0f[opcode & 0xff];
	default:
		return opcode == 0x2f0 || opcode == 0x2f1 ? &movbe[opcode & 1] : &unknown;
	}
}

const struct emul_entry *emul_lookup_group(const struct emul_entry *entry, u8 modrm)
{
	return &groups[entry->dst][modrm >> 3 & 7];
}
