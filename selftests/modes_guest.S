/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that goes through the modes of the CPU by itself, from real mode to
 * long mode and back, and says at each station where it is: OUT to MODES_PORT.
 * It runs at GUEST_CODE, entered in real mode with cs:ip = GUEST_CODE >> 4 : 0.
 */
#include "modes.h"
#include "x86.h"

#define AT(label) (MODES_BASE + label - modes_guest)

	.section .rodata.guest, "a"
	.globl modes_guest, modes_guest_end

.macro station id
	mov $\id, %al
	out %al, $MODES_PORT
.endm

	.code16
modes_guest:
	station MODES_REAL
	mov %cs, %ax
	mov %ax, %ds
	lgdtl gdtr - modes_guest
	mov %cr0, %eax
	or $CR0_PE, %eax
	mov %eax, %cr0
	ljmpl $MODES_CS32, $AT(protected)

	.code32
protected:
	mov $MODES_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $MODES_STACK, %esp
	mov $MODES_TR, %eax
	ltr %ax
	lidt AT(idtr)
	station MODES_PROTECTED

	/* Two levels, 4 MiB pages. */
	mov $MODES_TABLES, %edi
	mov $(PTE_P | PTE_W | PTE_PS), %eax
	mov $1024, %ecx
1:	mov %eax, (%edi)
	add $4, %edi
	add $0x400000, %eax
	loop 1b
	mov %cr4, %eax
	or $CR4_PSE, %eax
	mov %eax, %cr4
	mov $MODES_TABLES, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	jmp 2f
2:	station MODES_LEGACY_PAGING
	mov %cr0, %eax
	and $~CR0_PG, %eax
	mov %eax, %cr0

	/* Three levels, 2 MiB pages: four PDs behind one page of PDPT. */
	mov $MODES_TABLES, %edi
	mov $(MODES_TABLES + 0x1000 + PTE_P), %eax
	mov $4, %ecx
3:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $8, %edi
	add $0x1000, %eax
	loop 3b
	mov $(MODES_TABLES + 0x1000), %edi
	mov $(PTE_P | PTE_W | PTE_PS), %eax
	mov $2048, %ecx
4:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 4b
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MODES_TABLES, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	jmp 5f
5:	station MODES_PAE
	mov %cr0, %eax
	and $~CR0_PG, %eax
	mov %eax, %cr0

	/* A fourth level on top of the same tables, whose entries may write. */
	mov $MODES_TABLES, %edi
	mov $4, %ecx
6:	orl $PTE_W, (%edi)
	add $8, %edi
	loop 6b
	movl $(MODES_TABLES + PTE_P + PTE_W), MODES_PML4
	movl $0, MODES_PML4 + 4
	mov $MODES_PML4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	jmp 7f
7:	station MODES_COMPATIBILITY
	ljmp $MODES_CS64, $AT(long_mode)

	.code64
long_mode:
	station MODES_LONG
	mov $0x123456789abcdef0, %r15
	/* Back: a far return to compatibility mode, then everything off. */
	pushq $MODES_CS32
	pushq $AT(compatibility)
	lretq

	.code32
compatibility:
	mov %cr0, %eax
	and $~CR0_PG, %eax
	mov %eax, %cr0
	mov $MSR_EFER, %ecx
	rdmsr
	and $~EFER_LME, %eax
	wrmsr
	mov %cr4, %eax
	and $~(CR4_PAE | CR4_PSE), %eax
	mov %eax, %cr4
	mov $MODES_DS16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	ljmp $MODES_CS16, $(protected_16 - modes_guest)

	.code16
protected_16:
	station MODES_PROTECTED_16
	mov %cr0, %eax
	and $~CR0_PE, %eax
	mov %eax, %cr0
	ljmp $(MODES_BASE >> 4), $(real_again - modes_guest)
real_again:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	station MODES_REAL_AGAIN
	hlt

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9a000000ffff	/* 32-bit code */
	.quad 0x00cf92000000ffff	/* data */
	.quad 0x00af9a000000ffff	/* 64-bit code */
	.quad 0x00009a010000ffff	/* 16-bit code at MODES_BASE */
	.quad 0x000092010000ffff	/* 16-bit data at MODES_BASE */
	.quad 0x0000890070000067	/* TSS at 0x7000 */
gdt_end:
gdtr:
	.word gdt_end - gdt - 1
	.long AT(gdt)
idtr:
	.word 0x7ff
	.long 0x8000
modes_guest_end:

	.section .note.GNU-stack, "", @progbits
