/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of x86/ offer to each other and to the vendors.  Unless a
 * function says otherwise, its caller holds vcpu->mutex and may sleep.
 */
#ifndef XVM_X86_H
#define XVM_X86_H

#include <linux/bits.h>
#include <linux/kernel.h>
#include <asm/processor-flags.h>

#include "../xvm.h"
#include "vendor.h"

/* RDMSR and WRMSR by hand: the kernel's wrappers change names between versions. */
static inline u64 xvm_rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static inline void xvm_wrmsr(u32 msr, u64 val)
{
	asm volatile("wrmsr" : : "c"(msr), "a"(lower_32_bits(val)), "d"(upper_32_bits(val))
		     : "memory");
}

/* sregs.c: KVM_GET/SET_SREGS, SREGS2 */
void xvm_get_sregs(struct xvm_vcpu *vcpu, struct kvm_sregs *sregs);
int xvm_set_sregs(struct xvm_vcpu *vcpu, const struct kvm_sregs *sregs);
void xvm_get_sregs2(struct xvm_vcpu *vcpu, struct kvm_sregs2 *sregs);
int xvm_set_sregs2(struct xvm_vcpu *vcpu, const struct kvm_sregs2 *sregs);
int xvm_read_pdptes(struct xvm_vcpu *vcpu, u64 pdpte[4]);	/* where CR3 says */

/* regs.c: KVM_GET/SET_REGS, DEBUGREGS, MP_STATE; reset; control registers */
void xvm_vcpu_reset(struct xvm_vcpu *vcpu, bool init);	/* power-on, or INIT */
void xvm_get_regs(struct xvm_vcpu *vcpu, struct kvm_regs *regs);
void xvm_set_regs(struct xvm_vcpu *vcpu, const struct kvm_regs *regs);
void xvm_get_debugregs(struct xvm_vcpu *vcpu, struct kvm_debugregs *dbg);
int xvm_set_debugregs(struct xvm_vcpu *vcpu, const struct kvm_debugregs *dbg);
int xvm_get_mp_state(struct xvm_vcpu *vcpu, struct kvm_mp_state *mp);
int xvm_set_mp_state(struct xvm_vcpu *vcpu, const struct kvm_mp_state *mp);
/* Guest's own MOV to CRn, DRn, XSETBV: nonzero means #GP is due. */
int xvm_guest_set_cr0(struct xvm_vcpu *vcpu, u64 val);
int xvm_guest_set_cr3(struct xvm_vcpu *vcpu, u64 val);
int xvm_guest_set_cr4(struct xvm_vcpu *vcpu, u64 val);
int xvm_guest_set_cr8(struct xvm_vcpu *vcpu, u64 val);
int xvm_guest_set_xcr(struct xvm_vcpu *vcpu, u32 index, u64 val);
u64 xvm_get_cr8(struct xvm_vcpu *vcpu);
bool xvm_valid_cr0(u64 cr0);
u64 xvm_reserved_gpa_bits(struct xvm_vcpu *vcpu);	/* from MAXPHYADDR up */
bool xvm_is_long_mode(struct xvm_vcpu *vcpu);		/* EFER.LMA */
bool xvm_is_64bit_code(struct xvm_vcpu *vcpu);		/* LMA and CS.L */

/* cpuid_offer.c */
void xvm_cpuid_init(void);				/* once: what the host lets guests have */
long xvm_cpuid_dev_ioctl(unsigned int cmd, struct kvm_cpuid2 __user *arg);
u64 xvm_supported_xcr0(void);

