// SPDX-License-Identifier: GPL-2.0-only
#include "probe.h"

#include <string.h>

#include "x86.h"

/*
 * r12: whether to load r11d into PKRU.  rdi, rsi: where to write r8, r9, if not 0;
 * r10: flush, of the page rbx or by loading CR3 from r15; r14: access to rbx, which
 * reads or writes rbp.  Ends with OUT, as a fault does.  CR3 is given: an emulated
 * CPU lets a guest read what it should not see.
 */
GUEST_ASM(probe_code, 64,
	  "test %r12, %r12\n jz 0f\n"
	  "mov %r11d, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n wrpkru\n"
	  "0: test %rdi, %rdi\n jz 1f\n mov %r8, (%rdi)\n"
	  "1: test %rsi, %rsi\n jz 2f\n mov %r9, (%rsi)\n"
	  "2: cmp $1, %r10d\n jne 3f\n invlpg (%rbx)\n"
	  "3: cmp $2, %r10d\n jne 4f\n mov %r15, %cr3\n"
	  "4: cmp $1, %r14d\n jne 5f\n mov (%rbx), %rbp\n"
	  "5: cmp $2, %r14d\n jne 6f\n mov %rbp, (%rbx)\n"
	  "6: cmp $3, %r14d\n jne 7f\n call *%rbx\n"
	  "7: out %al, $0x10\n");
/* Its OUT is its last two bytes. */
#define PROBE_END (GUEST_CODE + (probe_code_end - probe_code) - 2)

/* The guest's kernel lives below 2M, in a page of its own; user mode sees that elsewhere. */
#define USER_BASE 0x1000000ul

void probe_start(struct guest *g, int dev)
{
	uint64_t *pd;

	guest_start64(g, dev, probe_code, probe_code_end);
	guest_set_idt(g, &g->cpu);
	pd = (uint64_t *)(g->mem + PROBE_PD);
	pd[0] = PTE_P | PTE_W | PTE_PS;
	pd[USER_BASE >> 21] = PTE_P | PTE_W | PTE_PS | PTE_U;
	memset(g->mem + PROBE_PAGE_A, 0xc3, 2 * GUEST_PAGE); /* RET */
}

/* What only KVM_SET_SREGS can say. */
static void set_mode(struct guest *g, const struct probe *p)
{
	struct kvm_sregs s;

	vcpu_get_sregs(&g->cpu, &s);
	s.cs.selector = p->user ? GUEST_USER_CS : GUEST_CS64;
	s.ss.selector = p->user ? GUEST_USER_DS : GUEST_DS;
	s.cs.dpl = p->user ? 3 : 0;
	s.ss.dpl = p->user ? 3 : 0;
	vcpu_set_sregs(&g->cpu, &s);
}

static void run(struct guest *g, struct probe *p)
{
	const struct idt_record *record = guest_record(g);
	uint64_t base = p->user ? USER_BASE : 0;
	struct kvm_regs regs = {
		.rip = base + GUEST_CODE,
		.rsp = base + IDT_USER_STACK,
		.rflags = 2 | RFLAGS_IOPL3 | (p->ac ? RFLAGS_AC : 0),
		.r12 = p->pke, .r11 = p->pkru,
		.rdi = p->at[0], .rsi = p->at[1],
		.r8 = p->value[0], .r9 = p->value[1],
		.r10 = p->flush, .r15 = p->cr3 ? p->cr3 : GUEST_TABLES,
		.r14 = p->access, .rbx = p->va, .rbp = p->data,
	};

	guest_load(g, probe_code, probe_code_end);
	vcpu_set_regs(&g->cpu, &regs);
	memset(guest_record(g), 0, sizeof(struct idt_record));
	guest_record(g)->resume = base + PROBE_END;
	p->exit = vcpu_run(&g->cpu);
	vcpu_get_regs(&g->cpu, &regs);
	p->data = regs.rbp;
	p->vector = record->count ? record->vector : 0;
	p->faulted = record->count == 1 && record->vector == 14;
	p->error = record->error;
	p->cr2 = record->cr2;
}

void probe_run(struct guest *g, struct probe *p)
{
	set_mode(g, p);
	run(g, p);
}

void probe_again(struct guest *g, struct probe *p)
{
	run(g, p);
}

struct probe probe_try(struct guest *g, enum probe_access access, uint64_t va)
{
	struct probe p = { .access = access, .va = va, .data = 0x1122 };

	probe_run(g, &p);
	return p;
}

uint64_t probe_word(struct guest *g, uint64_t gpa)
{
	uint64_t word;

	memcpy(&word, g->mem + gpa, sizeof(word));
	return word;
}

bool probe_permits(uint64_t all, uint64_t any, const struct probe_asker *asker)
{
	bool write = asker->access == ACCESS_WRITE, fetch = asker->access == ACCESS_FETCH;

	if (fetch && any & PTE_NX)
		return false;
	if (asker->user)
		return all & PTE_U && (all & PTE_W || !write);
	if (write && asker->wp && !(all & PTE_W))
		return false;
	if (all & PTE_U && fetch && asker->smep)
		return false;
	return !(all & PTE_U && !fetch && asker->smap && !asker->ac);
}

uint32_t probe_cr4_bits(int dev)
{
	uint32_t ebx = device_cpuid(dev, 7, 0, CPUID_EBX);

	return (ebx >> 7 & 1 ? CR4_SMEP : 0) | (ebx >> 20 & 1 ? CR4_SMAP : 0);
}
