// SPDX-License-Identifier: GPL-2.0-only
#include "pass.h"

/*
 * Goes over rcx pages from rdi on.  Their first words are rdx and what follows:
 * r15 says whether to write them; rax counts those that are not so.
 */
GUEST_ASM(pass, 64,
	  "xor %eax, %eax\n"
	  "1: test %r15, %r15\n"
	  "jz 2f\n"
	  "mov %rdx, (%rdi)\n"
	  "2: cmp %rdx, (%rdi)\n"
	  "je 3f\n"
	  "inc %rax\n"
	  "3: add $4096, %rdi\n"
	  "inc %rdx\n"
	  "dec %rcx\n"
	  "jnz 1b\n"
	  "hlt");
asm(".globl pass, pass_end");

int run_pass(struct guest *g, uint64_t gpa, uint64_t pages, uint64_t first,
	     bool write, uint64_t *wrong)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rdi = gpa,
		.rcx = pages,
		.rdx = first,
		.r15 = write,
	};
	int ret;

	vcpu_set_regs(&g->cpu, &regs);
	ret = vcpu_run(&g->cpu);
	vcpu_get_regs(&g->cpu, &regs);
	*wrong = regs.rax;
	return ret;
}
