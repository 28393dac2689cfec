// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: /dev/xvm and its system ioctls.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "mmu/rmap.h"
#include "xvm.h"

static long xvm_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return xvm_create_vm(arg);
	case KVM_CHECK_EXTENSION:
		return xvm_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : XVM_VCPU_MMAP_SIZE;
	default:
		return xvm_arch_dev_ioctl(cmd, arg);
	}
}

static const struct file_operations xvm_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = xvm_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice xvm_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "xvm",
	.fops = &xvm_dev_fops,
	.mode = 0660,
};

static int __init xvm_module_init(void)
{
	int err;

	err = memslot_cache_create();
	if (err)
		return err;
	err = xvm_rmap_cache_create();
	if (err)
		goto out_slots;
	err = xvm_tlb_init();
	if (err)
		goto out_rmap;
	err = xvm_observe_init();
	if (err)
		goto out_tlb;
	err = xvm_arch_init();
	if (err)
		goto out_observe;
	err = xvm_shadow_init();
	if (err)
		goto out_arch;
	err = misc_register(&xvm_dev);
	if (err)
		goto out_shadow;
	return 0;

out_shadow:
	xvm_shadow_exit();
out_arch:
	xvm_arch_exit();
out_observe:
	xvm_observe_exit();
out_tlb:
	xvm_tlb_exit();
out_rmap:
	xvm_rmap_cache_destroy();
out_slots:
	memslot_cache_destroy();
	return err;
}

static void __exit xvm_module_exit(void)
{
	misc_deregister(&xvm_dev);
	xvm_shadow_exit();
	xvm_arch_exit();
	xvm_observe_exit();
	xvm_tlb_exit();
	xvm_rmap_cache_destroy();
	memslot_cache_destroy();
}

module_init(xvm_module_init);
module_exit(xvm_module_exit);

MODULE_DESCRIPTION("A KVM-like device for studying how a hypervisor manages guest memory");
MODULE_AUTHOR("The xvm authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(XVM_VERSION);
