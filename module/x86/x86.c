// SPDX-License-Identifier: GPL-2.0-only
/*
 * x86's share of the ioctls: which there are, and moving their arguments.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../../uapi/xvm.h"
#include "x86.h"

/* The fewest that KVM_SET_NR_MMU_PAGES takes: what KVM needs to make progress. */
#define MIN_MMU_PAGES	64

const struct xvm_vendor_ops *xvm_vendor;

int xvm_arch_init(void)
{
	int err = xvm_svm_setup();

	if (err)
		return err;
	xvm_vendor = &xvm_svm_ops;
	xvm_cpuid_init();
	err = xvm_fpu_init();
	if (err)
		xvm_svm_teardown();
	else
		preempt_notifier_inc();
	return err;
}

void xvm_arch_exit(void)
{
	preempt_notifier_dec();
	xvm_fpu_exit();
	xvm_svm_teardown();
}

u64 xvm_arch_max_gfn(void)
{
	/* Four levels of nested tables reach 48 bits, whatever the CPU could address. */
	unsigned int bits = min_t(unsigned int, boot_cpu_data.x86_phys_bits,
				  pgtable_l5_enabled() ? 52 : 48);

	return (1ULL << (bits - PAGE_SHIFT)) - 1;
}

/* What of KVM's quirks can be disabled: one that xvm never had. */
#define ABSENT_QUIRKS	KVM_X86_QUIRK_SLOT_ZAP_ALL

long xvm_arch_check_extension(struct xvm *xvm, long ext)
{
	switch (ext) {
	case KVM_CAP_HLT:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_EXT_EMUL_CPUID:
	case KVM_CAP_SET_TSS_ADDR:
	case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_XSAVE:
	case KVM_CAP_XCRS:
	case KVM_CAP_SREGS2:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_SET_BOOT_CPU_ID:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_EXCEPTION_PAYLOAD:
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
	case KVM_CAP_MMU_SHADOW_CACHE_CONTROL:
		return 1;
	case KVM_CAP_DISABLE_QUIRKS2:
		return ABSENT_QUIRKS;
	case KVM_CAP_XSAVE2:
		return xvm_fpu_xsave_size();
	default:
		return -ENOENT;
	}
}

long xvm_arch_dev_ioctl(unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KVM_GET_SUPPORTED_CPUID:
	case KVM_GET_EMULATED_CPUID:
		return xvm_cpuid_dev_ioctl(cmd, (void __user *)arg);
	case KVM_GET_MSR_INDEX_LIST:
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
	case KVM_GET_MSRS:
		return xvm_msr_dev_ioctl(cmd, (void __user *)arg);
	default:
		return -EINVAL;
	}
}

int xvm_arch_vm_init(struct xvm *xvm, unsigned long type)
{
	/* Plain VMs alone: no protected ones. */
	if (type)
		return -EINVAL;
	xvm->arch.default_tsc_khz = tsc_khz;
	return 0;
}

void xvm_arch_vm_destroy(struct xvm *xvm)
{
}

int xvm_arch_vm_enable_cap(struct xvm *xvm, struct kvm_enable_cap *cap)
{
	struct xvm_arch *arch = &xvm->arch;
	int ret = 0;

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_EXCEPTION_PAYLOAD:
		arch->exception_payload = cap->args[0];
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		arch->triple_fault_event = cap->args[0];
		return 0;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap->args[0] & ~1ULL)
			return -EINVAL;
		arch->exit_on_emulation_error = cap->args[0];
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		return cap->args[0] & ~(u64)ABSENT_QUIRKS ? -EINVAL : 0;
	case KVM_CAP_MAX_VCPU_ID:
		if (cap->args[0] > XVM_MAX_VCPU_IDS)
			return -EINVAL;
		mutex_lock(&xvm->lock);
		if (arch->bsp_id > cap->args[0])
			ret = -EINVAL;
		else if (arch->max_vcpu_id == cap->args[0])
			ret = 0;
		else if (!arch->max_vcpu_id)
			arch->max_vcpu_id = cap->args[0];
		else
			ret = -EINVAL;
		mutex_unlock(&xvm->lock);
		return ret;
	default:
		return -EINVAL;
	}
}

/* What depends on there being no vCPU yet. */
static int create_irqchip(struct xvm *xvm)
{
	int ret = 0;

	mutex_lock(&xvm->lock);
	if (xvm->arch.irqchip)
		ret = -EEXIST;
	else if (xvm->nr_vcpus)
		ret = -EINVAL;
	else
		xvm->arch.irqchip = true;
	mutex_unlock(&xvm->lock);
	return ret;
}

