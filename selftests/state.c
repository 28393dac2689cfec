// SPDX-License-Identifier: GPL-2.0-only
/* State that user space sets and reads: round trips, and what is refused. */
#include <stdlib.h>
#include <string.h>

#include "idt.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(state);

GUEST_ASM(halts, 64, "1: incq %rax; hlt; jmp 1b");

#define SAME(a, b) (!memcmp(&(a), &(b), sizeof(a)))

TEST_F(state, regs)
{
	struct guest *g = &self->g;
	struct kvm_regs set, got;
	uint64_t *r = (uint64_t *)&set;
	size_t i;

	guest_start64(g, self->dev, halts, halts_end);
	for (i = 0; i < sizeof(set) / 8; i++)
		r[i] = 0x0101010101010101 * (i + 1);
	set.rip = GUEST_CODE;
	set.rflags = 0x202;
	vcpu_set_regs(&g->cpu, &set);
	vcpu_get_regs(&g->cpu, &got);
	EXPECT_TRUE(SAME(set, got));
	/* Bit 1 of rflags is always one. */
	set.rflags = 0;
	vcpu_set_regs(&g->cpu, &set);
	vcpu_get_regs(&g->cpu, &got);
	EXPECT_EQ(2, got.rflags);
	EXPECT_EQ(-EFAULT, kioctl(g->cpu.fd, KVM_SET_REGS, NULL));
	EXPECT_EQ(-EFAULT, kioctl(g->cpu.fd, KVM_GET_REGS, NULL));
	/* An HLT changes what it should and no more. */
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &got);
	set.rax++;
	set.rip += 4;
	set.rflags = got.rflags;
	EXPECT_TRUE(SAME(set, got));
}

TEST_F(state, sregs)
{
	struct guest *g = &self->g;
	struct kvm_sregs set, got;

	guest_start64(g, self->dev, halts, halts_end);
	vcpu_get_sregs(&g->cpu, &set);
	set.fs.base = 0x123456789000;
	set.gs.base = 0xffff800000001000;
	set.ds.selector = 0x33;
	set.ds.dpl = 3;
	set.es.limit = 0x1fff;
	set.es.g = 0;
	set.ldt.base = 0x5000;
	set.ldt.limit = 0xff;
	set.ldt.selector = 0x60;
	set.ldt.type = 2;
	set.ldt.present = 1;
	set.ldt.unusable = 0;
	set.gdt.base = 0xffff900000000000;
	set.gdt.limit = 0x777;
	set.idt.base = 0xffff900000001000;
	set.idt.limit = 0xfff;
	set.cr2 = 0xdeadbeef000;
	set.cr8 = 7;
	vcpu_set_sregs(&g->cpu, &set);
	vcpu_get_sregs(&g->cpu, &got);
	EXPECT_TRUE(SAME(set, got));
	/* Through a run, too; without an irqchip it takes cr8 from kvm_run. */
	g->cpu.run->cr8 = 7;
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_sregs(&g->cpu, &got);
	EXPECT_EQ(set.fs.base, got.fs.base);
	EXPECT_EQ(set.gs.base, got.gs.base);
	EXPECT_EQ(set.ldt.base, got.ldt.base);
	EXPECT_EQ(set.gdt.limit, got.gdt.limit);
	EXPECT_EQ(set.idt.base, got.idt.base);
	EXPECT_EQ(set.cr2, got.cr2);
	EXPECT_EQ(set.cr8, got.cr8);
	EXPECT_EQ(set.ds.selector, got.ds.selector);
}

