// SPDX-License-Identifier: GPL-2.0-only
#include "legacy.h"

#include <string.h>

#include "x86.h"

#define PARAMS 0x1a000
#define USER_BASE 0x1000000 /* the first 2M once more, for user mode */
#define KERNEL_TABLE 0x62000u
#define USER_TABLE 0x63000u

/* What the guest's code reads; offsets are in it. */
struct params {
	uint32_t cr0, cr4;
	uint32_t flush, flush_va, cr3;
	uint32_t user, flags;
	uint32_t access, va, data;
	struct {
		uint32_t at, store, low, high;
	} edit[2];
};

/* esi: the parameters; edi: an edit of them. */
GUEST_ASM(legacy_code, 32,
	  "mov $" GUEST_STR(PARAMS) ", %esi\n"
	  "mov 0(%esi), %eax\n test %eax, %eax\n jz 1f\n mov %eax, %cr0\n"
	  "1: mov 4(%esi), %eax\n test %eax, %eax\n jz 1f\n mov %eax, %cr4\n"
	  "1: lea 40(%esi), %edi\n call 5f\n lea 56(%esi), %edi\n call 5f\n"
	  "mov 12(%esi), %eax\n cmpl $1, 8(%esi)\n jne 1f\n invlpg (%eax)\n"
	  "1: mov 16(%esi), %eax\n cmpl $2, 8(%esi)\n jne 1f\n mov %eax, %cr3\n"
	  "1: mov 28(%esi), %ecx\n mov 32(%esi), %ebx\n mov 36(%esi), %ebp\n"
	  "mov 24(%esi), %edx\n cmpl $0, 20(%esi)\n jz 1f\n"
	  "push $" GUEST_STR(GUEST_USER_DS) "\n push $0x101e000\n push %edx\n"
	  "push $" GUEST_STR(GUEST_USER_CS) "\n"
	  "push $(2f - legacy_code + " GUEST_STR(USER_BASE) " + " GUEST_STR(GUEST_CODE) ")\n"
	  "iret\n"
	  "1: push %edx\n popf\n"
	  "2: cmp $1, %ecx\n jne 1f\n mov (%ebx), %ebp\n"
	  "1: cmp $2, %ecx\n jne 1f\n mov %ebp, (%ebx)\n"
	  "1: cmp $3, %ecx\n jne 1f\n call *%ebx\n"
	  "1: int $0x80\n"
	  "5: mov (%edi), %ebp\n test %ebp, %ebp\n jz 8f\n"
	  "mov 8(%edi), %ebx\n mov 12(%edi), %ecx\n"
	  "cmpl $1, 4(%edi)\n jb 7f\n je 6f\n"
	  "mov (%ebp), %eax\n mov 4(%ebp), %edx\n"
	  "1: lock cmpxchg8b (%ebp)\n jnz 1b\n ret\n"
	  "6: mov %ecx, 4(%ebp)\n"
	  "7: mov %ebx, (%ebp)\n"
	  "8: ret\n");

/* Behind the handlers' stubs: write down what it was, and end the run. */
GUEST_ASM(legacy_ended, 32,
	  "pop %eax\n mov %eax, " GUEST_STR(IDT_RECORD) " + " GUEST_STR(RECORD_VECTOR) "\n"
	  "pop %eax\n mov %eax, " GUEST_STR(IDT_RECORD) " + " GUEST_STR(RECORD_ERROR) "\n"
	  "mov %cr2, %eax\n mov %eax, " GUEST_STR(IDT_RECORD) " + " GUEST_STR(RECORD_CR2) "\n"
	  "out %al, $0x10\n");

/* By the guest: an emulated CPU takes no stack from a TSS that it was given as busy. */
GUEST_ASM(load_tr, 32, "mov $" GUEST_STR(GUEST_TR) ", %eax\n ltr %ax\n out %al, $0x10\n");

