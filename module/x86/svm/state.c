// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register state that lives in the VMCB's save area (APM vol. 2, table B-2).
 */
#include <linux/kvm_types.h>
#include <asm/msr-index.h>

#include "svm.h"

/* Descriptor attributes as the VMCB packs them: bits 55:52 and 47:40 of a descriptor. */
#define ATTR_S		BIT(4)
#define ATTR_DPL_SHIFT	5
#define ATTR_P		BIT(7)
#define ATTR_AVL	BIT(8)
#define ATTR_L		BIT(9)
#define ATTR_DB		BIT(10)
#define ATTR_G		BIT(11)

static struct vmcb_seg *vmcb_seg(struct vmcb_save_area *save, enum xvm_seg seg)
{
	switch (seg) {
	case XVM_SEG_ES:
		return &save->es;
	case XVM_SEG_CS:
		return &save->cs;
	case XVM_SEG_SS:
		return &save->ss;
	case XVM_SEG_DS:
		return &save->ds;
	case XVM_SEG_FS:
		return &save->fs;
	case XVM_SEG_GS:
		return &save->gs;
	case XVM_SEG_LDTR:
		return &save->ldtr;
	default:
		return &save->tr;
	}
}

void xvm_svm_get_segment(struct xvm_vcpu *vcpu, struct kvm_segment *var, enum xvm_seg seg)
{
	const struct vmcb_save_area *save = &to_vmcb(vcpu)->save;
	const struct vmcb_seg *s = vmcb_seg(&to_vmcb(vcpu)->save, seg);

	*var = (struct kvm_segment) {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attrib & 0xf,
		.s = !!(s->attrib & ATTR_S),
		.dpl = (s->attrib >> ATTR_DPL_SHIFT) & 3,
		.present = !!(s->attrib & ATTR_P),
		.avl = !!(s->attrib & ATTR_AVL),
		.l = !!(s->attrib & ATTR_L),
		.db = !!(s->attrib & ATTR_DB),
	};
	/* The limit is in bytes already; G says how a descriptor would have held it. */
	var->g = var->limit > 0xfffff;
	var->unusable = !var->present;

	switch (seg) {
	case XVM_SEG_TR:
		/* The CPU may keep it as available although the loaded task is busy. */
		var->type |= 2;
		break;
	case XVM_SEG_DS:
	case XVM_SEG_ES:
	case XVM_SEG_FS:
	case XVM_SEG_GS:
		/* Accessed bits may be lost in the hidden part. */
		if (!var->unusable)
			var->type |= 1;
		break;
	case XVM_SEG_SS:
		if (var->unusable)
			var->db = 0;
		/* CPL has a field of its own, SS.DPL may lag behind. */
		var->dpl = save->cpl;
		break;
	default:
		break;
	}
}

void xvm_svm_set_segment(struct xvm_vcpu *vcpu, const struct kvm_segment *var, enum xvm_seg seg)
{
	struct vmcb_save_area *save = &to_vmcb(vcpu)->save;
	struct vmcb_seg *s = vmcb_seg(save, seg);
	u16 attrib = (var->type & 0xf) | (var->dpl & 3) << ATTR_DPL_SHIFT;

	if (var->s)
		attrib |= ATTR_S;
	if (var->present && !var->unusable)
		attrib |= ATTR_P;
	if (var->avl)
		attrib |= ATTR_AVL;
	if (var->l)
		attrib |= ATTR_L;
	if (var->db)
		attrib |= ATTR_DB;
	if (var->g)
		attrib |= ATTR_G;

	s->base = var->base;
	s->limit = var->limit;
	s->selector = var->selector;
	s->attrib = attrib;
	/* CPL is SS.DPL (15.5.1 has VMRUN take it from the field). */
	if (seg == XVM_SEG_SS)
		save->cpl = var->dpl & 3;
}

static void get_table(const struct vmcb_seg *s, struct kvm_dtable *dt)
{
	*dt = (struct kvm_dtable) { .base = s->base, .limit = s->limit };
}

