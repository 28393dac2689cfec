// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers: what they hold after reset, the guest's writes to its control
 * registers, and user space's access to all but the system registers (sregs.c).
 */
#include <linux/percpu.h>
#include <linux/string.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>

#include "x86.h"

#define CR0_KNOWN							\
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
	 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* A change of any of these makes the CPU read the PDPTEs anew where paging is PAE. */
#define CR0_PDPTE	(X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTE	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP)

#define PDPTE_PRESENT	BIT_ULL(0)
/* Bit 5 is reserved as well, but walkers that treat all levels alike set it: QEMU's does. */
#define PDPTE_RESERVED	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 6))

#define DR7_RESET	0x400
#define RIP_RESET	0xfff0
/* Family 6: what KVM says before there is a CPUID. */
#define SIGNATURE_RESET	0x600

bool xvm_is_long_mode(struct xvm_vcpu *vcpu)
{
	return xvm_vendor->get_efer(vcpu) & EFER_LMA;
}

static bool cs_is_long(struct xvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	xvm_vendor->get_segment(vcpu, &cs, XVM_SEG_CS);
	return cs.l;
}

bool xvm_is_64bit_code(struct xvm_vcpu *vcpu)
{
	return xvm_is_long_mode(vcpu) && cs_is_long(vcpu);
}

u64 xvm_reserved_gpa_bits(struct xvm_vcpu *vcpu)
{
	return vcpu->arch.maxphyaddr < 64 ? ~0ULL << vcpu->arch.maxphyaddr : 0;
}

/* Segments and descriptor tables after RESET and INIT: APM vol. 2, table 14-1. */
static void reset_segments(struct xvm_vcpu *vcpu)
{
	static const enum xvm_seg data_segs[] = {
		XVM_SEG_ES, XVM_SEG_SS, XVM_SEG_DS, XVM_SEG_FS, XVM_SEG_GS,
	};
	const struct kvm_segment data = { .limit = 0xffff, .type = 2, .s = 1, .present = 1 };
	const struct kvm_segment code = {
		.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000,
		.type = 10, .s = 1, .present = 1,
	};
	const struct kvm_segment ldt = { .limit = 0xffff, .type = 2, .present = 1 };
	const struct kvm_segment tss = { .limit = 0xffff, .type = 3, .present = 1 };
	const struct kvm_dtable table = { .limit = 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(data_segs); i++)
		xvm_vendor->set_segment(vcpu, &data, data_segs[i]);
	xvm_vendor->set_segment(vcpu, &code, XVM_SEG_CS);
	xvm_vendor->set_segment(vcpu, &ldt, XVM_SEG_LDTR);
	xvm_vendor->set_segment(vcpu, &tss, XVM_SEG_TR);
	xvm_vendor->set_gdt(vcpu, &table);
	xvm_vendor->set_idt(vcpu, &table);
}

void xvm_vcpu_reset(struct xvm_vcpu *vcpu, bool init)
{
	struct xvm_vcpu_arch *arch = &vcpu->arch;
	const u64 cache_off = X86_CR0_CD | X86_CR0_NW;
	const struct kvm_cpuid_entry2 *cpuid = xvm_cpuid_find(vcpu, 1, 0);
	/* INIT leaves the caches' state alone. */
	u64 cr0 = init ? xvm_vendor->get_cr0(vcpu) & cache_off : cache_off;

	if (!init) {
		xvm_cpuid_reset(vcpu);
		xvm_tsc_reset(vcpu);
	}
	xvm_vendor->vcpu_reset(vcpu);
	xvm_msr_reset(vcpu, init);
	xvm_fpu_reset(vcpu, init);

	memset(arch->regs, 0, sizeof(arch->regs));
	arch->regs[XVM_RDX] = cpuid ? cpuid->eax : SIGNATURE_RESET;
	arch->rip = RIP_RESET;
	arch->rflags = X86_EFLAGS_FIXED;
	arch->cr2 = 0;
	memset(arch->db, 0, sizeof(arch->db));
	arch->dr6 = DR6_RESERVED;
	arch->dr7 = DR7_RESET;
	memset(&arch->events, 0, sizeof(arch->events));

	reset_segments(vcpu);
	xvm_vendor->set_efer(vcpu, 0);
	xvm_vendor->set_cr0(vcpu, cr0 | X86_CR0_ET);
	xvm_vendor->set_cr3(vcpu, 0);
	xvm_vendor->set_cr4(vcpu, 0);
	xvm_lapic_reset(vcpu, init);
	xvm_cpuid_refresh(vcpu);
}

