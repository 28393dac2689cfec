// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why the guest stopped, and what to do about it (APM vol. 2, appendix C).
 *
 * The quick handler runs in the section and does what needs no sleep; all else
 * leaves the section and comes to the slow one, which starts from the VMCB anew.
 */
#include <linux/kvm_para.h>

#include "../../compat/compat.h"
#include "../../observe/trace.h"
#include "../insn.h"
#include "svm.h"

/* EXITINFO1 of a nested page fault (15.25.6). */
#define NPF_WRITE	BIT_ULL(1)
#define NPF_FETCH	BIT_ULL(4)

/* EXITINFO1 of an I/O exit (15.10.2). */
#define IOIO_IN		BIT(0)
#define IOIO_STRING	BIT(2)

static u32 npf_access(const struct vmcb *vmcb)
{
	u32 access = 0;

	if (vmcb->control.exit_info_1 & NPF_WRITE)
		access |= XVM_FAULT_WRITE;
	if (vmcb->control.exit_info_1 & NPF_FETCH)
		access |= XVM_FAULT_EXEC;
	return access;
}

/* Step over the intercepted instruction.  -errno: its bytes can't be read here and now. */
static int skip(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);

	if (boot_cpu_has(X86_FEATURE_NRIPS) && vmcb->control.next_rip) {
		xvm_skip_to(vcpu, vmcb->control.next_rip);
		return 0;
	}
	return xvm_skip_insn(vcpu);
}

static bool do_cpuid(struct xvm_vcpu *vcpu)
{
	u64 *regs = vcpu->arch.regs;
	u32 eax = regs[XVM_RAX], ebx, ecx = regs[XVM_RCX], edx;

	if (skip(vcpu))
		return false;
	xvm_cpuid_guest(vcpu, &eax, &ebx, &ecx, &edx);
	regs[XVM_RAX] = eax;
	regs[XVM_RBX] = ebx;
	regs[XVM_RCX] = ecx;
	regs[XVM_RDX] = edx;
	return true;
}

enum xvm_exit_result xvm_svm_handle_exit(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	enum xvm_fault_result fault;

	trace_xvm_exit(vcpu, svm_exit_code(vmcb), vcpu->arch.rip);
	switch (svm_exit_code(vmcb)) {
	case SVM_EXIT_INTR:
		vcpu->stat.irq_exits++;
		return XVM_EXIT_RESUME;
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	/* A machine check was the host's (15.12.18): handled on the way out. */
	case SVM_EXIT_EXCP_BASE + 18:
		return XVM_EXIT_RESUME;
	case SVM_EXIT_NPF:
		vcpu->stat.pf_taken++;
		fault = xvm_mmu_fault_fast(vcpu, vmcb->control.exit_info_2, npf_access(vmcb));
		return fault == XVM_FAULT_FIXED ? XVM_EXIT_RESUME : XVM_EXIT_LEAVE;
	case SVM_EXIT_EXCP_BASE + PF_VECTOR:
		vcpu->stat.pf_taken++;
		fault = xvm_shadow_fault_fast(vcpu, vmcb->control.exit_info_2,
					      vmcb->control.exit_info_1);
		return fault == XVM_FAULT_FIXED ? XVM_EXIT_RESUME : XVM_EXIT_LEAVE;
	case SVM_EXIT_CPUID:
		return do_cpuid(vcpu) ? XVM_EXIT_RESUME : XVM_EXIT_LEAVE;
	case SVM_EXIT_VINTR:
		vcpu->stat.irq_window_exits++;
		return XVM_EXIT_RESUME;
	default:
		return XVM_EXIT_LEAVE;
	}
}

static bool delivering_event(const struct vmcb *vmcb)
{
	return vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID;
}

/* An event whose stack or table is not memory: there is no instruction to emulate. */
static int handle_delivery(struct xvm_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 3;
	run->internal.data[0] = control->exit_int_info;
	run->internal.data[1] = control->exit_code;
	run->internal.data[2] = control->exit_info_2;
	return 0;
}

static int handle_npf(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	u64 gpa = vmcb->control.exit_info_2;
	int ret;

	ret = xvm_mmu_fault(vcpu, gpa, npf_access(vmcb));
	if (ret == XVM_FAULT_EMULATE && delivering_event(vmcb))
		return handle_delivery(vcpu);
	if (ret == XVM_FAULT_EMULATE) {
		vcpu->stat.pf_emulate++;
		return xvm_emulate(vcpu);
	}
	if (ret >= 0)
		return 1;
	return xvm_memory_fault(vcpu, gpa, ret);
}

