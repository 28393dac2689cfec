// SPDX-License-Identifier: GPL-2.0-only
#include "mmio_cases.h"

#define CASE_(bits, group, len, reads, writes, text)			\
	asm(".pushsection .rodata.guest, \"a\"\n"			\
	    ".code" #bits "\n"						\
	    "771: " text "; hlt\n"					\
	    "772:\n"							\
	    ".code64\n"							\
	    "773: .asciz \"" text "\"\n"				\
	    ".popsection\n"						\
	    ".pushsection mmio_cases, \"a\"\n"				\
	    ".balign 8\n"						\
	    ".quad 771b, 772b, 773b\n"					\
	    ".long " #bits ", " #group ", " #len ", " #reads ", " #writes "\n" \
	    ".balign 8\n"						\
	    ".popsection\n")
#define CASE(...) CASE_(__VA_ARGS__)

/* One read; one write; both. */
#define R(bits, group, len, text) CASE(bits, group, len, 1, 0, text)
#define W(bits, group, len, text) CASE(bits, group, len, 0, 1, text)
#define RW(bits, group, len, text) CASE(bits, group, len, 1, 1, text)

/* MOV between the device and registers, and of immediates. */
#define MOVES(bits, base)						\
	W(bits, MMIO_MOV, 1, "mov %al, (" base ")");			\
	W(bits, MMIO_MOV, 1, "mov %ah, (" base ")");			\
	W(bits, MMIO_MOV, 1, "mov %dh, (" base ")");			\
	W(bits, MMIO_MOV, 2, "mov %dx, (" base ")");			\
	W(bits, MMIO_MOV, 4, "mov %edx, (" base ")");			\
	W(bits, MMIO_MOV, 2, "mov %dx, 3(" base ")");			\
	W(bits, MMIO_MOV, 4, "mov %edx, 3(" base ")");			\
	R(bits, MMIO_MOV, 1, "mov (" base "), %cl");			\
	R(bits, MMIO_MOV, 1, "mov (" base "), %dh");			\
	R(bits, MMIO_MOV, 2, "mov (" base "), %cx");			\
	R(bits, MMIO_MOV, 4, "mov (" base "), %edx");			\
	R(bits, MMIO_MOV, 4, "mov 1(" base "), %edx");			\
	R(bits, MMIO_MOV, 4, "mov (" base "), %ebx");			\
	W(bits, MMIO_MOV, 1, "movb $0x5a, (" base ")");			\
	W(bits, MMIO_MOV, 2, "movw $0x1234, (" base ")");		\
	W(bits, MMIO_MOV, 4, "movl $0x89abcdef, (" base ")")

MOVES(64, "%rbx");
MOVES(32, "%ebx");
MOVES(16, "%bx");

W(64, MMIO_MOV, 8, "mov %rax, (%rbx)");
W(64, MMIO_MOV, 8, "mov %r15, (%rbx)");
W(64, MMIO_MOV, 8, "mov %rdx, 5(%rbx)");
W(64, MMIO_MOV, 4, "mov %r8d, (%rbx)");
W(64, MMIO_MOV, 2, "mov %r9w, (%rbx)");
W(64, MMIO_MOV, 1, "mov %r9b, (%rbx)");
W(64, MMIO_MOV, 1, "mov %sil, (%rbx)");
W(64, MMIO_MOV, 1, "mov %bpl, (%rbx)");
W(64, MMIO_MOV, 8, "movq $-2, (%rbx)");
W(64, MMIO_MOV, 8, "movq $0x12345678, (%rbx)");
R(64, MMIO_MOV, 8, "mov (%rbx), %rax");
R(64, MMIO_MOV, 8, "mov (%rbx), %r15");
R(64, MMIO_MOV, 4, "mov (%rbx), %r9d");
R(64, MMIO_MOV, 2, "mov (%rbx), %r8w");
R(64, MMIO_MOV, 1, "mov (%rbx), %r9b");
R(64, MMIO_MOV, 1, "mov (%rbx), %dil");