/* kvm_regs has its own order, and so has ours: the hardware's encoding. */
void xvm_get_regs(struct xvm_vcpu *vcpu, struct kvm_regs *regs)
{
	const u64 *r = vcpu->arch.regs;

	*regs = (struct kvm_regs) {
		.rax = r[XVM_RAX], .rbx = r[XVM_RBX], .rcx = r[XVM_RCX], .rdx = r[XVM_RDX],
		.rsi = r[XVM_RSI], .rdi = r[XVM_RDI], .rsp = r[XVM_RSP], .rbp = r[XVM_RBP],
		.r8 = r[XVM_R8], .r9 = r[XVM_R9], .r10 = r[XVM_R10], .r11 = r[XVM_R11],
		.r12 = r[XVM_R12], .r13 = r[XVM_R13], .r14 = r[XVM_R14], .r15 = r[XVM_R15],
		.rip = vcpu->arch.rip,
		.rflags = vcpu->arch.rflags,
	};
}

void xvm_set_regs(struct xvm_vcpu *vcpu, const struct kvm_regs *regs)
{
	const u64 r[XVM_NR_REGS] = {
		[XVM_RAX] = regs->rax, [XVM_RBX] = regs->rbx,
		[XVM_RCX] = regs->rcx, [XVM_RDX] = regs->rdx,
		[XVM_RSI] = regs->rsi, [XVM_RDI] = regs->rdi,
		[XVM_RSP] = regs->rsp, [XVM_RBP] = regs->rbp,
		[XVM_R8] = regs->r8, [XVM_R9] = regs->r9, [XVM_R10] = regs->r10,
		[XVM_R11] = regs->r11, [XVM_R12] = regs->r12, [XVM_R13] = regs->r13,
		[XVM_R14] = regs->r14, [XVM_R15] = regs->r15,
	};

	memcpy(vcpu->arch.regs, r, sizeof(r));
	vcpu->arch.rip = regs->rip;
	vcpu->arch.rflags = regs->rflags | X86_EFLAGS_FIXED;
	/* An exception that was due belonged to the registers that are gone. */
	vcpu->arch.events.exception.pending = false;
}

void xvm_get_debugregs(struct xvm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	*dbg = (struct kvm_debugregs) { .dr6 = vcpu->arch.dr6, .dr7 = vcpu->arch.dr7 };
	memcpy(dbg->db, vcpu->arch.db, sizeof(dbg->db));
}

int xvm_set_debugregs(struct xvm_vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	if (dbg->flags || dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->arch.db, dbg->db, sizeof(dbg->db));
	vcpu->arch.dr6 = dbg->dr6;
	vcpu->arch.dr7 = dbg->dr7;
	return 0;
}

int xvm_get_mp_state(struct xvm_vcpu *vcpu, struct kvm_mp_state *mp)
{
	mp->mp_state = vcpu->arch.mp_state;
	return 0;
}

int xvm_set_mp_state(struct xvm_vcpu *vcpu, const struct kvm_mp_state *mp)
{
	switch (mp->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_AP_RESET_HOLD:
		if (!vcpu->arch.lapic)
			return -EINVAL;
		break;
	default:
		/* SIPI_RECEIVED among them: no startup IPI is ever under way here. */
		return -EINVAL;
	}
	vcpu->arch.mp_state = mp->mp_state;
	return 0;
}