TEST_F(state, sregs2)
{
	struct guest *g = &self->g;
	struct kvm_sregs2 two;
	struct kvm_sregs one;

	guest_start64(g, self->dev, halts, halts_end);
	vcpu_get_sregs(&g->cpu, &one);
	xioctl(g->cpu.fd, KVM_GET_SREGS2, &two);
	EXPECT_TRUE(SAME(one.cs, two.cs));
	EXPECT_TRUE(SAME(one.tr, two.tr));
	EXPECT_TRUE(SAME(one.gdt, two.gdt));
	EXPECT_EQ(one.cr0, two.cr0);
	EXPECT_EQ(one.cr3, two.cr3);
	EXPECT_EQ(one.cr4, two.cr4);
	EXPECT_EQ(one.efer, two.efer);
	/* No PDPTRs outside PAE mode. */
	EXPECT_EQ(0, two.flags);
	two.fs.base = 0x7000;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_SREGS2, &two));
	vcpu_get_sregs(&g->cpu, &one);
	EXPECT_EQ(0x7000, one.fs.base);
	two.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS2, &two));
	two.flags = 2;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS2, &two));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

/* XSTATE_BV, in the header behind the 512 bytes of FXSAVE. */
static uint64_t *xstate_bv(struct kvm_xsave *xsave)
{
	return (uint64_t *)((uint8_t *)xsave + 512);
}

#define MXCSR_DEFAULT 0x1f80

TEST_F(state, fpu)
{
	struct guest *g = &self->g;
	struct kvm_fpu set = {
		.fcw = 0x27f,
		.fsw = 0x3800,
		.ftwx = 0xff,
		.last_opcode = 0x1d9,
	};
	struct kvm_xsave xsave;
	struct kvm_fpu got;
	size_t i;

	guest_start64(g, self->dev, halts, halts_end);
	/*
	 * Where state that was never used is not kept, KVM_SET_FPU is lost: say
	 * that x87 and SSE are in use.
	 */
	xioctl(g->cpu.fd, KVM_GET_XSAVE, &xsave);
	*xstate_bv(&xsave) = 3;
	xioctl(g->cpu.fd, KVM_SET_XSAVE, &xsave);
	for (i = 0; i < sizeof(set.xmm); i++)
		((uint8_t *)set.xmm)[i] = i;
	for (i = 0; i < 8; i++)
		memset(set.fpr[i], 0x30 + i, 10);
	xioctl(g->cpu.fd, KVM_SET_FPU, &set);
	xioctl(g->cpu.fd, KVM_GET_FPU, &got);
	/* MXCSR is KVM_SET_XSAVE's alone: here it is 0, and without effect. */
	EXPECT_TRUE(SAME(set, got));
	xioctl(g->cpu.fd, KVM_GET_XSAVE, &xsave);
	EXPECT_EQ(MXCSR_DEFAULT, xsave.region[6]);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	xioctl(g->cpu.fd, KVM_GET_FPU, &got);
	EXPECT_TRUE(SAME(set.xmm, got.xmm));
	EXPECT_TRUE(SAME(set.fpr, got.fpr));
	EXPECT_EQ(set.fcw, got.fcw);
	EXPECT_EQ(set.fsw, got.fsw);
	EXPECT_EQ(set.ftwx, got.ftwx);
}

TEST_F(state, xsave)
{
	struct guest *g = &self->g;
	struct kvm_xsave set, got;

	guest_start64(g, self->dev, halts, halts_end);
	xioctl(g->cpu.fd, KVM_GET_XSAVE, &set);
	/* XMM3, at its place in FXSAVE's layout. */
	memset((uint8_t *)set.region + 160 + 3 * 16, 0x5a, 16);
	*xstate_bv(&set) |= 3;
	xioctl(g->cpu.fd, KVM_SET_XSAVE, &set);
	xioctl(g->cpu.fd, KVM_GET_XSAVE, &got);
	EXPECT_EQ(0, memcmp((uint8_t *)set.region + 160,
			    (uint8_t *)got.region + 160, 256));
	/* A feature that does not exist. */
	*xstate_bv(&set) |= 1ull << 62;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XSAVE, &set));
	/* MXCSR with reserved bits. */
	*xstate_bv(&set) &= ~(1ull << 62);
	set.region[6] = 0xffff0000;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XSAVE, &set));
	/* All of it as after INIT, MXCSR included. */
	memset(&set, 0, sizeof(set));
	EXPECT_EQ(0, kioctl(g->cpu.fd, KVM_SET_XSAVE, &set));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	xioctl(g->cpu.fd, KVM_GET_XSAVE, &got);
	EXPECT_EQ(MXCSR_DEFAULT, got.region[6]);
}

