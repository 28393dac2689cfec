/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intercepted instructions that the emulator isn't needed for: their length
 * where hardware doesn't tell it, moves to and from control and debug registers
 * where it doesn't say which, and the descriptor of INVPCID.
 */
#ifndef XVM_X86_INSN_H
#define XVM_X86_INSN_H

struct xvm_vcpu;

/* Step over an instruction without operands in memory.  0, or -EFAULT: not to be read (now). */
int xvm_skip_insn(struct xvm_vcpu *vcpu);
/* What follows when that failed outside a section.  As xvm_emulate(). */
int xvm_skip_failed(struct xvm_vcpu *vcpu);
/* MOV to and from control and debug registers; LMSW, SMSW, CLTS.  As xvm_emulate(). */
int xvm_emulate_crdr(struct xvm_vcpu *vcpu);
/*
 * INVPCID of @type with its descriptor at @linear.  If it isn't allowed, or not to be read, the
 * guest gets its fault.  As xvm_emulate().
 */
int xvm_check_invpcid(struct xvm_vcpu *vcpu, u64 type, u64 linear, bool *allowed);

#endif
