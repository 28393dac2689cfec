// SPDX-License-Identifier: GPL-2.0-only
/* Execution: read, compute, write memory, and only then change registers. */
#include <linux/string.h>

#include "internal.h"

static int load(struct xvm_emul *e, struct xvm_emul_operand *o)
{
	switch (o->kind) {
	case EMUL_OPND_REG:
		o->val = emul_reg_read(e, o);
		return EMUL_OK;
	case EMUL_OPND_MEM:
		o->val = 0;
		return emul_mem_read(e, o->seg, o->ea, &o->val, o->size);
	case EMUL_OPND_SREG:
		o->val = e->seg[o->reg].sel;
		return EMUL_OK;
	case EMUL_OPND_IMM:
		o->val &= emul_mask(e->d.op_size);
		return EMUL_OK;
	default:
		return EMUL_OK;
	}
}

/*
 * Read-modify-write faults as a write does, and before the read: reading a device can have effects
 * that a faulting instruction must not have.
 */
static int load_dst(struct xvm_emul *e, struct xvm_emul_operand *o)
{
	u64 linear;
	int rc;

	if (o->kind == EMUL_OPND_MEM && e->d.flags & F_WRITE) {
		rc = emul_linearize(e, o->seg, o->ea, o->size, true, &linear);
		if (!rc)
			rc = e->ops->probe_write(e, linear, o->size);
		if (rc)
			return rc;
	}
	return load(e, o);
}

static int store_mem(struct xvm_emul *e, const struct xvm_emul_operand *o, u64 old, u64 val)
{
	/* XCHG with memory locks without being told. */
	if (e->d.lock || e->d.op == OP_XCHG)
		return emul_mem_cmpxchg(e, o->seg, o->ea, &old, &val, o->size);
	return emul_mem_write(e, o->seg, o->ea, &val, o->size);
}

static u64 byte_swap(u64 val, unsigned int size)
{
	return __builtin_bswap64(val) >> (64 - size * 8);
}

/* Sets dst.val and @flags from the operands; and src.val, for operations that write it too. */
static void compute(struct xvm_emul *e, u64 *flags)
{
	struct xvm_emul_insn *d = &e->d;
	unsigned int size = d->op_size;
	u64 old = d->dst.val, src = d->src.val;

	switch (d->op) {
	case OP_ADD ... OP_CMP:
	case OP_TEST:
	case OP_NEG:
		d->dst.val = emul_alu(d->op, size, old, src, flags);
		break;
	case OP_ROL ... OP_SAR:
		d->dst.val = emul_shift(d->op, size, old, src & 0xff, flags);
		break;
	case OP_SHLD:
	case OP_SHRD:
		d->dst.val = emul_shift_double(d->op, size, old, d->src2.val, src & 0xff, flags);
		break;
	case OP_BT ... OP_BTC:
		d->dst.val = emul_bit(d->op, size, old, src, flags);
		break;
	case OP_INC:
	case OP_DEC:
		d->dst.val = emul_incdec(d->op, size, old, flags);
		break;
	case OP_NOT:
		d->dst.val = ~old & emul_mask(size);
		break;
	case OP_IMUL:
		if (d->flags & F_SRC2_RM)
			old = d->src2.val;
		d->dst.val = emul_imul(size, old, src, flags);
		break;
	case OP_MOV:
		d->dst.val = src;
		break;
	case OP_MOVSX:
		d->dst.val = emul_sext(src, d->src.size);
		break;
	case OP_MOVBE:
		d->dst.val = byte_swap(src, size);
		break;
	case OP_XCHG:
		d->dst.val = src;
		d->src.val = old;
		break;
	case OP_XADD:
		d->dst.val = emul_alu(OP_ADD, size, old, src, flags);
		d->src.val = old;
		break;
	case OP_SETCC:
		d->dst.val = emul_condition(d->opcode & 0xf, *flags);
		break;
	case OP_CMOVCC:
		if (emul_condition(d->opcode & 0xf, *flags))
			d->dst.val = src;
		break;
	}
}

static int exec_plain(struct xvm_emul *e)
{
	struct xvm_emul_insn *d = &e->d;
	u64 flags = e->rflags;
	int rc = load(e, &d->src);
	u64 old;

	if (!rc)
		rc = load(e, &d->src2);
	if (!rc && d->flags & F_READ)
		rc = load_dst(e, &d->dst);
	if (rc)
		return rc;

	old = d->dst.val;
	compute(e, &flags);
	if (d->flags & F_WRITE && d->dst.kind == EMUL_OPND_MEM) {
		rc = store_mem(e, &d->dst, old, d->dst.val);
		if (!emul_written(rc))
			return rc;
	}
	/* The destination comes last: it wins when both are the same register. */
	if (d->op == OP_XCHG || d->op == OP_XADD)
		emul_reg_write(e, &d->src, d->src.val);
	if (d->flags & F_WRITE && d->dst.kind == EMUL_OPND_REG)
		emul_reg_write(e, &d->dst, d->dst.val);
	e->rflags = flags;
	emul_commit(e);
	return rc;
}

static int exec_cmpxchg(struct xvm_emul *e)
{
	struct xvm_emul_insn *d = &e->d;
	struct xvm_emul_operand acc = {
		.kind = EMUL_OPND_REG, .size = d->op_size, .reg = REG_AX,
	};
	u64 flags = e->rflags;
	int rc = load_dst(e, &d->dst);
	u64 expect, val;
	bool equal;

	if (rc)
		return rc;
	load(e, &d->src);
	expect = emul_reg_read(e, &acc);
	emul_alu(OP_CMP, d->op_size, expect, d->dst.val, &flags);
	equal = flags & X86_EFLAGS_ZF;
	/* Memory is written in either case, with what it held if they differ. */
	val = equal ? d->src.val : d->dst.val;
	if (d->dst.kind == EMUL_OPND_MEM) {
		rc = store_mem(e, &d->dst, d->dst.val, val);
		if (!emul_written(rc))
			return rc;
	} else if (equal) {
		emul_reg_write(e, &d->dst, val);
	}
	if (!equal)
		emul_reg_write(e, &acc, d->dst.val);
	e->rflags = flags;
	emul_commit(e);
	return rc;
}

