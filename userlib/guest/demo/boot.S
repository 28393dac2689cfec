/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Start of the demo guest.  As a flat image it is entered at 1000:0000 in real
 * mode and works its way to long mode by itself, so that the world switch sees
 * every mode; as an ELF image it is entered at long_mode.  It finds memory
 * zeroed, so .bss needs no clearing.
 */
#define SERIAL		0x3f8
#define TABLES		0x1000	/* PML4, PDPT, four directories of 2M pages */
#define MSR_EFER	0xc0000080
#define EFER_LME	(1 << 8)
#define CR0_PE		(1 << 0)
#define CR0_PG		(1 << 31)
#define CR4_PAE		(1 << 5)
#define PRESENT_WRITE	0x3
#define PAGE_2M		0x80

	.section .text.start, "ax"
	.code16
	.globl	start
start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	mov	$SERIAL, %dx
	mov	$(real_message - start), %si
	mov	$(real_message_end - real_message), %cx
1:	lodsb
	out	%al, %dx
	loop	1b

	lgdtl	gdt_pointer - start
	mov	%cr0, %eax
	or	$CR0_PE, %al
	mov	%eax, %cr0
	ljmpl	$0x08, $protected_mode

	.code32
protected_mode:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$SERIAL, %edx
	mov	$protected_message, %esi
	mov	$(protected_message_end - protected_message), %ecx
	rep outsb

	/* Identity-map 4 GiB; the upper halves of all entries stay zero. */
	movl	$(TABLES + 0x1000 + PRESENT_WRITE), TABLES
	mov	$(TABLES + 0x1000), %edi
	mov	$(TABLES + 0x2000 + PRESENT_WRITE), %eax
	mov	$4, %ecx
2:	mov	%eax, (%edi)
	add	$0x1000, %eax
	add	$8, %edi
	loop	2b
	mov	$(TABLES + 0x2000), %edi
	mov	$(PAGE_2M + PRESENT_WRITE), %eax
	mov	$2048, %ecx
3:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	3b

	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	ljmp	$0x18, $long_mode

	.code64
	.globl	long_mode
long_mode:
	mov	$stack_top, %esp
	lgdt	gdt_pointer
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/* The gates of the IDT name the 64-bit code segment of this GDT. */
	push	$0x18
	push	$4f
	lretq
4:	call	demo_main
5:	hlt
	jmp	5b

/* #UD: count it and step over the two bytes of UD2. */
	.globl	invalid_opcode
invalid_opcode:
	incl	invalid_opcodes(%rip)
	addq	$2, (%rsp)
	iretq

	.section .rodata
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad	0x00cf93000000ffff	/* 0x10: data */
	.quad	0x00af9b000000ffff	/* 0x18: 64-bit code */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

real_message:
	.ascii	"demo: real mode\n"
real_message_end:
protected_message:
	.ascii	"demo: protected mode\n"
protected_message_end:

	.bss
	.balign	16
	.skip	8192
stack_top:

	.section .note.GNU-stack, "", @progbits
