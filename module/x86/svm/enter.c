// SPDX-License-Identifier: GPL-2.0-only
/*
 * Into the guest and back, on a CPU whose SVM others may be using too.
 *
 * xvm leaves no trace: EFER.SVME, VM_HSAVE_PA, the TSC ratio, debug registers
 * and the rest are put back before interrupts can come in.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>

#include "../../compat/compat.h"
#include "../../compat/mitigations.h"
#include "svm.h"

static void clgi(void)
{
	asm volatile("clgi" : : : "memory");
}

static void stgi(void)
{
	asm volatile("stgi" : : : "memory");
}

void xvm_svm_begin(struct xvm_svm_host *host)
{
	lockdep_assert_irqs_disabled();
	host->efer = xvm_rdmsr(MSR_EFER);
	if (!(host->efer & EFER_SVME))
		xvm_wrmsr(MSR_EFER, host->efer | EFER_SVME);
	/*
	 * The CPU keeps the host's state there between VMRUN and #VMEXIT alone
	 * (15.30.4): where KVM has set up a page, it serves us as well.
	 */
	host->hsave = xvm_rdmsr(MSR_VM_HSAVE_PA);
	if (!host->hsave)
		xvm_wrmsr(MSR_VM_HSAVE_PA, page_to_phys(this_cpu_read(xvm_svm_cpu.hsave)));
	/* No NMI or interrupt sees what is in between. */
	clgi();
}

void xvm_svm_end(const struct xvm_svm_host *host)
{
	stgi();
	if (!host->hsave)
		xvm_wrmsr(MSR_VM_HSAVE_PA, 0);
	if (!(host->efer & EFER_SVME))
		xvm_wrmsr(MSR_EFER, host->efer);
}

static void vmsave_host(struct page *page)
{
	asm volatile("vmsave %0" : : "a"(page_to_phys(page)) : "memory");
}

/*
 * The hidden part of LDTR came back from what load saved.  Another thread may
 * have replaced the process's LDT since, and freed the old one: take it from
 * the GDT anew, where the kernel has put what is right by now.
 */
static void reload_ldt(void)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (current->mm && READ_ONCE(current->mm->context.ldt))
		asm volatile("lldt %w0" : : "r"(GDT_ENTRY_LDT * 8));
#endif
}

/* Branch predictions that one guest trained must not steer the next. */
static void isolate_predictions(struct xvm_svm *svm)
{
	if (!boot_cpu_has(X86_FEATURE_IBPB) ||
	    this_cpu_read(xvm_svm_cpu.last_serial) == svm->serial)
		return;
	this_cpu_write(xvm_svm_cpu.last_serial, svm->serial);
	xvm_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

void xvm_svm_load(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = to_svm(vcpu);
	struct xvm_svm_host host;
	unsigned long flags;

	/* While the thread stays in the kernel on this CPU, nothing of it but the LDT changes. */
	local_irq_save(flags);
	xvm_svm_begin(&host);
	vmsave_host(this_cpu_read(xvm_svm_cpu.host));
	xvm_svm_end(&host);
	local_irq_restore(flags);

	isolate_predictions(svm);
	if (!xvm_asid_take(vcpu)) {
		vcpu->arch.tlb_gen = 0;
		vcpu->stat.asid_flush++;
	}

	/* The kernel itself never relies on TSC_AUX, so it may be the guest's until put. */
	if (boot_cpu_has(X86_FEATURE_RDTSCP)) {
		svm->host_tsc_aux = xvm_rdmsr(MSR_TSC_AUX);
		if (svm->host_tsc_aux != vcpu->arch.tsc_aux)
			xvm_wrmsr(MSR_TSC_AUX, vcpu->arch.tsc_aux);
	}
}

void xvm_svm_load_tsc_aux(struct xvm_vcpu *vcpu)
{
	preempt_disable();
	if (vcpu->arch.loaded && boot_cpu_has(X86_FEATURE_RDTSCP))
		xvm_wrmsr(MSR_TSC_AUX, vcpu->arch.tsc_aux);
	preempt_enable();
}

void xvm_svm_put(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = to_svm(vcpu);
	unsigned long flags;

	if (boot_cpu_has(X86_FEATURE_RDTSCP) && xvm_rdmsr(MSR_TSC_AUX) != svm->host_tsc_aux)
		xvm_wrmsr(MSR_TSC_AUX, svm->host_tsc_aux);

	local_irq_save(flags);
	xvm_asid_give();
	reload_ldt();
	local_irq_restore(flags);
}

/* Breakpoint addresses are not in the VMCB (15.5.1): they move only for a guest that uses them. */
static void load_breakpoints(const unsigned long *db)
{
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

static void save_breakpoints(unsigned long *db)
{
	get_debugreg(db[0], 0);
	get_debugreg(db[1], 1);
	get_debugreg(db[2], 2);
	get_debugreg(db[3], 3);
}

static bool guest_breakpoints(struct xvm_vcpu *vcpu)
{
	return vcpu->arch.dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK);
}

static void load_vmcb(struct xvm_vcpu *vcpu, bool flush_tlb)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	struct xvm_vcpu_arch *arch = &vcpu->arch;

	vmcb->save.rax = arch->regs[XVM_RAX];
	vmcb->save.rsp = arch->regs[XVM_RSP];
	vmcb->save.rip = arch->rip;
	vmcb->save.rflags = arch->rflags;
	vmcb->save.cr2 = arch->cr2;
	vmcb->save.dr6 = arch->dr6;
	vmcb->save.dr7 = arch->dr7;
	vmcb->control.tlb_ctl = flush_tlb ? xvm_asid_flush_control() : TLB_CONTROL_DO_NOTHING;
	vmcb->control.int_ctl &= ~V_TPR_MASK;
	vmcb->control.int_ctl |= xvm_get_cr8(vcpu) & V_TPR_MASK;
	/* Nothing cached from an earlier run may be assumed (15.15.1). */
	vmcb->control.clean = 0;
	xvm_svm_inject(vcpu);
}

