/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs one instruction on the real CPU, in this process, in 64-bit mode. */
#ifndef NATIVE_H
#define NATIVE_H

#include <linux/types.h>

#define CODE_BASE 0x20000000ULL

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
/* Where the instruction will be, for what depends on its address. */
u64 native_rip(void);
/* Runs @insn with the registers in @st and leaves the registers after it there. */
void native_run(const u8 *insn, unsigned int len, struct native_state *st,
		struct native_fault *fault);

#endif