/* The accumulator and an address in the instruction. */
W(64, MMIO_MOV, 1, "movabs %al, 0x200100");
W(64, MMIO_MOV, 2, "movabs %ax, 0x200100");
W(64, MMIO_MOV, 4, "movabs %eax, 0x200100");
W(64, MMIO_MOV, 8, "movabs %rax, 0x200100");
R(64, MMIO_MOV, 1, "movabs 0x200100, %al");
R(64, MMIO_MOV, 2, "movabs 0x200100, %ax");
R(64, MMIO_MOV, 4, "movabs 0x200100, %eax");
R(64, MMIO_MOV, 8, "movabs 0x200100, %rax");
W(32, MMIO_MOV, 1, "mov %al, 0x200100");
W(32, MMIO_MOV, 2, "mov %ax, 0x200100");
W(32, MMIO_MOV, 4, "mov %eax, 0x200100");
R(32, MMIO_MOV, 1, "mov 0x200100, %al");
R(32, MMIO_MOV, 4, "mov 0x200100, %eax");
W(16, MMIO_MOV, 1, "mov %al, 0x123");
W(16, MMIO_MOV, 2, "mov %ax, 0x123");
R(16, MMIO_MOV, 1, "mov 0x123, %al");
R(16, MMIO_MOV, 2, "mov 0x123, %ax");
R(16, MMIO_MOV, 4, "mov 0x123, %eax");

#define EXTENDS(bits, base)						\
	R(bits, MMIO_EXTEND, 1, "movzbw (" base "), %ax");		\
	R(bits, MMIO_EXTEND, 1, "movzbl (" base "), %eax");		\
	R(bits, MMIO_EXTEND, 2, "movzwl (" base "), %edx");		\
	R(bits, MMIO_EXTEND, 1, "movsbw (" base "), %ax");		\
	R(bits, MMIO_EXTEND, 1, "movsbl (" base "), %eax");		\
	R(bits, MMIO_EXTEND, 2, "movswl (" base "), %edx");		\
	R(bits, MMIO_EXTEND, 1, "movsbl 9(" base "), %eax");		\
	R(bits, MMIO_EXTEND, 2, "movswl 9(" base "), %edx")

EXTENDS(64, "%rbx");
EXTENDS(32, "%ebx");
EXTENDS(16, "%bx");

R(64, MMIO_EXTEND, 1, "movzbq (%rbx), %rax");
R(64, MMIO_EXTEND, 2, "movzwq (%rbx), %r9");
R(64, MMIO_EXTEND, 1, "movzbl (%rbx), %r15d");
R(64, MMIO_EXTEND, 1, "movsbq (%rbx), %rax");
R(64, MMIO_EXTEND, 1, "movsbq 9(%rbx), %r8");
R(64, MMIO_EXTEND, 2, "movswq (%rbx), %rdx");
R(64, MMIO_EXTEND, 4, "movslq (%rbx), %rdx");
R(64, MMIO_EXTEND, 4, "movslq 2(%rbx), %r15");

/*
 * Two-operand arithmetic and logic.  to_device is RW, or R for instructions
 * that only set flags; carry goes in set, for ADC and SBB.
 */
#define TWO_OPERANDS(bits, group, to_device, op, base)			\
	to_device(bits, group, 1, "stc; " op " %al, (" base ")");	\
	to_device(bits, group, 2, "stc; " op " %dx, (" base ")");	\
	to_device(bits, group, 4, "stc; " op " %edx, (" base ")");	\
	to_device(bits, group, 1, "stc; " op "b $0x9c, (" base ")");	\
	to_device(bits, group, 2, "stc; " op "w $0x1234, (" base ")");	\
	to_device(bits, group, 2, "stc; " op "w $-3, (" base ")");	\
	to_device(bits, group, 4, "stc; " op "l $0x89abcdef, (" base ")"); \
	to_device(bits, group, 4, "stc; " op "l $-3, (" base ")")

#define FROM_DEVICE(bits, group, op, base)				\
	R(bits, group, 1, "stc; " op " (" base "), %ah");		\
	R(bits, group, 2, "stc; " op " (" base "), %dx");		\
	R(bits, group, 4, "stc; " op " (" base "), %edx")

#define TWO_OPERANDS_64(group, to_device, op)				\
	to_device(64, group, 8, "stc; " op " %rax, (%rbx)");		\
	to_device(64, group, 8, "stc; " op " %r9, (%rbx)");		\
	to_device(64, group, 4, "stc; " op " %r9d, (%rbx)");		\
	to_device(64, group, 8, "stc; " op "q $0x12345678, (%rbx)");	\
	to_device(64, group, 8, "stc; " op "q $-3, (%rbx)")

