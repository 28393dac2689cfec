/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intercepted instructions that are no memory operands' business: their length
 * where hardware doesn't tell it, and moves to and from control and debug
 * registers where it doesn't say which.
 */
#ifndef XVM_X86_INSN_H
#define XVM_X86_INSN_H

struct xvm_vcpu;

/* Step over an instruction without operands in memory.  0, or -EFAULT: not to be read (now). */
int xvm_skip_insn(struct xvm_vcpu *vcpu);
/* What follows when that failed outside a section.  As xvm_emulate(). */
int xvm_skip_failed(struct xvm_vcpu *vcpu);
/* MOV to and from CR0, CR4, DRn; LMSW, SMSW, CLTS.  As xvm_emulate(). */
int xvm_emulate_crdr(struct xvm_vcpu *vcpu);

#endif