static bool has_error_code(int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

static void set_idt(struct guest *g)
{
	int i;

	memcpy(g->mem + IDT_COMMON, legacy_ended, legacy_ended_end - legacy_ended);
	for (i = 0; i < 256; i++) {
		uint8_t *stub = g->mem + IDT_STUBS + 16 * i;
		uint32_t from = IDT_STUBS + 16 * i, jump;
		/* Interrupt gates; software may raise the last one's. */
		const uint64_t gate = from | GUEST_CS32 << 16 |
				      (i == LEGACY_DONE ? 0xee00ul : 0x8e00ul) << 32;

		if (!has_error_code(i)) {
			*stub++ = 0x6a; /* PUSH */
			*stub++ = 0;
			from += 2;
		}
		*stub++ = 0x68; /* PUSH */
		*stub++ = i;
		memset(stub, 0, 3);
		stub += 3;
		*stub++ = 0xe9; /* JMP */
		jump = IDT_COMMON - (from + 10);
		memcpy(stub, &jump, sizeof(jump));
		memcpy(g->mem + GUEST_IDT + 8 * i, &gate, sizeof(gate));
	}
}

static void set_tables(const struct legacy *l)
{
	uint8_t *mem = l->g->mem;
	uint32_t va;

	memset(mem + LEGACY_CR3, 0, GUEST_PAGE);
	memset(mem + LEGACY_PD, 0, 4 * GUEST_PAGE);
	for (va = 0; va < 4 && l->pae; va++)
		legacy_set(l, LEGACY_CR3 + 8 * va, (LEGACY_PD + va * GUEST_PAGE) | PTE_P);
	for (va = 0; va < 2 << 20; va += GUEST_PAGE) {
		legacy_set(l, legacy_pte(l, KERNEL_TABLE, va), va | PTE_P | PTE_W);
		legacy_set(l, legacy_pte(l, USER_TABLE, va), va | PTE_P | PTE_W | PTE_U);
	}
	legacy_set(l, legacy_pde(l, 0), KERNEL_TABLE | PTE_P | PTE_W);
	legacy_set(l, legacy_pde(l, USER_BASE), USER_TABLE | PTE_P | PTE_W | PTE_U);
}

void legacy_start(struct legacy *l, struct guest *g, int dev, uint32_t cr4, bool nx)
{
	const uint64_t user_segments[] = {
		0x00cff3000000ffff, /* data, at GUEST_USER_DS */
		0x00cffb000000ffff, /* code, at GUEST_USER_CS */
	};
	const uint32_t stack[] = { GUEST_STACK, GUEST_DS };
	struct kvm_sregs s;

	*l = (struct legacy){ .g = g, .pae = cr4 & CR4_PAE };
	guest_create(g, dev, LEGACY_MEM);
	guest_load(g, load_tr, load_tr_end);
	guest_protected_mode(g, &g->cpu, GUEST_CODE);
	memcpy(g->mem + GUEST_GDT + (GUEST_USER_DS & ~7), user_segments, sizeof(user_segments));
	memcpy(g->mem + GUEST_TSS + 4, stack, sizeof(stack));
	set_idt(g);
	set_tables(l);
	memset(g->mem + LEGACY_PAGE_A, 0xc3, 2 * GUEST_PAGE); /* RET */
	memset(g->mem + LEGACY_LARGE, 0xc3, GUEST_PAGE);

	vcpu_get_sregs(&g->cpu, &s);
	s.gdt.limit = 10 * 8 - 1;
	s.idt.limit = 256 * 8 - 1;
	/* In user mode only data segments of its own stay loaded. */
	s.ds.selector = GUEST_USER_DS;
	s.ds.dpl = 3;
	s.cr3 = LEGACY_CR3;
	s.cr4 = cr4;
	s.cr0 |= CR0_WP | CR0_PG;
	s.efer = nx ? EFER_NX : 0;
	vcpu_set_sregs(&g->cpu, &s);

	g->mem[GUEST_GDT + GUEST_TR + 5] &= ~2; /* not busy */
	if (vcpu_run(&g->cpu) != KVM_EXIT_IO)
		die("LTR: %s", exit_name(g->cpu.run->exit_reason));
	guest_load(g, legacy_code, legacy_code_end);
}

void legacy_resume(struct legacy *l, struct legacy_probe *p)
{
	const struct idt_record *record = guest_record(l->g);
	struct kvm_regs regs;

	p->exit = vcpu_run(&l->g->cpu);
	vcpu_get_regs(&l->g->cpu, &regs);
	p->data = regs.rbp;
	p->vector = record->vector;
	p->error = record->error;
	p->cr2 = record->cr2;
}

void legacy_run(struct legacy *l, struct legacy_probe *p)
{
	struct params params = {
		.cr0 = p->cr0, .cr4 = p->cr4,
		.flush = p->flush, .flush_va = p->flush_va ? p->flush_va : p->va,
		.cr3 = LEGACY_CR3,
		.user = p->user, .flags = 2 | RFLAGS_IOPL3 | (p->ac ? RFLAGS_AC : 0),
		.access = p->access, .va = p->va, .data = p->data,
	};
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2 };
	struct guest *g = l->g;
	int i;

	for (i = 0; i < 2; i++) {
		params.edit[i].at = p->edit[i].at;
		params.edit[i].store = p->edit[i].store;
		params.edit[i].low = p->edit[i].value;
		params.edit[i].high = p->edit[i].value >> 32;
	}
	memcpy(g->mem + PARAMS, &params, sizeof(params));
	memset(guest_record(g), 0, sizeof(struct idt_record));
	vcpu_set_regs(&g->cpu, &regs);
	legacy_resume(l, p);
}

void legacy_edit(struct legacy *l, uint32_t at, uint64_t value)
{
	struct legacy_probe p = {
		.edit = { { at, value, l->pae ? STORE_4_4 : STORE_4 } }, .flush = FLUSH_CR3,
	};

	legacy_run(l, &p);
	if (p.exit != KVM_EXIT_IO || p.vector != LEGACY_DONE)
		die("edit of %#x: %s, vector %lu", at, exit_name(p.exit), p.vector);
}

struct legacy_probe legacy_try(struct legacy *l, enum probe_access access, uint32_t va)
{
	struct legacy_probe p = { .access = access, .va = va, .data = 0x1122 };

	legacy_run(l, &p);
	return p;
}

uint32_t legacy_pde(const struct legacy *l, uint32_t va)
{
	return l->pae ? LEGACY_PD + (va >> 21) * 8 : LEGACY_CR3 + (va >> 22) * 4;
}

uint32_t legacy_pte(const struct legacy *l, uint32_t table, uint32_t va)
{
	return table + (l->pae ? (va >> 12 & 511) * 8 : (va >> 12 & 1023) * 4);
}

uint64_t legacy_entry(const struct legacy *l, uint32_t at)
{
	uint64_t entry = 0;

	memcpy(&entry, l->g->mem + at, l->pae ? 8 : 4);
	return entry;
}

void legacy_set(const struct legacy *l, uint32_t at, uint64_t value)
{
	memcpy(l->g->mem + at, &value, l->pae ? 8 : 4);
}
