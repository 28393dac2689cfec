/* SPDX-License-Identifier: GPL-2.0-only */
/* The code of guest exception handlers, copied to IDT_STUBS and IDT_COMMON. */
#include "idt.h"

	.section .rodata.guest, "a"
	.code64

	.globl idt_stubs, idt_stubs_end, idt_common, idt_common_end

	.balign 16
idt_stubs:
	vector = 0
	.rept 256
	.balign 16
	/* These vectors push an error code of their own. */
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
	pushq $0
	.endif
	pushq $vector
	/* A jump to a fixed address, whatever this was linked at. */
	.byte 0xe9
	.long IDT_COMMON - (IDT_STUBS + (. - idt_stubs) + 4)
	vector = vector + 1
	.endr
	.balign 16
idt_stubs_end:

idt_common:
	push %rax
	push %rbx
	mov $IDT_RECORD, %ebx
	incq RECORD_COUNT(%rbx)
	mov 16(%rsp), %rax
	mov %rax, RECORD_VECTOR(%rbx)
	mov 24(%rsp), %rax
	mov %rax, RECORD_ERROR(%rbx)
	mov 32(%rsp), %rax
	mov %rax, RECORD_RIP(%rbx)
	mov 40(%rsp), %rax
	mov %rax, RECORD_CS(%rbx)
	mov 48(%rsp), %rax
	mov %rax, RECORD_RFLAGS(%rbx)
	mov 56(%rsp), %rax
	mov %rax, RECORD_RSP(%rbx)
	mov %cr2, %rax
	mov %rax, RECORD_CR2(%rbx)
	mov %dr6, %rax
	mov %rax, RECORD_DR6(%rbx)
	mov RECORD_RESUME(%rbx), %rax
	test %rax, %rax
	jz 1f
	mov %rax, 32(%rsp)
1:	pop %rbx
	pop %rax
	add $16, %rsp
	iretq
idt_common_end:

	.section .note.GNU-stack, "", @progbits
