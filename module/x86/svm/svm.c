// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SVM backend: is it there, what each CPU and each vCPU needs, and the ops table.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../../compat/compat.h"
#include "svm.h"

#define IOPM_ORDER	2	/* 12K, in a power of two (15.10.1) */
#define MSRPM_ORDER	1	/* 8K (15.11) */

DEFINE_PER_CPU(struct xvm_svm_cpu, xvm_svm_cpu);

struct page *xvm_svm_iopm, *xvm_svm_msrpm;

static atomic64_t last_serial;

/* MSRs that VMRUN and VMLOAD give the guest its own copy of: no need to intercept. */
static const u32 own_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE, MSR_FS_BASE,
	MSR_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* Two bits an MSR, read and write, in three blocks of 8192 MSRs each (15.11). */
static void msrpm_allow(u8 *map, u32 msr)
{
	static const u32 block[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(block); i++) {
		u32 n = msr - block[i];

		if (n < 8192)
			map[i * 2048 + n / 4] &= ~(3 << (n % 4) * 2);
	}
}

static int svm_vcpu_create(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	svm->vmcb = (struct vmcb *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb_pa = virt_to_phys(svm->vmcb);
	svm->serial = atomic64_inc_return(&last_serial);
	svm->last_cpu = -1;
	vcpu->arch.vendor = svm;
	return 0;
}

static void svm_vcpu_destroy(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = to_svm(vcpu);

	free_page((unsigned long)svm->vmcb);
	kfree(svm);
}

/* Everything that could change the host, or that xvm has to answer itself. */
static const unsigned int intercepts[] = {
	INTERCEPT_CR4_WRITE, INTERCEPT_SELECTIVE_CR0,
	INTERCEPT_DR0_READ, INTERCEPT_DR1_READ, INTERCEPT_DR2_READ, INTERCEPT_DR3_READ,
	INTERCEPT_DR4_READ, INTERCEPT_DR5_READ, INTERCEPT_DR6_READ, INTERCEPT_DR7_READ,
	INTERCEPT_DR0_WRITE, INTERCEPT_DR1_WRITE, INTERCEPT_DR2_WRITE, INTERCEPT_DR3_WRITE,
	INTERCEPT_DR4_WRITE, INTERCEPT_DR5_WRITE, INTERCEPT_DR6_WRITE, INTERCEPT_DR7_WRITE,
	INTERCEPT_EXCEPTION_OFFSET + 1, INTERCEPT_EXCEPTION_OFFSET + 17,
	INTERCEPT_EXCEPTION_OFFSET + 18,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_TASK_SWITCH,
	INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI,
	INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT,
	INTERCEPT_XSETBV, INTERCEPT_RDPRU,
	INTERCEPT_INVLPGB, INTERCEPT_INVLPGB_ILLEGAL, INTERCEPT_MCOMMIT, INTERCEPT_TLBSYNC,
};

/* What shadow tables are made from, and what asks for them to be made anew. */
static const unsigned int shadow_intercepts[] = {
	INTERCEPT_EXCEPTION_OFFSET + 14, INTERCEPT_CR3_READ, INTERCEPT_CR3_WRITE,
	INTERCEPT_INVLPG, INTERCEPT_INVPCID,
};

/* The control area; of the save area INIT leaves the MSRs alone, and x86 fills the rest. */
static void svm_vcpu_reset(struct xvm_vcpu *vcpu)
{
	struct xvm_svm *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	unsigned int i;

	memset(control, 0, sizeof(*control));
	for (i = 0; i < ARRAY_SIZE(intercepts); i++)
		svm_intercept(svm->vmcb, intercepts[i]);
	control->iopm_base_pa = page_to_phys(xvm_svm_iopm);
	control->msrpm_base_pa = page_to_phys(xvm_svm_msrpm);
	control->tsc_offset = vcpu->arch.tsc_offset;
	control->asid = xvm_asid();
	control->int_ctl = V_INTR_MASKING_MASK;
	if (vcpu->shadow) {
		for (i = 0; i < ARRAY_SIZE(shadow_intercepts); i++)
			svm_intercept(svm->vmcb, shadow_intercepts[i]);
	} else {
		xvm_vmcb_enable_npt(svm->vmcb);
		control->nested_cr3 = xvm_mmu_root(vcpu->xvm);
	}
	svm->vmcb->save.efer = EFER_SVME;
	svm->efer = 0;
	svm->nmi_iret = false;
	vcpu->arch.tlb_gen = 0;
}

static void free_cpu(struct xvm_svm_cpu *cpu)
{
	if (cpu->hsave)
		__free_page(cpu->hsave);
	if (cpu->host)
		__free_page(cpu->host);
	free_page((unsigned long)cpu->scrub_vmcb);
	memset(cpu, 0, sizeof(*cpu));
}

static struct page *empty_root;

/* A guest that can do nothing but take a nested page fault: see asid.c. */
static void init_scrub(struct vmcb *vmcb)
{
	static const struct vmcb_seg flat = { .limit = 0xffff, .attrib = 0x93 };

	svm_intercept(vmcb, INTERCEPT_VMRUN);
	svm_intercept(vmcb, INTERCEPT_INTR);
	svm_intercept(vmcb, INTERCEPT_NMI);
	svm_intercept(vmcb, INTERCEPT_SHUTDOWN);
	/* One of the host's that was held back while GIF was 0 must not be lost. */
	svm_intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + MC_VECTOR);
	vmcb->control.asid = xvm_asid();
	vmcb->control.tlb_ctl = xvm_asid_flush_control();
	vmcb->control.int_ctl = V_INTR_MASKING_MASK;
	xvm_vmcb_enable_npt(vmcb);
	vmcb->control.nested_cr3 = page_to_phys(empty_root);
	vmcb->save.efer = EFER_SVME;
	vmcb->save.cr0 = X86_CR0_ET;
	vmcb->save.cr4 = X86_CR4_MCE;
	vmcb->save.rflags = X86_EFLAGS_FIXED;
	vmcb->save.dr6 = 0xffff0ff0;
	vmcb->save.dr7 = 0x400;
	vmcb->save.g_pat = 0x0007040600070406ULL;
	vmcb->save.cs = flat;
	vmcb->save.cs.attrib = 0x9b;
	vmcb->save.ss = flat;
	vmcb->save.ds = flat;
	vmcb->save.es = flat;
}

