// SPDX-License-Identifier: GPL-2.0-only
/* Registers, segmentation and memory as operands. */
#include "internal.h"

u64 emul_mask(unsigned int size)
{
	return size >= 8 ? ~0ULL : (1ULL << size * 8) - 1;
}

u64 emul_sext(u64 val, unsigned int size)
{
	unsigned int shift = size >= 8 ? 0 : 64 - size * 8;

	return (s64)(val << shift) >> shift;
}

int emul_fault(struct xvm_emul *e, u8 vector)
{
	e->fault.vector = vector;
	e->fault.has_error = false;
	e->fault.error = 0;
	e->fault.cr2 = 0;
	return EMUL_FAULT;
}

/* Real mode pushes no error codes. */
int emul_fault_code(struct xvm_emul *e, u8 vector, u32 error)
{
	emul_fault(e, vector);
	e->fault.has_error = e->mode != EMUL_MODE_REAL;
	e->fault.error = e->fault.has_error ? error : 0;
	return EMUL_FAULT;
}

bool emul_canonical(const struct xvm_emul *e, u64 linear)
{
	unsigned int shift = e->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(linear << shift) >> shift) == linear;
}

static bool seg_rights(const struct xvm_emul *e, const struct xvm_emul_seg *seg, bool write)
{
	if (e->mode == EMUL_MODE_REAL || e->mode == EMUL_MODE_VM86)
		return true;
	if (!(seg->attrib & SEG_P) || !(seg->attrib & SEG_S))
		return false;
	if (seg->attrib & SEG_TYPE_CODE)
		return !write && seg->attrib & SEG_TYPE_RW;
	return !write || seg->attrib & SEG_TYPE_RW;
}

static bool seg_holds(const struct xvm_emul_seg *seg, u64 ea, unsigned int size)
{
	u64 last = ea + size - 1;

	if ((seg->attrib & (SEG_TYPE_CODE | SEG_TYPE_DOWN)) == SEG_TYPE_DOWN)
		return ea > seg->limit && last <= (seg->attrib & SEG_DB ? 0xffffffff : 0xffff);
	return last <= seg->limit;
}

int emul_linearize(struct xvm_emul *e, unsigned int seg, u64 ea, unsigned int size, bool write,
		   u64 *linear)
{
	const struct xvm_emul_seg *s = &e->seg[seg];
	u8 vector = seg == EMUL_SEG_SS ? VEC_SS : VEC_GP;

	if (e->mode == EMUL_MODE_LONG64) {
		*linear = ea + (seg >= EMUL_SEG_FS ? s->base : 0);
		if (!emul_canonical(e, *linear) || !emul_canonical(e, *linear + size - 1))
			return emul_fault_code(e, vector, 0);
		return EMUL_OK;
	}
	*linear = (u32)(s->base + ea);
	if (!seg_rights(e, s, write) || !seg_holds(s, ea, size))
		return emul_fault_code(e, vector, 0);
	return EMUL_OK;
}

u64 emul_reg_read(const struct xvm_emul *e, const struct xvm_emul_operand *o)
{
	return e->regs[o->reg] >> (o->high ? 8 : 0) & emul_mask(o->size);
}

static u64 reg_merge(u64 old, u64 val, unsigned int size)
{
	/* A 32-bit write clears the upper half, smaller ones keep the rest. */
	u64 mask = size == 4 ? ~0ULL : emul_mask(size);

	return (old & ~mask) | (val & emul_mask(size));
}

void emul_reg_write(struct xvm_emul *e, const struct xvm_emul_operand *o, u64 val)
{
	u64 *reg = &e->regs[o->reg];

	if (o->high)
		*reg = (*reg & ~0xff00ULL) | (val & 0xff) << 8;
	else
		*reg = reg_merge(*reg, val, o->size);
}

u64 emul_addr_reg(const struct xvm_emul *e, unsigned int reg)
{
	return e->regs[reg] & emul_mask(e->d.addr_size);
}

void emul_addr_reg_set(struct xvm_emul *e, unsigned int reg, u64 val)
{
	e->regs[reg] = reg_merge(e->regs[reg], val, e->d.addr_size);
}

int emul_mem_read(struct xvm_emul *e, unsigned int seg, u64 ea, void *buf, unsigned int size)
{
	u64 linear;
	int rc = emul_linearize(e, seg, ea, size, false, &linear);

	return rc ? rc : e->ops->read(e, linear, buf, size);
}

int emul_mem_write(struct xvm_emul *e, unsigned int seg, u64 ea, const void *buf,
		   unsigned int size)
{
	u64 linear;
	int rc = emul_linearize(e, seg, ea, size, true, &linear);

	return rc ? rc : e->ops->write(e, linear, buf, size);
}

int emul_mem_cmpxchg(struct xvm_emul *e, unsigned int seg, u64 ea, const void *old,
		     const void *new, unsigned int size)
{
	u64 linear;
	int rc = emul_linearize(e, seg, ea, size, true, &linear);

	return rc ? rc : e->ops->locked_write(e, linear, old, new, size);
}

void emul_commit(struct xvm_emul *e)
{
	e->rip = xvm_emul_wrap(e, e->rip + e->insn_len);
	e->rflags &= ~X86_EFLAGS_RF;
	e->committed = true;
}