/* With nested paging nothing has to be put there: checked as KVM does, and forgotten. */
static int set_identity_map_addr(struct xvm *xvm, u64 __user *arg)
{
	int ret = 0;
	u64 addr;

	if (copy_from_user(&addr, arg, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&xvm->lock);
	if (xvm->nr_vcpus)
		ret = -EINVAL;
	mutex_unlock(&xvm->lock);
	return ret;
}

static int set_boot_cpu_id(struct xvm *xvm, unsigned long id)
{
	int ret = 0;

	mutex_lock(&xvm->lock);
	if (xvm->nr_vcpus)
		ret = -EBUSY;
	else if (id >= XVM_MAX_VCPU_IDS || (xvm->arch.max_vcpu_id && id >= xvm->arch.max_vcpu_id))
		ret = -EINVAL;
	else
		xvm->arch.bsp_id = id;
	mutex_unlock(&xvm->lock);
	return ret;
}

long xvm_arch_vm_ioctl(struct xvm *xvm, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KVM_SET_TSS_ADDR:
		/* Real-mode guests need no task state here; KVM reserves three pages from it. */
		return arg > (u32)(-3 * PAGE_SIZE) ? -EINVAL : 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
		return set_identity_map_addr(xvm, (void __user *)arg);
	case KVM_SET_NR_MMU_PAGES:
		if (arg < MIN_MMU_PAGES)
			return -EINVAL;
		WRITE_ONCE(xvm->arch.nr_mmu_pages, arg);
		if (!xvm_npt)
			xvm_shadow_limit(xvm);
		return 0;
	case KVM_GET_NR_MMU_PAGES:
		return READ_ONCE(xvm->arch.nr_mmu_pages);
	case KVM_CREATE_IRQCHIP:
		return create_irqchip(xvm);
	case KVM_SET_BOOT_CPU_ID:
		return set_boot_cpu_id(xvm, arg);
	case KVM_SET_TSC_KHZ:
		return xvm_set_default_tsc_khz(xvm, arg);
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(xvm->arch.default_tsc_khz);
	default:
		return -ENOTTY;
	}
}

int xvm_arch_vcpu_precreate(struct xvm *xvm, unsigned long id)
{
	u32 max = xvm->arch.max_vcpu_id;

	return max && id >= max ? -EINVAL : 0;
}

int xvm_arch_vcpu_create(struct xvm_vcpu *vcpu)
{
	int err;

	err = xvm_fpu_create(vcpu);
	if (err)
		return err;
	err = xvm_vendor->vcpu_create(vcpu);
	if (err)
		goto out_fpu;
	if (vcpu->xvm->arch.irqchip) {
		err = xvm_lapic_create(vcpu);
		if (err)
			goto out_vendor;
	}
	vcpu->arch.tsc_khz = vcpu->xvm->arch.default_tsc_khz;
	vcpu->arch.mp_state = !vcpu->xvm->arch.irqchip || vcpu->id == vcpu->xvm->arch.bsp_id ?
			      KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	xvm_vcpu_reset(vcpu, false);
	return 0;

out_vendor:
	xvm_vendor->vcpu_destroy(vcpu);
out_fpu:
	xvm_fpu_destroy(vcpu);
	return err;
}

void xvm_arch_vcpu_destroy(struct xvm_vcpu *vcpu)
{
	kvfree(vcpu->arch.cpuid);
	xvm_emulator_free(vcpu);
	if (vcpu->arch.lapic)
		xvm_lapic_destroy(vcpu);
	xvm_vendor->vcpu_destroy(vcpu);
	xvm_fpu_destroy(vcpu);
}

/* A structure out to user space, made by get; and one in from it, checked and taken by set. */
#define OUT(type, get)							\
({									\
	type *val = kzalloc(sizeof(*val), GFP_KERNEL_ACCOUNT);		\
	long ret = -ENOMEM;						\
									\
	if (val) {							\
		ret = get;						\
		if (!ret && copy_to_user(arg, val, sizeof(*val)))	\
			ret = -EFAULT;					\
		kfree(val);						\
	}								\
	ret;								\
})

#define IN(type, set)							\
({									\
	type *val = memdup_user(arg, sizeof(*val));			\
	long ret = PTR_ERR_OR_ZERO(val);				\
									\
	if (!ret) {							\
		ret = set;						\
		kfree(val);						\
	}								\
	ret;								\
})

static long get_xsave(struct xvm_vcpu *vcpu, void __user *arg, u32 size)
{
	void *buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	long ret = -ENOMEM;

	if (buf) {
		ret = xvm_get_xsave(vcpu, buf, size);
		if (!ret && copy_to_user(arg, buf, size))
			ret = -EFAULT;
		kvfree(buf);
	}
	return ret;
}

static long set_xsave(struct xvm_vcpu *vcpu, const void __user *arg, u32 size)
{
	void *buf = vmemdup_user(arg, size);
	long ret;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = xvm_set_xsave(vcpu, buf, size);
	kvfree(buf);
	return ret;
}