static void set_table(struct vmcb_seg *s, const struct kvm_dtable *dt)
{
	s->base = dt->base;
	s->limit = dt->limit;
}

void xvm_svm_get_gdt(struct xvm_vcpu *vcpu, struct kvm_dtable *dt)
{
	get_table(&to_vmcb(vcpu)->save.gdtr, dt);
}

void xvm_svm_set_gdt(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt)
{
	set_table(&to_vmcb(vcpu)->save.gdtr, dt);
}

void xvm_svm_get_idt(struct xvm_vcpu *vcpu, struct kvm_dtable *dt)
{
	get_table(&to_vmcb(vcpu)->save.idtr, dt);
}

void xvm_svm_set_idt(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt)
{
	set_table(&to_vmcb(vcpu)->save.idtr, dt);
}

u8 xvm_svm_get_cpl(struct xvm_vcpu *vcpu)
{
	return to_vmcb(vcpu)->save.cpl;
}

/*
 * What the VMCB's control registers have that the guest's don't.  While a
 * register that the guest would read differs, reads exit.
 *
 * CR0: the guest runs cached whatever it says, CD would slow the whole core
 * down; so CD and NW are clear.  While they are hidden, all writes exit:
 * clearing CD changes nothing that the selective intercept could see.  Else
 * writes that matter exit by that one; TS and MP may change under us.
 *
 * CR4: without MCE a machine check of the host's would shut the guest down, and
 * never be heard of.
 *
 * EFER: VMRUN wants SVME there as well (15.5.1).
 *
 * Without nested paging the CPU walks tables of xvm's: always in long mode's or
 * PAE's format, with NX, and with write protection that holds for the guest's
 * kernel too.  Long mode is on while the guest has it on; PCIDs never are.
 */
static u64 hidden_cr0(struct xvm_vcpu *vcpu)
{
	return X86_CR0_CD | X86_CR0_NW | (vcpu->shadow ? X86_CR0_PG | X86_CR0_WP : 0);
}

u64 xvm_svm_get_cr0(struct xvm_vcpu *vcpu)
{
	const struct xvm_svm *svm = to_svm(vcpu);
	u64 hidden = hidden_cr0(vcpu);

	return (svm->vmcb->save.cr0 & ~hidden) | (svm->cr0 & hidden);
}

static void load_efer(struct xvm_svm *svm, bool shadow)
{
	u64 efer = svm->efer | EFER_SVME;

	if (shadow) {
		efer |= EFER_NX;
		/* The CPU's CR0.PG is always on: with LME alone it would be in long mode. */
		if (!(efer & EFER_LMA))
			efer &= ~(u64)EFER_LME;
	}
	svm->vmcb->save.efer = efer;
}

static void load_cr4(struct xvm_svm *svm, bool shadow)
{
	u64 cr4 = svm->cr4 | X86_CR4_MCE;

	if (shadow) {
		cr4 |= X86_CR4_PAE;
		cr4 &= ~(u64)X86_CR4_PCIDE;
		/* These say something of guest pages, of which there are none. */
		if (!(svm->cr0 & X86_CR0_PG))
			cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
	}
	svm->vmcb->save.cr4 = cr4;
	if (cr4 == svm->cr4)
		svm_no_intercept(svm->vmcb, INTERCEPT_CR4_READ);
	else
		svm_intercept(svm->vmcb, INTERCEPT_CR4_READ);
}

