/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world switch: one VMRUN.
 *
 * VMRUN and #VMEXIT switch RAX, RSP, RIP, RFLAGS, CRs, EFER and the segments
 * that the VMCB's first half names; VMLOAD and VMSAVE the hidden rest (APM vol.
 * 2, 15.5.1, 15.5.2); the general registers are ours to move.
 *
 * GIF is 0 throughout, so nothing interrupts the host here.  IF must be 1 at
 * VMRUN nevertheless: with V_INTR_MASKING the host's IF decides whether a
 * physical interrupt ends the guest's run (15.21.1).
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

#include "../../compat/mitigations.h"

/* struct xvm_svm_switch */
#define SW_REGS			0
#define SW_VMCB_PA		8
#define SW_HOST_PA		16
#define SW_GUEST_SPEC_CTRL	24
#define SW_HOST_SPEC_CTRL	32
#define SW_SWITCH_SPEC_CTRL	40

/* enum xvm_reg, in bytes */
#define R_RCX	(1 * 8)
#define R_RDX	(2 * 8)
#define R_RBX	(3 * 8)
#define R_RBP	(5 * 8)
#define R_RSI	(6 * 8)
#define R_RDI	(7 * 8)
#define R_R8	(8 * 8)
#define R_R9	(9 * 8)
#define R_R10	(10 * 8)
#define R_R11	(11 * 8)
#define R_R12	(12 * 8)
#define R_R13	(13 * 8)
#define R_R14	(14 * 8)
#define R_R15	(15 * 8)

/* No probe may run while GS and the rest are the guest's. */
.section .noinstr.text, "ax"

/* void xvm_svm_world(const struct xvm_svm_switch *sw [rdi]) */
SYM_FUNC_START(xvm_svm_world)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi

	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	je	.Lenter
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	SW_GUEST_SPEC_CTRL(%rdi), %eax
	mov	SW_GUEST_SPEC_CTRL + 4(%rdi), %edx
	wrmsr
.Lenter:
	mov	SW_VMCB_PA(%rdi), %rax
	mov	SW_REGS(%rdi), %rdi
	mov	R_RCX(%rdi), %rcx
	mov	R_RDX(%rdi), %rdx
	mov	R_RBX(%rdi), %rbx
	mov	R_RBP(%rdi), %rbp
	mov	R_RSI(%rdi), %rsi
	mov	R_R8(%rdi), %r8
	mov	R_R9(%rdi), %r9
	mov	R_R10(%rdi), %r10
	mov	R_R11(%rdi), %r11
	mov	R_R12(%rdi), %r12
	mov	R_R13(%rdi), %r13
	mov	R_R14(%rdi), %r14
	mov	R_R15(%rdi), %r15
	mov	R_RDI(%rdi), %rdi

	/* Not right before VMRUN: the shadow of STI could pass into the guest. */
	sti
	vmload	%rax
	/* What the host left in the CPU's buffers is not for the guest to see. */
#ifdef HAVE_CLEAR_CPU_BUF_VM
	ALTERNATIVE "jmp .Lvmrun", "", X86_FEATURE_CLEAR_CPU_BUF_VM
	verw	.Ldata_selector(%rip)
.Lvmrun:
#endif
	vmrun	%rax
	cli
	/* #VMEXIT gave RAX back: still the VMCB.  GS is the guest's until the host's VMLOAD. */
	vmsave	%rax

	push	%rdi
	mov	8(%rsp), %rdi
	mov	SW_HOST_PA(%rdi), %rax
	vmload	%rax

	mov	SW_REGS(%rdi), %rax
	mov	%rcx, R_RCX(%rax)
	mov	%rdx, R_RDX(%rax)
	mov	%rbx, R_RBX(%rax)
	mov	%rbp, R_RBP(%rax)
	mov	%rsi, R_RSI(%rax)
	pop	R_RDI(%rax)
	mov	%r8, R_R8(%rax)
	mov	%r9, R_R9(%rax)
	mov	%r10, R_R10(%rax)
	mov	%r11, R_R11(%rax)
	mov	%r12, R_R12(%rax)
	mov	%r13, R_R13(%rax)
	mov	%r14, R_R14(%rax)
	mov	%r15, R_R15(%rax)

	/*
	 * What the guest trained must not steer us: before the first RET or
	 * indirect branch.  A host that relies on KVM to reduce speculation
	 * while VMs exist gets the barrier as well, as xvm's don't count there.
	 */
#ifdef HAVE_SRSO_BP_SPEC_REDUCE
	ALTERNATIVE "", "jmp .Lforget_predictions", X86_FEATURE_SRSO_BP_SPEC_REDUCE
#endif
	ALTERNATIVE_2 "jmp .Lkeep_predictions", "", X86_FEATURE_ENTRY_IBPB, \
		"", X86_FEATURE_IBPB_ON_VMEXIT
.Lforget_predictions:
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
	/* Not every CPU's barrier forgets returns. */
	FILL_RETURN_BUFFER %rax, 32, X86_FEATURE_ALWAYS
.Lkeep_predictions:
	FILL_RETURN_BUFFER %rax, 32, X86_FEATURE_RSB_VMEXIT
	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	je	.Luntrain
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	SW_HOST_SPEC_CTRL(%rdi), %eax
	mov	SW_HOST_SPEC_CTRL + 4(%rdi), %edx
	wrmsr
.Luntrain:
#ifdef HAVE_UNTRAIN_RET
	ALTERNATIVE "", "call entry_untrain_ret", X86_FEATURE_UNRET
#endif

	/* Nor may its values linger where speculation could use them. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	pop	%rdi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET
SYM_FUNC_END(xvm_svm_world)

/* VERW with a memory operand is what clears the buffers. */
.section .rodata, "a"
.Ldata_selector:
	.word	__KERNEL_DS
