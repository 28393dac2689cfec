// SPDX-License-Identifier: GPL-2.0-only
#include <sys/mman.h>

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

GUEST_ASM(write_on, 64,
	  "1: mov %r8, %rdi\n"
	  "mov %r9, %rcx\n"
	  "inc %rsi\n"
	  "2: mov %rsi, (%rdi)\n"
	  "add $4096, %rdi\n"
	  "dec %rcx\n"
	  "jnz 2b\n"
	  "jmp 1b");
asm(".globl write_on, write_on_end");

void pass_load(struct guest *g)
{
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	madvise(g->mem, g->mem_size, MADV_NOHUGEPAGE);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	vcpu_create(g, &g->cpu, 0);
	guest_load(g, pass, pass_end);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
}

void pass_start(struct guest *g, int dev)
{
	guest_create_bare(g, dev);
	pass_load(g);
}

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
