// SPDX-License-Identifier: GPL-2.0-only
/* From bytes to an operation and its operands. */
#include <linux/string.h>

#include "internal.h"

/* What reading the instruction has come to; after an error every byte reads as 0. */
struct cursor {
	struct xvm_emul *e;
	int rc;
	int seg_override; /* or -1 */
	bool addr_override;
	bool rip_relative;
	bool sp_based;
};

static int fetch_more(struct xvm_emul *e)
{
	const struct xvm_emul_seg *cs = &e->seg[EMUL_SEG_CS];
	unsigned int len = EMUL_INSN_MAX - e->insn_avail;
	u64 linear = e->rip + e->insn_avail;
	int got;

	if (e->mode == EMUL_MODE_LONG64) {
		if (!emul_canonical(e, linear))
			return emul_fault_code(e, VEC_GP, 0);
	} else {
		if (linear > cs->limit)
			return emul_fault_code(e, VEC_GP, 0);
		if (len > cs->limit - linear + 1)
			len = cs->limit - linear + 1;
		linear = (u32)(cs->base + linear);
	}
	/* Only a byte that is needed may fault: stop at the page's end. */
	if (len > PAGE_BYTES - linear % PAGE_BYTES)
		len = PAGE_BYTES - linear % PAGE_BYTES;

	got = e->ops->fetch(e, linear, e->insn + e->insn_avail, len);
	if (got <= 0)
		return got ? -got : EMUL_UNHANDLED;
	e->insn_avail += (unsigned int)got < len ? got : len;
	return EMUL_OK;
}

static u8 next_byte(struct cursor *c)
{
	struct xvm_emul *e = c->e;

	if (!c->rc && e->insn_len == EMUL_INSN_MAX)
		c->rc = emul_fault_code(e, VEC_GP, 0);
	if (!c->rc && e->insn_len == e->insn_avail)
		c->rc = fetch_more(e);
	return c->rc ? 0 : e->insn[e->insn_len++];
}

/* A little-endian number of @size bytes, sign-extended. */
static u64 next_signed(struct cursor *c, unsigned int size)
{
	u64 val = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		val |= (u64)next_byte(c) << i * 8;
	return emul_sext(val, size);
}

/* Returns the first byte of the opcode. */
static u8 read_prefixes(struct cursor *c)
{
	struct xvm_emul_insn *d = &c->e->d;
	bool long64 = c->e->mode == EMUL_MODE_LONG64;

	for (;;) {
		u8 byte = next_byte(c);

		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* 64-bit mode has no use for ES, CS, SS and DS. */
			if (!long64)
				c->seg_override = byte >> 3 & 3;
			break;
		case 0x64:
		case 0x65:
			c->seg_override = byte - 0x64 + EMUL_SEG_FS;
			break;
		case 0x66:
			d->op_override = true;
			break;
		case 0x67:
			c->addr_override = true;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->rep = byte;
			break;
		default:
			if (!long64 || (byte & 0xf0) != 0x40)
				return byte;
			d->rex = byte;
			continue;
		}
		/* REX counts only right before the opcode. */
		d->rex = 0;
	}
}

static void read_opcode(struct cursor *c, u8 byte)
{
	struct xvm_emul_insn *d = &c->e->d;

	d->opcode = byte;
	if (byte == 0x0f) {
		byte = next_byte(c);
		d->opcode = 0x100 | byte;
		if (byte == 0x38)
			d->opcode = 0x200 | next_byte(c);
	}
	if (d->rep)
		d->prefix = d->rep;
	else
		d->prefix = d->op_override ? 0x66 : 0;
}

static void set_sizes(struct cursor *c, u16 flags)
{
	struct xvm_emul_insn *d = &c->e->d;
	enum emul_mode mode = c->e->mode;
	bool wide = mode == EMUL_MODE_PROT32 || mode == EMUL_MODE_LONG64;

	d->op_size = wide != d->op_override || flags & F_DWORD ? 4 : 2;
	d->addr_size = wide != c->addr_override ? 4 : 2;
	if (mode == EMUL_MODE_LONG64) {
		d->addr_size = c->addr_override ? 4 : 8;
		if (d->rex & REX_W || (flags & F_STACK && !d->op_override))
			d->op_size = 8;
	}
	if (flags & F_BYTE)
		d->op_size = 1;
}

