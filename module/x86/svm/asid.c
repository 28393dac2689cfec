// SPDX-License-Identifier: GPL-2.0-only
/*
 * One ASID for all of xvm's guests, shared with KVM.
 *
 * KVM hands out every ASID of a CPU, one after the other, and flushes only when
 * it has come round (it flushes everything then).  So it may at any time take
 * ours for a new vCPU and trust the TLB to hold nothing under it.  The rules
 * that keep both sides right, whatever ASID is chosen:
 *
 *  - Each CPU knows whose entries it may hold under our ASID: those of the vCPU
 *    of xvm's that entered last, or nobody's.  A vCPU that is loaded where it
 *    is not the one, or where it has not been last, flushes with its first entry
 *    (TLB_CONTROL, APM vol. 2, 15.16.1).
 *  - KVM tells when it is about to run a guest, by its tracepoint kvm_entry, in
 *    the stretch without interrupts that ends in VMRUN.  If the CPU may hold
 *    entries of ours, our ASID is scrubbed there and then.
 *  - Where no such tracepoint is there, but somebody has SVM enabled, the ASID is
 *    scrubbed each time that a vCPU of xvm's is put.
 *  - Where EFER.SVME is clear, nobody else has SVM enabled.  Who enables it later
 *    starts with a flush of all ASIDs: KVM's generations begin so.
 *
 * Only VMRUN can flush a guest ASID.  To scrub, a guest is run that cannot do
 * anything: its nested root is an empty page, so that its first fetch takes a
 * nested page fault, and not-present entries are never cached (5.5.3, 15.25.6).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/tracepoint.h>

#include "../../compat/compat.h"
#include "../cpuid.h"
#include "svm.h"

static u32 the_asid;
static u8 flush_control;
static struct tracepoint *kvm_entry;	/* that kvm_enters() is attached to */

u32 xvm_asid(void)
{
	return the_asid;
}

u8 xvm_asid_flush_control(void)
{
	return flush_control;
}

int xvm_asid_init(void)
{
	u32 nr = xvm_host_cpuid(0x8000000a, 0).ebx;

	if (nr < 2) {
		pr_err("this CPU has no ASID for guests\n");
		return -EOPNOTSUPP;
	}
	/* The last one: KVM comes to it latest, and SEV never reserves it. */
	the_asid = nr - 1;
	flush_control = boot_cpu_has(X86_FEATURE_FLUSHBYASID) ? TLB_CONTROL_FLUSH_ASID :
								TLB_CONTROL_FLUSH_ALL_ASID;
	return 0;
}

bool xvm_asid_take(struct xvm_vcpu *vcpu)
{
	struct xvm_svm_cpu *cpu = this_cpu_ptr(&xvm_svm_cpu);
	struct xvm_svm *svm = to_svm(vcpu);
	int here = smp_processor_id();
	bool kept = cpu->tlb_owner == svm->serial && svm->last_cpu == here;

	svm->last_cpu = here;
	cpu->tlb_owner = svm->serial;
	return kept;
}

/* IRQs off, EFER.SVME set by somebody else. */
static void scrub(void)
{
	struct xvm_svm_cpu *cpu = this_cpu_ptr(&xvm_svm_cpu);
	unsigned long dr7 = xvm_svm_host_dr7();
	struct xvm_svm_host host;

	xvm_svm_begin(&host);
	/* It runs no instruction: what VMRUN itself leaves alone needs no saving. */
	asm volatile("vmrun %%rax" : : "a"(virt_to_phys(cpu->scrub_vmcb)) : "cc", "memory");
	xvm_svm_restore_dr7(dr7);
	xvm_svm_end(&host);
	cpu->tlb_owner = 0;

	/* Nothing was flushed: the VMCB is wrong. */
	WARN_ON_ONCE(svm_entry_failed(cpu->scrub_vmcb));
	if (svm_exit_code(cpu->scrub_vmcb) == SVM_EXIT_EXCP_BASE + MC_VECTOR)
		xvm_host_machine_check();

	/* What our guest trained must not steer KVM's, nor the other way round. */
	if (boot_cpu_has(X86_FEATURE_IBPB))
		xvm_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	cpu->last_serial = 0;
}

void xvm_asid_give(void)
{
	lockdep_assert_irqs_disabled();
	if (READ_ONCE(kvm_entry))
		return;
	if (xvm_rdmsr(MSR_EFER) & EFER_SVME)
		scrub();
	else
		this_cpu_write(xvm_svm_cpu.tlb_owner, 0);
}

#ifdef CONFIG_TRACEPOINTS
/* The tracepoint's further arguments differ by kernel, and are not needed. */
static void kvm_enters(void *unused)
{
	if (unlikely(this_cpu_read(xvm_svm_cpu.tlb_owner)))
		scrub();
}

static void attach(struct tracepoint *tp, void *unused)
{
	if (!kvm_entry && !strcmp(tp->name, "kvm_entry") &&
	    !tracepoint_probe_register(tp, kvm_enters, NULL))
		WRITE_ONCE(kvm_entry, tp);
}

static void detach(void)
{
	int cpu;

	if (!kvm_entry)
		return;
	tracepoint_probe_unregister(kvm_entry, kvm_enters, NULL);
	WRITE_ONCE(kvm_entry, NULL);
	/* From now on nobody tells who uses the ASID. */
	for_each_possible_cpu(cpu)
		WRITE_ONCE(per_cpu(xvm_svm_cpu.tlb_owner, cpu), 0);
}

/* Called for each module that is there at registration, and before any that comes later runs. */
static int tracepoints_changed(struct notifier_block *nb, unsigned long what, void *data)
{
	struct tp_module *tp_module = data;
	struct module *mod = tp_module->mod;
	unsigned int i;

	for (i = 0; i < mod->num_tracepoints; i++) {
		struct tracepoint *tp = tracepoint_ptr_deref(mod->tracepoints_ptrs + i);

		if (what == MODULE_STATE_COMING)
			attach(tp, NULL);
		else if (what == MODULE_STATE_GOING && tp == kvm_entry)
			detach();
	}
	return NOTIFY_OK;
}

static struct notifier_block tracepoints_notifier = {
	.notifier_call = tracepoints_changed,
};

int xvm_asid_watch(void)
{
	/* Under CFI a probe must have the tracepoint's exact type: do without it. */
	if (XVM_CFI)
		return 0;
	for_each_kernel_tracepoint(attach, NULL);
	return register_tracepoint_module_notifier(&tracepoints_notifier);
}

static void scrub_last(void *unused)
{
	if (this_cpu_read(xvm_svm_cpu.tlb_owner) && (xvm_rdmsr(MSR_EFER) & EFER_SVME))
		scrub();
}

void xvm_asid_unwatch(void)
{
	on_each_cpu(scrub_last, NULL, 1);
	unregister_tracepoint_module_notifier(&tracepoints_notifier);
	detach();
	tracepoint_synchronize_unregister();
}
#else
int xvm_asid_watch(void)
{
	return 0;
}

void xvm_asid_unwatch(void)
{
}
#endif