TEST_F(state, xcrs)
{
	struct guest *g = &self->g;
	struct kvm_xcrs xcrs;
	uint32_t mask;

	guest_start64(g, self->dev, halts, halts_end);
	mask = device_cpuid(self->dev, 0xd, 0, CPUID_EAX);
	xioctl(g->cpu.fd, KVM_GET_XCRS, &xcrs);
	EXPECT_EQ(1, xcrs.nr_xcrs);
	EXPECT_EQ(0, xcrs.xcrs[0].xcr);
	EXPECT_EQ(1, xcrs.xcrs[0].value);
	xcrs.xcrs[0].value = mask & 7;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
	xioctl(g->cpu.fd, KVM_GET_XCRS, &xcrs);
	EXPECT_EQ(mask & 7, xcrs.xcrs[0].value);
	/* x87 is not optional; AVX wants SSE; and no unknown bits. */
	xcrs.xcrs[0].value = 2;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
	xcrs.xcrs[0].value = 5;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
	xcrs.xcrs[0].value = 1ull << 62 | 3;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
	xcrs.xcrs[0].value = 3;
	xcrs.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
	xcrs.flags = 0;
	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_XCRS, &xcrs));
}

TEST_F(state, msrs)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} msrs[] = {
		{ MSR_SYSENTER_CS, 0x10 },
		/* AMD's CPUs keep 32 bits of these two. */
		{ MSR_SYSENTER_ESP, 0x80001000 },
		{ MSR_SYSENTER_EIP, 0x80002000 },
		{ MSR_STAR, 0x0023001000000000 },
		{ MSR_LSTAR, 0xffff800000003000 },
		{ MSR_CSTAR, 0xffff800000004000 },
		{ MSR_SFMASK, 0x47700 },
		{ MSR_KERNEL_GS_BASE, 0xffff800000005000 },
		{ MSR_FS_BASE, 0x00007fff00001000 },
		{ MSR_GS_BASE, 0xffff800000006000 },
		{ MSR_PAT, 0x0007010600070106 },
		{ MSR_TSC_AUX, 0x12345 },
	};
	struct guest *g = &self->g;
	size_t i;

	guest_start64(g, self->dev, halts, halts_end);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(1, vcpu_set_msr(&g->cpu, msrs[i].index,
					  msrs[i].value)) {
			TH_LOG("MSR %#x", msrs[i].index);
		}
	}
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(msrs[i].value, vcpu_msr(&g->cpu, msrs[i].index)) {
			TH_LOG("MSR %#x", msrs[i].index);
		}
	}
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(msrs[i].value, vcpu_msr(&g->cpu, msrs[i].index)) {
			TH_LOG("MSR %#x, after a run", msrs[i].index);
		}
	}
	/* Refused: not canonical, reserved types, no such MSR. */
	EXPECT_EQ(0, vcpu_set_msr(&g->cpu, MSR_LSTAR, 1ull << 62));
	EXPECT_EQ(0, vcpu_set_msr(&g->cpu, MSR_PAT, 2));
	EXPECT_EQ(0, vcpu_set_msr(&g->cpu, 0x12345678, 0));
	EXPECT_EQ(msrs[4].value, vcpu_msr(&g->cpu, MSR_LSTAR));
}

