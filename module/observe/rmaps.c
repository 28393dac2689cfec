// SPDX-License-Identifier: GPL-2.0-only
/*
 * The debugfs file mmu_rmaps_stat of a VM, as KVM's: for each size of leaf, how
 * many frames of the slots are mapped by none, by one, by two or three … entries
 * of shadow tables.  Empty with nested paging.
 */
#include <linux/debugfs.h>
#include <linux/log2.h>
#include <linux/seq_file.h>

#include "../mmu/shadow/shadow.h"
#include "internal.h"

/* The last column is of lists from 512 on. */
#define COLUMNS	11

struct histogram {
	u64 frames[XVM_RMAP_LEVELS][COLUMNS];
};

static u64 frames_of(const struct memslot *slot, unsigned int level)
{
	unsigned int shift = XVM_PGT_BITS * (level - 1);

	return ((memslot_end_gfn(slot) - 1) >> shift) - (slot->base_gfn >> shift) + 1;
}

/* All frames are mapped by none, as long as the rmaps don't say otherwise. */
static void count_frames(struct xvm *xvm, struct histogram *h)
{
	struct memslot_set *set = memslots_active(&xvm->memslots, 0);
	struct memslot *slot;
	unsigned int level;

	for (slot = memslot_first_gfn(set, 0); slot; slot = memslot_next_gfn(set, slot))
		for (level = 1; level <= XVM_RMAP_LEVELS; level++)
			h->frames[level - 1][0] += frames_of(slot, level);
}

static void count_lists(struct xvm *xvm, struct histogram *h)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	unsigned int level;

	for (level = 1; level <= XVM_RMAP_LEVELS; level++) {
		u64 *frames = h->frames[level - 1], gfn = 0;
		struct xvm_rmap *list;

		for (; (list = xvm_rmaps_next(rmaps, level, &gfn, XVM_GFN_END));
		     gfn += xvm_level_pages(level)) {
			unsigned int length = xvm_rmap_length(list);

			frames[min(ilog2(length) + 1, COLUMNS - 1)]++;
			frames[0]--;
		}
	}
}

static void print(struct seq_file *m, const struct histogram *h)
{
	static const char *const names[] = { "4K", "2M", "1G" };
	unsigned int level, i;

	seq_puts(m, "Rmap_Count:\t0\t1\t");
	for (i = 2; i < COLUMNS; i++)
		seq_printf(m, "%lu-%lu\t", BIT(i - 1), BIT(i) - 1);
	seq_putc(m, '\n');
	for (level = 0; level < XVM_RMAP_LEVELS; level++) {
		seq_printf(m, "Level=%s:\t", names[level]);
		for (i = 0; i < COLUMNS; i++)
			seq_printf(m, "%llu\t", h->frames[level][i]);
		seq_putc(m, '\n');
	}
}

static int rmaps_show(struct seq_file *m, void *unused)
{
	struct xvm *xvm = m->private;
	struct histogram h = {};
	int idx;

	if (!xvm->mmu.shadow)
		return 0;
	/*
	 * A slot's zap is over before the map without it is published, and under the
	 * lock nothing is mapped by a map that comes later: lists have slots.
	 */
	idx = memslots_read_lock_shared(&xvm->memslots);
	read_lock(&xvm->mmu.lock);
	count_frames(xvm, &h);
	count_lists(xvm, &h);
	read_unlock(&xvm->mmu.lock);
	memslots_read_unlock_shared(&xvm->memslots, idx);
	print(m, &h);
	return 0;
}

static int rmaps_open(struct inode *inode, struct file *file)
{
	return xvm_observe_single_open(inode, file, rmaps_show);
}

static const struct file_operations rmaps_fops = {
	.owner = THIS_MODULE,
	.open = rmaps_open,
	.release = xvm_observe_single_release,
	.read = seq_read,
	.llseek = seq_lseek,
};

void xvm_observe_rmaps_create(struct xvm *xvm)
{
	debugfs_create_file("mmu_rmaps_stat", 0444, xvm->observe.dir, xvm, &rmaps_fops);
}
