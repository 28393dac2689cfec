/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmark's guest executes: 64-bit, position-independent pieces that
 * `xvm bench` copies into guest memory.  They lie in the command's read-only
 * data, each between its symbol and the symbol with _end.
 *
 * "Done" is a write to port 0x10.  Each piece then starts over, with whatever
 * registers the host has set meanwhile.
 */
#define DONE_PORT 0x10

	.macro	piece name
	.globl	\name, \name\()_end
	.type	\name, @object
\name:
	.endm

	.macro	piece_end name
\name\()_end:
	.size	\name, . - \name
	.endm

	.section .rodata
	.code64

/* Every round is one exit to user space. */
	piece	guest_pio
1:	out	%al, $DONE_PORT
	jmp	1b
	piece_end guest_pio

/* Every round reads rdi, where no memory is: one exit, decoded by the host. */
	piece	guest_mmio
1:	mov	(%rdi), %eax
	jmp	1b
	piece_end guest_mmio

/* rsi times an instruction that the hypervisor handles without user space. */
	piece	guest_cpuid
1:	xor	%eax, %eax
	xor	%ecx, %ecx
	cpuid
	dec	%rsi
	jnz	1b
	out	%al, $DONE_PORT
	jmp	1b
	piece_end guest_cpuid

/*
 * rsi writes of their own address, rdx bytes apart, to the rcx bytes from rdi on,
 * round and round.  Once more, until the word at rbx is not zero.
 */
	piece	guest_touch
1:	mov	%rsi, %r9
	xor	%r8d, %r8d
2:	lea	(%rdi, %r8), %rax
	mov	%rax, (%rax)
	add	%rdx, %r8
	cmp	%rcx, %r8
	jb	3f
	sub	%rcx, %r8
3:	dec	%r9
	jnz	2b
	cmpl	$0, (%rbx)
	je	1b
	out	%al, $DONE_PORT
	jmp	1b
	piece_end guest_touch

/*
 * Writes every rsi bytes of the rcx from rdi on, round and round, until the word
 * at rbx is not zero.  Behind that is the longest time from one to the next.
 */
	piece	guest_stall
1:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r9
	xor	%r8d, %r8d
2:	mov	%r9, (%rdi, %r8)
	add	%rsi, %r8
	cmp	%rcx, %r8
	jb	3f
	xor	%r8d, %r8d
3:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r10
	sub	%r9, %rax
	mov	%r10, %r9
	cmp	8(%rbx), %rax
	jbe	4f
	mov	%rax, 8(%rbx)
4:	cmpl	$0, (%rbx)
	je	2b
	out	%al, $DONE_PORT
	jmp	1b
	piece_end guest_stall

	.section .note.GNU-stack, "", @progbits
