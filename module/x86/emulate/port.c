// SPDX-License-Identifier: GPL-2.0-only
/*
 * IN, OUT, INS, OUTS.  Hardware has checked the permission of an access that it intercepted, but
 * the bytes emulated are fetched later and may be others: so it is checked here as well.
 */
#include "internal.h"

#define TSS_IO_MAP 102 /* where a TSS keeps the offset of its permission bitmap */
#define SEG_TSS_MASK 0x1d /* S and type but for the busy bit */
#define SEG_TSS 0x09 /* 32- or 64-bit TSS */

static int tss_read(struct xvm_emul *e, u64 offset, u16 *val)
{
	u64 linear = xvm_emul_wrap(e, e->tr.base + offset);
	int rc;

	if (e->mode == EMUL_MODE_LONG64 &&
	    (!emul_canonical(e, linear) || !emul_canonical(e, linear + 1)))
		return emul_fault_code(e, VEC_GP, 0);
	e->implicit = true;
	rc = e->ops->read(e, linear, val, sizeof(*val));
	e->implicit = false;
	return rc;
}

static int check_permission(struct xvm_emul *e, u16 port, unsigned int size)
{
	u16 map, bits;
	u64 offset;
	int rc;

	if (e->mode == EMUL_MODE_REAL)
		return EMUL_OK;
	if (e->mode != EMUL_MODE_VM86 && e->cpl <= (e->rflags & X86_EFLAGS_IOPL) >> 12)
		return EMUL_OK;
	if (!(e->tr.attrib & SEG_P) || (e->tr.attrib & SEG_TSS_MASK) != SEG_TSS ||
	    e->tr.limit < TSS_IO_MAP + 1)
		return emul_fault_code(e, VEC_GP, 0);
	rc = tss_read(e, TSS_IO_MAP, &map);
	if (rc)
		return rc;
	/* Two bytes are read whatever the port, so both must lie within the limit. */
	offset = (u64)map + port / 8;
	if (offset + 1 > e->tr.limit)
		return emul_fault_code(e, VEC_GP, 0);
	rc = tss_read(e, offset, &bits);
	if (rc)
		return rc;
	if (bits >> port % 8 & ((1U << size) - 1))
		return emul_fault_code(e, VEC_GP, 0);
	return EMUL_OK;
}

static int exec_in_out(struct xvm_emul *e, bool in, unsigned int size)
{
	struct xvm_emul_insn *d = &e->d;
	u16 port = d->src.kind == EMUL_OPND_IMM ? d->src.val & 0xff : e->regs[REG_DX];
	unsigned int count = 1;
	u64 val = in ? 0 : e->regs[REG_AX] & emul_mask(size);
	int rc = check_permission(e, port, size);

	if (rc)
		return rc;
	rc = e->ops->pio(e, port, in, size, &val, &count);
	if (in ? rc != EMUL_OK : !emul_written(rc))
		return rc;
	if (in) {
		d->dst.size = size;
		emul_reg_write(e, &d->dst, val);
	}
	emul_commit(e);
	return rc;
}

/* How many elements at @ea one burst may move: it ends with its page, and never runs backwards. */
static unsigned int burst_count(struct xvm_emul *e, unsigned int seg, u64 ea, unsigned int size,
				bool write, u64 *linear)
{
	u64 left = e->d.rep ? emul_addr_reg(e, REG_CX) : 1;
	u64 space = emul_mask(e->d.addr_size) - ea; /* up to where the address wraps, less 1 */
	u64 count;

	if (left <= 1 || space < size - 1 || !e->burst || e->rflags & X86_EFLAGS_DF)
		return 1;
	if (emul_linearize(e, seg, ea, size, write, linear))
		return 1;
	count = (PAGE_BYTES - *linear % PAGE_BYTES) / size;
	if (count > e->burst_size / size)
		count = e->burst_size / size;
	if (count > left)
		count = left;
	if (count > (space - (size - 1)) / size + 1)
		count = (space - (size - 1)) / size + 1;
	if (count <= 1 || emul_linearize(e, seg, ea, count * size, write, linear) ||
	    !e->ops->is_memory(e, *linear, write))
		return 1;
	return count;
}

static int exec_string(struct xvm_emul *e, bool in, unsigned int size)
{
	const struct xvm_emul_insn *d = &e->d;
	unsigned int reg = in ? REG_DI : REG_SI;
	unsigned int seg = in ? EMUL_SEG_ES : d->seg;
	u16 port = e->regs[REG_DX];
	u64 ea = emul_addr_reg(e, reg);
	unsigned int count;
	u64 linear, one = 0;
	void *buf;
	int rc;

	rc = check_permission(e, port, size);
	if (rc || emul_rep_done(e))
		return rc;

	count = burst_count(e, seg, ea, size, in, &linear);
	buf = count == 1 ? &one : e->burst;
	rc = emul_linearize(e, seg, ea, count * size, in, &linear);
	if (rc)
		return rc;
	if (in) {
		rc = e->ops->probe_write(e, linear, count * size);
		if (!rc)
			rc = e->ops->pio(e, port, true, size, buf, &count);
		if (rc)
			return rc;
		rc = e->ops->write(e, linear, buf, count * size);
	} else {
		rc = e->ops->read(e, linear, buf, count * size);
		if (rc)
			return rc;
		rc = e->ops->pio(e, port, false, size, buf, &count);
	}
	if (!emul_written(rc))
		return rc;

	if (e->rflags & X86_EFLAGS_DF)
		emul_addr_reg_set(e, reg, ea - (u64)count * size);
	else
		emul_addr_reg_set(e, reg, ea + (u64)count * size);
	emul_rep_step(e, count, false);
	return rc;
}

int emul_exec_port(struct xvm_emul *e)
{
	/* There are no 64-bit ports. */
	unsigned int size = e->d.op_size == 8 ? 4 : e->d.op_size;

	switch (e->d.op) {
	case OP_IN:
	case OP_OUT:
		return exec_in_out(e, e->d.op == OP_IN, size);
	default:
		return exec_string(e, e->d.op == OP_INS, size);
	}
}
