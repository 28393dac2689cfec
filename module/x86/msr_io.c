// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_MSRS, KVM_SET_MSRS and the lists of MSRs worth asking for.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/msr-index.h>

#include "cpuid.h"
#include "x86.h"

#define MAX_MSRS	256

/* State that user space has to save.  What comes with a feature of the CPU's is at the end. */
static const u32 saved_msrs[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_SYSCALL_MASK, MSR_LSTAR,
	MSR_IA32_TSC, MSR_IA32_CR_PAT, MSR_IA32_DEBUGCTLMSR,
	MSR_IA32_TSC_ADJUST, MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_PERF_CAPABILITIES,
	MSR_IA32_MISC_ENABLE, MSR_IA32_MCG_STATUS, MSR_IA32_MCG_CTL, MSR_SMI_COUNT,
	MSR_IA32_UCODE_REV, MSR_K7_HWCR, MSR_AMD64_DE_CFG,
};

/* MSRs that tell features, as CPUID does. */
static const u32 feature_msrs[] = {
	MSR_AMD64_DE_CFG, MSR_IA32_UCODE_REV, MSR_IA32_ARCH_CAPABILITIES,
	MSR_IA32_PERF_CAPABILITIES,
};

/* All but the microcode's revision are settled by the first run, as CPUID is. */
static bool immutable(u32 index)
{
	unsigned int i;

	if (index == MSR_IA32_UCODE_REV)
		return false;
	for (i = 0; i < ARRAY_SIZE(feature_msrs); i++)
		if (feature_msrs[i] == index)
			return true;
	return false;
}

static long put_list(struct kvm_msr_list __user *arg, const u32 *msrs, unsigned int nr)
{
	struct kvm_msr_list list;
	u32 room;

	if (copy_from_user(&list, arg, sizeof(list)))
		return -EFAULT;
	room = list.nmsrs;
	list.nmsrs = nr;
	/* How many there are is told in either case. */
	if (copy_to_user(arg, &list, sizeof(list)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	return copy_to_user(arg->indices, msrs, nr * sizeof(*msrs)) ? -EFAULT : 0;
}

static long put_index_list(struct kvm_msr_list __user *arg)
{
	u32 msrs[ARRAY_SIZE(saved_msrs) + 2];
	unsigned int nr = ARRAY_SIZE(saved_msrs);

	memcpy(msrs, saved_msrs, sizeof(saved_msrs));
	if (xvm_cpuid_has(&xvm_cpuid_offered, X86_FEATURE_RDTSCP) ||
	    xvm_cpuid_has(&xvm_cpuid_offered, X86_FEATURE_RDPID))
		msrs[nr++] = MSR_TSC_AUX;
	if (xvm_cpuid_has(&xvm_cpuid_offered, X86_FEATURE_SPEC_CTRL) ||
	    xvm_cpuid_has(&xvm_cpuid_offered, X86_FEATURE_AMD_IBRS))
		msrs[nr++] = MSR_IA32_SPEC_CTRL;
	return put_list(arg, msrs, nr);
}

static int get_one(struct xvm_vcpu *vcpu, struct kvm_msr_entry *e)
{
	if (!vcpu)
		return xvm_get_feature_msr(e->index, &e->data);
	return xvm_get_msr(vcpu, e->index, &e->data, true);
}

static int set_one(struct xvm_vcpu *vcpu, struct kvm_msr_entry *e)
{
	u64 old;

	if (vcpu->arch.last_ran && immutable(e->index) &&
	    (xvm_get_msr(vcpu, e->index, &old, true) || old != e->data))
		return 1;
	return xvm_set_msr(vcpu, e->index, e->data, true);
}

/* Returns how many were done before the first that can't be. */
static long access_msrs(struct xvm_vcpu *vcpu, struct kvm_msrs __user *arg, bool write)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_MSRS)
		return -E2BIG;
	size = head.nmsrs * sizeof(*entries);
	entries = memdup_user(arg->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (i = 0; i < head.nmsrs; i++)
		if (write ? set_one(vcpu, &entries[i]) : get_one(vcpu, &entries[i]))
			break;
	if (!write && copy_to_user(arg->entries, entries, size))
		i = -EFAULT;
	kfree(entries);
	return i;
}

long xvm_msr_dev_ioctl(unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case KVM_GET_MSR_INDEX_LIST:
		return put_index_list(arg);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return put_list(arg, feature_msrs, ARRAY_SIZE(feature_msrs));
	case KVM_GET_MSRS:
		return access_msrs(NULL, arg, false);
	default:
		return -EINVAL;
	}
}

long xvm_msr_vcpu_ioctl(struct xvm_vcpu *vcpu, unsigned int cmd, void __user *arg)
{
	return access_msrs(vcpu, arg, cmd == KVM_SET_MSRS);
}