static int alloc_cpu(struct xvm_svm_cpu *cpu, int node)
{
	struct page *scrub;

	cpu->hsave = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
	cpu->host = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
	scrub = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
	if (scrub) {
		cpu->scrub_vmcb = page_address(scrub);
		init_scrub(cpu->scrub_vmcb);
	}
	return cpu->hsave && cpu->host && scrub ? 0 : -ENOMEM;
}

void xvm_svm_teardown(void)
{
	int cpu;

	xvm_asid_unwatch();
	for_each_possible_cpu(cpu)
		free_cpu(per_cpu_ptr(&xvm_svm_cpu, cpu));
	if (empty_root)
		__free_page(empty_root);
	if (xvm_svm_msrpm)
		__free_pages(xvm_svm_msrpm, MSRPM_ORDER);
	if (xvm_svm_iopm)
		__free_pages(xvm_svm_iopm, IOPM_ORDER);
	empty_root = NULL;
	xvm_svm_msrpm = NULL;
	xvm_svm_iopm = NULL;
}

static int svm_check(void)
{
	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("this CPU has no SVM, or firmware has hidden it\n");
		return -EOPNOTSUPP;
	}
	if (xvm_rdmsr(MSR_VM_CR) & SVM_VM_CR_SVM_DIS_MASK) {
		pr_err("SVM is disabled by the firmware\n");
		return -EOPNOTSUPP;
	}
	if (sme_me_mask) {
		pr_err("the host's memory is encrypted (SME), which xvm's tables don't allow for\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("this CPU has no nested paging\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

int xvm_svm_setup(void)
{
	unsigned int i;
	int cpu, err;

	err = svm_check();
	if (err)
		return err;
	err = xvm_asid_init();
	if (err)
		return err;

	err = -ENOMEM;
	xvm_svm_iopm = alloc_pages(GFP_KERNEL, IOPM_ORDER);
	xvm_svm_msrpm = alloc_pages(GFP_KERNEL, MSRPM_ORDER);
	empty_root = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!xvm_svm_iopm || !xvm_svm_msrpm || !empty_root)
		goto fail;
	memset(page_address(xvm_svm_iopm), 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(page_address(xvm_svm_msrpm), 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(own_msrs); i++)
		msrpm_allow(page_address(xvm_svm_msrpm), own_msrs[i]);

	for_each_possible_cpu(cpu) {
		err = alloc_cpu(per_cpu_ptr(&xvm_svm_cpu, cpu), cpu_to_node(cpu));
		if (err)
			goto fail;
	}
	err = xvm_asid_watch();
	if (err)
		goto fail;
	return 0;

fail:
	xvm_svm_teardown();
	return err;
}

const struct xvm_vendor_ops xvm_svm_ops = {
	.name = "svm",
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.load = xvm_svm_load,
	.put = xvm_svm_put,
	.enter = xvm_svm_enter,
	.handle_exit = xvm_svm_handle_exit,
	.handle_exit_slow = xvm_svm_handle_exit_slow,
	.get_segment = xvm_svm_get_segment,
	.set_segment = xvm_svm_set_segment,
	.get_gdt = xvm_svm_get_gdt,
	.set_gdt = xvm_svm_set_gdt,
	.get_idt = xvm_svm_get_idt,
	.set_idt = xvm_svm_set_idt,
	.get_cpl = xvm_svm_get_cpl,
	.get_cr0 = xvm_svm_get_cr0,
	.set_cr0 = xvm_svm_set_cr0,
	.get_cr3 = xvm_svm_get_cr3,
	.set_cr3 = xvm_svm_set_cr3,
	.set_root = xvm_svm_set_root,
	.get_cr4 = xvm_svm_get_cr4,
	.set_cr4 = xvm_svm_set_cr4,
	.get_efer = xvm_svm_get_efer,
	.set_efer = xvm_svm_set_efer,
	.get_msr = xvm_svm_get_msr,
	.set_msr = xvm_svm_set_msr,
	.get_interrupt_shadow = xvm_svm_get_interrupt_shadow,
	.set_interrupt_shadow = xvm_svm_set_interrupt_shadow,
	.tsc_offset_changed = xvm_svm_tsc_offset_changed,
};