static u64 ea16(struct cursor *c, unsigned int mod, unsigned int rm, u8 *seg)
{
	static const u8 base[8] = {
		REG_BX, REG_BX, REG_BP, REG_BP, REG_SI, REG_DI, REG_BP, REG_BX,
	};
	static const u8 index[4] = { REG_SI, REG_DI, REG_SI, REG_DI };
	u64 ea;

	if (mod == 0 && rm == 6)
		return next_signed(c, 2);

	ea = c->e->regs[base[rm]];
	if (rm < 4)
		ea += c->e->regs[index[rm]];
	if (base[rm] == REG_BP)
		*seg = EMUL_SEG_SS;
	if (mod)
		ea += next_signed(c, mod == 1 ? 1 : 2);
	return ea;
}

static u64 ea32(struct cursor *c, unsigned int mod, unsigned int rm, u8 *seg)
{
	const struct xvm_emul *e = c->e;
	u8 rex = e->d.rex;
	u64 ea = 0;

	if (rm == 4) {
		u8 sib = next_byte(c);
		unsigned int index = (sib >> 3 & 7) | (rex & REX_X ? 8 : 0);

		rm = sib & 7;
		if (index != REG_SP)
			ea = e->regs[index] << (sib >> 6);
		if (rm == 5 && mod == 0)
			return ea + next_signed(c, 4);
	} else if (rm == 5 && mod == 0) {
		c->rip_relative = e->mode == EMUL_MODE_LONG64;
		return next_signed(c, 4);
	}

	if (rm == REG_SP || rm == REG_BP) {
		if (!(rex & REX_B))
			*seg = EMUL_SEG_SS;
		c->sp_based = rm == REG_SP && !(rex & REX_B);
	}
	ea += e->regs[rm | (rex & REX_B ? 8 : 0)];
	if (mod)
		ea += next_signed(c, mod == 1 ? 1 : 4);
	return ea;
}

static void set_reg(const struct xvm_emul_insn *d, struct xvm_emul_operand *o, unsigned int reg,
		    unsigned int size)
{
	o->kind = EMUL_OPND_REG;
	o->size = size;
	o->reg = reg;
	if (size == 1 && !d->rex && reg >= 4) {
		o->reg = reg - 4;
		o->high = true;
	}
}

/* The register or memory operand of ModRM; its size is still to be set. */
static void read_rm(struct cursor *c, struct xvm_emul_operand *o)
{
	struct xvm_emul_insn *d = &c->e->d;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;

	if (mod == 3) {
		o->kind = EMUL_OPND_REG;
		o->reg = rm | (d->rex & REX_B ? 8 : 0);
		return;
	}
	o->kind = EMUL_OPND_MEM;
	o->seg = EMUL_SEG_DS;
	o->ea = d->addr_size == 2 ? ea16(c, mod, rm, &o->seg) : ea32(c, mod, rm, &o->seg);
	if (c->seg_override >= 0)
		o->seg = c->seg_override;
}

static void set_operand(struct cursor *c, struct xvm_emul_operand *o, u8 form,
			const struct xvm_emul_operand *rm)
{
	struct xvm_emul_insn *d = &c->e->d;
	unsigned int size = d->op_size;

	switch (form) {
	case FORM_RM8:
		size = 1;
		break;
	case FORM_RM16:
		size = 2;
		break;
	case FORM_RM32:
		size = 4;
		break;
	}

	switch (form) {
	case FORM_RM:
	case FORM_RM8:
	case FORM_RM16:
	case FORM_RM32:
		*o = *rm;
		o->size = size;
		if (o->kind == EMUL_OPND_REG)
			set_reg(d, o, rm->reg, size);
		break;
	case FORM_REG:
		set_reg(d, o, (d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0), size);
		break;
	case FORM_OPREG:
		set_reg(d, o, (d->opcode & 7) | (d->rex & REX_B ? 8 : 0), size);
		break;
	case FORM_SREG:
		o->kind = EMUL_OPND_SREG;
		o->reg = d->modrm >> 3 & 7;
		break;
	case FORM_ACC:
		o->kind = EMUL_OPND_REG;
		o->size = size;
		break;
	case FORM_CL:
		o->kind = EMUL_OPND_REG;
		o->size = 1;
		o->reg = REG_CX;
		break;
	case FORM_DX:
		o->kind = EMUL_OPND_REG;
		o->size = 2;
		o->reg = REG_DX;
		break;
	case FORM_MOFFS:
		o->kind = EMUL_OPND_MEM;
		o->size = size;
		o->seg = d->seg;
		o->ea = next_signed(c, d->addr_size) & emul_mask(d->addr_size);
		break;
	case FORM_IMM:
		o->kind = EMUL_OPND_IMM;
		o->val = next_signed(c, size > 4 ? 4 : size);
		break;
	case FORM_IMM8:
		o->kind = EMUL_OPND_IMM;
		o->val = next_signed(c, 1);
		break;
	case FORM_ONE:
		o->kind = EMUL_OPND_IMM;
		o->val = 1;
		break;
	}
}