/* CMPXCHG8B and CMPXCHG16B. */
static int exec_cmpxchg_pair(struct xvm_emul *e)
{
	struct xvm_emul_insn *d = &e->d;
	unsigned int half = d->op_size == 8 ? 8 : 4;
	u64 mask = emul_mask(half);
	u64 old_lo = 0, old_hi = 0, new_lo, new_hi, linear;
	u8 old[16], new[16];
	bool equal;
	int rc;

	rc = emul_linearize(e, d->dst.seg, d->dst.ea, half * 2, true, &linear);
	/* Alignment is checked first: #GP even where the stack segment would give #SS. */
	if (half == 8 && linear % 16)
		return emul_fault_code(e, VEC_GP, 0);
	if (rc)
		return rc;
	rc = e->ops->probe_write(e, linear, half * 2);
	if (!rc)
		rc = e->ops->read(e, linear, old, half * 2);
	if (rc)
		return rc;
	memcpy(&old_lo, old, half);
	memcpy(&old_hi, old + half, half);

	equal = old_lo == (e->regs[REG_AX] & mask) && old_hi == (e->regs[REG_DX] & mask);
	new_lo = equal ? e->regs[REG_BX] : old_lo;
	new_hi = equal ? e->regs[REG_CX] : old_hi;
	memcpy(new, &new_lo, half);
	memcpy(new + half, &new_hi, half);
	if (d->lock)
		rc = e->ops->locked_write(e, linear, old, new, half * 2);
	else
		rc = e->ops->write(e, linear, new, half * 2);
	if (!emul_written(rc))
		return rc;

	if (equal) {
		e->rflags |= X86_EFLAGS_ZF;
	} else {
		e->rflags &= ~X86_EFLAGS_ZF;
		e->regs[REG_AX] = old_lo;
		e->regs[REG_DX] = old_hi;
	}
	emul_commit(e);
	return rc;
}

static struct xvm_emul_operand stack_pointer(const struct xvm_emul *e)
{
	struct xvm_emul_operand sp = { .kind = EMUL_OPND_REG, .reg = REG_SP };

	if (e->mode == EMUL_MODE_LONG64)
		sp.size = 8;
	else
		sp.size = e->seg[EMUL_SEG_SS].attrib & SEG_DB ? 4 : 2;
	return sp;
}

static int exec_push(struct xvm_emul *e)
{
	struct xvm_emul_operand sp = stack_pointer(e);
	struct xvm_emul_insn *d = &e->d;
	u64 top = (emul_reg_read(e, &sp) - d->op_size) & emul_mask(sp.size);
	int rc = load(e, &d->src);

	if (rc)
		return rc;
	rc = emul_mem_write(e, EMUL_SEG_SS, top, &d->src.val, d->op_size);
	if (!emul_written(rc))
		return rc;
	emul_reg_write(e, &sp, top);
	emul_commit(e);
	return rc;
}

static int exec_pop(struct xvm_emul *e)
{
	struct xvm_emul_operand sp = stack_pointer(e);
	struct xvm_emul_insn *d = &e->d;
	u64 top = emul_reg_read(e, &sp), val = 0;
	int rc = emul_mem_read(e, EMUL_SEG_SS, top, &val, d->op_size);

	if (rc)
		return rc;
	if (d->dst.kind == EMUL_OPND_MEM) {
		rc = emul_mem_write(e, d->dst.seg, d->dst.ea, &val, d->op_size);
		if (!emul_written(rc))
			return rc;
	}
	emul_reg_write(e, &sp, top + d->op_size);
	/* After the stack pointer: POP SP keeps what it popped. */
	if (d->dst.kind == EMUL_OPND_REG)
		emul_reg_write(e, &d->dst, val);
	emul_commit(e);
	return rc;
}

static int exec_invlpg(struct xvm_emul *e)
{
	struct xvm_emul_operand *o = &e->d.dst;
	u64 linear;

	if (!e->ops->invlpg)
		return EMUL_UNHANDLED;
	if (e->cpl)
		return emul_fault_code(e, VEC_GP, 0);
	/* Nothing is accessed: limits don't matter, nor does an address that isn't canonical. */
	emul_linearize(e, o->seg, o->ea, 1, false, &linear);
	e->ops->invlpg(e, linear);
	emul_commit(e);
	return EMUL_OK;
}

int xvm_emul_exec(struct xvm_emul *e)
{
	e->committed = false;
	e->again = false;
	switch (e->d.op) {
	case OP_CMPXCHG:
		return exec_cmpxchg(e);
	case OP_CMPXCHG_PAIR:
		return exec_cmpxchg_pair(e);
	case OP_PUSH:
		return exec_push(e);
	case OP_POP:
		return exec_pop(e);
	case OP_MOVS ... OP_SCAS:
		return emul_exec_string(e);
	case OP_INS ... OP_OUT:
		return emul_exec_port(e);
	case OP_SSE:
		return emul_exec_sse(e);
	case OP_INVLPG:
		return exec_invlpg(e);
	case OP_NONE:
		return EMUL_UNHANDLED;
	default:
		return exec_plain(e);
	}
}