static void save_vmcb(struct xvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	struct xvm_vcpu_arch *arch = &vcpu->arch;

	arch->regs[XVM_RAX] = vmcb->save.rax;
	arch->regs[XVM_RSP] = vmcb->save.rsp;
	arch->rip = vmcb->save.rip;
	arch->rflags = vmcb->save.rflags;
	arch->cr2 = vmcb->save.cr2;
	arch->dr6 = vmcb->save.dr6;
	arch->dr7 = vmcb->save.dr7;
	xvm_guest_set_cr8(vcpu, vmcb->control.int_ctl & V_TPR_MASK);
	xvm_svm_collect_events(vcpu);
}

static u64 host_spec_ctrl(void)
{
	return this_cpu_read(x86_spec_ctrl_current);
}

void xvm_svm_enter(struct xvm_vcpu *vcpu, bool flush_tlb)
{
	struct xvm_svm *svm = to_svm(vcpu);
	struct xvm_svm_switch sw = {
		.regs = (u64 *)vcpu->arch.regs,
		.vmcb_pa = svm->vmcb_pa,
		.host_pa = page_to_phys(this_cpu_read(xvm_svm_cpu.host)),
	};
	bool breakpoints = guest_breakpoints(vcpu);
	unsigned long host_db[4], dr7 = xvm_svm_host_dr7();
	u64 tsc_ratio = SVM_TSC_RATIO_DEFAULT;
	struct xvm_svm_host host;

	if (boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL) || boot_cpu_has(X86_FEATURE_AMD_SSBD)) {
		sw.guest_spec_ctrl = vcpu->arch.spec_ctrl;
		sw.host_spec_ctrl = host_spec_ctrl();
		sw.switch_spec_ctrl = sw.guest_spec_ctrl != sw.host_spec_ctrl;
	}
	load_vmcb(vcpu, flush_tlb);

	xvm_svm_begin(&host);
	xvm_fpu_load_guest_xcr0(vcpu);
	if (boot_cpu_has(X86_FEATURE_TSCRATEMSR)) {
		tsc_ratio = xvm_rdmsr(MSR_AMD64_TSC_RATIO);
		if (tsc_ratio != SVM_TSC_RATIO_DEFAULT)
			xvm_wrmsr(MSR_AMD64_TSC_RATIO, SVM_TSC_RATIO_DEFAULT);
	}
	if (breakpoints) {
		/* Until VMRUN the host's are not to watch the guest's addresses. */
		if (dr7)
			set_debugreg(0, 7);
		save_breakpoints(host_db);
		load_breakpoints((unsigned long *)vcpu->arch.db);
	}

	xvm_svm_world(&sw);
#ifdef HAVE_IBPB_EXIT_TO_USER
	/* What the guest trained must not steer its VMM either. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
	/* An entry that failed need not have flushed. */
	if (svm_entry_failed(svm->vmcb))
		vcpu->arch.tlb_gen = 0;

	if (breakpoints)
		load_breakpoints(host_db);
	/* #VMEXIT leaves the guest's breakpoint status. */
	if (svm->vmcb->save.dr6 != DR6_RESERVED)
		set_debugreg(DR6_RESERVED, 6);
	xvm_svm_restore_dr7(dr7);
	if (tsc_ratio != SVM_TSC_RATIO_DEFAULT)
		xvm_wrmsr(MSR_AMD64_TSC_RATIO, tsc_ratio);
	xvm_fpu_load_host_xcr0(vcpu);
	xvm_svm_end(&host);
	/* The host's, taken by the guest's intercept: its handler has to run, on this very CPU. */
	if (svm_exit_code(svm->vmcb) == SVM_EXIT_EXCP_BASE + 18)
		xvm_host_machine_check();

	save_vmcb(vcpu);
}
