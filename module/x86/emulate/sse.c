// SPDX-License-Identifier: GPL-2.0-only
/* SSE moves between a register and memory. */
#include <linux/kernel.h>

#include "internal.h"

enum { LOAD, STORE };
enum { ANY, ALIGNED };

struct sse_move {
	u8 opcode; /* in the 0F map */
	u8 prefix;
	u8 size; /* 0: 4 bytes, 8 with REX.W */
	u8 store;
	u8 aligned;
};

static const struct sse_move moves[] = {
	{ 0x10, 0x00, 16, LOAD, ANY }, /* MOVUPS */
	{ 0x10, 0x66, 16, LOAD, ANY }, /* MOVUPD */
	{ 0x10, 0xf3, 4, LOAD, ANY }, /* MOVSS */
	{ 0x10, 0xf2, 8, LOAD, ANY }, /* MOVSD */
	{ 0x11, 0x00, 16, STORE, ANY },
	{ 0x11, 0x66, 16, STORE, ANY },
	{ 0x11, 0xf3, 4, STORE, ANY },
	{ 0x11, 0xf2, 8, STORE, ANY },
	{ 0x28, 0x00, 16, LOAD, ALIGNED }, /* MOVAPS */
	{ 0x28, 0x66, 16, LOAD, ALIGNED }, /* MOVAPD */
	{ 0x29, 0x00, 16, STORE, ALIGNED },
	{ 0x29, 0x66, 16, STORE, ALIGNED },
	{ 0x2b, 0x00, 16, STORE, ALIGNED }, /* MOVNTPS */
	{ 0x2b, 0x66, 16, STORE, ALIGNED }, /* MOVNTPD */
	{ 0x6e, 0x66, 0, LOAD, ANY }, /* MOVD, MOVQ */
	{ 0x6f, 0x66, 16, LOAD, ALIGNED }, /* MOVDQA */
	{ 0x6f, 0xf3, 16, LOAD, ANY }, /* MOVDQU */
	{ 0x7e, 0x66, 0, STORE, ANY }, /* MOVD, MOVQ */
	{ 0x7e, 0xf3, 8, LOAD, ANY }, /* MOVQ */
	{ 0x7f, 0x66, 16, STORE, ALIGNED }, /* MOVDQA */
	{ 0x7f, 0xf3, 16, STORE, ANY }, /* MOVDQU */
	{ 0xd6, 0x66, 8, STORE, ANY }, /* MOVQ */
	{ 0xe7, 0x66, 16, STORE, ALIGNED }, /* MOVNTDQ */
};

static const struct sse_move *find_move(const struct xvm_emul_insn *d)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(moves); i++)
		if (moves[i].opcode == (d->opcode & 0xff) && moves[i].prefix == d->prefix)
			return &moves[i];
	return NULL;
}

int emul_exec_sse(struct xvm_emul *e)
{
	const struct xvm_emul_insn *d = &e->d;
	const struct sse_move *move = find_move(d);
	unsigned int reg = (d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0);
	u64 val[2] = {}, linear;
	unsigned int size;
	int rc;

	if (!move || d->dst.kind != EMUL_OPND_MEM || !e->ops->read_xmm || !e->ops->write_xmm)
		return EMUL_UNHANDLED;
	if (e->cr0 & X86_CR0_EM || !(e->cr4 & X86_CR4_OSFXSR))
		return emul_fault(e, VEC_UD);
	if (e->cr0 & X86_CR0_TS)
		return emul_fault(e, VEC_NM);

	size = move->size;
	if (!size)
		size = d->rex & REX_W ? 8 : 4;
	rc = emul_linearize(e, d->dst.seg, d->dst.ea, size, move->store, &linear);
	/* Alignment is checked first: #GP even where the stack segment would give #SS. */
	if (move->aligned && linear % 16)
		return emul_fault_code(e, VEC_GP, 0);
	if (rc)
		return rc;

	if (move->store) {
		e->ops->read_xmm(e, reg, val);
		rc = e->ops->write(e, linear, val, size);
		if (!emul_written(rc))
			return rc;
	} else {
		/* A short load clears the rest of the register. */
		rc = e->ops->read(e, linear, val, size);
		if (rc)
			return rc;
		e->ops->write_xmm(e, reg, val);
	}
	emul_commit(e);
	return rc;
}
