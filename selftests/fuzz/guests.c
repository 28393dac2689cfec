// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest code.  Registers at its start: rbx and rdi the target, rcx how often,
 * r12 the step, rdx and the rest from the seed.
 */
#include <stdlib.h>
#include <string.h>

#include "ops.h"
#include "x86.h"

GUEST_ASM(reads, 64, "1: mov (%rbx), %rax; add %r12, %rbx; loop 1b; hlt");
GUEST_ASM(writes, 64, "1: mov %rcx, (%rbx); add %r12, %rbx; loop 1b; hlt");
GUEST_ASM(spins, 64, "1: incq (%rbx); mov (%rdi), %rax; pause; jmp 1b");
GUEST_ASM(jumps, 64, "movb $0xc3, (%rbx); call *%rbx; add %r12, %rbx; jmp *%rbx");

/* What the emulator knows, on memory that may be none. */
GUEST_ASM(emulated, 64,
	  "1: mov (%rbx), %al; mov %ax, (%rbx); movzbl 1(%rbx), %edx; movsbq 2(%rbx), %rsi\n"
	  "mov $0x12345678, %eax; mov %eax, 4(%rbx); movq $-1, 8(%rbx)\n"
	  "add %rax, (%rbx); sub (%rbx), %edx; adc $3, %rbx; sbb $3, %rbx; orb $1, (%rbx)\n"
	  "and %edx, 4(%rbx); xor %dl, 3(%rbx); cmp %rax, (%rbx); testb $4, (%rbx)\n"
	  "incw (%rbx); decq 8(%rbx); negl (%rbx); notb 5(%rbx)\n"
	  "lock xadd %rax, (%rbx); xchg %edx, 4(%rbx); lock cmpxchg %rdx, (%rbx)\n"
	  "lock cmpxchg8b (%rbx); shlq $3, (%rbx); sarl %cl, 4(%rbx); rorw $1, (%rbx)\n"
	  "bt %eax, (%rbx); lock btsq $5, (%rbx); btr $1, %edx; bsf (%rbx), %eax\n"
	  "imul (%rbx), %eax; imul $3, (%rbx), %edx; cmovz (%rbx), %esi; setc (%rbx)\n"
	  "movups (%rbx), %xmm1; movups %xmm1, 16(%rbx); movd %xmm1, (%rbx); movq 8(%rbx), %xmm2\n"
	  "movnti %eax, (%rbx); pushq (%rbx); popq 8(%rbx)\n"
	  "add %r12, %rbx; dec %ecx; jnz 1b; hlt");

GUEST_ASM(strings, 64,
	  "mov %rbx, %rsi; lea 0x800(%rbx), %rdi; push %rcx; rep movsb; pop %rcx; push %rcx\n"
	  "rep stosq; pop %rcx; push %rcx; std; rep lodsl; cld; pop %rcx; push %rcx\n"
	  "repe cmpsb; pop %rcx; mov %rbx, %rdi; repne scasw; hlt");

GUEST_ASM(ports, 64,
	  "and $0xffff, %edx; in %dx, %al; in %dx, %eax; out %ax, %dx; inb $0x80, %al; outl %eax, $0x80\n"
	  "push %rcx; rep insb; pop %rcx; push %rcx; mov %rbx, %rsi; rep outsl; pop %rcx\n"
	  "rep insw; outsb; insl; hlt");

GUEST_ASM(instructions, 64,
	  "mov %edx, %eax; push %rcx; cpuid; pop %rcx; rdtsc; xor %ecx, %ecx; mov %cr4, %rax\n"
	  "or $0x40000, %eax; mov %rax, %cr4; xgetbv; or $7, %eax; xsetbv; wbinvd; invd\n"
	  "mov %cr0, %rax; xor $0x20000000, %rax; mov %rax, %cr0; mov %cr8, %rax; mov %rax, %cr8\n"
	  "mov %rbx, %dr0; mov %dr7, %rax; or $1, %eax; mov %rax, %dr7; mov (%rbx), %al\n"
	  "xor %eax, %eax; mov %rax, %dr7; invlpg (%rbx); mov %cr3, %rax; mov %rax, %cr3\n"
	  "lmsw %ax; smsw %eax; clts; monitor; mwait; vmmcall; sti; nop; cli; hlt; sti; hlt; ud2");

/* Of the registers that many are near. */
GUEST_ASM(msrs, 64,
	  "mov %edx, %ecx; and $0xc0011fff, %ecx; mov $8, %esi\n"
	  "1: rdmsr; wrmsr; inc %ecx; dec %esi; jnz 1b; hlt");

GUEST_ASM(system_calls, 64, "vmload; vmsave; stgi; clgi; skinit; vmrun; rdpmc; rsm");

/* Its own tables: the large page of the target gets other rights, or another place. */
GUEST_ASM(own_tables, 64,
	  "1: mov %rbx, %rsi; shr $21, %rsi; and $0x7ff, %esi\n"
	  "xor %rdx, 0x3000(, %rsi, 8); invlpg (%rbx); mov (%rbx), %rax; mov %rax, 8(%rbx)\n"
	  "add %r12, %rbx; loop 1b; hlt");

