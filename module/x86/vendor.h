/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a maker's virtualization extension has to do for xvm: the one table
 * between x86/ and x86/svm/ (later x86/vmx/).  Picked once, when the module loads.
 *
 * All vCPU callbacks run with vcpu->mutex held.  Those marked [section] run
 * inside a section of run.c: preemption is off, the vCPU and the guest's FPU
 * state are loaded, they must not sleep or touch user memory that may fault.
 */
#ifndef XVM_X86_VENDOR_H
#define XVM_X86_VENDOR_H

#include <linux/types.h>

#include "arch.h"

struct kvm_segment;
struct kvm_dtable;

/* What handle_exit tells the run loop. */
enum xvm_exit_result {
	XVM_EXIT_RESUME,		/* enter again */
	XVM_EXIT_LEAVE,			/* leave the section and call handle_exit_slow */
};

struct xvm_vendor_ops {
	const char *name;

	int (*vcpu_create)(struct xvm_vcpu *vcpu);
	void (*vcpu_destroy)(struct xvm_vcpu *vcpu);
	void (*vcpu_reset)(struct xvm_vcpu *vcpu);	/* control state; registers follow */

	/*
	 * Preemption off.  load: the vCPU may be entered on this CPU from now on.
	 * put: its thread gives the CPU to somebody else, or returns to user
	 * space: leave no trace.
	 */
	void (*load)(struct xvm_vcpu *vcpu);
	void (*put)(struct xvm_vcpu *vcpu);
	/* [section] IRQs off: enter the guest once, return with IRQs off */
	void (*enter)(struct xvm_vcpu *vcpu, bool flush_tlb);
	/* [section] what can be done without sleeping */
	enum xvm_exit_result (*handle_exit)(struct xvm_vcpu *vcpu);
	/* outside: may sleep. 1: go on, 0: exit to user space, <0: errno of KVM_RUN */
	int (*handle_exit_slow)(struct xvm_vcpu *vcpu);

	void (*get_segment)(struct xvm_vcpu *vcpu, struct kvm_segment *var, enum xvm_seg seg);
	void (*set_segment)(struct xvm_vcpu *vcpu, const struct kvm_segment *var, enum xvm_seg seg);
	void (*get_gdt)(struct xvm_vcpu *vcpu, struct kvm_dtable *dt);
	void (*set_gdt)(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt);
	void (*get_idt)(struct xvm_vcpu *vcpu, struct kvm_dtable *dt);
	void (*set_idt)(struct xvm_vcpu *vcpu, const struct kvm_dtable *dt);
	u8 (*get_cpl)(struct xvm_vcpu *vcpu);

	u64 (*get_cr0)(struct xvm_vcpu *vcpu);
	void (*set_cr0)(struct xvm_vcpu *vcpu, u64 val);	/* EFER.LMA follows, see set_efer */
	u64 (*get_cr3)(struct xvm_vcpu *vcpu);
	void (*set_cr3)(struct xvm_vcpu *vcpu, u64 val);
	/* Shadow paging: what the CPU's CR3 is to be from the next entry on. */
	void (*set_root)(struct xvm_vcpu *vcpu, u64 cr3);
	u64 (*get_cr4)(struct xvm_vcpu *vcpu);
	void (*set_cr4)(struct xvm_vcpu *vcpu, u64 val);
	u64 (*get_efer)(struct xvm_vcpu *vcpu);
	void (*set_efer)(struct xvm_vcpu *vcpu, u64 val);

	/* MSRs that hardware keeps with the control block; -ENOENT: not one of them */
	int (*get_msr)(struct xvm_vcpu *vcpu, u32 index, u64 *val);
	int (*set_msr)(struct xvm_vcpu *vcpu, u32 index, u64 val);

	u32 (*get_interrupt_shadow)(struct xvm_vcpu *vcpu);	/* KVM_X86_SHADOW_INT_* */
	void (*set_interrupt_shadow)(struct xvm_vcpu *vcpu, u32 mask);
	void (*tsc_offset_changed)(struct xvm_vcpu *vcpu);
};

extern const struct xvm_vendor_ops *xvm_vendor;
extern const struct xvm_vendor_ops xvm_svm_ops;

int xvm_svm_setup(void);		/* -EOPNOTSUPP: no SVM here, reason logged */
void xvm_svm_teardown(void);

#endif
