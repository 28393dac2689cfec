// SPDX-License-Identifier: GPL-2.0-only
/* MOVS, CMPS, STOS, LODS, SCAS: one iteration at a time. */
#include "internal.h"

bool emul_rep_done(struct xvm_emul *e)
{
	if (!e->d.rep || emul_addr_reg(e, REG_CX))
		return false;
	emul_commit(e);
	return true;
}

void emul_rep_step(struct xvm_emul *e, u64 count, bool stop)
{
	if (e->d.rep) {
		emul_addr_reg_set(e, REG_CX, emul_addr_reg(e, REG_CX) - count);
		if (!stop && emul_addr_reg(e, REG_CX)) {
			e->again = true;
			e->committed = true;
			return;
		}
	}
	emul_commit(e);
}

static void advance(struct xvm_emul *e, unsigned int reg)
{
	u64 step = e->rflags & X86_EFLAGS_DF ? -(u64)e->d.op_size : e->d.op_size;

	emul_addr_reg_set(e, reg, emul_addr_reg(e, reg) + step);
}

int emul_exec_string(struct xvm_emul *e)
{
	const struct xvm_emul_insn *d = &e->d;
	struct xvm_emul_operand acc = {
		.kind = EMUL_OPND_REG, .size = d->op_size, .reg = REG_AX,
	};
	bool uses_si = d->op == OP_MOVS || d->op == OP_CMPS || d->op == OP_LODS;
	bool uses_di = d->op != OP_LODS;
	bool stop = false;
	u64 a = 0, b = 0;
	int rc = EMUL_OK;

	if (emul_rep_done(e))
		return EMUL_OK;

	/* a comes from DS:rSI or from the accumulator, b from ES:rDI */
	if (uses_si)
		rc = emul_mem_read(e, d->seg, emul_addr_reg(e, REG_SI), &a, d->op_size);
	else
		a = emul_reg_read(e, &acc);
	if (!rc && (d->op == OP_CMPS || d->op == OP_SCAS))
		rc = emul_mem_read(e, EMUL_SEG_ES, emul_addr_reg(e, REG_DI), &b, d->op_size);
	if (rc)
		return rc;

	switch (d->op) {
	case OP_MOVS:
	case OP_STOS:
		rc = emul_mem_write(e, EMUL_SEG_ES, emul_addr_reg(e, REG_DI), &a, d->op_size);
		if (!emul_written(rc))
			return rc;
		break;
	case OP_LODS:
		emul_reg_write(e, &acc, a);
		break;
	default: /* OP_CMPS, OP_SCAS */
		emul_alu(OP_CMP, d->op_size, a, b, &e->rflags);
		stop = !(e->rflags & X86_EFLAGS_ZF) == (d->rep == 0xf3);
		break;
	}
	if (uses_si)
		advance(e, REG_SI);
	if (uses_di)
		advance(e, REG_DI);
	emul_rep_step(e, 1, stop);
	return rc;
}