/* What an address depends on beyond ModRM itself. */
static void finish_address(struct cursor *c, struct xvm_emul_operand *o)
{
	struct xvm_emul *e = c->e;
	struct xvm_emul_insn *d = &e->d;

	if (c->rip_relative)
		o->ea += e->rip + e->insn_len;
	/* POP computes its destination after it has moved the stack pointer. */
	if (d->op == OP_POP && c->sp_based)
		o->ea += d->op_size;
	if (d->op >= OP_BT && d->op <= OP_BTC && d->src.kind == EMUL_OPND_REG) {
		/* A bit string: the offset may reach far beyond the operand, both ways. */
		u64 bit = emul_sext(emul_reg_read(e, &d->src), d->op_size);

		o->ea += (s64)(bit & ~(u64)(d->op_size * 8 - 1)) >> 3;
	}
	o->ea &= emul_mask(d->addr_size);
}

static int check_valid(struct xvm_emul *e, const struct emul_entry *entry)
{
	const struct xvm_emul_insn *d = &e->d;

	if (e->mode == EMUL_MODE_LONG64 ? entry->flags & F_NO64 : entry->flags & F_ONLY64)
		return entry->flags & F_NO64 ? emul_fault(e, VEC_UD) : EMUL_UNHANDLED;
	if (entry->flags & F_NOPREFIX && d->prefix)
		return EMUL_UNHANDLED;
	/* F2 0F 38 F0 and F1 are CRC32; F3 stands for nothing there. */
	if (d->op == OP_MOVBE && d->rep)
		return EMUL_UNHANDLED;
	return EMUL_OK;
}

int xvm_emul_decode(struct xvm_emul *e)
{
	struct cursor c = { .e = e, .seg_override = -1 };
	struct xvm_emul_operand rm = {};
	struct xvm_emul_insn *d = &e->d;
	const struct emul_entry *entry;
	u16 flags;
	int rc;

	memset(d, 0, sizeof(*d));
	e->insn_len = 0;
	if (e->insn_avail > EMUL_INSN_MAX)
		e->insn_avail = EMUL_INSN_MAX;
	e->committed = false;
	e->again = false;
	e->implicit = false;

	read_opcode(&c, read_prefixes(&c));
	if (c.rc)
		return c.rc;
	entry = emul_lookup(d->opcode);
	if (entry->op == OP_NONE)
		return EMUL_UNHANDLED;
	flags = entry->flags;
	if (flags & F_MODRM)
		d->modrm = next_byte(&c);
	if (c.rc)
		return c.rc;
	if (entry->op == OP_GROUP) {
		rc = check_valid(e, entry);
		if (rc)
			return rc;
		entry = emul_lookup_group(entry, d->modrm);
		if (entry->op == OP_NONE)
			return EMUL_UNHANDLED;
		flags = entry->flags;
	}
	d->op = entry->op;
	d->flags = flags;
	rc = check_valid(e, entry);
	if (rc)
		return rc;

	set_sizes(&c, flags);
	d->seg = c.seg_override >= 0 ? c.seg_override : EMUL_SEG_DS;
	if (flags & F_MODRM)
		read_rm(&c, &rm);
	set_operand(&c, &d->dst, entry->dst, &rm);
	set_operand(&c, &d->src, entry->src, &rm);
	if (flags & F_SRC2_REG)
		set_operand(&c, &d->src2, FORM_REG, &rm);
	if (flags & F_SRC2_RM)
		set_operand(&c, &d->src2, FORM_RM, &rm);
	if (c.rc)
		return c.rc;

	if (flags & F_MEM && rm.kind == EMUL_OPND_REG)
		return emul_fault(e, VEC_UD);
	if (d->lock && !(flags & F_LOCK && d->dst.kind == EMUL_OPND_MEM))
		return emul_fault(e, VEC_UD);
	if (d->src.kind == EMUL_OPND_SREG) {
		if (d->src.reg >= EMUL_NR_SEGS)
			return emul_fault(e, VEC_UD);
		if (d->dst.kind == EMUL_OPND_MEM)
			d->dst.size = 2;
	}
	if (rm.kind == EMUL_OPND_MEM) {
		if (entry->dst == FORM_RM)
			finish_address(&c, &d->dst);
		else if (flags & F_SRC2_RM)
			finish_address(&c, &d->src2);
		else
			finish_address(&c, &d->src);
	}
	return EMUL_OK;
}
