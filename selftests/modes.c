// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest changes its mode, from real mode to long mode and back; at each
 * station user space looks at the state that the CPU is in.
 */
#include "modes.h"

#include <string.h>

#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(modes);

extern const uint8_t modes_guest[], modes_guest_end[];

/* Runs to the next station. */
static int next_station(struct guest *g)
{
	struct kvm_run *run = g->cpu.run;
	int reason = vcpu_run(&g->cpu);

	if (reason != KVM_EXIT_IO || run->io.port != MODES_PORT) {
		fprintf(stderr, "# exit %s at %#lx\n", exit_name(reason),
			(long)vcpu_rip(&g->cpu));
		return -1;
	}
	return *((uint8_t *)run + run->io.data_offset);
}

static void start(struct guest *g, int dev)
{
	guest_create(g, dev, GUEST_SIZE);
	guest_load(g, modes_guest, modes_guest_end);
	vcpu_real_mode(&g->cpu, 0);
}

#define PAGING (CR0_PE | CR0_PG)
#define LONG (EFER_LME | EFER_LMA)

TEST_F(modes, there_and_back)
{
	static const struct station {
		int id;
		uint64_t cr0, cr4, efer, cr3; /* of the bits of interest */
		uint16_t cs;
		uint8_t l, db;
		uint64_t cs_base;
	} stations[] = {
		{ MODES_REAL, 0, 0, 0, 0, MODES_BASE >> 4, 0, 0, MODES_BASE },
		{ MODES_PROTECTED, CR0_PE, 0, 0, 0, MODES_CS32, 0, 1, 0 },
		{ MODES_LEGACY_PAGING, PAGING, CR4_PSE, 0, MODES_TABLES,
		  MODES_CS32, 0, 1, 0 },
		{ MODES_PAE, PAGING, CR4_PSE | CR4_PAE, 0, MODES_TABLES,
		  MODES_CS32, 0, 1, 0 },
		{ MODES_COMPATIBILITY, PAGING, CR4_PSE | CR4_PAE, LONG,
		  MODES_PML4, MODES_CS32, 0, 1, 0 },
		{ MODES_LONG, PAGING, CR4_PSE | CR4_PAE, LONG, MODES_PML4,
		  MODES_CS64, 1, 0, 0 },
		{ MODES_PROTECTED_16, CR0_PE, 0, 0, MODES_PML4, MODES_CS16, 0,
		  0, MODES_BASE },
		{ MODES_REAL_AGAIN, 0, 0, 0, MODES_PML4, MODES_BASE >> 4, 0, 0,
		  MODES_BASE },
	};
	struct guest *g = &self->g;
	struct kvm_sregs s;
	size_t i;

	start(g, self->dev);
	for (i = 0; i < ARRAY_SIZE(stations); i++) {
		const struct station *t = &stations[i];

		ASSERT_EQ(t->id, next_station(g));
		vcpu_get_sregs(&g->cpu, &s);
		EXPECT_EQ(t->cr0, s.cr0 & PAGING);
		EXPECT_EQ(t->cr4, s.cr4 & (CR4_PSE | CR4_PAE));
		EXPECT_EQ(t->efer, s.efer & LONG);
		EXPECT_EQ(t->cr3, s.cr3);
		EXPECT_EQ(t->cs, s.cs.selector);
		EXPECT_EQ(t->l, s.cs.l);
		EXPECT_EQ(t->db, s.cs.db);
		EXPECT_EQ(t->cs_base, s.cs.base);
	}
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_F(modes, descriptors_in_protected_mode)
{
	struct guest *g = &self->g;
	struct kvm_sregs s;

	start(g, self->dev);
	ASSERT_EQ(MODES_REAL, next_station(g));
	vcpu_get_sregs(&g->cpu, &s);
	EXPECT_EQ(0x3ff, s.idt.limit);
	EXPECT_EQ(0, s.idt.base);
	ASSERT_EQ(MODES_PROTECTED, next_station(g));
	vcpu_get_sregs(&g->cpu, &s);
	/* Granularity counts: limits are in bytes. */
	EXPECT_EQ(0xffffffff, s.cs.limit);
	EXPECT_EQ(1, s.cs.g);
	EXPECT_EQ(1, s.cs.s);
	EXPECT_EQ(1, s.cs.present);
	EXPECT_EQ(0, s.cs.dpl);
	EXPECT_EQ(10, s.cs.type & ~1); /* code, readable */
	EXPECT_EQ(MODES_DS, s.ds.selector);
	EXPECT_EQ(2, s.ds.type & ~1); /* data, writable */
	EXPECT_EQ(0xffffffff, s.ss.limit);
	EXPECT_EQ(0, s.ss.dpl);
	/* LTR marked the TSS busy, and loaded its base. */
	EXPECT_EQ(MODES_TR, s.tr.selector);
	EXPECT_EQ(0x7000, s.tr.base);
	EXPECT_EQ(0x67, s.tr.limit);
	EXPECT_EQ(11, s.tr.type);
	EXPECT_EQ(0x7ff, s.idt.limit);
	EXPECT_EQ(0x8000, s.idt.base);
	EXPECT_EQ(7 * 8 - 1, s.gdt.limit);
	EXPECT_GT(s.gdt.base, MODES_BASE);
}

/* Emulators mark a PDPTE accessed, a bit that is reserved there. */
static void clear_accessed(struct guest *g)
{
	uint64_t *pdpt = (uint64_t *)(g->mem + MODES_TABLES);
	int i;

	for (i = 0; i < 4; i++)
		pdpt[i] &= ~(uint64_t)PTE_A;
}

/* What user space reads at a station is enough for another vCPU to go on. */
TEST_F(modes, moved_to_another_vcpu)
{
	struct guest *g = &self->g;
	struct vcpu next, last;
	int id, station;

	start(g, self->dev);
	last = g->cpu;
	for (id = 1, station = next_station(g); station > 0; id++) {
		struct kvm_mp_state state;
		struct kvm_sregs sregs;
		struct kvm_regs regs;

		EXPECT_EQ(id, station);
		/* Let the OUT complete, and nothing else. */
		last.run->immediate_exit = 1;
		ASSERT_EQ(-EINTR, vcpu_run(&last));
		vcpu_get_regs(&last, &regs);
		vcpu_get_sregs(&last, &sregs);
		vcpu_create(g, &next, id);
		if (id == MODES_PAE)
			clear_accessed(g);
		vcpu_set_sregs(&next, &sregs);
		vcpu_set_regs(&next, &regs);
		/* Without an irqchip also a later vCPU is runnable. */
		state.mp_state = KVM_MP_STATE_RUNNABLE;
		xioctl(next.fd, KVM_SET_MP_STATE, &state);
		vcpu_destroy(&last);
		g->cpu = next;
		last = next;
		if (id == MODES_REAL_AGAIN)
			break;
		station = next_station(g);
	}
	EXPECT_EQ(MODES_REAL_AGAIN, id);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

/* The state of a new vCPU: that of a CPU after reset. */
TEST_F(modes, reset)
{
	struct guest *g = &self->g;
	struct kvm_sregs s;
	struct kvm_regs r;

	guest_create(g, self->dev, GUEST_SIZE);
	vcpu_get_sregs(&g->cpu, &s);
	vcpu_get_regs(&g->cpu, &r);
	EXPECT_EQ(0xfff0, r.rip);
	EXPECT_EQ(2, r.rflags);
	EXPECT_EQ(0xf000, s.cs.selector);
	EXPECT_EQ(0xffff0000, s.cs.base);
	EXPECT_EQ(0xffff, s.cs.limit);
	EXPECT_EQ(0x60000010, s.cr0);
	EXPECT_EQ(0, s.cr3);
	EXPECT_EQ(0, s.cr4);
	EXPECT_EQ(0, s.efer);
	EXPECT_EQ(0, s.ds.selector);
	EXPECT_EQ(0xffff, s.ds.limit);
	EXPECT_EQ(0xffff, s.gdt.limit);
	EXPECT_EQ(0xffff, s.idt.limit);
	EXPECT_EQ(0xfee00000, s.apic_base & ~0xffful);
}

/* The reset vector: code at the top of 4 GiB, as firmware has it. */
GUEST_ASM(at_reset, 16, "mov $0x1234, %ax; hlt");

TEST_F(modes, runs_from_the_reset_vector)
{
	struct guest *g = &self->g;
	uint8_t *rom = mem_alloc(16 * GUEST_PAGE);
	struct kvm_regs regs;

	guest_create(g, self->dev, GUEST_SIZE);
	memcpy(rom + 0xfff0, at_reset, at_reset_end - at_reset);
	guest_add_slot(g, 1, KVM_MEM_READONLY, 0xffff0000, 0x10000, rom);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x1234, regs.rax & 0xffff);
	EXPECT_EQ(0xfff4, regs.rip);
}

/* SMSW stores as much of CR0 as its operand has room for. */
GUEST_ASM(smsw, 32, "mov $-1, %eax; mov %eax, %ecx; smsw %eax; smsw %cx; hlt");
GUEST_ASM(smsw_16, 16, "mov $-1, %eax; mov %eax, %ecx; smsw %ax; smsw %ecx; hlt");

TEST_F(modes, machine_status_word)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_create(g, self->dev, GUEST_SIZE);
	guest_load(g, smsw, smsw_end);
	guest_protected_mode(g, &g->cpu, GUEST_CODE);
	vcpu_get_sregs(&g->cpu, &sregs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ((uint32_t)sregs.cr0, regs.rax);
	EXPECT_EQ(0xffff0000 | (sregs.cr0 & 0xffff), regs.rcx);

	guest_load(g, smsw_16, smsw_16_end);
	vcpu_real_mode(&g->cpu, 0);
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.cs.selector = GUEST_CODE >> 4;
	sregs.cs.base = GUEST_CODE;
	vcpu_set_sregs(&g->cpu, &sregs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0xffff0000 | (sregs.cr0 & 0xffff), (uint32_t)regs.rax);
	EXPECT_EQ((uint32_t)sregs.cr0, regs.rcx);
}

/* KVM_TRANSLATE walks the guest's tables. */
TEST_F(modes, translate)
{
	struct kvm_translation tr = { .linear_address = 0x12345 };
	struct guest *g = &self->g;
	uint64_t *pd;

	start(g, self->dev);
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x12345, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
	pd = (uint64_t *)(g->mem + GUEST_TABLES + 2 * GUEST_PAGE);
	pd[1] = 0x600000 | PTE_P | PTE_PS;
	pd[2] = 0;
	tr.linear_address = 0x234567;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x634567, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	tr.linear_address = 0x400000;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
}

TEST_HARNESS_MAIN
