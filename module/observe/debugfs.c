// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/xvm/PID-FD/: a file for each statistic of a VM, for the sum
 * of each over its vCPUs, and those of show.c.  A VM goes without if they can't
 * be made.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "internal.h"

static struct dentry *debugfs_root;
/* Between looking whether a name is taken and taking it. */
static DEFINE_MUTEX(name_lock);

static int vm_stat_get(void *data, u64 *value)
{
	const struct xvm_stat_file *stat = data;

	*value = stat_value(&vm_stat_entries[stat->index], stat->xvm);
	return 0;
}

static int vcpu_stat_get(void *data, u64 *value)
{
	const struct xvm_stat_file *stat = data;
	struct xvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	xvm_for_each_vcpu(i, vcpu, stat->xvm)
		sum += stat_value(&vcpu_stat_entries[stat->index], vcpu);
	*value = sum;
	return 0;
}

int xvm_observe_hold(struct xvm *xvm, struct inode *inode, struct file *file,
		     int (*release)(struct inode *inode, struct file *file))
{
	if (refcount_inc_not_zero(&xvm->refs))
		return 0;
	release(inode, file);
	return -ENOENT;
}

int xvm_observe_single_open(struct inode *inode, struct file *file,
			    int (*show)(struct seq_file *seq, void *unused))
{
	int err = single_open(file, show, inode->i_private);

	return err ?: xvm_observe_hold(inode->i_private, inode, file, single_release);
}

int xvm_observe_single_release(struct inode *inode, struct file *file)
{
	struct xvm *xvm = inode->i_private;

	single_release(inode, file);
	xvm_put(xvm);
	return 0;
}

static int stat_open(struct inode *inode, struct file *file,
		     int (*get)(void *data, u64 *value))
{
	struct xvm_stat_file *stat = inode->i_private;
	int err = simple_attr_open(inode, file, get, NULL, "%llu\n");

	return err ?: xvm_observe_hold(stat->xvm, inode, file, simple_attr_release);
}

static int vm_stat_open(struct inode *inode, struct file *file)
{
	return stat_open(inode, file, vm_stat_get);
}

static int vcpu_stat_open(struct inode *inode, struct file *file)
{
	return stat_open(inode, file, vcpu_stat_get);
}

static int stat_release(struct inode *inode, struct file *file)
{
	struct xvm_stat_file *stat = inode->i_private;

	simple_attr_release(inode, file);
	xvm_put(stat->xvm);
	return 0;
}

static const struct file_operations vm_stat_fops = {
	.owner = THIS_MODULE,
	.open = vm_stat_open,
	.release = stat_release,
	.read = simple_attr_read,
	.llseek = default_llseek,
};

static const struct file_operations vcpu_stat_fops = {
	.owner = THIS_MODULE,
	.open = vcpu_stat_open,
	.release = stat_release,
	.read = simple_attr_read,
	.llseek = default_llseek,
};

static void create_files(struct xvm *xvm, struct xvm_stat_file *files,
			 const struct stat_entry *entries, unsigned int nr,
			 const struct file_operations *fops)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		files[i].xvm = xvm;
		files[i].index = i;
		debugfs_create_file(entries[i].name, 0444, xvm->observe.dir, &files[i], fops);
	}
}

void xvm_observe_vm_create(struct xvm *xvm, int fd)
{
	struct xvm_observe *observe = &xvm->observe;
	struct dentry *taken;
	char name[32];

	observe->pid = task_pid_nr(current);
	snprintf(name, sizeof(name), "%d-%d", observe->pid, fd);

	mutex_lock(&name_lock);
	/* A VM can outlive its descriptor, whose number then goes to another. */
	taken = debugfs_lookup(name, debugfs_root);
	if (!taken)
		observe->dir = debugfs_create_dir(name, debugfs_root);
	else if (!IS_ERR(taken))
		dput(taken);
	mutex_unlock(&name_lock);
	if (IS_ERR_OR_NULL(observe->dir))
		return;

	create_files(xvm, observe->vm_files, vm_stat_entries, XVM_NR_VM_STATS, &vm_stat_fops);
	create_files(xvm, observe->vcpu_files, vcpu_stat_entries, XVM_NR_VCPU_STATS,
		     &vcpu_stat_fops);
	xvm_show_create(xvm, observe->dir);
	xvm_observe_rmaps_create(xvm);
}

void xvm_observe_vm_destroy(struct xvm *xvm)
{
	debugfs_remove(xvm->observe.dir);
}

int xvm_observe_init(void)
{
	debugfs_root = debugfs_create_dir("xvm", NULL);
	return 0;
}

void xvm_observe_exit(void)
{
	debugfs_remove(debugfs_root);
}
