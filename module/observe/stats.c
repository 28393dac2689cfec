// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's binary statistics: a descriptor that reads as a header, an identifier,
 * a description of each statistic, and the values.  All but the values is
 * made when the descriptor is.
 */
#include <linux/anon_inodes.h>
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

static_assert(sizeof(atomic64_t) == sizeof(u64));

#define ENTRY(label, type, unit, object, field)					\
	{									\
		.name = label,							\
		.flags = KVM_STATS_TYPE_##type | KVM_STATS_UNIT_##unit |	\
			 KVM_STATS_BASE_POW10,					\
		.offset = offsetof(object, field),				\
	},

const struct stat_entry vm_stat_entries[XVM_NR_VM_STATS] = {
#define X(name, type, unit) ENTRY(#name, type, unit, struct xvm, stat.name)
	XVM_VM_STATS(X)
#undef X
#define X(name, type, unit) \
	ENTRY("memslot_" #name, type, unit, struct xvm, memslots.stats.name)
	XVM_MEMSLOT_STATS(X)
#undef X
};

const struct stat_entry vcpu_stat_entries[XVM_NR_VCPU_STATS] = {
#define X(name, type, unit) ENTRY(#name, type, unit, struct xvm_vcpu, stat.name)
	XVM_VCPU_STATS(X)
#undef X
};

/* The lengths of names and identifiers, as in KVM. */
#define NAME_SIZE	48
#define DESC_SIZE	(offsetof(struct kvm_stats_desc, name) + NAME_SIZE)

#define MAX_STATS	64
static_assert(XVM_NR_VM_STATS <= MAX_STATS && XVM_NR_VCPU_STATS <= MAX_STATS);

struct stats_file {
	struct xvm *xvm;		/* a reference; vCPUs live as long as it */
	const void *object;
	const struct stat_entry *entries;
	unsigned int nr;
	size_t head_size;
	char head[];			/* what comes before the values */
};

/* Copy what [*pos, *pos + *size) has of a block that starts at start; move on. */
static int copy_block(char __user **to, size_t *size, loff_t *pos, loff_t start,
		      const void *block, size_t block_size)
{
	size_t skip = *pos - start;
	size_t len;

	if (skip >= block_size)
		return 0;
	len = min(*size, block_size - skip);
	if (copy_to_user(*to, block + skip, len))
		return -EFAULT;
	*to += len;
	*size -= len;
	*pos += len;
	return 0;
}

static ssize_t stats_read(struct file *file, char __user *to, size_t size, loff_t *ppos)
{
	const struct stats_file *stats = file->private_data;
	u64 values[MAX_STATS];
	loff_t pos = *ppos;
	unsigned int i;
	ssize_t done;

	for (i = 0; i < stats->nr; i++)
		values[i] = stat_value(&stats->entries[i], stats->object);

	if (copy_block(&to, &size, &pos, 0, stats->head, stats->head_size) ||
	    copy_block(&to, &size, &pos, stats->head_size, values, stats->nr * sizeof(u64)))
		return -EFAULT;
	done = pos - *ppos;
	*ppos = pos;
	return done;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *stats = file->private_data;

	xvm_put(stats->xvm);
	kfree(stats);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.release = stats_release,
	.llseek = noop_llseek,
};

static void fill_head(struct stats_file *stats, const char *id)
{
	struct kvm_stats_header *header = (void *)stats->head;
	unsigned int i;

	header->name_size = NAME_SIZE;
	header->num_desc = stats->nr;
	header->id_offset = sizeof(*header);
	header->desc_offset = header->id_offset + NAME_SIZE;
	header->data_offset = stats->head_size;
	strscpy(stats->head + header->id_offset, id, NAME_SIZE);

	for (i = 0; i < stats->nr; i++) {
		struct kvm_stats_desc *desc =
			(void *)(stats->head + header->desc_offset + i * DESC_SIZE);

		desc->flags = stats->entries[i].flags;
		desc->size = 1;
		desc->offset = i * sizeof(u64);
		strscpy((char *)desc + offsetof(struct kvm_stats_desc, name),
			stats->entries[i].name, NAME_SIZE);
	}
}

static int stats_fd(struct xvm *xvm, const void *object, const struct stat_entry *entries,
		    unsigned int nr, const char *id)
{
	size_t head_size = sizeof(struct kvm_stats_header) + NAME_SIZE + nr * DESC_SIZE;
	struct stats_file *stats;
	struct file *file;
	int fd;

	stats = kzalloc(struct_size(stats, head, head_size), GFP_KERNEL_ACCOUNT);
	if (!stats)
		return -ENOMEM;
	stats->object = object;
	stats->entries = entries;
	stats->nr = nr;
	stats->head_size = head_size;
	fill_head(stats, id);

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto out_free;
	file = anon_inode_getfile("xvm-stats", &stats_fops, stats, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto out_free;
	}
	file->f_mode |= FMODE_PREAD;
	stats->xvm = xvm_get(xvm);
	fd_install(fd, file);
	return fd;

out_free:
	kfree(stats);
	return fd;
}

/* Identifiers are KVM's too: programs take the file for one of statistics by how they begin. */
int xvm_vm_stats_fd(struct xvm *xvm)
{
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d", xvm->observe.pid);
	return stats_fd(xvm, xvm, vm_stat_entries, ARRAY_SIZE(vm_stat_entries), id);
}

int xvm_vcpu_stats_fd(struct xvm_vcpu *vcpu)
{
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", vcpu->xvm->observe.pid, vcpu->id);
	return stats_fd(vcpu->xvm, vcpu, vcpu_stat_entries, ARRAY_SIZE(vcpu_stat_entries), id);
}
