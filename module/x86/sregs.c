// SPDX-License-Identifier: GPL-2.0-only
/*
 * System registers as user space sees them: KVM_GET/SET_SREGS and SREGS2.
 * A refused set changes nothing.
 */
#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/string.h>
#include <asm/msr-index.h>

#include "x86.h"

#define RESET_VECTOR	0xfff0

/* The newer structure begins as the older one does. */
static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base));

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

int xvm_read_pdptes(struct xvm_vcpu *vcpu, u64 pdpte[4])
{
	u64 cr3 = xvm_vendor->get_cr3(vcpu);

	return xvm_read_gpa(vcpu, cr3 & GENMASK_ULL(31, 5), pdpte, 4 * sizeof(*pdpte));
}

static void get_common(struct xvm_vcpu *vcpu, struct kvm_sregs *s)
{
	xvm_settle_payload(vcpu);
	xvm_vendor->get_segment(vcpu, &s->cs, XVM_SEG_CS);
	xvm_vendor->get_segment(vcpu, &s->ds, XVM_SEG_DS);
	xvm_vendor->get_segment(vcpu, &s->es, XVM_SEG_ES);
	xvm_vendor->get_segment(vcpu, &s->fs, XVM_SEG_FS);
	xvm_vendor->get_segment(vcpu, &s->gs, XVM_SEG_GS);
	xvm_vendor->get_segment(vcpu, &s->ss, XVM_SEG_SS);
	xvm_vendor->get_segment(vcpu, &s->tr, XVM_SEG_TR);
	xvm_vendor->get_segment(vcpu, &s->ldt, XVM_SEG_LDTR);
	xvm_vendor->get_gdt(vcpu, &s->gdt);
	xvm_vendor->get_idt(vcpu, &s->idt);
	s->cr0 = xvm_vendor->get_cr0(vcpu);
	s->cr2 = vcpu->arch.cr2;
	s->cr3 = xvm_vendor->get_cr3(vcpu);
	s->cr4 = xvm_vendor->get_cr4(vcpu);
	s->cr8 = xvm_get_cr8(vcpu);
	s->efer = xvm_vendor->get_efer(vcpu);
	s->apic_base = vcpu->arch.apic_base;
}

void xvm_get_sregs(struct xvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	unsigned int vector = vcpu->arch.events.interrupt.vector;

	memset(sregs, 0, sizeof(*sregs));
	get_common(vcpu, sregs);
	if (vcpu->arch.events.interrupt.injected && !vcpu->arch.events.interrupt.soft)
		sregs->interrupt_bitmap[vector / 64] |= BIT_ULL(vector % 64);
}

void xvm_get_sregs2(struct xvm_vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	memset(sregs, 0, sizeof(*sregs));
	get_common(vcpu, (struct kvm_sregs *)sregs);
	if (pae_paging(sregs->cr0, sregs->cr4, sregs->efer)) {
		/* There may be no memory where CR3 points. */
		if (xvm_read_pdptes(vcpu, sregs->pdptrs))
			memset(sregs->pdptrs, 0, sizeof(sregs->pdptrs));
		sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
}

static bool valid_sregs(struct xvm_vcpu *vcpu, const struct kvm_sregs *s)
{
	if ((s->efer & EFER_LME) && (s->cr0 & X86_CR0_PG)) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA))
			return false;
		if (s->cr3 & xvm_reserved_gpa_bits(vcpu))
			return false;
	} else if ((s->efer & EFER_LMA) || s->cs.l) {
		return false;
	}
	return xvm_valid_cr0(s->cr0) && !(s->cr4 & ~vcpu->arch.cr4_allowed) &&
	       !(s->efer & ~vcpu->arch.efer_allowed);
}

/* A VMM that resets its boot CPU by its registers alone means it to run again. */
static bool at_reset_vector(struct xvm_vcpu *vcpu, const struct kvm_sregs *s)
{
	return vcpu->id == vcpu->xvm->arch.bsp_id && vcpu->arch.rip == RESET_VECTOR &&
	       s->cs.selector == 0xf000 && s->cs.base == 0xffff0000 && !(s->cr0 & X86_CR0_PE);
}

static int set_common(struct xvm_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (!valid_sregs(vcpu, s) || xvm_lapic_set_base(vcpu, s->apic_base, true))
		return -EINVAL;

	xvm_vendor->set_idt(vcpu, &s->idt);
	xvm_vendor->set_gdt(vcpu, &s->gdt);
	vcpu->arch.cr2 = s->cr2;
	xvm_vendor->set_cr3(vcpu, s->cr3);
	xvm_vendor->set_efer(vcpu, s->efer);
	xvm_vendor->set_cr0(vcpu, s->cr0);
	xvm_vendor->set_cr4(vcpu, s->cr4);

	xvm_vendor->set_segment(vcpu, &s->cs, XVM_SEG_CS);
	xvm_vendor->set_segment(vcpu, &s->ds, XVM_SEG_DS);
	xvm_vendor->set_segment(vcpu, &s->es, XVM_SEG_ES);
	xvm_vendor->set_segment(vcpu, &s->fs, XVM_SEG_FS);
	xvm_vendor->set_segment(vcpu, &s->gs, XVM_SEG_GS);
	xvm_vendor->set_segment(vcpu, &s->ss, XVM_SEG_SS);
	xvm_vendor->set_segment(vcpu, &s->tr, XVM_SEG_TR);
	xvm_vendor->set_segment(vcpu, &s->ldt, XVM_SEG_LDTR);

	/* KVM drops a CR8 that is out of range, silently. */
	xvm_guest_set_cr8(vcpu, s->cr8);
	if (at_reset_vector(vcpu, s))
		vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	xvm_cpuid_refresh(vcpu);
	xvm_shadow_resync(vcpu);
	return 0;
}

int xvm_set_sregs(struct xvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	unsigned int vector;
	int err;

	err = set_common(vcpu, sregs);
	if (err)
		return err;
	vector = find_first_bit((const unsigned long *)sregs->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->arch.events.interrupt.injected = true;
		vcpu->arch.events.interrupt.waited = true;
		vcpu->arch.events.interrupt.soft = false;
		vcpu->arch.events.interrupt.vector = vector;
	}
	return 0;
}

int xvm_set_sregs2(struct xvm_vcpu *vcpu, const struct kvm_sregs2 *sregs)
{
	if (sregs->flags & ~KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (sregs->flags && !pae_paging(sregs->cr0, sregs->cr4, sregs->efer))
		return -EINVAL;
	/*
	 * PDPTEs given have no place to be kept: under nested paging the CPU reads
	 * the guest's memory at each walk (APM vol. 2, 15.25.10).
	 */
	return set_common(vcpu, (const struct kvm_sregs *)sregs);
}
