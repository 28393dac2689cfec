// SPDX-License-Identifier: GPL-2.0-only
#include "idt.h"

#include <string.h>

#include "x86.h"

extern const uint8_t idt_stubs[], idt_stubs_end[];
extern const uint8_t idt_common[], idt_common_end[];

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, zero;
};

void guest_set_idt(struct guest *g, struct vcpu *v)
{
	struct gate *idt = (struct gate *)(g->mem + GUEST_IDT);
	const uint64_t user_segments[] = {
		0x00cff3000000ffff, /* data, at GUEST_USER_DS */
		0x00affb000000ffff, /* 64-bit code, at GUEST_USER_CS */
	};
	const uint64_t rsp0 = GUEST_STACK;
	struct kvm_sregs sregs;
	int i;

	memcpy(g->mem + IDT_STUBS, idt_stubs, idt_stubs_end - idt_stubs);
	memcpy(g->mem + IDT_COMMON, idt_common, idt_common_end - idt_common);
	memset(guest_record(g), 0, sizeof(struct idt_record));
	for (i = 0; i < 256; i++)
		idt[i] = (struct gate){
			.offset_low = IDT_STUBS + 16 * i,
			.selector = GUEST_CS64,
			/* Interrupt gate; software may raise 3, 4 and 0x80. */
			.type = i == 3 || i == 4 || i == 0x80 ? 0xee : 0x8e,
		};
	memcpy(g->mem + GUEST_GDT + (GUEST_USER_DS & ~7), user_segments,
	       sizeof(user_segments));
	memcpy(g->mem + GUEST_TSS + 4, &rsp0, sizeof(rsp0));

	vcpu_get_sregs(v, &sregs);
	sregs.idt.base = GUEST_IDT;
	sregs.idt.limit = 256 * sizeof(struct gate) - 1;
	sregs.gdt.limit = 10 * 8 - 1;
	vcpu_set_sregs(v, &sregs);
}

struct idt_record *guest_record(struct guest *g)
{
	return (struct idt_record *)(g->mem + IDT_RECORD);
}

uint64_t *guest_split(struct guest *g, uint64_t va, uint64_t table_gpa)
{
	uint64_t *pd = (uint64_t *)(g->mem + GUEST_TABLES + 2 * GUEST_PAGE);
	uint64_t *table = (uint64_t *)(g->mem + table_gpa);
	uint64_t base = va & ~((1ul << 21) - 1);
	int i;

	for (i = 0; i < 512; i++)
		table[i] = (base + i * GUEST_PAGE) | PTE_P | PTE_W | PTE_U;
	pd[va >> 21] = table_gpa | PTE_P | PTE_W | PTE_U;
	return table;
}