/* cpuid.c */
void xvm_cpuid_reset(struct xvm_vcpu *vcpu);		/* once, at power-on */
void xvm_cpuid_refresh(struct xvm_vcpu *vcpu);		/* CR4, XCR0 or the APIC base changed */
int xvm_cpuid_set(struct xvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
int xvm_cpuid_get(struct xvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
void xvm_cpuid_guest(struct xvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
const struct kvm_cpuid_entry2 *xvm_cpuid_find(struct xvm_vcpu *vcpu, u32 function, u32 index);
bool xvm_guest_has(struct xvm_vcpu *vcpu, unsigned int x86_feature);	/* X86_FEATURE_* */
bool xvm_guest_has_21(struct xvm_vcpu *vcpu, u32 bits);	/* of 80000021H:EAX */

/* msr.c: 0, or 1 where a guest's access gets #GP.  host: user space asks (may do more) */
void xvm_msr_reset(struct xvm_vcpu *vcpu, bool init);
int xvm_get_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val, bool host);
int xvm_set_msr(struct xvm_vcpu *vcpu, u32 index, u64 val, bool host);
int xvm_get_feature_msr(u32 index, u64 *val);		/* what the host offers; 1: none such */
/* By what the CPU can do, whatever the guest's paging mode: as hardware checks it in MSRs. */
bool xvm_canonical(u64 addr);

/* mtrr.c: as msr.c */
int xvm_get_mtrr(struct xvm_vcpu *vcpu, u32 index, u64 *val);
int xvm_set_mtrr(struct xvm_vcpu *vcpu, u32 index, u64 val);

/* msr_io.c: user space's access to MSRs */
long xvm_msr_dev_ioctl(unsigned int cmd, void __user *arg);	/* the index lists, feature MSRs */
long xvm_msr_vcpu_ioctl(struct xvm_vcpu *vcpu, unsigned int cmd, void __user *arg);

/* tsc.c */
void xvm_tsc_reset(struct xvm_vcpu *vcpu);		/* once, at power-on */
u64 xvm_guest_tsc(struct xvm_vcpu *vcpu);
void xvm_set_guest_tsc(struct xvm_vcpu *vcpu, u64 val, bool host);
void xvm_set_tsc_adjust(struct xvm_vcpu *vcpu, u64 val, bool host);
long xvm_set_tsc_khz(struct xvm_vcpu *vcpu, unsigned long khz);
long xvm_set_default_tsc_khz(struct xvm *xvm, unsigned long khz);

/* lapic.c: registers of the in-kernel local APIC */
int xvm_lapic_create(struct xvm_vcpu *vcpu);
void xvm_lapic_destroy(struct xvm_vcpu *vcpu);
void xvm_lapic_reset(struct xvm_vcpu *vcpu, bool init);
/* true: gpa is the APIC's page and the access was done */
bool xvm_lapic_mmio(struct xvm_vcpu *vcpu, u64 gpa, void *data, unsigned int len, bool write);
int xvm_lapic_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val, bool write);	/* x2APIC; 1: #GP */
int xvm_lapic_set_base(struct xvm_vcpu *vcpu, u64 val, bool host);
int xvm_lapic_get_state(struct xvm_vcpu *vcpu, struct kvm_lapic_state *state);
int xvm_lapic_set_state(struct xvm_vcpu *vcpu, const struct kvm_lapic_state *state);
u64 xvm_lapic_get_tpr(struct xvm_vcpu *vcpu);		/* as CR8 shows it */
void xvm_lapic_set_tpr(struct xvm_vcpu *vcpu, u64 cr8);

/* fpu.c */
int xvm_fpu_init(void);				/* after xvm_cpuid_init() */
void xvm_fpu_exit(void);
int xvm_fpu_create(struct xvm_vcpu *vcpu);
void xvm_fpu_destroy(struct xvm_vcpu *vcpu);
void xvm_fpu_reset(struct xvm_vcpu *vcpu, bool init);
void xvm_fpu_section_enter(struct xvm_vcpu *vcpu);	/* preemption goes off here */
void xvm_fpu_section_leave(struct xvm_vcpu *vcpu);
void xvm_fpu_load_guest_xcr0(struct xvm_vcpu *vcpu);	/* IRQs off, around a world switch */
void xvm_fpu_load_host_xcr0(struct xvm_vcpu *vcpu);
void xvm_get_fpu(struct xvm_vcpu *vcpu, struct kvm_fpu *fpu);
int xvm_set_fpu(struct xvm_vcpu *vcpu, const struct kvm_fpu *fpu);
int xvm_get_xsave(struct xvm_vcpu *vcpu, void *buf, u32 size);
int xvm_set_xsave(struct xvm_vcpu *vcpu, const void *buf, u32 size);
u32 xvm_fpu_xsave_size(void);				/* what KVM_CAP_XSAVE2 answers */
int xvm_get_xcrs(struct xvm_vcpu *vcpu, struct kvm_xcrs *xcrs);
int xvm_set_xcrs(struct xvm_vcpu *vcpu, const struct kvm_xcrs *xcrs);
void xvm_fpu_read_xmm(struct xvm_vcpu *vcpu, unsigned int reg, void *buf);
void xvm_fpu_write_xmm(struct xvm_vcpu *vcpu, unsigned int reg, const void *buf);

/* events.c: callable in the section too */
void xvm_queue_exception(struct xvm_vcpu *vcpu, u8 vector, bool has_error, u32 error);
void xvm_queue_page_fault(struct xvm_vcpu *vcpu, u64 addr, u32 error);
void xvm_get_vcpu_events(struct xvm_vcpu *vcpu, struct kvm_vcpu_events *ev);
/* Who doesn't know of payloads expects CR2 to be there as soon as the fault is. */
void xvm_settle_payload(struct xvm_vcpu *vcpu);
int xvm_set_vcpu_events(struct xvm_vcpu *vcpu, const struct kvm_vcpu_events *ev);
int xvm_queue_interrupt(struct xvm_vcpu *vcpu, u32 vector);	/* KVM_INTERRUPT */
int xvm_queue_nmi(struct xvm_vcpu *vcpu);

static inline void xvm_queue_gp(struct xvm_vcpu *vcpu)
{
	xvm_queue_exception(vcpu, 13, true, 0);
}

static inline void xvm_queue_ud(struct xvm_vcpu *vcpu)
{
	xvm_queue_exception(vcpu, 6, false, 0);
}

/*
 * access.c: guest memory as the guest addresses it.  In a section (arch.in_section)
 * these don't sleep, and fail where they would have to.
 */
struct xvm_gpt_ops;
struct xvm_gpt_result;
struct xvm_gpt_role;
bool xvm_access_begin(struct xvm_vcpu *vcpu);
void xvm_access_end(struct xvm_vcpu *vcpu, bool began);
/* -EFAULT: no memory there */
int xvm_read_gpa(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len);
int xvm_write_gpa(struct xvm_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len);
/* 0; -EAGAIN: memory doesn't hold old; -EFAULT.  size: 1, 2, 4, 8, aligned to it */
int xvm_cmpxchg_gpa(struct xvm_vcpu *vcpu, u64 gpa, u64 old, u64 new, unsigned int size);
bool xvm_gpa_is_memory(struct xvm_vcpu *vcpu, u64 gpa, bool write);
/* For a walk of the guest's tables (ctx: its vCPU); -EAGAIN also for a full ring. */
extern const struct xvm_gpt_ops xvm_gpt_vcpu_ops;
/* How the guest pages now. */
void xvm_gpt_vcpu_role(struct xvm_vcpu *vcpu, struct xvm_gpt_role *role);
int xvm_translate(struct xvm_vcpu *vcpu, u64 gva, u32 access, struct xvm_gpt_result *res);
u64 xvm_linear_rip(struct xvm_vcpu *vcpu);
/* How many bytes at RIP were read, or -errno */
int xvm_fetch_insn(struct xvm_vcpu *vcpu, u8 *buf, unsigned int max);
int xvm_ioctl_translate(struct xvm_vcpu *vcpu, struct kvm_translation *tr);

/* emulator.c: the instruction emulator bound to a vCPU.  1: go on, 0: exit, <0: errno */
int xvm_emulate(struct xvm_vcpu *vcpu);
int xvm_emulate_again(struct xvm_vcpu *vcpu);	/* user space has answered what it waited for */
void xvm_emulator_forget(struct xvm_vcpu *vcpu);	/* a register or so was set */
void xvm_emulator_free(struct xvm_vcpu *vcpu);
void xvm_skip_to(struct xvm_vcpu *vcpu, u64 rip);
int xvm_internal_error(struct xvm_vcpu *vcpu, const u8 *insn, unsigned int len);

/* io.c: exits for port I/O, MMIO and memory faults, and their completion by user space */
int xvm_pio_exit(struct xvm_vcpu *vcpu, u16 port, bool in, unsigned int size, u64 next_rip);
int xvm_memory_fault(struct xvm_vcpu *vcpu, u64 gpa, int err);
int xvm_complete_io(struct xvm_vcpu *vcpu);	/* first thing of KVM_RUN; as xvm_emulate */
/* MMIO of the instruction under emulation: EMUL_ codes */
int xvm_mmio_read(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len);
int xvm_mmio_write(struct xvm_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len);
int xvm_mmio_exit(struct xvm_vcpu *vcpu);	/* hand out what is queued; as xvm_emulate */
int xvm_string_pio(struct xvm_vcpu *vcpu, u16 port, bool in, unsigned int size, void *data,
		   unsigned int *count);

#endif