/* KVM_SET_MSRS stops at the first that it refuses, and says how far it came. */
TEST_F(state, msr_lists)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[4];
	} m = {
		.head.nmsrs = 4,
		.entries = {
			{ .index = MSR_LSTAR, .data = 0x1000 },
			{ .index = MSR_CSTAR, .data = 0x2000 },
			{ .index = 0x12345678 },
			{ .index = MSR_SYSENTER_CS, .data = 0x33 },
		},
	};
	struct guest *g = &self->g;

	guest_start64(g, self->dev, halts, halts_end);
	EXPECT_EQ(2, kioctl(g->cpu.fd, KVM_SET_MSRS, &m));
	EXPECT_EQ(0x2000, vcpu_msr(&g->cpu, MSR_CSTAR));
	EXPECT_EQ(0, vcpu_msr(&g->cpu, MSR_SYSENTER_CS));
	m.entries[0].data = 0;
	EXPECT_EQ(2, kioctl(g->cpu.fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(0x1000, m.entries[0].data);
	m.head.nmsrs = 0;
	EXPECT_EQ(0, kioctl(g->cpu.fd, KVM_SET_MSRS, &m));
	m.head.nmsrs = 256;
	EXPECT_EQ(-E2BIG, kioctl(g->cpu.fd, KVM_SET_MSRS, &m));
	m.head.nmsrs = -1;
	EXPECT_EQ(-E2BIG, kioctl(g->cpu.fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(-EFAULT, kioctl(g->cpu.fd, KVM_GET_MSRS, NULL));
}

TEST_F(state, debugregs)
{
	struct kvm_debugregs set = {
		.db = { 0x1000, 0x2000, 0xffff800000003000, 0x4000 },
		.dr6 = 0xffff0ff1,
		.dr7 = 0x400,
	};
	struct guest *g = &self->g;
	struct kvm_debugregs got;

	guest_start64(g, self->dev, halts, halts_end);
	xioctl(g->cpu.fd, KVM_GET_DEBUGREGS, &got);
	EXPECT_EQ(0xffff0ff0, got.dr6);
	EXPECT_EQ(0x400, got.dr7);
	xioctl(g->cpu.fd, KVM_SET_DEBUGREGS, &set);
	xioctl(g->cpu.fd, KVM_GET_DEBUGREGS, &got);
	EXPECT_TRUE(SAME(set, got));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	xioctl(g->cpu.fd, KVM_GET_DEBUGREGS, &got);
	EXPECT_TRUE(SAME(set, got));
	set.dr6 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_DEBUGREGS, &set));
	set.dr6 = 0xffff0ff0;
	set.dr7 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_DEBUGREGS, &set));
	set.dr7 = 0x400;
	set.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_DEBUGREGS, &set));
}

GUEST_ASM(spin_hlt, 64, "nop; hlt");

TEST_F(state, vcpu_events)
{
	struct guest *g = &self->g;
	struct kvm_vcpu_events set, got;
	struct idt_record *record;

	guest_start64(g, self->dev, spin_hlt, spin_hlt_end);
	guest_set_idt(g, &g->cpu);
	record = guest_record(g);
	xioctl(g->cpu.fd, KVM_GET_VCPU_EVENTS, &got);
	EXPECT_EQ(0, got.exception.injected);
	EXPECT_EQ(0, got.interrupt.injected);
	EXPECT_EQ(0, got.nmi.injected);
	EXPECT_EQ(0, got.nmi.pending);

	/* An exception that user space injects reaches the guest's handler. */
	set = got;
	set.flags = 0;
	set.exception.injected = 1;
	set.exception.nr = 13;
	set.exception.has_error_code = 1;
	set.exception.error_code = 0x1230;
	xioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &set);
	xioctl(g->cpu.fd, KVM_GET_VCPU_EVENTS, &got);
	EXPECT_EQ(1, got.exception.injected);
	EXPECT_EQ(13, got.exception.nr);
	EXPECT_EQ(0x1230, got.exception.error_code);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(1, record->count);
	EXPECT_EQ(13, record->vector);
	EXPECT_EQ(0x1230, record->error);
	EXPECT_EQ(GUEST_CODE, record->rip);
	xioctl(g->cpu.fd, KVM_GET_VCPU_EVENTS, &got);
	EXPECT_EQ(0, got.exception.injected);

	/* Vectors above 31 and the NMI are no exceptions; flags are known. */
	set.exception.nr = 32;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &set));
	set.exception.nr = 2;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &set));
	memset(&set, 0, sizeof(set));
	set.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &set));
}

