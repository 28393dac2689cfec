/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86 instruction decoder and emulator: instructions that touch MMIO, string port I/O, and whatever
 * else a vendor cannot finish in hardware.  Plain C without kernel services, so that the very same
 * code runs in user space under a differential test and a fuzzer.
 *
 * Use: fill in the vCPU state, call xvm_emul_decode(), then xvm_emul_exec().  When exec has set
 * ->committed, ->regs, ->rip and ->rflags hold the new state and are to be written back.
 *
 * Rules that make an instruction restartable:
 *  - All reads (memory, ports in) come before any change of memory or registers.  A read that has
 *    to go to user space returns EMUL_EXIT, the instruction is given up with nothing changed, and
 *    is emulated anew once the caller can answer that read.  So the caller keeps what it has read
 *    for an instruction until exec reports ->committed or a fault.
 *  - Writes (memory, ports out) are posted: EMUL_EXIT from ->write, ->locked_write or an outgoing
 *    ->pio means that the write is queued and done as far as the guest can tell.  The instruction
 *    commits and exec passes EMUL_EXIT on: the caller exits with ->committed set.
 *  - A repeated string instruction does one iteration (INS and OUTS: one burst inside a page) for
 *    each call of exec and commits it.  While iterations remain ->again is set and ->rip stays, so
 *    the caller may call exec again, or enter the guest, which meets the instruction again.
 *  - On EMUL_FAULT, EMUL_UNHANDLED and EMUL_RETRY nothing has changed.
 *
 * Not modelled: alignment checks (#AC), code and data breakpoints, and single-stepping: a caller
 * that wants a trap after the instruction looks at RFLAGS.TF itself.
 */
#ifndef XVM_X86_EMULATE_H
#define XVM_X86_EMULATE_H

#include <linux/types.h>

#define EMUL_INSN_MAX 15

enum {
	EMUL_OK,
	EMUL_EXIT, /* an exit to user space is pending */
	EMUL_FAULT, /* ->fault says which exception to inject */
	EMUL_UNHANDLED, /* not an instruction known here; ->insn holds its bytes */
	EMUL_RETRY, /* memory changed under a locked access: emulate again */
};

enum emul_mode {
	EMUL_MODE_REAL,
	EMUL_MODE_VM86,
	EMUL_MODE_PROT16, /* protected or compatibility mode, CS.D = 0 */
	EMUL_MODE_PROT32, /* protected or compatibility mode, CS.D = 1 */
	EMUL_MODE_LONG64,
};

/* Segment registers by their number in instructions. */
enum emul_seg {
	EMUL_SEG_ES,
	EMUL_SEG_CS,
	EMUL_SEG_SS,
	EMUL_SEG_DS,
	EMUL_SEG_FS,
	EMUL_SEG_GS,
	EMUL_NR_SEGS,
};

struct xvm_emul_seg {
	u16 sel;
	u16 attrib; /* as in the VMCB: type, S, DPL, P, AVL, L, D/B, G from bit 0 up */
	u32 limit; /* in bytes, granularity applied */
	u64 base;
};

enum emul_operand_kind {
	EMUL_OPND_NONE,
	EMUL_OPND_REG,
	EMUL_OPND_MEM,
	EMUL_OPND_IMM,
	EMUL_OPND_SREG,
};

struct xvm_emul_operand {
	u8 kind;
	u8 size; /* in bytes */
	u8 reg; /* EMUL_OPND_REG, EMUL_OPND_SREG */
	bool high; /* AH, CH, DH, BH */
	u8 seg; /* EMUL_OPND_MEM */
	u64 ea; /* EMUL_OPND_MEM: offset in the segment */
	u64 val;
};

/* What xvm_emul_decode() found out. */
struct xvm_emul_insn {
	u8 op; /* enum emul_op in internal.h */
	u16 flags;
	u16 opcode; /* last byte, with 0x100 for the 0F map, 0x200 for 0F 38 */
	u8 prefix; /* 0x66, 0xf2 or 0xf3 as SSE opcodes read it, else 0 */
	u8 op_size;
	u8 addr_size;
	u8 rex;
	u8 rep; /* 0xf2, 0xf3 or 0 */
	u8 modrm;
	bool op_override;
	bool lock;
	u8 seg; /* of DS:rSI, or of an override */
	struct xvm_emul_operand dst, src, src2;
};

struct xvm_emul;

/*
 * What the emulator needs from its surroundings.  All but ->fetch return one of the EMUL_ codes.
 * Addresses are linear; the callee translates them with the guest's page tables (as a supervisor
 * access when ->implicit is set, else as ->cpl says) and splits accesses at page boundaries.
 * Outside 64-bit mode a range that passes 4 GiB goes on at 0: see xvm_emul_wrap().
 */
struct xvm_emul_ops {
	int (*read)(struct xvm_emul *e, u64 linear, void *buf, unsigned int len);
	int (*write)(struct xvm_emul *e, u64 linear, const void *buf, unsigned int len);
	/* Atomic: EMUL_RETRY if memory no longer holds @old. */
	int (*locked_write)(struct xvm_emul *e, u64 linear, const void *old, const void *new,
			    unsigned int len);
	/* Returns how many bytes it got, at least 1, or one of the codes negated. */
	int (*fetch)(struct xvm_emul *e, u64 linear, void *buf, unsigned int len);
	/* Whether a burst may go to or come from that page; else it is made of single elements. */
	bool (*is_memory)(struct xvm_emul *e, u64 linear, bool write);
	/* Raises the fault that a write would, without writing: reading a port cannot be undone. */
	int (*probe_write)(struct xvm_emul *e, u64 linear, unsigned int len);
	/* @count: elements wanted; where some were done, set to how many, at least one. */
	int (*pio)(struct xvm_emul *e, u16 port, bool in, unsigned int size, void *data,
		   unsigned int *count);
	/* Optional; without it INVLPG is EMUL_UNHANDLED. */
	void (*invlpg)(struct xvm_emul *e, u64 linear);
	/* Optional; without them SSE moves are EMUL_UNHANDLED. */
	void (*read_xmm)(struct xvm_emul *e, unsigned int reg, u64 val[2]);
	void (*write_xmm)(struct xvm_emul *e, unsigned int reg, const u64 val[2]);
};

struct xvm_emul {
	const struct xvm_emul_ops *ops;
	void *vcpu;

	/* vCPU state.  Of these exec changes regs, rip and rflags only, and only to commit. */
	u64 regs[16];
	u64 rip;
	u64 rflags;
	u64 cr0, cr4, efer;
	enum emul_mode mode;
	u8 cpl;
	struct xvm_emul_seg seg[EMUL_NR_SEGS];
	struct xvm_emul_seg tr; /* for the I/O permission bitmap */

	/* Bounce buffer for INS and OUTS, a page or less; NULL: one element at a time. */
	void *burst;
	unsigned int burst_size;

	/* Bytes at rip.  The caller may supply the first insn_avail of them, or none. */
	u8 insn[EMUL_INSN_MAX];
	u8 insn_avail;
	u8 insn_len; /* after decode */
	struct xvm_emul_insn d;

	bool committed; /* the registers above were changed */
	bool again; /* a repeated instruction has iterations left */
	bool implicit; /* for ->read: a system access, whatever the cpl */
	struct {
		u8 vector;
		bool has_error;
		u32 error;
		u64 cr2; /* page faults only */
	} fault;
};

/*
 * Decodes the instruction at rip.  EMUL_OK; EMUL_FAULT for what the fetch raised, for #UD and for
 * an instruction that is too long; EMUL_UNHANDLED; or what ->fetch returned.
 */
int xvm_emul_decode(struct xvm_emul *e);

/*
 * Executes what xvm_emul_decode() left in @e; addresses were computed then, so nothing may have
 * changed in between, but for ->again.
 */
int xvm_emul_exec(struct xvm_emul *e);

/* The address at which a linear range really goes on. */
static inline u64 xvm_emul_wrap(const struct xvm_emul *e, u64 linear)
{
	return e->mode == EMUL_MODE_LONG64 ? linear : (u32)linear;
}

#endif