#define FROM_DEVICE_64(group, op)					\
	R(64, group, 8, "stc; " op " (%rbx), %rax");			\
	R(64, group, 8, "stc; " op " (%rbx), %r9")

#define ALU(group, to_device, op)					\
	TWO_OPERANDS(64, group, to_device, op, "%rbx");			\
	TWO_OPERANDS(32, group, to_device, op, "%ebx");			\
	TWO_OPERANDS(16, group, to_device, op, "%bx");			\
	FROM_DEVICE(64, group, op, "%rbx");				\
	FROM_DEVICE(32, group, op, "%ebx");				\
	FROM_DEVICE(16, group, op, "%bx");				\
	TWO_OPERANDS_64(group, to_device, op);				\
	FROM_DEVICE_64(group, op)

ALU(MMIO_ARITHMETIC, RW, "add");
ALU(MMIO_ARITHMETIC, RW, "adc");
ALU(MMIO_ARITHMETIC, RW, "sub");
ALU(MMIO_ARITHMETIC, RW, "sbb");
ALU(MMIO_ARITHMETIC, R, "cmp");
ALU(MMIO_LOGIC, RW, "and");
ALU(MMIO_LOGIC, RW, "or");
ALU(MMIO_LOGIC, RW, "xor");
/* TEST has one encoding for both directions, and no short immediate. */
TWO_OPERANDS(64, MMIO_LOGIC, R, "test", "%rbx");
TWO_OPERANDS(32, MMIO_LOGIC, R, "test", "%ebx");
TWO_OPERANDS(16, MMIO_LOGIC, R, "test", "%bx");
TWO_OPERANDS_64(MMIO_LOGIC, R, "test");

#define ONE_OPERAND(bits, group, op, base)				\
	RW(bits, group, 1, "stc; " op "b (" base ")");			\
	RW(bits, group, 2, "stc; " op "w (" base ")");			\
	RW(bits, group, 4, "stc; " op "l (" base ")")

#define ALU_1(group, op)						\
	ONE_OPERAND(64, group, op, "%rbx");				\
	ONE_OPERAND(32, group, op, "%ebx");				\
	ONE_OPERAND(16, group, op, "%bx");				\
	RW(64, group, 8, "stc; " op "q (%rbx)")

ALU_1(MMIO_ARITHMETIC, "inc");
ALU_1(MMIO_ARITHMETIC, "dec");
ALU_1(MMIO_ARITHMETIC, "neg");
ALU_1(MMIO_LOGIC, "not");

RW(64, MMIO_ARITHMETIC, 4, "lock addl $1, (%rbx)");
RW(64, MMIO_ARITHMETIC, 8, "lock incq (%rbx)");
RW(64, MMIO_ARITHMETIC, 8, "lock sub %rax, (%rbx)");
RW(64, MMIO_LOGIC, 4, "lock orl $0, (%rbx)");
RW(64, MMIO_LOGIC, 1, "lock andb $0x7f, (%rbx)");
RW(32, MMIO_LOGIC, 4, "lock xor %eax, (%ebx)");
RW(16, MMIO_ARITHMETIC, 2, "lock decw (%bx)");