/* The target is a table of the addresses around it, whose entries then change. */
GUEST_ASM(new_table, 64,
	  "mov %rdi, %r8; and $-4096, %r8; xor %esi, %esi\n"
	  "1: mov %rsi, %rax; shl $12, %rax; or $0x67, %eax; mov %rax, (%r8, %rsi, 8)\n"
	  "inc %esi; cmp $510, %esi; jb 1b\n"
	  "movabs $0xf4f4f4f4f4f4f4f4, %rax; mov %rax, (%r8, %rsi, 8); mov %rax, 8(%r8, %rsi, 8)\n"
	  "mov %rbx, %rsi; shr $21, %rsi; and $0x7ff, %esi; lea 0x67(%r8), %rax\n"
	  "mov %rax, 0x3000(, %rsi, 8); invlpg (%rbx); and $-0x200000, %rbx\n"
	  "2: mov (%rbx), %rax; mov %rax, 8(%rbx); mov %rbx, %rsi; shr $12, %rsi; and $511, %esi\n"
	  "xor %rdx, (%r8, %rsi, 8); ror $7, %rdx; invlpg (%rbx); mov (%rbx), %rax\n"
	  "add %r12, %rbx; loop 2b; hlt");

GUEST_ASM(own_code, 64,
	  "lea 2f(%rip), %rsi; mov %dl, (%rsi); movb $0xc3, 1(%rsi); call 2f; mov %dh, (%rsi)\n"
	  "call 2f; hlt; 2: nop; nop; nop");

GUEST_ASM(exceptions, 64, "ud2; int3; int $0x80; div %ecx; hlt");

/* A large page, small page by small page, again and again: more than a small dirty ring takes. */
GUEST_ASM(dirties, 64,
	  "1: mov %rdi, %rbx; mov $512, %ecx; 2: incq (%rbx); add $4096, %rbx; loop 2b; jmp 1b");

#define NR_TABLES 6u /* at GUEST_TABLES */

/* Bytes of the seed, instead of code. */
static const uint8_t nothing[1];

#define CODE(name) { name, name##_end }

static const struct {
	const uint8_t *start, *end;
} guests[] = {
	CODE(reads), CODE(writes), CODE(spins), CODE(jumps), CODE(emulated), CODE(strings),
	CODE(ports), CODE(instructions), CODE(msrs), CODE(system_calls), CODE(own_tables),
	CODE(own_code), CODE(exceptions),
	{ nothing, nothing },
	CODE(new_table),
	[GUEST_DIRTIES] = CODE(dirties),
};

unsigned int nr_guests(void)
{
	return sizeof(guests) / sizeof(guests[0]);
}

/*
 * A guest that strays into its tables, and executes them, ends in them: QEMU hangs
 * where an instruction begins in one of the tables that the next byte's address is
 * looked up by (docs/lab.md).  The last two entries are HLT all over, and map nothing.
 */
static void end_tables(struct guest *g)
{
	unsigned int i;

	for (i = 1; i <= NR_TABLES; i++)
		memset(g->mem + GUEST_TABLES + i * GUEST_PAGE - 16, 0xf4, 16);
}

/* 64, 32 or 16 bits, or 64 in user mode. */
static void set_mode(struct guest *g, struct vcpu *v, unsigned int mode, uint32_t rip)
{
	struct kvm_sregs s;

	switch (mode % 4) {
	case 1:
		guest_protected_mode(g, v, rip);
		return;
	case 2:
		vcpu_real_mode(v, rip - GUEST_CODE);
		return;
	}
	guest_long_mode(g, v, rip);
	end_tables(g);
	if (mode % 4 == 3) {
		vcpu_get_sregs(v, &s);
		s.cs.dpl = 3;
		s.cs.selector |= 3;
		s.ss.dpl = 3;
		s.ss.selector |= 3;
		vcpu_set_sregs(v, &s);
	}
}

void guest_prepare(struct guest *g, struct vcpu *v, unsigned int kind, unsigned int mode,
		   uint64_t gpa, uint64_t seed)
{
	struct kvm_regs regs;
	uint32_t rip;

	kind %= nr_guests();
	/* Each kind has a place, so that guests of several kinds may run. */
	rip = GUEST_CODE + kind * 0x400;
	if (guests[kind].start == nothing)
		fill(g->mem + rip, 0x100, seed);
	else
		memcpy(g->mem + rip, guests[kind].start, guests[kind].end - guests[kind].start);
	set_mode(g, v, mode, rip);
	vcpu_get_regs(v, &regs);
	regs.rbx = gpa;
	regs.rdi = gpa;
	regs.rcx = 1 + seed % 61;
	regs.r12 = 1ul << (seed / 61 % 23);
	regs.rdx = seed * 0x9e3779b97f4a7c15;
	regs.rax = seed;
	regs.rsi = gpa + seed % 4096;
	vcpu_set_regs(v, &regs);
}
