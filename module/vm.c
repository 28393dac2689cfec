// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM: its lifetime, its descriptor and its ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../uapi/xvm.h"
#include "observe/verify.h"
#include "xvm.h"

struct xvm *xvm_get(struct xvm *xvm)
{
	refcount_inc(&xvm->refs);
	return xvm;
}

static void xvm_destroy(struct xvm *xvm)
{
	xvm_observe_vm_destroy(xvm);
	/* First: until then host and reclaim may flush, and look at the vCPUs for it. */
	xvm_mmu_notifier_unregister(xvm);
	if (xvm->mmu.shadow)
		xvm_shadow_hide(xvm);
	xvm_destroy_vcpus(xvm);
	xvm_arch_vm_destroy(xvm);
	xvm_mmu_destroy(xvm);
	memslots_destroy(&xvm->memslots);
	mmdrop(xvm->mm);
	kvfree(xvm);
}

void xvm_put(struct xvm *xvm)
{
	if (refcount_dec_and_test(&xvm->refs))
		xvm_destroy(xvm);
}

static struct memslot_change to_change(const struct kvm_userspace_memory_region *region)
{
	return (struct memslot_change) {
		.as_id = region->slot >> 16,
		.id = region->slot & 0xffff,
		.flags = region->flags,
		.gpa = region->guest_phys_addr,
		.size = region->memory_size,
		.hva = region->userspace_addr,
	};
}

static int update_slots(struct xvm *xvm, const struct memslot_change *changes, u32 nr, u32 *failed)
{
	int ret;

	mutex_lock(&xvm->memslots.lock);
	ret = memslots_update(&xvm->memslots, changes, nr, failed);
	mutex_unlock(&xvm->memslots.lock);
	return ret;
}

static long ioctl_set_memory_region(struct xvm *xvm, unsigned int cmd, void __user *arg)
{
	struct kvm_userspace_memory_region2 region2 = {};
	struct kvm_userspace_memory_region region;
	struct memslot_change change;

	/* The second form begins as the first; the rest belongs to flags refused here. */
	BUILD_BUG_ON(offsetof(struct kvm_userspace_memory_region2, guest_memfd_offset) !=
		     sizeof(region));
	if (copy_from_user(&region2, arg, cmd == KVM_SET_USER_MEMORY_REGION ? sizeof(region) :
								    sizeof(region2)))
		return -EFAULT;
	memcpy(&region, &region2, sizeof(region));
	if (!xvm_slot_id_ok(region.slot))
		return -EINVAL;
	change = to_change(&region);
	return update_slots(xvm, &change, 1, NULL);
}

static bool batch_entry_ok(const struct xvm_memory_change *entry)
{
	const struct kvm_userspace_memory_region *r = &entry->region;

	if (entry->pad || !xvm_slot_id_ok(r->slot))
		return false;
	if (entry->op == XVM_MEMORY_SET)
		return r->memory_size;
	return entry->op == XVM_MEMORY_DELETE && !r->memory_size && !r->flags &&
	       !r->guest_phys_addr && !r->userspace_addr;
}

static long ioctl_set_memory_regions(struct xvm *xvm, struct xvm_memory_regions __user *arg)
{
	struct xvm_memory_change *from;
	struct memslot_change *changes;
	struct xvm_memory_regions batch;
	u32 failed, i;
	int ret;

	if (copy_from_user(&batch, arg, sizeof(batch)))
		return -EFAULT;
	failed = batch.nr;
	ret = -EINVAL;
	if (batch.flags || batch.pad || !batch.nr)
		goto report;
	ret = -E2BIG;
	if (batch.nr > MEMSLOT_MAX_BATCH)
		goto report;

	from = kvmalloc_array(batch.nr, sizeof(*from), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	ret = -ENOMEM;
	if (!from)
		goto report;
	changes = kvmalloc_array(batch.nr, sizeof(*changes), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!changes)
		goto free_from;
	ret = -EFAULT;
	if (copy_from_user(from, u64_to_user_ptr(batch.regions), batch.nr * sizeof(*from)))
		goto free_changes;
	ret = -EINVAL;
	for (i = 0; i < batch.nr; i++) {
		if (!batch_entry_ok(&from[i])) {
			failed = i;
			goto free_changes;
		}
		changes[i] = to_change(&from[i].region);
	}
	ret = update_slots(xvm, changes, batch.nr, &failed);
free_changes:
	kvfree(changes);
free_from:
	kvfree(from);
report:
	if (ret && put_user(failed, &arg->failed_index))
		ret = -EFAULT;
	return ret;
}

/* What KVM_CHECK_EXTENSION says of capabilities that no architecture decides. */
static long generic_check_extension(long ext)
{
	switch (ext) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_BINARY_STATS_FD:
	case KVM_CAP_MEMORY_FAULT_INFO:
	case XVM_CAP_VERIFY:
		return 1;
	case KVM_CAP_PRE_FAULT_MEMORY:
		return xvm_npt;
	case XVM_CAP_VERSION:
		return XVM_API_VERSION;
	case XVM_CAP_MEMSLOT_BATCH:
		return MEMSLOT_MAX_BATCH;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return XVM_DIRTY_RING_MAX_SIZE;
	case KVM_CAP_NR_MEMSLOTS:
		return XVM_NR_SLOTS;
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return MEMSLOT_MAX_SPACES;
	case KVM_CAP_NR_VCPUS:
		return min_t(unsigned int, num_online_cpus(), XVM_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
		return XVM_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return XVM_MAX_VCPU_IDS;
	default:
		return 0;
	}
}

long xvm_check_extension(struct xvm *xvm, long ext)
{
	long ret = xvm_arch_check_extension(xvm, ext);

	return ret == -ENOENT ? generic_check_extension(ext) : ret;
}

static long ioctl_enable_cap(struct xvm *xvm, void __user *arg)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, arg, sizeof(cap)))
		return -EFAULT;
	switch (cap.cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return xvm_dirty_set_manual(xvm, &cap);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return xvm_dirty_ring_enable(xvm, cap.args[0]);
	default:
		return xvm_arch_vm_enable_cap(xvm, &cap);
	}
}

