// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of a local APIC, by its page or by x2APIC's MSRs.
 *
 * They read and write as hardware's do.  Interrupts are not delivered yet: a
 * guest that sends one or starts the timer stops with an internal error
 * (arch.lapic_unsupported), and user space can't set a state with one pending.
 * The task priority works, and goes with CR8.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "x86.h"

#define REGS_SIZE	0x400
#define MODE_BITS	(MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)
#define BASE_RESERVED	(GENMASK_ULL(7, 0) | BIT_ULL(9))

/* Version 14H with six LVT entries: KVM's on AMD. */
#define VERSION		(0x14 | 5 << 16)
#define SPIV_WRITABLE	0x3ff
#define LVT_WRITABLE	(APIC_LVT_MASKED | APIC_SEND_PENDING | APIC_VECTOR_MASK)
#define LVT_MODE	0x700
#define LINT_WRITABLE	(LVT_WRITABLE | LVT_MODE | APIC_INPUT_POLARITY |	\
			 APIC_LVT_REMOTE_IRR | APIC_LVT_LEVEL_TRIGGER)
#define TDCR_WRITABLE	0xb
#define X2APIC_ICR_RESERVED	(GENMASK_ULL(31, 20) | GENMASK_ULL(17, 16) | BIT_ULL(13))

struct xvm_lapic {
	u32 regs[REGS_SIZE / 4];
};

static u32 *reg(struct xvm_vcpu *vcpu, u32 offset)
{
	return &vcpu->arch.lapic->regs[offset / 4];
}

static bool x2apic(struct xvm_vcpu *vcpu)
{
	return (vcpu->arch.apic_base & MODE_BITS) == MODE_BITS;
}

/* An x2APIC's logical id follows from its id. */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1U << (id & 0xf);
}

static void set_id(struct xvm_vcpu *vcpu)
{
	*reg(vcpu, APIC_ID) = x2apic(vcpu) ? vcpu->id : vcpu->id << 24;
	if (x2apic(vcpu))
		*reg(vcpu, APIC_LDR) = x2apic_ldr(vcpu->id);
}

int xvm_lapic_create(struct xvm_vcpu *vcpu)
{
	vcpu->arch.lapic = kzalloc(sizeof(*vcpu->arch.lapic), GFP_KERNEL_ACCOUNT);
	return vcpu->arch.lapic ? 0 : -ENOMEM;
}

void xvm_lapic_destroy(struct xvm_vcpu *vcpu)
{
	kfree(vcpu->arch.lapic);
	vcpu->arch.lapic = NULL;
}

static void mask_lvts(struct xvm_vcpu *vcpu)
{
	u32 offset;

	for (offset = APIC_LVTT; offset <= APIC_LVTERR; offset += 0x10)
		*reg(vcpu, offset) |= APIC_LVT_MASKED;
}

void xvm_lapic_reset(struct xvm_vcpu *vcpu, bool init)
{
	bool bsp = vcpu->id == vcpu->xvm->arch.bsp_id;

	vcpu->arch.lapic_unsupported = false;
	vcpu->arch.cr8 = 0;
	if (!init)
		vcpu->arch.apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
				       (bsp ? MSR_IA32_APICBASE_BSP : 0);
	if (!vcpu->arch.lapic)
		return;

	/* INIT keeps the id, which software may have changed (APM vol. 2, 16.3.2). */
	if (init) {
		u32 id = *reg(vcpu, APIC_ID);

		memset(vcpu->arch.lapic->regs, 0, REGS_SIZE);
		*reg(vcpu, APIC_ID) = id;
	} else {
		memset(vcpu->arch.lapic->regs, 0, REGS_SIZE);
		set_id(vcpu);
	}
	if (x2apic(vcpu))
		*reg(vcpu, APIC_LDR) = x2apic_ldr(vcpu->id);
	*reg(vcpu, APIC_LVR) = VERSION;
	*reg(vcpu, APIC_DFR) = ~0U;
	*reg(vcpu, APIC_SPIV) = 0xff;
	mask_lvts(vcpu);
	/* KVM's quirk: LINT0 of the boot CPU is open for a PIC, as firmware would leave it. */
	if (bsp)
		*reg(vcpu, APIC_LVT0) = APIC_MODE_EXTINT << 8;
}