void xvm_svm_set_cr0(struct xvm_vcpu *vcpu, u64 val)
{
	struct xvm_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	svm->cr0 = val | X86_CR0_ET;
	vmcb->save.cr0 = svm->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	if (vcpu->shadow)
		vmcb->save.cr0 |= X86_CR0_PG | X86_CR0_WP;
	if (vmcb->save.cr0 == svm->cr0) {
		svm_no_intercept(vmcb, INTERCEPT_CR0_READ);
		svm_no_intercept(vmcb, INTERCEPT_CR0_WRITE);
	} else {
		svm_intercept(vmcb, INTERCEPT_CR0_READ);
		svm_intercept(vmcb, INTERCEPT_CR0_WRITE);
	}

	if ((svm->efer & EFER_LME) && (val & X86_CR0_PG))
		svm->efer |= EFER_LMA;
	else
		svm->efer &= ~(u64)EFER_LMA;
	load_efer(svm, vcpu->shadow);
	load_cr4(svm, vcpu->shadow);
	xvm_shadow_stale(vcpu);
}

u64 xvm_svm_get_cr3(struct xvm_vcpu *vcpu)
{
	return vcpu->shadow ? to_svm(vcpu)->cr3 : to_vmcb(vcpu)->save.cr3;
}

void xvm_svm_set_cr3(struct xvm_vcpu *vcpu, u64 val)
{
	if (vcpu->shadow)
		to_svm(vcpu)->cr3 = val;
	else
		to_vmcb(vcpu)->save.cr3 = val;
	xvm_shadow_stale(vcpu);
	/* Translations of the guest's own, cached under our ASID, go with the next entry. */
	vcpu->arch.tlb_gen = 0;
}

void xvm_svm_set_root(struct xvm_vcpu *vcpu, u64 cr3)
{
	to_vmcb(vcpu)->save.cr3 = cr3;
	vcpu->arch.tlb_gen = 0;
}

u64 xvm_svm_get_cr4(struct xvm_vcpu *vcpu)
{
	return to_svm(vcpu)->cr4;
}

void xvm_svm_set_cr4(struct xvm_vcpu *vcpu, u64 val)
{
	struct xvm_svm *svm = to_svm(vcpu);

	svm->cr4 = val;
	load_cr4(svm, vcpu->shadow);
	xvm_shadow_stale(vcpu);
	vcpu->arch.tlb_gen = 0;
}

u64 xvm_svm_get_efer(struct xvm_vcpu *vcpu)
{
	return to_svm(vcpu)->efer;
}

void xvm_svm_set_efer(struct xvm_vcpu *vcpu, u64 val)
{
	struct xvm_svm *svm = to_svm(vcpu);

	svm->efer = val & ~(u64)EFER_SVME;
	load_efer(svm, vcpu->shadow);
	xvm_shadow_stale(vcpu);
	vcpu->arch.tlb_gen = 0;
}

static u64 *msr_slot(struct xvm_vcpu *vcpu, u32 index)
{
	struct vmcb_save_area *save = &to_vmcb(vcpu)->save;

	switch (index) {
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	default:
		return NULL;
	}
}

int xvm_svm_get_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val)
{
	const u64 *slot = msr_slot(vcpu, index);

	if (!slot)
		return -ENOENT;
	*val = *slot;
	return 0;
}

int xvm_svm_set_msr(struct xvm_vcpu *vcpu, u32 index, u64 val)
{
	u64 *slot = msr_slot(vcpu, index);

	if (!slot)
		return -ENOENT;
	*slot = val;
	return 0;
}

u32 xvm_svm_get_interrupt_shadow(struct xvm_vcpu *vcpu)
{
	/* The VMCB doesn't tell MOV SS from STI. */
	return to_vmcb(vcpu)->control.int_state & SVM_INTERRUPT_SHADOW_MASK ?
		KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS : 0;
}

void xvm_svm_set_interrupt_shadow(struct xvm_vcpu *vcpu, u32 mask)
{
	struct vmcb *vmcb = to_vmcb(vcpu);

	if (mask)
		vmcb->control.int_state |= SVM_INTERRUPT_SHADOW_MASK;
	else
		vmcb->control.int_state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
}

void xvm_svm_tsc_offset_changed(struct xvm_vcpu *vcpu)
{
	to_vmcb(vcpu)->control.tsc_offset = vcpu->arch.tsc_offset;
}