/* CMPXCHG writes also when the comparison fails: the old value. */
#define EXCHANGES(bits, base)						\
	RW(bits, MMIO_EXCHANGE, 1, "xchg %al, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 2, "xchg %dx, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 4, "xchg %edx, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 1, "cmpxchg %dl, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 2, "cmpxchg %dx, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 4, "cmpxchg %edx, (" base ")");		\
	RW(bits, MMIO_EXCHANGE, 4, "lock cmpxchg %edx, (" base ")");	\
	CASE(bits, MMIO_EXCHANGE, 1, 2, 1,				\
	     "mov (" base "), %al; cmpxchg %dl, (" base ")");		\
	CASE(bits, MMIO_EXCHANGE, 4, 2, 1,				\
	     "mov (" base "), %eax; cmpxchg %edx, (" base ")");		\
	CASE(bits, MMIO_EXCHANGE, 4, 2, 1,				\
	     "mov (" base "), %eax; lock cmpxchg %edx, (" base ")")

EXCHANGES(64, "%rbx");
EXCHANGES(32, "%ebx");
EXCHANGES(16, "%bx");

RW(64, MMIO_EXCHANGE, 8, "xchg %rax, (%rbx)");
RW(64, MMIO_EXCHANGE, 8, "xchg %r15, (%rbx)");
RW(64, MMIO_EXCHANGE, 8, "cmpxchg %r9, (%rbx)");
CASE(64, MMIO_EXCHANGE, 8, 2, 1, "mov (%rbx), %rax; cmpxchg %r9, (%rbx)");
CASE(64, MMIO_EXCHANGE, 8, 2, 1, "mov (%rbx), %rax; lock cmpxchg %r9, (%rbx)");

/* STOS: rdi points to the device, rcx is 5. */
#define STORES(bits)							\
	W(bits, MMIO_STRING, 1, "stosb");				\
	W(bits, MMIO_STRING, 2, "stosw");				\
	W(bits, MMIO_STRING, 4, "stosl");				\
	CASE(bits, MMIO_STRING, 1, 0, 5, "rep stosb");			\
	CASE(bits, MMIO_STRING, 2, 0, 5, "rep stosw");			\
	CASE(bits, MMIO_STRING, 4, 0, 5, "rep stosl");			\
	CASE(bits, MMIO_STRING, 1, 0, 5, "std; rep stosb");		\
	CASE(bits, MMIO_STRING, 4, 0, 5, "std; rep stosl");		\
	CASE(bits, MMIO_STRING, 4, 0, 0, "xor %ecx, %ecx; rep stosl");	\
	CASE(bits, MMIO_STRING, 1, 0, 300, "mov $300, %ecx; rep stosb")

STORES(64);
STORES(32);
STORES(16);
W(64, MMIO_STRING, 8, "stosq");
CASE(64, MMIO_STRING, 8, 0, 5, "rep stosq");
CASE(64, MMIO_STRING, 8, 0, 5, "std; rep stosq");
CASE(64, MMIO_STRING, 4, 0, 5, "rep stosl %eax, (%edi)");

/* MOVS: memory to device, device to memory, device to device. */
W(64, MMIO_STRING, 1, "mov $0x60010, %esi; movsb");
W(64, MMIO_STRING, 8, "mov $0x60010, %esi; movsq");
CASE(64, MMIO_STRING, 1, 0, 5, "mov $0x60010, %esi; rep movsb");
CASE(64, MMIO_STRING, 2, 0, 5, "mov $0x60010, %esi; rep movsw");
CASE(64, MMIO_STRING, 4, 0, 5, "mov $0x60010, %esi; rep movsl");
CASE(64, MMIO_STRING, 8, 0, 5, "mov $0x60010, %esi; std; rep movsq");
R(64, MMIO_STRING, 4, "mov %rdi, %rsi; mov $0x60010, %edi; movsl");
CASE(64, MMIO_STRING, 1, 5, 0, "mov %rdi, %rsi; mov $0x60010, %edi; rep movsb");
CASE(64, MMIO_STRING, 8, 5, 0, "mov %rdi, %rsi; mov $0x60010, %edi; rep movsq");
CASE(64, MMIO_STRING, 2, 5, 0,
     "mov %rdi, %rsi; mov $0x60010, %edi; std; rep movsw");
CASE(64, MMIO_STRING, 4, 1, 1, "lea 0x100(%rdi), %rsi; movsl");
CASE(64, MMIO_STRING, 8, 5, 5, "lea 0x100(%rdi), %rsi; rep movsq");
CASE(64, MMIO_STRING, 1, 5, 5, "lea -3(%rdi), %rsi; rep movsb");
CASE(32, MMIO_STRING, 4, 0, 5,
     "mov $0x60010, %esi; rep movsl %fs:(%esi), %es:(%edi)");
CASE(32, MMIO_STRING, 1, 5, 5, "lea 0x100(%edi), %esi; rep movsb");
CASE(16, MMIO_STRING, 2, 0, 5,
     "mov $0x6010, %si; rep movsw %fs:(%si), %es:(%di)");
CASE(16, MMIO_STRING, 1, 5, 5, "mov $0x300, %si; rep movsb");

/* Ways to say where. */
W(64, MMIO_ADDRESSING, 4, "mov %eax, 8(%rbx)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, -8(%rbx)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 0x1000(%rbx)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rbx, %rsi)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rbx, %rsi, 2)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rbx, %rsi, 4)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rbx, %rsi, 8)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 0x40(%rbx, %r10, 4)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 0x400(%rbx, %r14, 8)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rbp)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 8(%rbp, %rsi, 8)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%rdi)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%r11)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%r12)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 8(%r12)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%r13)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%r12, %r14)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%r13, %r14, 2)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 0x200000(, %rsi, 8)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, 0x200000(, %r10, 4)");
W(64, MMIO_ADDRESSING, 4, "mov %edx, 0x200104");
W(64, MMIO_ADDRESSING, 4, "mov %edx, 0x1f0000(%rip)");
W(64, MMIO_ADDRESSING, 4, "movl $0x11223344, 0x1f0000(%rip)");
W(64, MMIO_ADDRESSING, 1, "movb $0x11, 0x1f0000(%rip)");
RW(64, MMIO_ADDRESSING, 8, "addq $0x11, 0x1f0000(%rip)");
R(64, MMIO_ADDRESSING, 8, "mov 0x1f0000(%rip), %r9");
W(64, MMIO_ADDRESSING, 4, "mov %rbx, %rsp; mov %eax, (%rsp)");
W(64, MMIO_ADDRESSING, 4, "mov %rbx, %rsp; mov %eax, 8(%rsp, %rsi, 2)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%ebx)");
W(64, MMIO_ADDRESSING, 4, "mov %eax, (%ebx, %esi, 4)");
W(64, MMIO_ADDRESSING, 4, "mov $-4, %rcx; mov %eax, 0x40(%rbx, %rcx, 4)");
W(64, MMIO_ADDRESSING, 4, "mov $-4, %ecx; mov %eax, 0x40(%ebx, %ecx)");
W(64, MMIO_ADDRESSING, 4, "bts $40, %rbx; mov %eax, (%ebx)");
W(64, MMIO_ADDRESSING, 4, ".byte 0x3e; mov %eax, (%rbx)");
W(64, MMIO_ADDRESSING, 4, ".byte 0x2e; mov %eax, (%rbx)");
W(64, MMIO_ADDRESSING, 4, ".byte 0x40; mov %eax, (%rbx)");
W(64, MMIO_ADDRESSING, 4,
  "mov $0xc0000101, %ecx; mov $0x20, %eax; xor %edx, %edx; wrmsr; "
  "mov %eax, %gs:(%rbx)");

W(32, MMIO_ADDRESSING, 4, "mov %eax, 8(%ebx)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, 0x1000(%ebx)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, (%ebx, %esi)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, -4(%ebx, %esi, 8)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, (%ebp)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, 8(%ebp, %esi, 8)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, 0x200000(, %esi, 8)");
W(32, MMIO_ADDRESSING, 4, "mov %ebx, %esp; mov %eax, 4(%esp)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, %es:(%ebx)");
W(32, MMIO_ADDRESSING, 4, "mov %eax, %gs:(%ebx)");
W(32, MMIO_ADDRESSING, 4, "mov %edx, 0x200104");
RW(32, MMIO_ADDRESSING, 4, "addl $0x11, 0x200104");

W(16, MMIO_ADDRESSING, 2, "mov %ax, (%bx, %si)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%bx, %di)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%bp, %si)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%bp, %di)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%si)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%di)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, (%bp)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, 8(%bp, %di)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, 0x234(%bx, %si)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, -2(%bx)");
W(16, MMIO_ADDRESSING, 2, "mov %dx, 0x345");
W(16, MMIO_ADDRESSING, 4, "movl $0x11223344, 0x345");
W(16, MMIO_ADDRESSING, 2, "mov %ax, %es:(%bx)");
W(16, MMIO_ADDRESSING, 4, "mov %eax, (%ebx, %esi, 2)");
W(16, MMIO_ADDRESSING, 2, "mov %ax, 8(%ebx)");
W(16, MMIO_ADDRESSING, 2, "mov $0xfff0, %bx; mov %ax, 0x120(%bx)");