/* A page fault, where the guest's tables are shadowed. */
static int handle_pf(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	u64 gpa;
	int ret;

	ret = xvm_shadow_fault(vcpu, vmcb->control.exit_info_2, vmcb->control.exit_info_1, &gpa);
	if (ret == XVM_FAULT_EMULATE && delivering_event(vmcb))
		return xvm_shadow_release_table(vcpu) ? 1 : handle_delivery(vcpu);
	if (ret == XVM_FAULT_EMULATE) {
		vcpu->stat.pf_emulate++;
		return xvm_emulate(vcpu);
	}
	if (ret >= 0)
		return 1;
	return xvm_memory_fault(vcpu, gpa, ret);
}

static int handle_ioio(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	u32 info = vmcb->control.exit_info_1;

	if (info & IOIO_STRING)
		return xvm_emulate(vcpu);
	/* EXITINFO2 is the address of the next instruction. */
	return xvm_pio_exit(vcpu, info >> 16, info & IOIO_IN, (info >> SVM_IOIO_SIZE_SHIFT) & 7,
			    vmcb->control.exit_info_2);
}

/* An instruction that the guest may not use, or not from there. */
static int inject_ud(struct xvm_vcpu *vcpu)
{
	xvm_queue_ud(vcpu);
	return 1;
}

static int inject_gp(struct xvm_vcpu *vcpu)
{
	xvm_queue_gp(vcpu);
	return 1;
}

/* 1 when stepped over; else what the failure means: an internal error or a fault queued. */
static int skip_or_fail(struct xvm_vcpu *vcpu)
{
	return skip(vcpu) ? xvm_skip_failed(vcpu) : 1;
}

static int handle_invlpg(struct xvm_vcpu *vcpu)
{
	if (!boot_cpu_has(X86_FEATURE_DECODEASSISTS))
		return xvm_emulate(vcpu);
	xvm_shadow_invlpg(vcpu, to_vmcb(vcpu)->control.exit_info_1);
	return skip_or_fail(vcpu);
}

/*
 * Intercepted with shadow paging alone.  EXITINFO1 is the descriptor's address, EXITINFO2 the
 * type (15.9).  Whatever it asks to be forgotten, more may be: all is read anew.
 */
static int handle_invpcid(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	bool allowed = false;
	int ret;

	ret = xvm_check_invpcid(vcpu, vmcb->control.exit_info_2, vmcb->control.exit_info_1,
				&allowed);
	if (!allowed)
		return ret;
	xvm_shadow_stale(vcpu);
	vcpu->arch.tlb_gen = 0;
	return skip_or_fail(vcpu);
}

static int handle_msr(struct xvm_vcpu *vcpu)
{
	u64 *regs = vcpu->arch.regs;
	u32 index = regs[XVM_RCX];
	u64 val = 0;
	int bad;

	if (to_vmcb(vcpu)->control.exit_info_1) {
		val = (u32)regs[XVM_RAX] | regs[XVM_RDX] << 32;
		bad = xvm_set_msr(vcpu, index, val, false);
		if (!bad && index == MSR_TSC_AUX)
			xvm_svm_load_tsc_aux(vcpu);
	} else {
		bad = xvm_get_msr(vcpu, index, &val, false);
		if (!bad) {
			regs[XVM_RAX] = (u32)val;
			regs[XVM_RDX] = val >> 32;
		}
	}
	if (bad)
		return inject_gp(vcpu);
	return skip_or_fail(vcpu);
}

