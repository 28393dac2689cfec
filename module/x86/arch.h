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
#include <linux/preempt.h>
#include <linux/types.h>

struct xvm;
struct xvm_vcpu;

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
	u32 default_tsc_khz;
	bool tsc_started;		/* the offset is set: by the first vCPU */
	bool tsc_written;		/* by user space */
	u64 tsc_offset;			/* that vCPUs in step have; see tsc.c */
	unsigned long nr_mmu_pages;	/* as set; 0: automatic */
	bool exception_payload;
	bool triple_fault_event;
	bool exit_on_emulation_error;
	u32 max_vcpu_id;
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
		bool waited;	/* behind another event: now it needs IF like a new one */
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

/* What user space has been asked for, and what its answer completes at the next KVM_RUN. */
enum xvm_pending_io {
	XVM_IO_NONE,
	XVM_IO_PIO_IN,		/* copy the answer into RAX, step over the instruction */
	XVM_IO_PIO_OUT,		/* step over the instruction */
	XVM_IO_STRING_IN,	/* emulate again, with the answer */
	XVM_IO_MMIO_READ,	/* likewise */
	XVM_IO_MMIO_WRITE,	/* hand out the next piece, if any */
};

/* An exit moves eight bytes at most; an instruction, 16 bytes twice that may each cross a page. */
#define XVM_MMIO_FRAGS	6

struct xvm_mmio_frag {
	u64 gpa;
	u8 len;
	u8 data[8];
};

/*
 * I/O of the instruction under emulation.  An instruction that reads MMIO is
 * given up, and emulated again when user space has answered: then its reads, in
 * the same order, find the answers here.  Writes are queued and handed out
 * once the instruction is done.
 */
struct xvm_io {
	enum xvm_pending_io pending;
	u64 rip;			/* linear address of the instruction that waits */
	u64 next_rip;			/* of an IN or OUT */
	u16 port;
	u8 size;
	bool string_done;		/* data of a string IN is there, for size * count bytes */
	unsigned int count;

	unsigned int nr_reads;		/* answered */
	unsigned int next_read;		/* of the emulation going on */
	struct xvm_mmio_frag reads[XVM_MMIO_FRAGS];

	unsigned int nr_writes;
	unsigned int next_write;
	struct xvm_mmio_frag writes[XVM_MMIO_FRAGS];
};

struct xvm_lapic;			/* lapic.c */

#define XVM_CPUID_BUCKETS	64

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
	struct preempt_notifier preempt_notifier;
	bool loaded;			/* on the CPU that its thread is on; preemption off */
	struct xvm_io io;
	struct xvm_emulation *emulation;	/* emulator.c; made at its first use */
	bool in_section;		/* preemption is off: no sleeping */

	bool last_ran;			/* has been run once: its CPUID is settled */
	struct kvm_cpuid_entry2 *cpuid;
	unsigned int nr_cpuid;
	u16 cpuid_first[XVM_CPUID_BUCKETS];	/* where in cpuid[] to start looking */
	u64 cr4_allowed;		/* by the guest's CPUID */
	u64 efer_allowed;
	u64 xcr0_allowed;
	u8 maxphyaddr;
	bool gbpages;			/* the guest's CPUID has them */

	u64 xcr0;
	bool xcr0_loaded;		/* around the world switch */
	u64 *fpu;			/* XSAVE area, see fpu.c */
	u32 pkru;
	u32 host_pkru;			/* around the world switch */

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
	u64 mcg_status;
	u64 hwcr;
	u64 ucode_rev;
	u64 arch_capabilities;
	u64 de_cfg;
	u64 smi_count;

	struct xvm_lapic *lapic;	/* NULL without an in-kernel irqchip */
	bool lapic_unsupported;		/* the guest asked it for what xvm doesn't do */
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

/*
 * Flush what TLBs hold of guest frames [start_gfn, end_gfn), upper levels
 * included, on every CPU, and wait for it.  -EOPNOTSUPP: only all of the VM's
 * entries can be flushed.  So it is on AMD: INVLPGA and INVLPGB take
 * guest-virtual addresses, VMRUN takes none.
 */
static inline int xvm_arch_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn)
{
	return -EOPNOTSUPP;
}

#endif
