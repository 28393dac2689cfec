/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs one instruction on the real CPU, in this process. */
#ifndef NATIVE_H
#define NATIVE_H

#include "emulate.h"

#define CODE_BASE 0x20000000ULL

/* Segmented code lies in a segment of its own within the code pages. */
#define SEG_CODE_OFFSET 0x800
#define SEG_CODE_EIP 0x100
#define SEG_CODE_LIMIT 0x3ff

struct native_state {
	u64 regs[16];
	u64 rflags;
	u64 xmm[16][2];
};

struct native_fault {
	bool raised;
	u8 vector;
	u32 error;
	u64 cr2;
};

int native_init(void);

/* 64-bit mode.  Where the instruction will be, for what depends on its address. */
u64 native_rip(void);
/* Runs @insn with the registers in @st and leaves the registers after it there. */
void native_run(const u8 *insn, unsigned int len, struct native_state *st,
		struct native_fault *fault);

/* Puts the descriptor of segment register @nr into the LDT and sets its selector: 0 if absent. */
int native_seg_load(struct xvm_emul_seg *seg, unsigned int nr);
/* Sets up a code segment, 32-bit or 16-bit. */
int native_seg_code(struct xvm_emul_seg *cs, bool wide);
/* As native_run(), with these segments; FS is not loaded. */
void native_seg_run(const u8 *insn, unsigned int len, const struct xvm_emul_seg *seg,
		    struct native_state *st, struct native_fault *fault);

#endif