static long translate(struct xvm_vcpu *vcpu, void __user *arg)
{
	struct kvm_translation tr;
	int ret;

	if (copy_from_user(&tr, arg, sizeof(tr)))
		return -EFAULT;
	ret = xvm_ioctl_translate(vcpu, &tr);
	if (!ret && copy_to_user(arg, &tr, sizeof(tr)))
		ret = -EFAULT;
	return ret;
}

static long interrupt(struct xvm_vcpu *vcpu, void __user *arg)
{
	struct kvm_interrupt irq;

	if (copy_from_user(&irq, arg, sizeof(irq)))
		return -EFAULT;
	return xvm_queue_interrupt(vcpu, irq.irq);
}

long xvm_arch_vcpu_ioctl(struct xvm_vcpu *vcpu, unsigned int cmd, unsigned long uarg)
{
	void __user *arg = (void __user *)uarg;

	/* What an instruction that waits for user space was decoded from may change here. */
	xvm_emulator_forget(vcpu);
	switch (cmd) {
	case KVM_GET_REGS:
		return OUT(struct kvm_regs, (xvm_get_regs(vcpu, val), 0));
	case KVM_SET_REGS:
		return IN(struct kvm_regs, (xvm_set_regs(vcpu, val), 0));
	case KVM_GET_SREGS:
		return OUT(struct kvm_sregs, (xvm_get_sregs(vcpu, val), 0));
	case KVM_SET_SREGS:
		return IN(struct kvm_sregs, xvm_set_sregs(vcpu, val));
	case KVM_GET_SREGS2:
		return OUT(struct kvm_sregs2, (xvm_get_sregs2(vcpu, val), 0));
	case KVM_SET_SREGS2:
		return IN(struct kvm_sregs2, xvm_set_sregs2(vcpu, val));
	case KVM_GET_FPU:
		return OUT(struct kvm_fpu, (xvm_get_fpu(vcpu, val), 0));
	case KVM_SET_FPU:
		return IN(struct kvm_fpu, xvm_set_fpu(vcpu, val));
	case KVM_GET_DEBUGREGS:
		return OUT(struct kvm_debugregs, (xvm_get_debugregs(vcpu, val), 0));
	case KVM_SET_DEBUGREGS:
		return IN(struct kvm_debugregs, xvm_set_debugregs(vcpu, val));
	case KVM_GET_XCRS:
		return OUT(struct kvm_xcrs, xvm_get_xcrs(vcpu, val));
	case KVM_SET_XCRS:
		return IN(struct kvm_xcrs, xvm_set_xcrs(vcpu, val));
	case KVM_GET_VCPU_EVENTS:
		return OUT(struct kvm_vcpu_events, (xvm_get_vcpu_events(vcpu, val), 0));
	case KVM_SET_VCPU_EVENTS:
		return IN(struct kvm_vcpu_events, xvm_set_vcpu_events(vcpu, val));
	case KVM_GET_MP_STATE:
		return OUT(struct kvm_mp_state, xvm_get_mp_state(vcpu, val));
	case KVM_SET_MP_STATE:
		return IN(struct kvm_mp_state, xvm_set_mp_state(vcpu, val));
	case KVM_GET_LAPIC:
		if (!vcpu->arch.lapic)
			return -EINVAL;
		return OUT(struct kvm_lapic_state, xvm_lapic_get_state(vcpu, val));
	case KVM_SET_LAPIC:
		if (!vcpu->arch.lapic)
			return -EINVAL;
		return IN(struct kvm_lapic_state, xvm_lapic_set_state(vcpu, val));
	case KVM_GET_XSAVE:
		/* Its buffer is 4096 bytes: a larger state must be asked for by the other call. */
		if (xvm_fpu_xsave_size() > sizeof(struct kvm_xsave))
			return -EINVAL;
		return get_xsave(vcpu, arg, sizeof(struct kvm_xsave));
	case KVM_GET_XSAVE2:
		return get_xsave(vcpu, arg, xvm_fpu_xsave_size());
	case KVM_SET_XSAVE:
		return set_xsave(vcpu, arg, xvm_fpu_xsave_size());
	case KVM_SET_CPUID2:
		return xvm_cpuid_set(vcpu, arg);
	case KVM_GET_CPUID2:
		return xvm_cpuid_get(vcpu, arg);
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return xvm_msr_vcpu_ioctl(vcpu, cmd, arg);
	case KVM_SET_TSC_KHZ:
		return xvm_set_tsc_khz(vcpu, uarg);
	case KVM_GET_TSC_KHZ:
		return vcpu->arch.tsc_khz;
	case KVM_TRANSLATE:
		return translate(vcpu, arg);
	case KVM_INTERRUPT:
		return interrupt(vcpu, arg);
	case KVM_NMI:
		return xvm_queue_nmi(vcpu);
	default:
		return -EINVAL;
	}
}
