// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions that the guest handles itself.  Most run twice: on memory that is
 * mapped, and on memory of which nothing is mapped yet, so that nested page
 * faults interrupt the delivery of the exception and it has to be resumed.
 */
#include <errno.h>
#include <string.h>

#include "idt.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(exceptions);

#define SMALL_TABLE 0xc000 /* page table for GUEST_FREE's 2 MiB */
#define USER_VA 0x200000

static void start(struct guest *g, int dev, const uint8_t *code,
		  const uint8_t *end)
{
	guest_start64(g, dev, code, end);
	guest_set_idt(g, &g->cpu);
}

/* A slot that is deleted and set anew has no translation left. */
static void unmap_all(struct guest *g)
{
	guest_add_slot(g, 0, 0, 0, 0, NULL);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
}

struct expected {
	uint64_t vector, error;
	uint64_t rip; /* from GUEST_CODE */
	uint64_t cr2;
};

/*
 * Runs the loaded code from its start to HLT.  Guest code writes where the
 * handler shall return to into the record.
 */
static void run_once(struct __test_metadata *_metadata, struct guest *g)
{
	const struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rsp = GUEST_STACK,
		.rflags = 2,
	};

	memset(guest_record(g), 0, sizeof(struct idt_record));
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

static void check_once(struct __test_metadata *_metadata, struct guest *g,
		       const struct expected *e)
{
	const struct idt_record *record = guest_record(g);
	struct kvm_regs regs;

	run_once(_metadata, g);
	EXPECT_EQ(1, record->count);
	EXPECT_EQ(e->vector, record->vector);
	EXPECT_EQ(e->error, record->error);
	EXPECT_EQ(GUEST_CODE + e->rip, record->rip);
	if (e->vector == 14) {
		EXPECT_EQ(e->cr2, record->cr2);
	}
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(GUEST_STACK, regs.rsp);
}

static void check(struct __test_metadata *_metadata, struct guest *g,
		  const struct expected *e)
{
	unmap_all(g);
	check_once(_metadata, g, e);
	check_once(_metadata, g, e);
}

/* insn is what faults: at a distance of 15 from the start, and HLT behind it. */
#define FAULT(name, insn)						\
	GUEST_ASM(name, 64,						\
		  "1: lea 3f(%rip), %rax\n"				\
		  "mov %rax, 0x20048\n"					\
		  "2: " insn "\n"					\
		  "3: hlt");						\
	enum { name##_at = 15 }

FAULT(ud, "ud2");
FAULT(de, "div %dl");
FAULT(gp_address, "bts $63, %rcx; mov (%rcx), %rax");
FAULT(gp_msr, "mov $0x12345, %ecx; wrmsr");
FAULT(np, "mov $0x53, %ecx; mov %ecx, %ds");
FAULT(int3, "int3");
FAULT(int80, "int $0x80");
FAULT(int_33, "int $33");
FAULT(pf_read, "mov 0x200000, %rax");
FAULT(pf_write, "mov %rax, 0x200000");
FAULT(pf_fetch, "mov $0x200000, %ecx; jmp *%rcx");

TEST_F(exceptions, invalid_opcode)
{
	start(&self->g, self->dev, ud, ud_end);
	check(_metadata, &self->g, &(struct expected){ 6, 0, ud_at, 0 });
}

TEST_F(exceptions, divide)
{
	start(&self->g, self->dev, de, de_end);
	check(_metadata, &self->g, &(struct expected){ 0, 0, de_at, 0 });
}

TEST_F(exceptions, general_protection)
{
	start(&self->g, self->dev, gp_address, gp_address_end);
	check(_metadata, &self->g,
	      &(struct expected){ 13, 0, gp_address_at + 5, 0 });
}

TEST_F(exceptions, general_protection_of_wrmsr)
{
	start(&self->g, self->dev, gp_msr, gp_msr_end);
	check(_metadata, &self->g, &(struct expected){ 13, 0, gp_msr_at + 5, 0 });
}

TEST_F(exceptions, segment_not_present)
{
	const uint64_t absent = 0x00cf73000000ffff;
	struct guest *g = &self->g;
	struct kvm_sregs sregs;

	start(g, self->dev, np, np_end);
	memcpy(g->mem + GUEST_GDT + 0x50, &absent, 8);
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.gdt.limit = 11 * 8 - 1;
	vcpu_set_sregs(&g->cpu, &sregs);
	check(_metadata, g, &(struct expected){ 11, 0x50, np_at + 5, 0 });
}

/* Traps: rip is behind the instruction. */
TEST_F(exceptions, breakpoint)
{
	start(&self->g, self->dev, int3, int3_end);
	check(_metadata, &self->g, &(struct expected){ 3, 0, int3_at + 1, 0 });
}

TEST_F(exceptions, software_interrupts)
{
	start(&self->g, self->dev, int80, int80_end);
	check(_metadata, &self->g, &(struct expected){ 0x80, 0, int80_at + 2, 0 });
	guest_load(&self->g, int_33, int_33_end);
	check(_metadata, &self->g, &(struct expected){ 33, 0, int_33_at + 2, 0 });
}

TEST_F(exceptions, page_fault_codes)
{
	struct guest *g = &self->g;
	struct expected want;
	uint64_t *pte;

	start(g, self->dev, pf_read, pf_read_end);
	pte = guest_split(g, USER_VA, SMALL_TABLE);

	pte[0] = 0;
	check(_metadata, g, &(struct expected){ 14, 0, pf_read_at, USER_VA });
	guest_load(g, pf_write, pf_write_end);
	check(_metadata, g, &(struct expected){ 14, 2, pf_write_at, USER_VA });
	guest_load(g, pf_fetch, pf_fetch_end);
	want = (struct expected){ 14, 0x10, USER_VA - GUEST_CODE, USER_VA };
	check(_metadata, g, &want);

	/* Present: read-only, not executable. */
	pte[0] = GUEST_FREE | PTE_P;
	guest_load(g, pf_write, pf_write_end);
	check(_metadata, g, &(struct expected){ 14, 3, pf_write_at, USER_VA });
	pte[0] = GUEST_FREE | PTE_P | PTE_NX;
	guest_load(g, pf_fetch, pf_fetch_end);
	want.error = 0x11;
	check(_metadata, g, &want);
}

/* The page comes with the handler: the access is repeated and succeeds. */
GUEST_ASM(pf_repair, 64,
	  "mov $0x41003, %eax\n" /* the new PTE: GUEST_FREE + 0x1000 */
	  "mov $0xc000, %ebx\n"
	  "mov $0x20000, %edx\n"
	  "mov 0x200008, %rcx\n"
	  "hlt");
/* A handler for 14 alone. */
GUEST_ASM(repair_handler, 64,
	  "add $8, %rsp\n"
	  "mov %rax, (%rbx)\n"
	  "incl (%rdx)\n"
	  "iretq");

TEST_F(exceptions, page_fault_repaired)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;

	start(g, self->dev, pf_repair, pf_repair_end);
	guest_split(g, USER_VA, SMALL_TABLE)[0] = 0;
	memcpy(g->mem + IDT_STUBS + 14 * 16, repair_handler, 16);
	ASSERT_LE(repair_handler_end - repair_handler, 16);
	*(uint64_t *)(g->mem + GUEST_FREE + GUEST_PAGE + 8) = 4711;
	unmap_all(g);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(4711, regs.rcx);
	EXPECT_EQ(1, guest_record(g)->count);
}

