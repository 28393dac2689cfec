/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86's part of a VM and of a vCPU, and what x86/ offers to the floors above.
 *
 * Register state that hardware keeps in its control block (segments, control
 * registers, EFER, syscall MSRs) stays there; the vendor ops read and write it.
 * What hardware doesn't keep is here.  All of it belongs to the thread that
 * holds vcpu->mutex.
 */
#ifndef XVM_X86_ARCH_H
#define XVM_X86_ARCH_H

#include <linux/kvm.h>
#include <linux/types.h>

struct xvm;
struct xvm_vcpu;
struct file;

enum xvm_reg {
	XVM_RAX, XVM_RCX, XVM_RDX, XVM_RBX, XVM_RSP, XVM_RBP, XVM_RSI, XVM_RDI,
	XVM_R8, XVM_R9, XVM_R10, XVM_R11, XVM_R12, XVM_R13, XVM_R14, XVM_R15,
	XVM_NR_REGS
};

enum xvm_seg {
	XVM_SEG_ES, XVM_SEG_CS, XVM_SEG_SS, XVM_SEG_DS, XVM_SEG_FS, XVM_SEG_GS,
	XVM_SEG_LDTR, XVM_SEG_TR, XVM_NR_SEGS
};

struct xvm_arch {
	bool irqchip;			/* KVM_CREATE_IRQCHIP was called; under xvm->lock */
	unsigned int bsp_id;		/* vCPU that starts runnable */
	u64 identity_map_addr;
	unsigned long tss_addr;
	u32 default_tsc_khz;
	u64 tsc_base;			/* host TSC when the VM was made */
	unsigned long nr_mmu_pages;	/* as set; 0: automatic */
	bool exception_payload;
	bool triple_fault_event;
	bool exit_on_emulation_error;
	u64 disabled_quirks;
	bool x2apic_api;
	u32 max_vcpu_id;
	bool hlt_in_guest;
};

/* An event waiting to be delivered to the guest. */
struct xvm_exception {
	bool pending;			/* not yet delivered once */
	bool injected;			/* delivery was begun and must be repeated */
	u8 vector;
	bool has_error;
	u32 error;
	bool has_payload;
	u64 payload;			/* DR6 bits or CR2, applied at delivery */
};

struct xvm_events {
	struct xvm_exception exception;
	struct {
		bool injected;
		bool soft;
		u8 vector;
	} interrupt;
	struct {
		bool injected;
		bool pending;
		bool masked;
	} nmi;
	bool triple_fault;
};

/* Why the last KVM_RUN left for user space, and what its answer completes. */
enum xvm_pending_io {
	XVM_IO_NONE,
	XVM_IO_PIO_IN,			/* copy run's data into RAX */
	XVM_IO_PIO_DONE,		/* an OUT: only step over it */
	XVM_IO_EMULATE,			/* emulate the instruction again with the answer */
	XVM_IO_MMIO_WRITE,		/* further fragments of a write may follow */
};

#define XVM_MMIO_MAX	64		/* bytes that one instruction moves at most */

/*
 * MMIO of the instruction being emulated.  Reads: what user space answered so
 * far, replayed when the instruction is emulated again.  Writes: what is still
 * to be handed out, eight bytes an exit.
 */
struct xvm_mmio {
	u64 gpa;
	unsigned int len;		/* of the whole access */
	unsigned int done;		/* bytes that user space has answered or taken */
	bool is_write;
	bool active;
	u8 data[XVM_MMIO_MAX];
};

struct xvm_fpu;				/* fpu.c */
struct xvm_lapic;			/* lapic.c */

struct xvm_vcpu_arch {
	u64 regs[XVM_NR_REGS];
	u64 rip;
	u64 rflags;
	u64 cr2;
	u64 db[4];
	u64 dr6;
	u64 dr7;
	u64 apic_base;
	u8 cr8;				/* TPR's high nibble, when there is no in-kernel APIC */
	u32 mp_state;

	struct xvm_events events;
	enum xvm_pending_io pending_io;
	u64 pending_rip;		/* rip of the instruction the exit belongs to */
	u64 next_rip;			/* of an IN or OUT that waits for user space */
	struct xvm_mmio mmio;

	struct kvm_cpuid_entry2 *cpuid;
	int nr_cpuid;
	u64 cr4_allowed;		/* by the guest's CPUID */
	u64 efer_allowed;
	u64 xcr0_allowed;
	u8 maxphyaddr;

	u64 xcr0;
	struct xvm_fpu *fpu;
	u32 pkru;

	/* MSRs that neither hardware nor another module of xvm keeps */
	u64 tsc_aux;
	u64 tsc_offset;
	u64 tsc_adjust;
	u32 tsc_khz;
	u64 spec_ctrl;
	u64 misc_enable;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[16];
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 hwcr;
	u64 ucode_rev;
	u64 arch_capabilities;
	u64 smi_count;

	struct xvm_lapic *lapic;	/* NULL without an in-kernel irqchip */
	u64 tlb_gen;			/* generation of the VM's tables last flushed for */
	void *vendor;			/* the vendor's own part */
};

/* x86.c: called by main.c, vm.c and vcpu.c; errno as KVM's */
int xvm_arch_init(void);
void xvm_arch_exit(void);
long xvm_arch_check_extension(struct xvm *xvm, long ext);	/* -ENOENT: not known to x86 */
long xvm_arch_dev_ioctl(unsigned int cmd, unsigned long arg);
u64 xvm_arch_max_gfn(void);			/* highest that a memslot may hold */
int xvm_arch_vm_init(struct xvm *xvm, unsigned long type);
void xvm_arch_vm_destroy(struct xvm *xvm);
long xvm_arch_vm_ioctl(struct xvm *xvm, unsigned int cmd, unsigned long arg);
int xvm_arch_vm_enable_cap(struct xvm *xvm, struct kvm_enable_cap *cap);
int xvm_arch_vcpu_precreate(struct xvm *xvm, unsigned long id);
int xvm_arch_vcpu_create(struct xvm_vcpu *vcpu);
void xvm_arch_vcpu_destroy(struct xvm_vcpu *vcpu);
long xvm_arch_vcpu_ioctl(struct xvm_vcpu *vcpu, unsigned int cmd, unsigned long arg);
int xvm_arch_vcpu_run(struct xvm_vcpu *vcpu);	/* run.c */
bool xvm_arch_vcpu_runnable(struct xvm_vcpu *vcpu);

#endif
