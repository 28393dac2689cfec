// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs files that show a VM from outside: its memslots, which guest frames
 * are mapped how, and what the checker says.  Each is of the moment in which it
 * is read, line by line: the VM goes on.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "internal.h"
#include "verify.h"

/*
 * slots: a line for each memslot, address space by address space.  The position
 * is the space and the frame from which to look on.
 */
#define SPACE_SHIFT	48

struct slots_view {
	struct xvm *xvm;
	int srcu_idx;
};

static struct memslot *slot_from(struct slots_view *view, loff_t *pos)
{
	struct memslots *ms = &view->xvm->memslots;
	unsigned int as_id;

	for (as_id = *pos >> SPACE_SHIFT; as_id < ms->nr_spaces; as_id++) {
		u64 gfn = *pos & (BIT_ULL(SPACE_SHIFT) - 1);
		struct memslot *slot = memslot_first_gfn(memslots_active(ms, as_id), gfn);

		if (slot)
			return slot;
		*pos = (loff_t)(as_id + 1) << SPACE_SHIFT;
	}
	return NULL;
}

static void *slots_start(struct seq_file *seq, loff_t *pos)
	__acquires(SRCU)
{
	struct slots_view *view = seq->private;

	view->srcu_idx = memslots_read_lock_shared(&view->xvm->memslots);
	return slot_from(view, pos);
}

static void *slots_next(struct seq_file *seq, void *v, loff_t *pos)
{
	const struct memslot *slot = v;

	*pos = (loff_t)slot->as_id << SPACE_SHIFT | memslot_end_gfn(slot);
	return slot_from(seq->private, pos);
}

static void slots_stop(struct seq_file *seq, void *v)
	__releases(SRCU)
{
	struct slots_view *view = seq->private;

	memslots_read_unlock_shared(&view->xvm->memslots, view->srcu_idx);
}

static int slots_show(struct seq_file *seq, void *v)
{
	const struct memslot *slot = v;

	seq_printf(seq, "%u %u 0x%llx 0x%llx 0x%lx 0x%x\n", slot->as_id, slot->id, slot->base_gfn,
		   memslot_end_gfn(slot), slot->hva, slot->flags);
	return 0;
}

static const struct seq_operations slots_seq = {
	.start = slots_start,
	.next = slots_next,
	.stop = slots_stop,
	.show = slots_show,
};

/* map: a line for each run of frames that are mapped by leaves of one level and like rights. */
#define RUN_LEAVES	4096	/* looked at with the lock held once */

struct run {
	struct xvm *xvm;
	u64 start, end;
	unsigned int level;
	bool writable;
	unsigned int leaves;
};

static enum xvm_walk_answer run_visit(struct xvm_walk *walk, u64 *pte, u64 val, u64 gfn,
				      unsigned int level, enum xvm_walk_visit why)
{
	bool writable = val & XVM_PTE_WRITE;
	struct run *run = walk->ctx;

	if (!run->leaves) {
		run->start = gfn;
		run->level = level;
		run->writable = writable;
	} else if (gfn != run->end || level != run->level || writable != run->writable) {
		return XVM_WALK_STOP;
	}
	run->end = gfn + xvm_level_pages(level);
	return ++run->leaves < RUN_LEAVES ? XVM_WALK_ON : XVM_WALK_STOP;
}

static struct run *run_from(struct run *run, u64 gfn)
{
	struct xvm *xvm = run->xvm;
	struct xvm_walk walk = {
		.visit = run_visit,
		.visits = XVM_WALK_LEAF,
		.start = gfn,
		.end = xvm->memslots.max_gfn + 1,
		.ctx = run,
	};

	run->leaves = 0;
	read_lock(&xvm->mmu.lock);
	xvm_pgtable_walk(xvm_pgt(xvm), &walk);
	read_unlock(&xvm->mmu.lock);
	return run->leaves ? run : NULL;
}

static void *map_start(struct seq_file *seq, loff_t *pos)
{
	return run_from(seq->private, *pos);
}

static void *map_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct run *run = v;

	*pos = run->end;
	return run_from(run, *pos);
}

static void map_stop(struct seq_file *seq, void *v)
{
}

static int map_show(struct seq_file *seq, void *v)
{
	static const char *const sizes[] = { "", "4K", "2M", "1G" };
	const struct run *run = v;

	seq_printf(seq, "0x%llx 0x%llx %s %s\n", run->start, run->end, sizes[run->level],
		   run->writable ? "rw" : "r");
	return 0;
}

static const struct seq_operations map_seq = {
	.start = map_start,
	.next = map_next,
	.stop = map_stop,
	.show = map_show,
};

/* Both views begin with the VM. */
static int view_open(struct inode *inode, struct file *file, const struct seq_operations *ops,
		     size_t size)
{
	struct xvm **view = __seq_open_private(file, ops, size);

	if (!view)
		return -ENOMEM;
	*view = inode->i_private;
	return xvm_observe_hold(*view, inode, file, seq_release_private);
}

static int slots_open(struct inode *inode, struct file *file)
{
	BUILD_BUG_ON(offsetof(struct slots_view, xvm));
	return view_open(inode, file, &slots_seq, sizeof(struct slots_view));
}

static int map_open(struct inode *inode, struct file *file)
{
	BUILD_BUG_ON(offsetof(struct run, xvm));
	return view_open(inode, file, &map_seq, sizeof(struct run));
}

static int view_release(struct inode *inode, struct file *file)
{
	struct xvm *xvm = inode->i_private;

	seq_release_private(inode, file);
	xvm_put(xvm);
	return 0;
}

static const struct file_operations slots_fops = {
	.owner = THIS_MODULE,
	.open = slots_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = view_release,
};

static const struct file_operations map_fops = {
	.owner = THIS_MODULE,
	.open = map_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = view_release,
};

/* verify: XVM_VERIFY for who is not of the VM's process; each read from the start checks anew. */
static int verify_show(struct seq_file *seq, void *v)
{
	struct xvm_verify result;
	int err = xvm_verify_outside(seq->private, &result);

	if (err)
		return err;
	seq_printf(seq, "slots %llu\nleaves %llu\ntable_pages %llu\nviolations %llu\n",
		   result.slots, result.leaves, result.table_pages, result.violations);
	if (result.violations)
		seq_printf(seq, "%s\n", result.message);
	return 0;
}

static int verify_open(struct inode *inode, struct file *file)
{
	return xvm_observe_single_open(inode, file, verify_show);
}

static const struct file_operations verify_fops = {
	.owner = THIS_MODULE,
	.open = verify_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = xvm_observe_single_release,
};

/* User addresses, and work for as long as the VM is large: root's alone. */
void xvm_show_create(struct xvm *xvm, struct dentry *dir)
{
	debugfs_create_file("slots", 0400, dir, xvm, &slots_fops);
	debugfs_create_file("map", 0400, dir, xvm, &map_fops);
	debugfs_create_file("verify", 0400, dir, xvm, &verify_fops);
}
