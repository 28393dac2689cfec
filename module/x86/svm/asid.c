// SPDX-License-Identifier: GPL-2.0-only
/*
 * One ASID for all of xvm's guests, shared with KVM without KVM's knowledge.
 *
 * KVM hands out every ASID of a CPU, one after the other, and flushes only when
 * it has come round (it flushes everything then).  So it may at any time take
 * ours for a new vCPU and trust the TLB to hold nothing under it.  The rules
 * that keep both sides right, whatever ASID is chosen:
 *
 *  - The first entry after a vCPU is loaded on a CPU flushes our ASID: what is
 *    there may be KVM's or another vCPU's.  Hardware does it with VMRUN
 *    (TLB_CONTROL, APM vol. 2, 15.16.1).  Further entries need not, as nobody
 *    else can have run a guest here since.
 *  - Before the CPU is given away (put: the thread is scheduled out or returns
 *    to user space) our ASID is scrubbed if somebody else has SVM enabled, so
 *    that what KVM finds under it is nothing.  Only VMRUN can flush a guest
 *    ASID, so a guest is run that cannot do anything: its nested root is an
 *    empty page, so that its first fetch faults on the way to its own page
 *    tables, and not-present entries are never cached (5.5.3, 15.25.6).
 *  - Where EFER.SVME is clear, nobody else has SVM enabled.  Who enables it later
 *    starts with a flush of all ASIDs: KVM's generations begin so.
 */
#include <linux/io.h>
#include <linux/mm.h>

#include "svm.h"

static u32 the_asid;
static u8 flush_control;

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
	u32 nr = cpuid_ebx(0x8000000a);

	if (nr < 2)
		return -EOPNOTSUPP;
	/* The last one: KVM comes to it latest, and SEV never reserves it. */
	the_asid = nr - 1;
	flush_control = boot_cpu_has(X86_FEATURE_FLUSHBYASID) ? TLB_CONTROL_FLUSH_ASID :
								TLB_CONTROL_FLUSH_ALL_ASID;
	return 0;
}

void xvm_asid_scrub(struct xvm_vcpu *vcpu)
{
	struct xvm_svm_cpu *cpu = this_cpu_ptr(&xvm_svm_cpu);
	struct vmcb *vmcb = cpu->scrub_vmcb;
	u64 regs[XVM_NR_REGS] = {};
	struct xvm_svm_switch sw = {
		.regs = regs,
		.vmcb_pa = virt_to_phys(vmcb),
		.host_pa = page_to_phys(cpu->host),
	};

	vmcb->save.rip = 0;
	xvm_svm_world(&sw);
	/* The next entry may find KVM's under it. */
	to_svm(vcpu)->entries_left = false;
	vcpu->arch.tlb_gen = 0;
	vcpu->stat.asid_scrub++;
}
