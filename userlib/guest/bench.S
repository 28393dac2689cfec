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

/*
 * Fork, read and write, exit: rsi address spaces, one after the other, that share
 * the 16 MiB of the one whose tables are at rdx.  Each has tables at rdi, 11 pages
 * in a row: PML4, PDPT, PD, 8 PTs; and the same layout as rdx's: the first entry of
 * the PML4 is the kernel's, the second leads to the shared memory.  Forking takes the
 * write permission from both; the new one then reads each page, and copies rbx of
 * them to the pages at rcx.  When all are there, their tables are cleared.
 */
#define SPACE_SIZE 0xb000
#define SHARED_PAGES 4096
	piece	guest_fork
1:	mov	%rdi, %r8
	mov	%rsi, %r9
	mov	%rcx, %r15
2:	mov	(%rdx), %rax
	mov	%rax, (%r8)
	lea	0x1007(%r8), %rax
	mov	%rax, 8(%r8)
	lea	0x2007(%r8), %rax
	mov	%rax, 0x1000(%r8)
	lea	0x3007(%r8), %rax
	xor	%r10d, %r10d
3:	mov	%rax, 0x2000(%r8, %r10, 8)
	add	$0x1000, %rax
	inc	%r10
	cmp	$8, %r10
	jb	3b
	xor	%r10d, %r10d
4:	mov	0x3000(%rdx, %r10, 8), %rax
	and	$~2, %rax
	mov	%rax, 0x3000(%rdx, %r10, 8)
	mov	%rax, 0x3000(%r8, %r10, 8)
	inc	%r10
	cmp	$SHARED_PAGES, %r10
	jb	4b
	mov	%rdx, %cr3

	mov	%r8, %cr3
	mov	$0x8000000000, %r11
	xor	%r10d, %r10d
5:	mov	(%r11), %rax
	add	$0x1000, %r11
	inc	%r10
	cmp	$SHARED_PAGES, %r10
	jb	5b

	xor	%r10d, %r10d
6:	cmp	%rbx, %r10
	jae	7f
	mov	%r10, %r12
	shl	$6, %r12
	push	%rsi
	push	%rdi
	push	%rcx
	mov	0x3000(%r8, %r12, 8), %rsi
	and	$~0xfff, %rsi
	mov	%r15, %rdi
	mov	$512, %ecx
	rep movsq
	pop	%rcx
	pop	%rdi
	pop	%rsi
	lea	0x67(%r15), %rax
	mov	%rax, 0x3000(%r8, %r12, 8)
	mov	%r12, %r14
	shl	$12, %r14
	mov	$0x8000000000, %rax
	add	%rax, %r14
	invlpg	(%r14)
	mov	%r10, (%r14)
	add	$0x1000, %r15
	inc	%r10
	jmp	6b
7:	add	$SPACE_SIZE, %r8
	dec	%r9
	jnz	2b

	mov	%rdx, %cr3
	mov	%rdi, %r8
	mov	%rsi, %r9
8:	push	%rdi
	push	%rcx
	mov	%r8, %rdi
	mov	$(SPACE_SIZE / 8), %ecx
	xor	%eax, %eax
	rep stosq
	pop	%rcx
	pop	%rdi
	add	$SPACE_SIZE, %r8
	dec	%r9
	jnz	8b
	out	%al, $DONE_PORT
	jmp	1b
	piece_end guest_fork

	.section .note.GNU-stack, "", @progbits