#define NO_MEMORY 0x40000000

/* From a device to a page that isn't there: the fault comes when the VMM has answered. */
GUEST_ASM(device_to_nowhere, 64,
	  "mov $" GUEST_STR(NO_MEMORY) ", %esi\n mov $0x200000, %edi\n sti\n nop\n"
	  "movsb\n"
	  "hlt");
enum { device_to_nowhere_at = 12 };

static void start_device_to_nowhere(struct __test_metadata *_metadata, struct guest *g, int dev)
{
	start(g, dev, device_to_nowhere, device_to_nowhere_end);
	guest_split(g, USER_VA, SMALL_TABLE)[0] = 0;
	ASSERT_EQ(KVM_EXIT_MMIO, vcpu_run(&g->cpu));
	ASSERT_EQ(NO_MEMORY, g->cpu.run->mmio.phys_addr);
	/* Delivery takes more than one exit. */
	unmap_all(g);
}

/* The fault's address survives that the VMM saves and restores what is pending. */
TEST_F(exceptions, page_fault_saved_and_restored)
{
	struct guest *g = &self->g;
	struct kvm_vcpu_events events;
	struct idt_record *record;
	struct kvm_regs regs;

	start_device_to_nowhere(_metadata, g, self->dev);
	g->cpu.run->immediate_exit = 1;
	ASSERT_EQ(-EINTR, vcpu_run(&g->cpu));
	g->cpu.run->immediate_exit = 0;
	xioctl(g->cpu.fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(14, events.exception.nr);
	xioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &events);
	record = guest_record(g);
	record->resume = GUEST_CODE + device_to_nowhere_at + 1;
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(1, record->count);
	EXPECT_EQ(14, record->vector);
	EXPECT_EQ(USER_VA, record->cr2);
	EXPECT_EQ(GUEST_CODE + device_to_nowhere_at, record->rip);
	/* It restarts its instruction (an emulated CPU sets that by itself). */
	EXPECT_EQ(RFLAGS_RF, record->rflags & RFLAGS_RF);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(GUEST_STACK, regs.rsp);
}

