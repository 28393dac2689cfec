/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of observe/ share. */
#ifndef XVM_OBSERVE_INTERNAL_H
#define XVM_OBSERVE_INTERNAL_H

#include "../xvm.h"

struct file;
struct inode;
struct seq_file;

/* One statistic of an object, a VM or a vCPU: 64 bits somewhere in it, an atomic64_t or a u64. */
struct stat_entry {
	const char *name;
	u32 flags;		/* KVM_STATS_* */
	u32 offset;
};

/* stats.c; in the order of the lists in stats.h */
extern const struct stat_entry vm_stat_entries[XVM_NR_VM_STATS];
extern const struct stat_entry vcpu_stat_entries[XVM_NR_VCPU_STATS];

/* rmaps.c: the file mmu_rmaps_stat */
void xvm_observe_rmaps_create(struct xvm *xvm);

static inline u64 stat_value(const struct stat_entry *entry, const void *object)
{
	return READ_ONCE(*(const u64 *)(object + entry->offset));
}

/*
 * debugfs.c.  A file that is opened may be of a VM on its way out: its last
 * reference is gone, and debugfs_remove() waits for us.  So taking a reference
 * comes last: once we hold one, nothing can fail and make us the one who drops
 * the last.  release: undoes what open has done before.
 */
int xvm_observe_hold(struct xvm *xvm, struct inode *inode, struct file *file,
		     int (*release)(struct inode *inode, struct file *file));
/* Files that show() writes at once; the VM is inode->i_private, and seq->private. */
int xvm_observe_single_open(struct inode *inode, struct file *file,
			    int (*show)(struct seq_file *seq, void *unused));
int xvm_observe_single_release(struct inode *inode, struct file *file);

/* show.c: the files of a VM that are more than a number */
void xvm_show_create(struct xvm *xvm, struct dentry *dir);

#endif