int xvm_lapic_set_base(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	u64 old = vcpu->arch.apic_base, changed = val ^ old;
	u64 reserved = BASE_RESERVED | xvm_reserved_gpa_bits(vcpu);

	if (!xvm_guest_has(vcpu, X86_FEATURE_X2APIC))
		reserved |= X2APIC_ENABLE;
	if ((val & reserved) || (val & MODE_BITS) == X2APIC_ENABLE)
		return 1;
	if (!host) {
		/* From x2APIC the way leads to off alone, and into it from xAPIC alone. */
		if ((old & MODE_BITS) == MODE_BITS &&
		    (val & MODE_BITS) == MSR_IA32_APICBASE_ENABLE)
			return 1;
		if (!(old & MODE_BITS) && (val & MODE_BITS) == MODE_BITS)
			return 1;
	}

	vcpu->arch.apic_base = val;
	if (changed & MSR_IA32_APICBASE_ENABLE)
		xvm_cpuid_refresh(vcpu);
	if (vcpu->arch.lapic && (val & MSR_IA32_APICBASE_ENABLE) && (changed & MODE_BITS))
		set_id(vcpu);
	return 0;
}

static u32 highest_vector(struct xvm_vcpu *vcpu, u32 base)
{
	int word;

	for (word = 7; word >= 0; word--) {
		u32 bits = *reg(vcpu, base + 0x10 * word);

		if (bits)
			return word * 32 + fls(bits) - 1;
	}
	return 0;
}

static u32 processor_priority(struct xvm_vcpu *vcpu)
{
	u32 tpr = *reg(vcpu, APIC_TASKPRI), isr = highest_vector(vcpu, APIC_ISR) & 0xf0;

	return (tpr & 0xf0) >= isr ? tpr : isr;
}

/* Is there a register that can be read?  offset is a multiple of 16. */
static bool readable(struct xvm_vcpu *vcpu, u32 offset)
{
	switch (offset) {
	case APIC_ID:
	case APIC_LVR:
	case APIC_TASKPRI:
	case APIC_PROCPRI:
	case APIC_LDR:
	case APIC_SPIV:
	case APIC_ISR ... APIC_ESR:		/* with TMR and IRR between them */
	case APIC_ICR:
	case APIC_LVTT ... APIC_TMCCT:
	case APIC_TDCR:
		return true;
	case APIC_ARBPRI:
	case APIC_DFR:
	case APIC_ICR2:
		return !x2apic(vcpu);
	default:
		return false;
	}
}

static int read_reg(struct xvm_vcpu *vcpu, u32 offset, u32 *val)
{
	if (!readable(vcpu, offset))
		return 1;
	*val = offset == APIC_PROCPRI ? processor_priority(vcpu) : *reg(vcpu, offset);
	return 0;
}

static void write_spiv(struct xvm_vcpu *vcpu, u32 val)
{
	*reg(vcpu, APIC_SPIV) = val & SPIV_WRITABLE;
	if (!(val & APIC_SPIV_APIC_ENABLED))
		mask_lvts(vcpu);
}

static void write_lvt(struct xvm_vcpu *vcpu, u32 offset, u32 val)
{
	u32 writable = LVT_WRITABLE;

	if (offset == APIC_LVTT)
		writable |= APIC_LVT_TIMER_PERIODIC;
	else if (offset == APIC_LVT0 || offset == APIC_LVT1)
		writable = LINT_WRITABLE;
	else if (offset != APIC_LVTERR)
		writable |= LVT_MODE;
	if (!(*reg(vcpu, APIC_SPIV) & APIC_SPIV_APIC_ENABLED))
		val |= APIC_LVT_MASKED;
	*reg(vcpu, offset) = val & writable;
}

/* 0, or 1: no such register in this mode, which is #GP in x2APIC's. */
static int write_reg(struct xvm_vcpu *vcpu, u32 offset, u32 val)
{
	switch (offset) {
	case APIC_ID:
		if (x2apic(vcpu))
			return 1;
		*reg(vcpu, offset) = val & 0xff000000;
		return 0;
	case APIC_TASKPRI:
		*reg(vcpu, offset) = val & 0xff;
		return 0;
	case APIC_EOI:
		/* Nothing is ever in service. */
		return 0;
	case APIC_LDR:
		if (x2apic(vcpu))
			return 1;
		*reg(vcpu, offset) = val & APIC_LDR_MASK;
		return 0;
	case APIC_DFR:
		if (x2apic(vcpu))
			return 1;
		*reg(vcpu, offset) = val | 0x0fffffff;
		return 0;
	case APIC_SPIV:
		write_spiv(vcpu, val);
		return 0;
	case APIC_ESR:
		/* Writing it shows the errors since the last write: none. */
		return x2apic(vcpu) && val;
	case APIC_ICR:
		*reg(vcpu, offset) = val & ~(u32)APIC_ICR_BUSY;
		vcpu->arch.lapic_unsupported = true;
		return 0;
	case APIC_ICR2:
		if (x2apic(vcpu))
			return 1;
		*reg(vcpu, offset) = val & 0xff000000;
		return 0;
	case APIC_LVTT ... APIC_LVTERR:
		write_lvt(vcpu, offset, val);
		return 0;
	case APIC_TMICT:
		*reg(vcpu, offset) = val;
		if (val)
			vcpu->arch.lapic_unsupported = true;
		return 0;
	case APIC_TDCR:
		*reg(vcpu, offset) = val & TDCR_WRITABLE;
		return 0;
	case APIC_SELF_IPI:
		if (!x2apic(vcpu) || (val & ~(u32)APIC_VECTOR_MASK))
			return 1;
		vcpu->arch.lapic_unsupported = true;
		return 0;
	default:
		return 1;
	}
}

