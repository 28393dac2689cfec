/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the SVM backend: the control block of a vCPU and what a CPU needs
 * to run one.  References are to the AMD64 APM, volume 2.
 */
#ifndef XVM_X86_SVM_H
#define XVM_X86_SVM_H

#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/svm.h>

#include "../x86.h"

/* Exit codes that no kernel header names yet (appendix C). */
#define XVM_SVM_EXIT_INVLPGB		0x0a0
#define XVM_SVM_EXIT_INVLPGB_ILLEGAL	0x0a1
#define XVM_SVM_EXIT_MCOMMIT		0x0a3
#define XVM_SVM_EXIT_TLBSYNC		0x0a4

struct xvm_svm {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	/* As the guest sees them; what the VMCB's have instead: see state.c. */
	u64 cr0;
	u64 cr3;		/* without nested paging alone */
	u64 cr4;
	u64 efer;
	u64 serial;		/* never reused: whose predictions a CPU may hold */
	bool gave_irq;		/* the interrupt was handed over with the last entry */
	bool gave_nmi;		/* or the NMI */
	int last_cpu;
	u64 host_tsc_aux;	/* while loaded */
	u64 nmi_iret_rip;	/* IRET that ends an NMI was seen there */
	bool nmi_iret;
};

/* What a CPU needs to run guests; made for every possible CPU when the module loads. */
struct xvm_svm_cpu {
	struct page *hsave;	/* VM_HSAVE_PA, where KVM has not set up its own */
	struct page *host;	/* the host's VMSAVE state while a guest runs */
	struct vmcb *scrub_vmcb;
	u64 last_serial;	/* of the vCPU loaded last here, if no guest of KVM's ran since */
	u64 tlb_owner;		/* serial of whose TLB entries may be here, see asid.c, or 0 */
};

DECLARE_PER_CPU(struct xvm_svm_cpu, xvm_svm_cpu);

/* Pages shared by all VMs, read by the CPU alone. */
extern struct page *xvm_svm_iopm, *xvm_svm_msrpm;

static inline struct xvm_svm *to_svm(struct xvm_vcpu *vcpu)
{
	return vcpu->arch.vendor;
}

static inline struct vmcb *to_vmcb(struct xvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb;
}

/* Its low half says it all; not all kernels' headers have the other one in the same field. */
static inline u32 svm_exit_code(const struct vmcb *vmcb)
{
	return vmcb->control.exit_code;
}

/* VMRUN was refused for what is in the VMCB. */
static inline bool svm_entry_failed(const struct vmcb *vmcb)
{
	return svm_exit_code(vmcb) == (u32)SVM_EXIT_ERR;
}

static inline void svm_intercept(struct vmcb *vmcb, unsigned int bit)
{
	vmcb->control.intercepts[bit / 32] |= 1U << (bit % 32);
}

static inline void svm_no_intercept(struct vmcb *vmcb, unsigned int bit)
{
	vmcb->control.intercepts[bit / 32] &= ~(1U << (bit % 32));
}

/* What world.S is told; the offsets are repeated there. */
struct xvm_svm_switch {
	u64 *regs;		/* 0: the guest's, enum xvm_reg order; RAX and RSP are the VMCB's */
	u64 vmcb_pa;		/* 8 */
	u64 host_pa;		/* 16 */
	u64 guest_spec_ctrl;	/* 24 */
	u64 host_spec_ctrl;	/* 32 */
	u8 switch_spec_ctrl;	/* 40 */
};

/* world.S: one VMRUN.  GIF is 0 on entry and on return. */
void xvm_svm_world(const struct xvm_svm_switch *sw);

/* asid.c */
int xvm_asid_init(void);
u32 xvm_asid(void);
u8 xvm_asid_flush_control(void);	/* VMCB TLB_CONTROL that flushes our ASID */
int xvm_asid_watch(void);	/* for KVM's entries, once all CPUs have what they need */
void xvm_asid_unwatch(void);	/* when no vCPU is left */
/* vCPU loaded; true: its TLB entries are still here */
bool xvm_asid_take(struct xvm_vcpu *vcpu);
void xvm_asid_give(void);	/* vCPU put; IRQs off */

/* enter.c */
void xvm_svm_load(struct xvm_vcpu *vcpu);
void xvm_svm_put(struct xvm_vcpu *vcpu);
void xvm_svm_load_tsc_aux(struct xvm_vcpu *vcpu);	/* the guest has changed its own */
void xvm_svm_enter(struct xvm_vcpu *vcpu, bool flush_tlb);
/* SVM on for this CPU, GIF cleared, and back.  IRQs off. */
struct xvm_svm_host {
	u64 efer;
	u64 hsave;
};

void xvm_svm_begin(struct xvm_svm_host *host);
void xvm_svm_end(const struct xvm_svm_host *host);

static inline unsigned long xvm_svm_host_dr7(void)
{
	unsigned long dr7;

	get_debugreg(dr7, 7);
	return dr7;
}

/* #VMEXIT disables the host's breakpoints (15.6). */
static inline void xvm_svm_restore_dr7(unsigned long dr7)
{
	if (dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK))
		set_debugreg(dr7, 7);
}

/* exit.c */
enum xvm_exit_result xvm_svm_handle_exit(struct xvm_vcpu *vcpu);
int xvm_svm_handle_exit_slow(struct xvm_vcpu *vcpu);

/* inject.c */
void xvm_svm_inject(struct xvm_vcpu *vcpu);
void xvm_svm_collect_events(struct xvm_vcpu *vcpu);

/* state.c: the register part of the vendor ops */
void xvm_svm_get_segment(struct xvm_vcpu *vcpu, struct kvm_segment *var, enum xvm_seg seg);
void xvm_svm_set_segment(struct xvm_vcpu *vcpu, const struct kvm_segment *var, enum xvm_seg seg);
void xvm_svm_get_gdt(struct xvm_vcpu *vcpu, struct kvm_dtable *dt);
void xvm_svm_set_gdt(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt);
void xvm_svm_get_idt(struct xvm_vcpu *vcpu, struct kvm_dtable *dt);
void xvm_svm_set_idt(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt);
u8 xvm_svm_get_cpl(struct xvm_vcpu *vcpu);
u64 xvm_svm_get_cr0(struct xvm_vcpu *vcpu);
void xvm_svm_set_cr0(struct xvm_vcpu *vcpu, u64 val);
u64 xvm_svm_get_cr3(struct xvm_vcpu *vcpu);
void xvm_svm_set_cr3(struct xvm_vcpu *vcpu, u64 val);
void xvm_svm_set_root(struct xvm_vcpu *vcpu, u64 cr3);
u64 xvm_svm_get_cr4(struct xvm_vcpu *vcpu);
void xvm_svm_set_cr4(struct xvm_vcpu *vcpu, u64 val);
u64 xvm_svm_get_efer(struct xvm_vcpu *vcpu);
void xvm_svm_set_efer(struct xvm_vcpu *vcpu, u64 val);
int xvm_svm_get_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val);
int xvm_svm_set_msr(struct xvm_vcpu *vcpu, u32 index, u64 val);
u32 xvm_svm_get_interrupt_shadow(struct xvm_vcpu *vcpu);
void xvm_svm_set_interrupt_shadow(struct xvm_vcpu *vcpu, u32 mask);
void xvm_svm_tsc_offset_changed(struct xvm_vcpu *vcpu);

#endif