/* An interrupt that comes behind a fault waits until the fault's handler is done. */
TEST_F(exceptions, interrupt_behind_a_page_fault)
{
	const struct kvm_interrupt interrupt = { .irq = 0x40 };
	struct guest *g = &self->g;
	struct idt_record *record;

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM loses the interrupt");
	start_device_to_nowhere(_metadata, g, self->dev);
	xioctl(g->cpu.fd, KVM_INTERRUPT, &interrupt);
	record = guest_record(g);
	record->resume = GUEST_CODE + device_to_nowhere_at + 1;
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(2, record->count);
	EXPECT_EQ(0x40, record->vector);
	EXPECT_EQ(record->resume, record->rip);
}

/* DR7 guarded: whatever touches a debug register faults, once, and the guard is off. */
GUEST_ASM(debug_register, 64,
	  "lea 1f(%rip), %rax\n"
	  "mov %rax, 0x20048\n"
	  "mov %db0, %rbx\n"
	  "1: mov %db7, %rcx\n"
	  "hlt");
enum { debug_register_at = 15 };

TEST_F(exceptions, guarded_debug_registers)
{
	struct guest *g = &self->g;
	struct kvm_debugregs debug;
	const struct idt_record *record;
	struct kvm_regs regs;
	int round;

	start(g, self->dev, debug_register, debug_register_end);
	record = guest_record(g);
	for (round = 0; round < 2; round++) {
		if (!round)
			unmap_all(g);
		xioctl(g->cpu.fd, KVM_GET_DEBUGREGS, &debug);
		debug.dr6 &= ~(uint64_t)DR6_BD;
		debug.dr7 |= DR7_GD;
		xioctl(g->cpu.fd, KVM_SET_DEBUGREGS, &debug);
		run_once(_metadata, g);
		EXPECT_EQ(1, record->count);
		EXPECT_EQ(1, record->vector);
		EXPECT_EQ(GUEST_CODE + debug_register_at, record->rip);
		EXPECT_EQ(DR6_BD, record->dr6 & DR6_BD);
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(0x400, regs.rcx);
	}
}

#define RO_TABLE 0x800000 /* guest physical, in a slot of its own */

/* An access by way of a page table that the guest can't write. */
GUEST_ASM(by_read_only_table, 64,
	  "mov 0x200008, %rcx\n"
	  "hlt");

TEST_F(exceptions, page_table_in_a_read_only_slot)
{
	uint64_t *table = mem_alloc(GUEST_PAGE);
	struct guest *g = &self->g;
	struct kvm_regs regs;
	uint64_t *pd;

	start(g, self->dev, by_read_only_table, by_read_only_table_end);
	/* Accessed is clear, and can't be set there. */
	table[0] = GUEST_FREE | PTE_P | PTE_W;
	guest_add_slot(g, 1, KVM_MEM_READONLY, RO_TABLE, GUEST_PAGE, table);
	pd = (uint64_t *)(g->mem + GUEST_TABLES + 2 * GUEST_PAGE);
	pd[USER_VA >> 21] = RO_TABLE | PTE_P | PTE_W;
	*(uint64_t *)(g->mem + GUEST_FREE + 8) = 4711;
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(4711, regs.rcx);
	EXPECT_EQ(0, guest_record(g)->count);
	EXPECT_EQ(GUEST_FREE | PTE_P | PTE_W, table[0]);
}

/* A page fault whose gate is unusable: a double fault, error code 0. */
TEST_F(exceptions, double_fault)
{
	struct guest *g = &self->g;

	/* Without nested paging all page faults are injected: see below. */
	if (!device_has_npt(self->dev))
		SKIP(return, "not under an emulated CPU");
	start(g, self->dev, pf_read, pf_read_end);
	guest_split(g, USER_VA, SMALL_TABLE)[0] = 0;
	g->mem[GUEST_IDT + 14 * 16 + 5] = 0;
	/*
	 * With all that it needs mapped: an emulated CPU forgets that a page
	 * fault which is injected, to resume its delivery, is one.
	 */
	run_once(_metadata, g);
	check_once(_metadata, g, &(struct expected){ 8, 0, pf_read_at, 0 });
	/* And without a gate for that: shutdown. */
	g->mem[GUEST_IDT + 8 * 16 + 5] = 0;
	vcpu_set_rip(&g->cpu, GUEST_CODE);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(&g->cpu));
}

/* To user mode by IRETQ, back by INT $0x80, again and again. */
GUEST_ASM(user_and_back, 64,
	  "mov $100, %ebp\n"
	  "1: movq $0x43, -8(%rsp)\n"
	  "movq $0x1e000, -16(%rsp)\n"
	  "movq $0x2, -24(%rsp)\n"
	  "movq $0x4b, -32(%rsp)\n"
	  "lea 2f(%rip), %rax\n"
	  "mov %rax, -40(%rsp)\n"
	  "sub $40, %rsp\n"
	  "iretq\n"
	  "2: mov %cs, %ecx\n"
	  "push %rcx\n"
	  "pop %rdx\n"
	  "int $0x80\n"
	  "3: hlt\n");
