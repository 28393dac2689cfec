// SPDX-License-Identifier: GPL-2.0-only
/* Registers, and the state in which a vCPU starts in each mode. */
#include "guest.h"
#include "x86.h"

#include <string.h>

void vcpu_get_regs(struct vcpu *v, struct kvm_regs *regs)
{
	xioctl(v->fd, KVM_GET_REGS, regs);
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
	xioctl(v->fd, KVM_SET_REGS, regs);
}

void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *sregs)
{
	xioctl(v->fd, KVM_GET_SREGS, sregs);
}

void vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs)
{
	xioctl(v->fd, KVM_SET_SREGS, sregs);
}

uint64_t vcpu_rip(struct vcpu *v)
{
	struct kvm_regs regs;

	vcpu_get_regs(v, &regs);
	return regs.rip;
}

void vcpu_set_rip(struct vcpu *v, uint64_t rip)
{
	struct kvm_regs regs;

	vcpu_get_regs(v, &regs);
	regs.rip = rip;
	vcpu_set_regs(v, &regs);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

uint64_t vcpu_msr(struct vcpu *v, uint32_t index)
{
	struct one_msr msr = {
		.head.nmsrs = 1,
		.entry.index = index,
	};

	if (xioctl(v->fd, KVM_GET_MSRS, &msr) != 1)
		die("MSR %#x cannot be read", index);
	return msr.entry.data;
}

int vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
	struct one_msr msr = {
		.head.nmsrs = 1,
		.entry.index = index,
		.entry.data = value,
	};

	return xioctl(v->fd, KVM_SET_MSRS, &msr);
}

/* A descriptor with the base 0. */
static uint64_t descriptor(uint32_t limit, uint8_t access, uint8_t flags)
{
	return (limit & 0xffff) | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52;
}

static void write_gdt(struct guest *g)
{
	const uint64_t gdt[] = {
		[GUEST_CS64 / 8] = descriptor(0xfffff, 0x9b, 0xa),
		[GUEST_DS / 8] = descriptor(0xfffff, 0x93, 0xc),
		[GUEST_CS32 / 8] = descriptor(0xfffff, 0x9b, 0xc),
		[GUEST_CS16 / 8] = descriptor(0xffff, 0x9b, 0),
		[GUEST_DS16 / 8] = descriptor(0xffff, 0x93, 0),
		[GUEST_TR / 8] = descriptor(0x67, 0x8b, 0) |
				 (uint64_t)GUEST_TSS << 16,
		[GUEST_TR / 8 + 1] = 0,
	};

	memcpy(g->mem + GUEST_GDT, gdt, sizeof(gdt));
}

static void write_page_tables(struct guest *g)
{
	uint64_t *pml4 = (uint64_t *)(g->mem + GUEST_TABLES);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;
	int i;

	memset(pml4, 0, 2 * GUEST_PAGE);
	pml4[0] = (GUEST_TABLES + GUEST_PAGE) | PTE_P | PTE_W | PTE_U;
	for (i = 0; i < 4; i++)
		pdpt[i] = (GUEST_TABLES + (2 + i) * GUEST_PAGE) | PTE_P |
			  PTE_W | PTE_U;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = (uint64_t)i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
}

static struct kvm_segment code_segment(uint16_t selector, int l, int db)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = 11,
		.present = 1,
		.db = db,
		.s = 1,
		.l = l,
		.g = 1,
	};
}

static void set_flat(struct kvm_sregs *s, struct kvm_segment code)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = GUEST_DS,
		.type = 3,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};

	s->cs = code;
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ss = data;
	s->tr = (struct kvm_segment){
		.base = GUEST_TSS,
		.limit = 0x67,
		.selector = GUEST_TR,
		.type = 11,
		.present = 1,
	};
	s->gdt.base = GUEST_GDT;
	s->gdt.limit = 8 * 8 - 1;
	s->idt.base = GUEST_IDT;
	s->idt.limit = 0;
}

static void set_start(struct vcpu *v, uint64_t rip, uint64_t rsp)
{
	const struct kvm_regs regs = {
		.rip = rip,
		.rsp = rsp,
		.rflags = 2,
	};

	vcpu_set_regs(v, &regs);
}

void guest_long_mode(struct guest *g, struct vcpu *v, uint64_t rip)
{
	struct kvm_sregs s;

	write_gdt(g);
	write_page_tables(g);
	vcpu_get_sregs(v, &s);
	set_flat(&s, code_segment(GUEST_CS64, 1, 0));
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s.cr3 = GUEST_TABLES;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.efer = EFER_LME | EFER_LMA | EFER_NX;
	vcpu_set_sregs(v, &s);
	set_start(v, rip, GUEST_STACK);
}

void guest_protected_mode(struct guest *g, struct vcpu *v, uint32_t rip)
{
	struct kvm_sregs s;

	write_gdt(g);
	vcpu_get_sregs(v, &s);
	set_flat(&s, code_segment(GUEST_CS32, 0, 1));
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr3 = 0;
	s.cr4 = 0;
	s.efer = 0;
	vcpu_set_sregs(v, &s);
	set_start(v, rip, GUEST_STACK);
}

void vcpu_real_mode(struct vcpu *v, uint16_t rip)
{
	const struct kvm_segment data = {
		.limit = 0xffff,
		.type = 3,
		.present = 1,
		.s = 1,
	};
	struct kvm_sregs s;

	vcpu_get_sregs(v, &s);
	s.ds = data;
	s.es = data;
	s.fs = data;
	s.gs = data;
	s.ss = data;
	s.cs = data;
	s.cs.type = 11;
	s.cs.base = GUEST_CODE;
	s.cs.selector = GUEST_CODE >> 4;
	s.gdt.base = 0;
	s.gdt.limit = 0;
	s.idt.base = 0;
	s.idt.limit = 0x3ff;
	s.cr0 = CR0_ET;
	s.cr3 = 0;
	s.cr4 = 0;
	s.efer = 0;
	vcpu_set_sregs(v, &s);
	set_start(v, rip, 0xf000);
}

void guest_start64(struct guest *g, int dev, const uint8_t *start,
		   const uint8_t *end)
{
	guest_create(g, dev, GUEST_SIZE);
	guest_load(g, start, end);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
}