static int handle_hlt(struct xvm_vcpu *vcpu)
{
	int ret = skip_or_fail(vcpu);

	if (ret != 1)
		return ret;
	vcpu->stat.halt_exits++;
	if (vcpu->arch.lapic) {
		vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
		return 1;
	}
	/* It waited behind another event, and wakes the guest at once. */
	if (vcpu->arch.events.interrupt.injected && vcpu->arch.rflags & X86_EFLAGS_IF)
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* The VMCB's state is undefined after a shutdown (15.14.3): the vCPU starts from INIT. */
static int handle_shutdown(struct xvm_vcpu *vcpu)
{
	xvm_vcpu_reset(vcpu, true);
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

/* xvm has no hypercalls: the answer is KVM's to an unknown one. */
static int handle_vmmcall(struct xvm_vcpu *vcpu)
{
	long ret = xvm_svm_get_cpl(vcpu) ? -KVM_EPERM : -KVM_ENOSYS;

	vcpu->arch.regs[XVM_RAX] = xvm_is_64bit_code(vcpu) ? ret : (u32)ret;
	return skip_or_fail(vcpu);
}

static int handle_xsetbv(struct xvm_vcpu *vcpu)
{
	u64 *regs = vcpu->arch.regs;

	if (xvm_svm_get_cpl(vcpu) ||
	    xvm_guest_set_xcr(vcpu, regs[XVM_RCX], (u32)regs[XVM_RAX] | regs[XVM_RDX] << 32))
		return inject_gp(vcpu);
	return skip_or_fail(vcpu);
}

/* Intercepted so that a guest whose handler faults again can't hold the CPU (CVE-2015-8104). */
static int handle_db(struct xvm_vcpu *vcpu)
{
	xvm_queue_exception(vcpu, 1, false, 0);
	return 1;
}

static int handle_ac(struct xvm_vcpu *vcpu)
{
	xvm_queue_exception(vcpu, 17, true, 0);
	return 1;
}

static int handle_iret(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = to_svm(vcpu);

	svm_no_intercept(svm->vmcb, INTERCEPT_IRET);
	svm->nmi_iret = true;
	svm->nmi_iret_rip = vcpu->arch.rip;
	return 1;
}

static int handle_unexpected(struct xvm_vcpu *vcpu, u32 code)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 2;
	run->internal.data[0] = code;
	run->internal.data[1] = to_svm(vcpu)->last_cpu;
	return 0;
}

static int handle_fail_entry(struct xvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = to_vmcb(vcpu)->control.exit_code;
	run->fail_entry.cpu = to_svm(vcpu)->last_cpu;
	return 0;
}

int xvm_svm_handle_exit_slow(struct xvm_vcpu *vcpu)
{
	u32 code = svm_exit_code(to_vmcb(vcpu));

	switch (code) {
	case SVM_EXIT_NPF:
		return handle_npf(vcpu);
	case SVM_EXIT_EXCP_BASE + PF_VECTOR:
		return handle_pf(vcpu);
	case SVM_EXIT_INVLPG:
		return handle_invlpg(vcpu);
	case SVM_EXIT_INVPCID:
		return handle_invpcid(vcpu);
	case SVM_EXIT_IOIO:
		return handle_ioio(vcpu);
	case SVM_EXIT_MSR:
		return handle_msr(vcpu);
	case SVM_EXIT_CPUID:
		return do_cpuid(vcpu) ? 1 : xvm_skip_failed(vcpu);
	case SVM_EXIT_HLT:
		return handle_hlt(vcpu);
	case SVM_EXIT_SHUTDOWN:
		return handle_shutdown(vcpu);
	case SVM_EXIT_VMMCALL:
		return handle_vmmcall(vcpu);
	case SVM_EXIT_XSETBV:
		return handle_xsetbv(vcpu);
	case SVM_EXIT_READ_CR0:
	case SVM_EXIT_WRITE_CR0:
	case SVM_EXIT_CR0_SEL_WRITE:
	case SVM_EXIT_READ_CR3:
	case SVM_EXIT_WRITE_CR3:
	case SVM_EXIT_READ_CR4:
	case SVM_EXIT_WRITE_CR4:
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
		return xvm_emulate_crdr(vcpu);
	/* Caches are coherent; a guest has no say in the host's.  MONITOR and MWAIT as KVM does. */
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
		return skip_or_fail(vcpu);
	case SVM_EXIT_EXCP_BASE + 1:
		return handle_db(vcpu);
	case SVM_EXIT_EXCP_BASE + 17:
		return handle_ac(vcpu);
	case SVM_EXIT_IRET:
		return handle_iret(vcpu);
	case SVM_EXIT_RDPMC:
		return inject_gp(vcpu);
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_RSM:
	case SVM_EXIT_RDPRU:
	case XVM_SVM_EXIT_INVLPGB:
	case XVM_SVM_EXIT_INVLPGB_ILLEGAL:
	case XVM_SVM_EXIT_MCOMMIT:
	case XVM_SVM_EXIT_TLBSYNC:
		return inject_ud(vcpu);
	case SVM_EXIT_TASK_SWITCH:
		return xvm_internal_error(vcpu, NULL, 0);
	case (u32)SVM_EXIT_ERR:
		return handle_fail_entry(vcpu);
	default:
		return handle_unexpected(vcpu, code);
	}
}