/* A handler for 0x80: once more, or the end. */
GUEST_ASM(user_handler, 64,
	  "dec %ebp\n"
	  "jz 1f\n"
	  "subq $6, (%rsp)\n" /* back to label 2 */
	  "iretq\n"
	  "1: hlt");

TEST_F(exceptions, user_mode)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	start(g, self->dev, user_and_back, user_and_back_end);
	ASSERT_LE(user_handler_end - user_handler, 16);
	memcpy(g->mem + IDT_STUBS + 0x80 * 16, user_handler, 16);
	unmap_all(g);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0, regs.rbp);
	EXPECT_EQ(GUEST_USER_CS, regs.rdx);
	EXPECT_EQ(GUEST_STACK - 40, regs.rsp);
	vcpu_get_sregs(&g->cpu, &sregs);
	EXPECT_EQ(0, sregs.cs.dpl);
	EXPECT_EQ(GUEST_CS64, sregs.cs.selector);
}

/* User mode touches a page of the supervisor: error code 5, and 7 for a write. */
GUEST_ASM(user_access, 64,
	  "movq $0x43, -8(%rsp)\n"
	  "movq $0x1e000, -16(%rsp)\n"
	  "movq $0x2, -24(%rsp)\n"
	  "movq $0x4b, -32(%rsp)\n"
	  "lea 2f(%rip), %rax\n"
	  "mov %rax, -40(%rsp)\n"
	  "sub $40, %rsp\n"
	  "iretq\n"
	  "2: mov %rax, 0x200000\n"
	  "ud2");

TEST_F(exceptions, user_page_fault)
{
	struct guest *g = &self->g;
	struct idt_record *record;

	start(g, self->dev, user_access, user_access_end);
	guest_split(g, USER_VA, SMALL_TABLE)[0] = GUEST_FREE | PTE_P | PTE_W;
	/* The handler for 14 keeps the record; for 6 it stops. */
	g->mem[IDT_STUBS + 6 * 16] = 0xf4;
	record = guest_record(g);
	record->resume = GUEST_CODE + (user_access_end - user_access) - 2;
	unmap_all(g);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(1, record->count);
	EXPECT_EQ(14, record->vector);
	EXPECT_EQ(7, record->error);
	EXPECT_EQ(USER_VA, record->cr2);
	EXPECT_EQ(GUEST_USER_CS, record->cs);
	EXPECT_EQ(IDT_USER_STACK, record->rsp);
}

/* SYSCALL from user mode into LSTAR, SYSRET back, INT $0x80 ends it. */
GUEST_ASM(fast_calls, 64,
	  "mov $0x1e000, %esp\n"
	  "lea 2f(%rip), %rcx\n"
	  "mov $0x202, %r11d\n"
	  "sysretq\n"
	  "2: mov $7, %ebx\n"
	  "syscall\n"
	  "3: inc %ebx\n"
	  "int $0x80");
GUEST_ASM(fast_entry, 64,
	  "add $10, %ebx\n"
	  "mov %rcx, %rsi\n"
	  "mov %r11, %rdi\n"
	  "sysretq");

TEST_F(exceptions, syscall)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	start(g, self->dev, fast_calls, fast_calls_end);
	memcpy(g->mem + GUEST_FREE, fast_entry, fast_entry_end - fast_entry);
	g->mem[IDT_STUBS + 0x80 * 16] = 0xf4;
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.efer |= EFER_SCE;
	vcpu_set_sregs(&g->cpu, &sregs);
	/* SYSRET takes cs 16 and ss 8 above the base: 0x4b, 0x43. */
	EXPECT_EQ(1, vcpu_set_msr(&g->cpu, MSR_STAR,
				  0x3bull << 48 | (uint64_t)GUEST_CS64 << 32));
	EXPECT_EQ(1, vcpu_set_msr(&g->cpu, MSR_LSTAR, GUEST_FREE));
	EXPECT_EQ(1, vcpu_set_msr(&g->cpu, MSR_SFMASK, 0x200));
	unmap_all(g);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(18, regs.rbx);
	EXPECT_EQ(0x202, regs.rdi);
	EXPECT_GT(regs.rsi, GUEST_CODE);
}

/* The FPU is off: #NM, then CLTS and the instruction again. */
FAULT(nm, "fninit");

TEST_F(exceptions, device_not_available)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;

	start(g, self->dev, nm, nm_end);
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.cr0 |= CR0_TS;
	vcpu_set_sregs(&g->cpu, &sregs);
	check(_metadata, g, &(struct expected){ 7, 0, nm_at, 0 });
}

TEST_HARNESS_MAIN