TEST_F(state, mp_state_without_irqchip)
{
	struct guest *g = &self->g;
	struct kvm_mp_state s;

	guest_start64(g, self->dev, halts, halts_end);
	xioctl(g->cpu.fd, KVM_GET_MP_STATE, &s);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, s.mp_state);
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_MP_STATE, &s));
	s.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_MP_STATE, &s));
	s.mp_state = KVM_MP_STATE_UNINITIALIZED;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_MP_STATE, &s));
	s.mp_state = 77;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_MP_STATE, &s));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_F(state, with_irqchip)
{
	struct kvm_lapic_state lapic, again;
	struct guest *g = &self->g;
	struct kvm_mp_state s;
	struct vcpu second;

	guest_create_bare(g, self->dev);
	xioctl(g->vm, KVM_CREATE_IRQCHIP, 0ul);
	vcpu_create(g, &g->cpu, 0);
	vcpu_create(g, &second, 3);
	/* The boot CPU is runnable, the others wait for INIT. */
	xioctl(g->cpu.fd, KVM_GET_MP_STATE, &s);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, s.mp_state);
	xioctl(second.fd, KVM_GET_MP_STATE, &s);
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, s.mp_state);
	s.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(0, kioctl(second.fd, KVM_SET_MP_STATE, &s));
	s.mp_state = KVM_MP_STATE_RUNNABLE;
	EXPECT_EQ(0, kioctl(second.fd, KVM_SET_MP_STATE, &s));

	xioctl(second.fd, KVM_GET_LAPIC, &lapic);
	EXPECT_EQ(3u << 24, *(uint32_t *)(lapic.regs + 0x20));
	/* Version 0x14 with 6 LVT entries, or with one more. */
	EXPECT_EQ(0x14, *(uint32_t *)(lapic.regs + 0x30) & 0xff);
	*(uint32_t *)(lapic.regs + 0x80) = 0x20; /* TPR */
	*(uint32_t *)(lapic.regs + 0xf0) = 0x1ff;
	xioctl(second.fd, KVM_SET_LAPIC, &lapic);
	xioctl(second.fd, KVM_GET_LAPIC, &again);
	EXPECT_EQ(0x20, *(uint32_t *)(again.regs + 0x80));
	EXPECT_EQ(0x1ff, *(uint32_t *)(again.regs + 0xf0));
	vcpu_destroy(&second);
}

TEST_F(state, lapic_without_irqchip)
{
	struct kvm_lapic_state lapic;
	struct guest *g = &self->g;

	guest_create(g, self->dev, GUEST_SIZE);
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_GET_LAPIC, &lapic));
	memset(&lapic, 0, sizeof(lapic));
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_LAPIC, &lapic));
}

TEST_F(state, boot_cpu_id)
{
	struct guest *g = &self->g;
	struct kvm_mp_state s;

	guest_create_bare(g, self->dev);
	xioctl(g->vm, KVM_CREATE_IRQCHIP, 0ul);
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_BOOT_CPU_ID, 2ul));
	vcpu_create(g, &g->cpu, 2);
	xioctl(g->cpu.fd, KVM_GET_MP_STATE, &s);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, s.mp_state);
	EXPECT_EQ(-EBUSY, kioctl(g->vm, KVM_SET_BOOT_CPU_ID, 0ul));
}

struct cpuid_buf {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[257];
};

#define NEEDS_CPUID_COUNT(dev)						\
	do {								\
		if (!device_is_recent(dev))				\
			SKIP(return, "GET_CPUID2 does not count here");	\
	} while (0)