bool xvm_lapic_mmio(struct xvm_vcpu *vcpu, u64 gpa, void *data, unsigned int len, bool write)
{
	u64 base = vcpu->arch.apic_base & GENMASK_ULL(51, PAGE_SHIFT);
	u32 offset = gpa - base, val = 0;

	if (gpa < base || gpa - base >= PAGE_SIZE)
		return false;
	if ((vcpu->arch.apic_base & MODE_BITS) != MSR_IA32_APICBASE_ENABLE) {
		/* KVM's quirk: the page is a hole even while there is no APIC at it. */
		if (!write)
			memset(data, 0xff, len);
		return true;
	}

	if (write) {
		/* Whole registers alone; what else is written is lost. */
		if (len == 4 && !(offset & 0xf)) {
			memcpy(&val, data, 4);
			write_reg(vcpu, offset, val);
		}
		return true;
	}
	memset(data, 0, len);
	if ((offset & 0xf) + len <= 4 && !read_reg(vcpu, offset & ~0xfU, &val))
		memcpy(data, (u8 *)&val + (offset & 0xf), len);
	return true;
}

static int x2apic_icr(struct xvm_vcpu *vcpu, u64 *val, bool write)
{
	if (!write) {
		*val = *reg(vcpu, APIC_ICR) | (u64)*reg(vcpu, APIC_ICR2) << 32;
		return 0;
	}
	if (*val & X2APIC_ICR_RESERVED)
		return 1;
	*reg(vcpu, APIC_ICR2) = *val >> 32;
	return write_reg(vcpu, APIC_ICR, *val);
}

int xvm_lapic_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val, bool write)
{
	u32 offset = (index & 0xff) << 4, low;

	if (!vcpu->arch.lapic || !x2apic(vcpu))
		return 1;
	if (offset == APIC_ICR)
		return x2apic_icr(vcpu, val, write);
	if (write)
		return *val >> 32 ? 1 : write_reg(vcpu, offset, *val);
	if (offset >= REGS_SIZE || read_reg(vcpu, offset, &low))
		return 1;
	*val = low;
	return 0;
}

u64 xvm_lapic_get_tpr(struct xvm_vcpu *vcpu)
{
	return *reg(vcpu, APIC_TASKPRI) >> 4;
}

void xvm_lapic_set_tpr(struct xvm_vcpu *vcpu, u64 cr8)
{
	u32 *tpr = reg(vcpu, APIC_TASKPRI);

	/* CR8 is the upper half; a write of what is there already keeps the lower one. */
	if (*tpr >> 4 != cr8)
		*tpr = cr8 << 4;
}

int xvm_lapic_get_state(struct xvm_vcpu *vcpu, struct kvm_lapic_state *state)
{
	u32 *id = (u32 *)(state->regs + APIC_ID);

	*reg(vcpu, APIC_PROCPRI) = processor_priority(vcpu);
	memcpy(state->regs, vcpu->arch.lapic->regs, sizeof(state->regs));
	/* User space that doesn't know of x2APIC ids looks for it where xAPIC has it. */
	if (x2apic(vcpu))
		*id <<= 24;
	return 0;
}

/* A vector waiting or in service, or a timer running: what would have to be delivered. */
static bool has_work(const struct xvm_lapic *lapic)
{
	u32 offset;

	for (offset = APIC_ISR; offset < APIC_ISR + 0x80; offset += 0x10)
		if (lapic->regs[offset / 4] || lapic->regs[(offset + APIC_IRR - APIC_ISR) / 4])
			return true;
	return lapic->regs[APIC_TMICT / 4] && !(lapic->regs[APIC_LVTT / 4] & APIC_LVT_MASKED);
}

int xvm_lapic_set_state(struct xvm_vcpu *vcpu, const struct kvm_lapic_state *state)
{
	const struct xvm_lapic *new = (const struct xvm_lapic *)state->regs;

	if (has_work(new))
		return -EINVAL;
	memcpy(vcpu->arch.lapic->regs, new->regs, REGS_SIZE);
	*reg(vcpu, APIC_LVR) = VERSION;
	/* In x2APIC mode the ids are not software's to choose. */
	if (x2apic(vcpu))
		set_id(vcpu);
	return 0;
}