static long xvm_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct xvm *xvm = file->private_data;

	if (xvm->mm != current->mm)
		return -EIO;

	switch (cmd) {
	case KVM_CREATE_VCPU:
		return xvm_create_vcpu(xvm, arg);
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2:
		return ioctl_set_memory_region(xvm, cmd, (void __user *)arg);
	case XVM_SET_USER_MEMORY_REGIONS:
		return ioctl_set_memory_regions(xvm, (void __user *)arg);
	case KVM_GET_DIRTY_LOG:
		return xvm_get_dirty_log(xvm, (void __user *)arg);
	case KVM_CLEAR_DIRTY_LOG:
		return xvm_clear_dirty_log(xvm, (void __user *)arg);
	case KVM_RESET_DIRTY_RINGS:
		return xvm_reset_dirty_rings(xvm);
	case XVM_VERIFY:
		return xvm_verify(xvm, (void __user *)arg);
	case KVM_CHECK_EXTENSION:
		return xvm_check_extension(xvm, arg);
	case KVM_ENABLE_CAP:
		return ioctl_enable_cap(xvm, (void __user *)arg);
	case KVM_GET_STATS_FD:
		return xvm_vm_stats_fd(xvm);
	default:
		return xvm_arch_vm_ioctl(xvm, cmd, arg);
	}
}

static int xvm_vm_release(struct inode *inode, struct file *file)
{
	xvm_put(file->private_data);
	return 0;
}

static const struct file_operations xvm_vm_fops = {
	.owner = THIS_MODULE,
	.release = xvm_vm_release,
	.unlocked_ioctl = xvm_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct xvm *xvm_alloc(unsigned long type)
{
	struct xvm *xvm = kvzalloc(sizeof(*xvm), GFP_KERNEL_ACCOUNT);
	int err;

	if (!xvm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&xvm->refs, 1);
	mutex_init(&xvm->lock);
	xa_init_flags(&xvm->vcpus, XA_FLAGS_ACCOUNT);
	mmgrab(current->mm);
	xvm->mm = current->mm;

	err = xvm_arch_vm_init(xvm, type);
	if (err)
		goto out_free;
	err = memslots_init(&xvm->memslots, &xvm_memslot_ops, MEMSLOT_MAX_SPACES,
			    xvm_arch_max_gfn());
	if (err)
		goto out_arch;
	err = xvm_mmu_init(xvm);
	if (err)
		goto out_slots;
	return xvm;

out_slots:
	memslots_destroy(&xvm->memslots);
out_arch:
	xvm_arch_vm_destroy(xvm);
out_free:
	mmdrop(xvm->mm);
	kvfree(xvm);
	return ERR_PTR(err);
}

int xvm_create_vm(unsigned long type)
{
	struct file *file;
	struct xvm *xvm;
	int fd, err;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	xvm = xvm_alloc(type);
	if (IS_ERR(xvm)) {
		err = PTR_ERR(xvm);
		goto out_fd;
	}
	file = anon_inode_getfile("xvm-vm", &xvm_vm_fops, xvm, O_RDWR);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto out_vm;
	}
	xvm_observe_vm_create(xvm, fd);
	/* From here on user space may close it. */
	fd_install(fd, file);
	return fd;

out_vm:
	xvm_put(xvm);
out_fd:
	put_unused_fd(fd);
	return err;
}
