// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same for 16- and 32-bit code: segments from the LDT, an IRET into them with the registers
 * loaded, and a far jump back to 64-bit code right after the instruction.  FS is left alone, it is
 * the thread's.  In compatibility mode only the low half of the first eight registers counts.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <linux/kernel.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulate.h"
#include "native.h"
#include "native_internal.h"

#define LDT_SELECTOR(n) ((n) << 3 | 7)
#define USER_CS 0x33
#define USER_SS 0x2b

/* LDT entries: those of the data segments follow their numbers in instructions. */
#define LDT_CODE16 EMUL_NR_SEGS
#define LDT_CODE32 (EMUL_NR_SEGS + 1)

static int set_ldt(unsigned int entry, const struct xvm_emul_seg *seg)
{
	bool code = seg->attrib & 8;
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = seg->base,
		.limit = seg->limit > 0xfffff ? seg->limit >> 12 : seg->limit,
		.limit_in_pages = seg->limit > 0xfffff,
		.seg_32bit = !!(seg->attrib & 0x400),
		.contents = code ? 2 : seg->attrib & 4 ? 1 : 0,
		.read_exec_only = !(seg->attrib & 2),
		.useable = 1,
	};

	/* Function 11h: the older 1 takes base and limit 0 for an empty entry. */
	return syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc)) ? -1 : 0;
}

int native_seg_load(struct xvm_emul_seg *seg, unsigned int nr)
{
	if (!(seg->attrib & 0x80)) {
		seg->sel = 0;
		return 0;
	}
	seg->sel = LDT_SELECTOR(nr);
	return set_ldt(nr, seg);
}

int native_seg_code(struct xvm_emul_seg *cs, bool wide)
{
	unsigned int entry = wide ? LDT_CODE32 : LDT_CODE16;

	cs->base = CODE_BASE + SEG_CODE_OFFSET;
	cs->limit = SEG_CODE_LIMIT;
	cs->attrib = wide ? 0x4fb : 0xfb;
	cs->sel = LDT_SELECTOR(entry);
	return set_ldt(entry, cs);
}

void native_seg_run(const u8 *insn, unsigned int len, const struct xvm_emul_seg *seg,
		    struct native_state *st, struct native_fault *fault)
{
	struct native_shared *shared = native_shared;
	bool wide = seg[EMUL_SEG_CS].attrib & 0x400;
	u8 *slot = (u8 *)(CODE_BASE + SEG_CODE_OFFSET + SEG_CODE_EIP);
	u32 back = native_seg_tail(), esp = st->regs[4];

	/* An IRET to a 16-bit stack sets but SP: mov esp, imm32 does the rest. */
	memcpy(slot - 4, &esp, 4);
	slot[-5] = 0xbc;
	slot[-6] = 0x66;
	memcpy(slot, insn, len);
	slot += len;
	if (!wide)
		*slot++ = 0x66;
	*slot++ = 0xea; /* jmp far */
	memcpy(slot, &back, 4);
	slot[4] = USER_CS;
	slot[5] = 0;

	shared->ds = seg[EMUL_SEG_DS].sel;
	shared->es = seg[EMUL_SEG_ES].sel;
	shared->gs = seg[EMUL_SEG_GS].sel;
	shared->iret.ss = seg[EMUL_SEG_SS].sel;
	shared->iret.cs = seg[EMUL_SEG_CS].sel;
	shared->iret.rip = SEG_CODE_EIP - (wide ? 5 : 6);
	shared->iret.rsp = st->regs[4];
	shared->iret.rflags = st->rflags;
	shared->host_ss = USER_SS;
	native_enter(native_seg_stub(), SEG_CODE_EIP, st, fault);
}