bool xvm_valid_cr0(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* Could the CPU load these PDPTEs?  Under nested paging hardware reads them at each walk. */
static bool pdptes_valid(struct xvm_vcpu *vcpu)
{
	u64 reserved = PDPTE_RESERVED | xvm_reserved_gpa_bits(vcpu);
	u64 pdpte[4];
	unsigned int i;

	if (xvm_read_pdptes(vcpu, pdpte))
		return false;
	for (i = 0; i < ARRAY_SIZE(pdpte); i++)
		if ((pdpte[i] & PDPTE_PRESENT) && (pdpte[i] & reserved))
			return false;
	return true;
}

int xvm_guest_set_cr0(struct xvm_vcpu *vcpu, u64 val)
{
	u64 old = xvm_vendor->get_cr0(vcpu);
	u64 cr4 = xvm_vendor->get_cr4(vcpu);
	bool lme = xvm_vendor->get_efer(vcpu) & EFER_LME;

	if (!xvm_valid_cr0(val))
		return 1;
	val = (val & CR0_KNOWN) | X86_CR0_ET;

	if (val & X86_CR0_PG) {
		/* Into long mode: only with PAE, and never from a 64-bit segment. */
		if (lme && !(old & X86_CR0_PG) && (!(cr4 & X86_CR4_PAE) || cs_is_long(vcpu)))
			return 1;
		if (!lme && (cr4 & X86_CR4_PAE) && ((val ^ old) & CR0_PDPTE) && !pdptes_valid(vcpu))
			return 1;
	} else if ((cr4 & X86_CR4_PCIDE) || xvm_is_64bit_code(vcpu)) {
		return 1;
	}

	xvm_vendor->set_cr0(vcpu, val);
	/* VMRUN doesn't flush for what it loads (APM vol. 2, 15.16, "Software Rule"). */
	if ((val ^ old) & (X86_CR0_PG | X86_CR0_WP))
		vcpu->arch.tlb_gen = 0;
	return 0;
}

int xvm_guest_set_cr3(struct xvm_vcpu *vcpu, u64 val)
{
	u64 cr4 = xvm_vendor->get_cr4(vcpu), old = xvm_vendor->get_cr3(vcpu);

	/* With PCIDs the top bit asks to keep what is cached: more may be forgotten than asked. */
	if (cr4 & X86_CR4_PCIDE)
		val &= ~X86_CR3_PCID_NOFLUSH;
	if (xvm_is_long_mode(vcpu) && (val & xvm_reserved_gpa_bits(vcpu)))
		return 1;
	xvm_vendor->set_cr3(vcpu, val);
	if (!xvm_is_long_mode(vcpu) && (cr4 & X86_CR4_PAE) &&
	    (xvm_vendor->get_cr0(vcpu) & X86_CR0_PG) && !pdptes_valid(vcpu)) {
		xvm_vendor->set_cr3(vcpu, old);
		return 1;
	}
	return 0;
}

int xvm_guest_set_cr4(struct xvm_vcpu *vcpu, u64 val)
{
	u64 old = xvm_vendor->get_cr4(vcpu);

	if (val & ~vcpu->arch.cr4_allowed)
		return 1;
	if (xvm_is_long_mode(vcpu)) {
		if (!(val & X86_CR4_PAE) || ((val ^ old) & X86_CR4_LA57))
			return 1;
	} else if ((val & X86_CR4_PAE) && (xvm_vendor->get_cr0(vcpu) & X86_CR0_PG) &&
		   ((val ^ old) & CR4_PDPTE) && !pdptes_valid(vcpu)) {
		return 1;
	}
	if ((val & ~old & X86_CR4_PCIDE) &&
	    (!xvm_is_long_mode(vcpu) || (xvm_vendor->get_cr3(vcpu) & X86_CR3_PCID_MASK)))
		return 1;

	xvm_vendor->set_cr4(vcpu, val);
	if ((val ^ old) & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		xvm_cpuid_refresh(vcpu);
	return 0;
}

u64 xvm_get_cr8(struct xvm_vcpu *vcpu)
{
	return vcpu->arch.lapic ? xvm_lapic_get_tpr(vcpu) : vcpu->arch.cr8;
}

int xvm_guest_set_cr8(struct xvm_vcpu *vcpu, u64 val)
{
	if (val & ~0xfULL)
		return 1;
	if (vcpu->arch.lapic)
		xvm_lapic_set_tpr(vcpu, val);
	else
		vcpu->arch.cr8 = val;
	return 0;
}

int xvm_guest_set_xcr(struct xvm_vcpu *vcpu, u32 index, u64 val)
{
	u64 old = vcpu->arch.xcr0;

	if (index != XCR_XFEATURE_ENABLED_MASK || !(val & XFEATURE_MASK_FP))
		return 1;
	if (val & ~(vcpu->arch.xcr0_allowed | XFEATURE_MASK_FP))
		return 1;
	if ((val & XFEATURE_MASK_YMM) && !(val & XFEATURE_MASK_SSE))
		return 1;
	/* AVX-512's three states come together, on top of AVX. */
	if ((val & XFEATURE_MASK_AVX512) &&
	    (val & (XFEATURE_MASK_AVX512 | XFEATURE_MASK_YMM)) !=
	    (XFEATURE_MASK_AVX512 | XFEATURE_MASK_YMM))
		return 1;

	vcpu->arch.xcr0 = val;
	if (val != old)
		xvm_cpuid_refresh(vcpu);
	return 0;
}
