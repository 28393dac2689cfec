// SPDX-License-Identifier: GPL-2.0-only
/* What the device says of itself, and the state of a vCPU. */
#include "failures_calls.h"

#include "x86.h"

/* What the device offers */

#define CPUID_ROOM 250

static long supported_cpuid(struct world *w)
{
	w->arg.cpuid.nent = CPUID_ROOM;
	return kioctl(w->g.dev, KVM_GET_SUPPORTED_CPUID, &w->arg.cpuid);
}

static long emulated_cpuid(struct world *w)
{
	/* Each entry's padding is read by itself. */
	w->arg.cpuid.nent = 4;
	return kioctl(w->g.dev, KVM_GET_EMULATED_CPUID, &w->arg.cpuid);
}

static long msr_list(struct world *w)
{
	w->arg.msr_list.nmsrs = 1024;
	return kioctl(w->g.dev, KVM_GET_MSR_INDEX_LIST, &w->arg.msr_list);
}

static long feature_msr_list(struct world *w)
{
	w->arg.msr_list.nmsrs = 1024;
	return kioctl(w->g.dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &w->arg.msr_list);
}

static void one_feature_msr(struct world *w)
{
	w->arg.msrs.nmsrs = 1;
	w->arg.msrs.entries[0].index = 0xc0011029; /* DE_CFG */
}

static long feature_msrs(struct world *w)
{
	return kioctl(w->g.dev, KVM_GET_MSRS, &w->arg.msrs);
}

const struct call call_supported_cpuid = { "supported_cpuid", .call = supported_cpuid };
const struct call call_emulated_cpuid = {
	"emulated_cpuid", .call = emulated_cpuid, .unread = -EINVAL,
};

const struct call call_msr_list = { "msr_list", .call = msr_list };
const struct call call_feature_msr_list = { "feature_msr_list", .call = feature_msr_list };
const struct call call_feature_msrs = {
	"feature_msrs", .setup = one_feature_msr, .call = feature_msrs,
};

/* Registers: each call that gets them, and each that sets them to something else */

#define GET_SET(name, NAME, ...)					\
	static long get_##name(struct world *w)				\
	{								\
		return kioctl(w->v.fd, KVM_GET_##NAME, &w->arg);	\
	}								\
									\
	static void before_set_##name(struct world *w)			\
	{								\
		xioctl(w->v.fd, KVM_GET_##NAME, &w->arg);		\
		__VA_ARGS__;						\
	}								\
									\
	static long set_##name(struct world *w)				\
	{								\
		return kioctl(w->v.fd, KVM_SET_##NAME, &w->arg);	\
	}								\
									\
	const struct call call_get_##name = { "get_" #name, .call = get_##name };	\
	const struct call call_set_##name = {				\
		"set_" #name, .setup = before_set_##name, .call = set_##name,	\
	}

GET_SET(regs, REGS, w->arg.regs.rbx = 0x1234; w->arg.regs.rip = 0x5678);
GET_SET(sregs, SREGS, w->arg.sregs.fs.base = 0x1234; w->arg.sregs.cr2 = 0x5678);
GET_SET(sregs2, SREGS2, w->arg.sregs2.gs.base = 0x1234; w->arg.sregs2.cr2 = 0x5678);
GET_SET(fpu, FPU, w->arg.fpu.fcw = 0x37a; w->arg.fpu.xmm[3][5] = 0x12);
GET_SET(debugregs, DEBUGREGS, w->arg.debugregs.db[2] = 0x1234);
GET_SET(xcrs, XCRS, w->arg.xcrs.xcrs[0].value = 3);
GET_SET(events, VCPU_EVENTS, w->arg.events.nmi.pending = 1;
	w->arg.events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING);
GET_SET(mp_state, MP_STATE, w->arg.mp_state.mp_state = KVM_MP_STATE_RUNNABLE);
/* The header's first word, then the first XMM register. */
GET_SET(xsave, XSAVE, w->arg.bytes[512] |= 3; w->arg.bytes[160] = 0x12);

static long get_xsave2(struct world *w)
{
	return kioctl(w->v.fd, KVM_GET_XSAVE2, &w->arg);
}

const struct call call_get_xsave2 = { "get_xsave2", .call = get_xsave2 };

static long get_lapic(struct world *w)
{
	return kioctl(w->v.fd, KVM_GET_LAPIC, &w->arg);
}

static void before_set_lapic(struct world *w)
{
	xioctl(w->v.fd, KVM_GET_LAPIC, &w->arg);
	w->arg.lapic.regs[0x80] = 0x20; /* TPR */
}

static long set_lapic(struct world *w)
{
	return kioctl(w->v.fd, KVM_SET_LAPIC, &w->arg);
}

const struct call call_get_lapic = { "get_lapic", .begin = with_apic, .call = get_lapic };
const struct call call_set_lapic = {
	"set_lapic", .begin = with_apic, .setup = before_set_lapic, .call = set_lapic,
};

static long get_cpuid(struct world *w)
{
	w->arg.cpuid.nent = CPUID_ROOM;
	return kioctl(w->v.fd, KVM_GET_CPUID2, &w->arg.cpuid);
}

static void before_set_cpuid(struct world *w)
{
	if (get_cpuid(w))
		die("KVM_GET_CPUID2: %m");
	/* The vendor's name, and an entry less. */
	w->arg.cpuid.entries[0].ebx ^= 0x01010101;
	w->arg.cpuid.nent--;
}

static long set_cpuid(struct world *w)
{
	return kioctl(w->v.fd, KVM_SET_CPUID2, &w->arg.cpuid);
}

const struct call call_get_cpuid = { "get_cpuid", .call = get_cpuid };
const struct call call_set_cpuid = {
	"set_cpuid", .setup = before_set_cpuid, .call = set_cpuid,
};

static void some_msrs(struct world *w)
{
	static const uint32_t indices[] = { MSR_STAR, MSR_LSTAR, MSR_PAT, MSR_SYSENTER_EIP };
	int i;

	w->arg.msrs.nmsrs = 4;
	for (i = 0; i < 4; i++) {
		w->arg.msrs.entries[i].index = indices[i];
		w->arg.msrs.entries[i].data = 0x0606060606060606;
	}
	w->arg.msrs.entries[1].data = 0x1234;
	w->arg.msrs.entries[3].data = 0x5678;
}

static long get_msrs(struct world *w)
{
	return kioctl(w->v.fd, KVM_GET_MSRS, &w->arg.msrs);
}

static long set_msrs(struct world *w)
{
	return kioctl(w->v.fd, KVM_SET_MSRS, &w->arg.msrs);
}

const struct call call_get_msrs = { "get_msrs", .setup = some_msrs, .call = get_msrs };
const struct call call_set_msrs = { "set_msrs", .setup = some_msrs, .call = set_msrs };

static void address(struct world *w)
{
	w->arg.translation.linear_address = 0x1234;
}

static long translate(struct world *w)
{
	return kioctl(w->v.fd, KVM_TRANSLATE, &w->arg.translation);
}

const struct call call_translate = { "translate", .setup = address, .call = translate };

static long interrupt(struct world *w)
{
	struct kvm_interrupt irq = { .irq = 0x40 };

	return kioctl(w->v.fd, KVM_INTERRUPT, &irq);
}

const struct call call_interrupt = { "interrupt", .call = interrupt };
