/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the emulator's own files. */
#ifndef XVM_X86_EMULATE_INTERNAL_H
#define XVM_X86_EMULATE_INTERNAL_H

#include <asm/processor-flags.h>
#include <linux/bits.h>

#include "emulate.h"

#define PAGE_BYTES 4096

#define REX_B 1
#define REX_X 2
#define REX_R 4
#define REX_W 8

/* Segment attributes, as in the VMCB. */
#define SEG_TYPE_RW 0x2 /* data: writable; code: readable */
#define SEG_TYPE_DOWN 0x4 /* data: expands down */
#define SEG_TYPE_CODE 0x8
#define SEG_S 0x10
#define SEG_P 0x80
#define SEG_DB 0x400

enum { REG_AX, REG_CX, REG_DX, REG_BX, REG_SP, REG_BP, REG_SI, REG_DI };

#define VEC_UD 6
#define VEC_NM 7
#define VEC_SS 12
#define VEC_GP 13

enum emul_op {
	OP_NONE, /* not known here */
	OP_GROUP, /* dst of the entry names the group */

	OP_ADD,
	OP_OR,
	OP_ADC,
	OP_SBB,
	OP_AND,
	OP_SUB,
	OP_XOR,
	OP_CMP,

	OP_ROL,
	OP_ROR,
	OP_RCL,
	OP_RCR,
	OP_SHL,
	OP_SHR,
	OP_SAR,

	OP_BT,
	OP_BTS,
	OP_BTR,
	OP_BTC,

	OP_TEST,
	OP_NOT,
	OP_NEG,
	OP_INC,
	OP_DEC,
	OP_SHLD,
	OP_SHRD,
	OP_IMUL,

	OP_MOV,
	OP_MOVSX,
	OP_MOVBE,
	OP_XCHG,
	OP_XADD,
	OP_CMPXCHG,
	OP_CMPXCHG_PAIR,
	OP_SETCC,
	OP_CMOVCC,

	OP_PUSH,
	OP_POP,

	OP_MOVS,
	OP_CMPS,
	OP_STOS,
	OP_LODS,
	OP_SCAS,
	OP_INS,
	OP_OUTS,
	OP_IN,
	OP_OUT,

	OP_SSE,
	OP_INVLPG,
};

/* How an operand is encoded. */
enum emul_form {
	FORM_NONE,
	FORM_RM, /* register or memory, by ModRM */
	FORM_RM8, /* the same, a byte whatever the operand size */
	FORM_RM16,
	FORM_RM32,
	FORM_REG, /* ModRM.reg */
	FORM_OPREG, /* low bits of the opcode */
	FORM_SREG, /* ModRM.reg, a segment register */
	FORM_ACC,
	FORM_MOFFS,
	FORM_IMM, /* up to 32 bits, sign-extended */
	FORM_IMM8, /* 8 bits, sign-extended */
	FORM_ONE,
	FORM_CL,
	FORM_DX,
};

enum {
	F_MODRM = 1 << 0,
	F_BYTE = 1 << 1, /* operand size is a byte */
	F_READ = 1 << 2, /* dst is read */
	F_WRITE = 1 << 3, /* dst is written */
	F_LOCK = 1 << 4, /* LOCK is allowed if dst is memory */
	F_STACK = 1 << 5, /* operand size in 64-bit mode is 64 or 16 bits */
	F_NO64 = 1 << 6, /* invalid in 64-bit mode */
	F_ONLY64 = 1 << 7, /* something else outside 64-bit mode */
	F_MEM = 1 << 8, /* invalid with a register */
	F_SRC2_REG = 1 << 9, /* a third operand: ModRM.reg */
	F_SRC2_RM = 1 << 10, /* a third operand: register or memory */
	F_NOPREFIX = 1 << 11, /* something else with 66, F2 or F3 */
	F_DWORD = 1 << 12, /* operand size is 32 bits, or 64 with REX.W */
	F_RMW = F_READ | F_WRITE,
};

struct emul_entry {
	u8 op;
	u8 dst;
	u8 src;
	u16 flags;
};

/* tables.c: the entry for an opcode as in xvm_emul_insn, groups resolved by ModRM.reg. */
const struct emul_entry *emul_lookup(u16 opcode);
const struct emul_entry *emul_lookup_group(const struct emul_entry *entry, u8 modrm);

/* operand.c */
u64 emul_mask(unsigned int size);
u64 emul_sext(u64 val, unsigned int size);
bool emul_canonical(const struct xvm_emul *e, u64 linear);
int emul_fault(struct xvm_emul *e, u8 vector);
int emul_fault_code(struct xvm_emul *e, u8 vector, u32 error);
/* Segmentation: limit, rights, canonical form.  EMUL_OK or EMUL_FAULT; sets @linear in any case. */
int emul_linearize(struct xvm_emul *e, unsigned int seg, u64 ea, unsigned int size, bool write,
		   u64 *linear);
u64 emul_reg_read(const struct xvm_emul *e, const struct xvm_emul_operand *o);
void emul_reg_write(struct xvm_emul *e, const struct xvm_emul_operand *o, u64 val);
/* A register used as an address or a counter of addr_size bytes. */
u64 emul_addr_reg(const struct xvm_emul *e, unsigned int reg);
void emul_addr_reg_set(struct xvm_emul *e, unsigned int reg, u64 val);
int emul_mem_read(struct xvm_emul *e, unsigned int seg, u64 ea, void *buf, unsigned int size);
int emul_mem_write(struct xvm_emul *e, unsigned int seg, u64 ea, const void *buf,
		   unsigned int size);
int emul_mem_cmpxchg(struct xvm_emul *e, unsigned int seg, u64 ea, const void *old,
		     const void *new, unsigned int size);
/* Advances rip past the instruction and marks the state as changed. */
void emul_commit(struct xvm_emul *e);

/* alu.c: results and flags.  Flags that the manual leaves undefined are named there. */
u64 emul_alu(u8 op, unsigned int size, u64 dst, u64 src, u64 *flags);
u64 emul_incdec(u8 op, unsigned int size, u64 dst, u64 *flags);
u64 emul_shift(u8 op, unsigned int size, u64 dst, unsigned int count, u64 *flags);
u64 emul_shift_double(u8 op, unsigned int size, u64 dst, u64 src, unsigned int count, u64 *flags);
u64 emul_bit(u8 op, unsigned int size, u64 dst, u64 bit, u64 *flags);
u64 emul_imul(unsigned int size, u64 a, u64 b, u64 *flags);
bool emul_condition(u8 cc, u64 flags);

int emul_exec_string(struct xvm_emul *e); /* string.c */
int emul_exec_port(struct xvm_emul *e); /* port.c: IN, OUT, INS, OUTS */
int emul_exec_sse(struct xvm_emul *e); /* sse.c */

/* string.c: after an iteration of a repeated instruction that did @count elements. */
void emul_rep_step(struct xvm_emul *e, u64 count, bool stop);
bool emul_rep_done(struct xvm_emul *e);

/* A write that returned this has taken place. */
static inline bool emul_written(int rc)
{
	return rc == EMUL_OK || rc == EMUL_EXIT;
}

#endif