TEST_F(state, cpuid)
{
	struct guest *g = &self->g;
	struct cpuid_buf set = { 0 }, got = { 0 };
	uint32_t i, found = 0;

	NEEDS_CPUID_COUNT(self->dev);
	guest_create_bare(g, self->dev);
	vcpu_create_bare(g, &g->cpu, 0);
	got.head.nent = 256;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_GET_CPUID2, &got));
	EXPECT_EQ(0, got.head.nent);

	set.head.nent = 256;
	xioctl(self->dev, KVM_GET_SUPPORTED_CPUID, &set);
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_CPUID2, &set));
	got.head.nent = set.head.nent - 1;
	EXPECT_EQ(-E2BIG, kioctl(g->cpu.fd, KVM_GET_CPUID2, &got));
	got.head.nent = 256;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_GET_CPUID2, &got));
	EXPECT_EQ(set.head.nent, got.head.nent);
	/* Brand string and the like come back as they went in. */
	for (i = 0; i < got.head.nent; i++)
		if (got.entries[i].function >= 0x80000002 &&
		    got.entries[i].function <= 0x80000004) {
			EXPECT_TRUE(SAME(set.entries[i], got.entries[i]));
			found++;
		}
	EXPECT_EQ(3, found);

	set.head.nent = 257;
	EXPECT_EQ(-E2BIG, kioctl(g->cpu.fd, KVM_SET_CPUID2, &set));
	EXPECT_EQ(-EFAULT, kioctl(g->cpu.fd, KVM_SET_CPUID2, NULL));
}

/* A vCPU that has run keeps the CPUID that it has. */
TEST_F(state, cpuid_after_a_run)
{
	struct guest *g = &self->g;
	struct cpuid_buf now = { .head.nent = 256 };

	NEEDS_CPUID_COUNT(self->dev);
	guest_start64(g, self->dev, halts, halts_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	xioctl(g->cpu.fd, KVM_GET_CPUID2, &now);
	EXPECT_EQ(0, kioctl(g->cpu.fd, KVM_SET_CPUID2, &now));
	now.entries[0].eax--;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_CPUID2, &now));
	now.entries[0].eax++;
	now.head.nent--;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_CPUID2, &now));
}

TEST_F(state, tsc_khz)
{
	struct guest *g = &self->g;
	long khz;

	guest_start64(g, self->dev, halts, halts_end);
	khz = kioctl(g->cpu.fd, KVM_GET_TSC_KHZ, 0ul);
	EXPECT_GT(khz, 1000);
	EXPECT_EQ(0, kioctl(g->cpu.fd, KVM_SET_TSC_KHZ, khz));
	EXPECT_EQ(khz, kioctl(g->cpu.fd, KVM_GET_TSC_KHZ, 0ul));
	EXPECT_EQ(khz, kioctl(g->vm, KVM_GET_TSC_KHZ, 0ul));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_F(state, vm_calls)
{
	struct guest *g = &self->g;
	uint64_t identity = 0xfeffc000;
	struct kvm_enable_cap cap = { .cap = 0xffff };

	guest_create_bare(g, self->dev);
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_TSS_ADDR, 0xfeffd000ul));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_SET_TSS_ADDR, 0xfffffff0ul));
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	EXPECT_EQ(-EFAULT, kioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, NULL));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-EFAULT, kioctl(g->vm, KVM_ENABLE_CAP, NULL));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, 1ul));
	EXPECT_EQ(0, kioctl(g->vm, KVM_SET_NR_MMU_PAGES, 1000ul));
	vcpu_create(g, &g->cpu, 0);
	/* Too late for this one. */
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity));
}

TEST_F(state, quirks)
{
	struct guest *g = &self->g;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2 };
	uint64_t quirks;

	guest_create_bare(g, self->dev);
	quirks = kioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	if (device_is_xvm(self->dev))
		EXPECT_EQ(KVM_X86_QUIRK_SLOT_ZAP_ALL, quirks);
	cap.args[0] = quirks;
	EXPECT_EQ(0, kioctl(g->vm, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 0;
	EXPECT_EQ(0, kioctl(g->vm, KVM_ENABLE_CAP, &cap));
	cap.args[0] = quirks + (1ull << 63);
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_ENABLE_CAP, &cap));
	cap.args[0] = quirks;
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_ENABLE_CAP, &cap));
}

TEST_HARNESS_MAIN
