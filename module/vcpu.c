// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU: its lifetime, its descriptor, the page it shares with user space,
 * and the frame of KVM_RUN.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../uapi/xvm.h"
#include "xvm.h"

static vm_fault_t vcpu_mmap_fault(struct vm_fault *vmf)
{
	struct xvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff == 0)
		page = virt_to_page(vcpu->run);
	else if (vmf->pgoff == KVM_PIO_PAGE_OFFSET)
		page = virt_to_page(vcpu->pio_data);
	else
		page = xvm_dirty_ring_page(vcpu, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;
	vmf->page = page;
	get_page(page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_mmap_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct xvm_vcpu *vcpu = file->private_data;
	unsigned long last = vma->vm_pgoff + vma_pages(vma) - 1;

	/* A copy of a ring would be of no use. */
	if ((xvm_dirty_ring_has_page(vcpu, vma->vm_pgoff) ||
	     xvm_dirty_ring_has_page(vcpu, last)) &&
	    (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct xvm_vcpu *vcpu = file->private_data;

	/* The vCPU itself lives as long as its VM. */
	xvm_put(vcpu->xvm);
	return 0;
}

static long vcpu_set_sigmask(struct xvm_vcpu *vcpu, struct kvm_signal_mask __user *arg)
{
	struct kvm_signal_mask mask;
	sigset_t set;

	if (!arg) {
		vcpu->sigmask_active = false;
		return 0;
	}
	if (copy_from_user(&mask, arg, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, arg->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigmask = set;
	vcpu->sigmask_active = true;
	return 0;
}

/*
 * KVM_RUN under the mask that user space chose for it.  A signal that it
 * blocks otherwise must not be acted upon meanwhile, only end the run:
 * real_blocked tells the sender so.
 */
static long vcpu_run(struct xvm_vcpu *vcpu)
{
	int ret;

	if (vcpu->sigmask_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigmask, &current->real_blocked);
	ret = xvm_arch_vcpu_run(vcpu);
	if (vcpu->sigmask_active) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	/* Other work than a signal is due: have it done, then come back, unless a handler ran. */
	if (ret == -ERESTARTNOHAND)
		set_tsk_thread_flag(current, TIF_SIGPENDING);
	return ret;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct xvm_vcpu *vcpu = file->private_data;
	long ret;

	if (vcpu->xvm->mm != current->mm)
		return -EIO;
	if (_IOC_TYPE(cmd) != KVMIO)
		return -EINVAL;
	/* Its locking is its own: the vCPU may be running for long. */
	if (cmd == KVM_GET_STATS_FD)
		return xvm_vcpu_stats_fd(vcpu);

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	switch (cmd) {
	case KVM_RUN:
		ret = arg ? -EINVAL : vcpu_run(vcpu);
		break;
	case KVM_SET_SIGNAL_MASK:
		ret = vcpu_set_sigmask(vcpu, (void __user *)arg);
		break;
	case KVM_PRE_FAULT_MEMORY:
		ret = xvm_pre_fault_memory(vcpu, (void __user *)arg);
		break;
	default:
		ret = xvm_arch_vcpu_ioctl(vcpu, cmd, arg);
		break;
	}
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

static void vcpu_free(struct xvm_vcpu *vcpu)
{
	memslots_del_reader(&vcpu->xvm->memslots, &vcpu->slots_reader);
	xvm_mmu_cache_free(&vcpu->mmu_cache);
	xvm_dirty_ring_free(vcpu);
	xvm_shadow_vcpu_destroy(vcpu);
	free_page((unsigned long)vcpu->pio_data);
	free_page((unsigned long)vcpu->run);
	kfree(vcpu);
}

void xvm_destroy_vcpus(struct xvm *xvm)
{
	struct xvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&xvm->vcpus, i, vcpu) {
		xvm_arch_vcpu_destroy(vcpu);
		vcpu_free(vcpu);
	}
	xa_destroy(&xvm->vcpus);
}

static struct xvm_vcpu *vcpu_alloc(struct xvm *xvm, unsigned int id)
{
	struct xvm_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	vcpu->xvm = xvm;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->mmu_cache.xvm = xvm;
	mutex_init(&vcpu->mutex);
	init_waitqueue_head(&vcpu->wait);
	memslots_add_reader(&xvm->memslots, &vcpu->slots_reader);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run || !vcpu->pio_data || xvm_dirty_ring_alloc(vcpu) ||
	    (!xvm_npt && xvm_shadow_vcpu_create(vcpu))) {
		vcpu_free(vcpu);
		return NULL;
	}
	return vcpu;
}

static bool id_taken(struct xvm *xvm, unsigned int id)
{
	struct xvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&xvm->vcpus, i, vcpu)
		if (vcpu->id == id)
			return true;
	return false;
}

static struct xvm_vcpu *vcpu_create(struct xvm *xvm, unsigned int id)
{
	struct xvm_vcpu *vcpu;
	int err;

	if (xvm->nr_vcpus >= XVM_MAX_VCPUS)
		return ERR_PTR(-EINVAL);
	err = xvm_arch_vcpu_precreate(xvm, id);
	if (err)
		return ERR_PTR(err);
	if (id_taken(xvm, id))
		return ERR_PTR(-EEXIST);

	vcpu = vcpu_alloc(xvm, id);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	err = xvm_arch_vcpu_create(vcpu);
	if (err) {
		vcpu_free(vcpu);
		return ERR_PTR(err);
	}
	return vcpu;
}

int xvm_create_vcpu(struct xvm *xvm, unsigned long id)
{
	struct xvm_vcpu *vcpu;
	struct file *file;
	char name[32];
	int fd, err;

	if (id >= XVM_MAX_VCPU_IDS)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	mutex_lock(&xvm->lock);
	vcpu = vcpu_create(xvm, id);
	if (IS_ERR(vcpu)) {
		err = PTR_ERR(vcpu);
		goto unlock;
	}
	vcpu->index = xvm->nr_vcpus;
	/* So that storing it can't fail once the file exists. */
	err = xa_reserve(&xvm->vcpus, vcpu->index, GFP_KERNEL_ACCOUNT);
	if (err)
		goto destroy;
	snprintf(name, sizeof(name), "xvm-vcpu:%u", vcpu->id);
	file = anon_inode_getfile(name, &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto release;
	}
	xvm_get(xvm);
	xa_store(&xvm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	/* Pairs with xvm_for_each_vcpu(). */
	smp_store_release(&xvm->nr_vcpus, xvm->nr_vcpus + 1);
	mutex_unlock(&xvm->lock);
	fd_install(fd, file);
	return fd;

release:
	xa_release(&xvm->vcpus, vcpu->index);
destroy:
	xvm_arch_vcpu_destroy(vcpu);
	vcpu_free(vcpu);
unlock:
	mutex_unlock(&xvm->lock);
	put_unused_fd(fd);
	return err;
}
