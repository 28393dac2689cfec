// SPDX-License-Identifier: GPL-2.0-only
#include "load.h"

#include <stdio.h>
#include <unistd.h>

#define TABLE_GPA 0x40000ul
#define COUNTERS_GPA(cpu) (0x50000ul + (cpu) * 0x8000)

/*
 * r8 pages, r9 table, r10 number of pages, r11 counters, r12 offset of this
 * vCPU's counter in a page, r15 whether to write; r14 counts rounds.  HLT means
 * a wrong value: found in rax, expected in rdx, of page rcx.
 */
GUEST_ASM(checker, 64,
	  "1: xor %ecx, %ecx\n"
	  "2: mov (%r9, %rcx, 8), %rdx\n"
	  "mov %rcx, %rbx\n"
	  "shl $12, %rbx\n"
	  "add %r8, %rbx\n"
	  "mov (%rbx), %rax\n"
	  "cmp (%r9, %rcx, 8), %rdx\n"
	  "jne 2b\n"
	  "test %rdx, %rdx\n"
	  "jz 3f\n"
	  "cmp %rax, %rdx\n"
	  "jne 4f\n"
	  "test %r15, %r15\n"
	  "jz 3f\n"
	  "mov (%r11, %rcx, 8), %rdx\n"
	  "mov (%rbx, %r12), %rax\n"
	  "cmp %rax, %rdx\n"
	  "jne 4f\n"
	  "inc %rax\n"
	  "mov %rax, (%rbx, %r12)\n"
	  "mov %rax, (%r11, %rcx, 8)\n"
	  "3: inc %rcx\n"
	  "cmp %r10, %rcx\n"
	  "jb 2b\n"
	  "inc %r14\n"
	  "jmp 1b\n"
	  "4: hlt");

static _Atomic uint64_t *table_entry(struct load *l, int page)
{
	return (_Atomic uint64_t *)(l->g->mem + TABLE_GPA) + page;
}

uint64_t *load_word(struct load *l, int page)
{
	return (uint64_t *)(l->pages + page * GUEST_PAGE);
}

void load_begin(struct load *l, int page)
{
	*table_entry(l, page) = 0;
}

void load_end(struct load *l, int page, uint64_t generation)
{
	*table_entry(l, page) = generation;
}

uint64_t load_next(struct load *l)
{
	return ++l->generation;
}

void load_rewrite(struct load *l, int page)
{
	uint64_t generation = load_next(l);

	*load_word(l, page) = generation;
	load_end(l, page, generation);
}

/* While the host has nothing there, or refuses the access, KVM_RUN says EFAULT. */
static bool try_again(struct vcpu *v, int reason, void *arg)
{
	(void)v;
	(void)arg;
	return reason == -EFAULT;
}

void load_start_in(struct load *l, struct guest *g, int dev, uint8_t *pages,
		   size_t size, bool writes)
{
	int i;

	l->g = g;
	l->pages = pages;
	l->generation = 1000;
	guest_create_bare(g, dev);
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	guest_add_slot(g, 1, 0, LOAD_GPA, size, pages);
	guest_load(g, checker, checker_end);
	for (i = 0; i < LOAD_PAGES; i++)
		load_rewrite(l, i);
	for (i = 0; i < LOAD_VCPUS; i++) {
		struct kvm_regs regs = {
			.rip = GUEST_CODE,
			.rflags = 2,
			.r8 = LOAD_GPA,
			.r9 = TABLE_GPA,
			.r10 = LOAD_PAGES,
			.r11 = COUNTERS_GPA(i),
			.r12 = LOAD_COUNTER(i),
			.r15 = writes,
		};

		vcpu_create(g, &l->cpus[i], i);
		guest_long_mode(g, &l->cpus[i], GUEST_CODE);
		vcpu_set_regs(&l->cpus[i], &regs);
	}
	/* Not before: each of the above writes the page tables that they share. */
	for (i = 0; i < LOAD_VCPUS; i++)
		runner_start(&l->runners[i], &l->cpus[i], try_again, NULL);
}

void load_start(struct load *l, struct guest *g, int dev, uint8_t *pages,
		bool writes)
{
	load_start_in(l, g, dev, pages, LOAD_SIZE, writes);
}

#define PATIENCE_S 60

/* Stop the vCPU; if the storm let it come round not once, when it has, undisturbed. */
static int stop_one(struct load *l, int i, struct kvm_regs *regs)
{
	int last, waited = 0;

	for (;;) {
		last = runner_stop(&l->runners[i]);
		vcpu_get_regs(&l->cpus[i], regs);
		if (last != -EINTR || regs->r14 || waited++ == PATIENCE_S)
			return last;
		runner_start(&l->runners[i], &l->cpus[i], try_again, NULL);
		sleep(1);
	}
}

int load_stop(struct load *l)
{
	struct kvm_regs regs;
	int i, wrong = 0;

	/* While the guest runs, and once more when it has stopped. */
	guest_verify(l->g);
	for (i = 0; i < LOAD_VCPUS; i++) {
		int last = stop_one(l, i, &regs);

		if (last != -EINTR || !regs.r14) {
			fprintf(stderr, "# vCPU %d: %s after %llu rounds,", i,
				exit_name(last), regs.r14);
			fprintf(stderr, " page %llu has %llu, expected %llu\n",
				regs.rcx, regs.rax, regs.rdx);
			wrong++;
		}
		vcpu_destroy(&l->cpus[i]);
	}
	guest_verify(l->g);
	return wrong;
}

bool load_running(struct load *l)
{
	int i;

	for (i = 0; i < LOAD_VCPUS; i++)
		if (l->runners[i].ended)
			return false;
	return true;
}
