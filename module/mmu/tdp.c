// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two-dimensional paging of a VM: its root, where table pages come from, and
 * how zapped ones go back.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "../compat/compat.h"
#include "../observe/trace.h"
#include "../xvm.h"

bool xvm_npt __ro_after_init = true;
module_param_named(npt, xvm_npt, bool, 0444);
MODULE_PARM_DESC(npt, "Nested paging; without it guests' page tables are shadowed (1)");

/* Subtrees that may wait for the worker; beyond that the zapping thread frees them itself. */
#define ZAP_QUEUE_MAX	512

void xvm_mmu_count_leaves(struct xvm *xvm, unsigned int level, s64 nr)
{
	struct xvm_vm_stat *stat = &xvm->stat;
	atomic64_t *const by_level[] = { &stat->pages_4k, &stat->pages_2m, &stat->pages_1g };

	atomic64_add(nr, by_level[level - 1]);
}

static u64 *cache_alloc(void *ctx)
{
	struct xvm_mmu_cache *cache = ctx;

	if (!cache->nr)
		return NULL;
	atomic64_inc(&cache->xvm->stat.table_pages);
	return cache->pages[--cache->nr];
}

static void cache_unalloc(void *ctx, u64 *table)
{
	struct xvm_mmu_cache *cache = ctx;

	/* It was linked nowhere, so it is still all zero. */
	cache->pages[cache->nr++] = table;
	atomic64_dec(&cache->xvm->stat.table_pages);
}

static void count_split(void *ctx, u64 gfn, unsigned int level)
{
	u64 pages = xvm_level_pages(level), first = gfn & ~(pages - 1);
	struct xvm_mmu_cache *cache = ctx;

	xvm_mmu_count_leaves(cache->xvm, level, -1);
	xvm_mmu_count_leaves(cache->xvm, level - 1, XVM_PGT_ENTRIES);
	trace_xvm_split(first, first + pages);
}

static void zap_detach(void *ctx, u64 *table, unsigned int level)
{
	struct xvm *xvm = ctx;
	struct page *page = virt_to_page(table);

	lockdep_assert_held_write(&xvm->mmu.lock);
	set_page_private(page, level);
	list_add_tail(&page->lru, &xvm->mmu.zapped.detached);
	xvm->mmu.zapped.nr_detached++;
}

static u64 table_to_phys(u64 *table)
{
	return virt_to_phys(table);
}

static u64 *table_to_virt(u64 phys)
{
	return phys_to_virt(phys);
}

static const struct xvm_pgtable_ops tdp_pgtable_ops = {
	.alloc = cache_alloc,
	.unalloc = cache_unalloc,
	.split = count_split,
	.detach = zap_detach,
	.to_phys = table_to_phys,
	.to_virt = table_to_virt,
};

void xvm_mmu_cache_topup(struct xvm_mmu_cache *cache, unsigned int nr)
{
	while (cache->nr < nr) {
		void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		/* Fewer may do: who really needs one that is missing reports ENOMEM. */
		if (!page)
			return;
		cache->pages[cache->nr++] = page;
	}
}

void xvm_mmu_cache_free(struct xvm_mmu_cache *cache)
{
	while (cache->nr)
		free_page((unsigned long)cache->pages[--cache->nr]);
}

static void free_table(u64 *table)
{
	free_page((unsigned long)table);
	cond_resched();
}

static void count_zapped(struct xvm *xvm, const struct xvm_pgtable_count *count)
{
	unsigned int level;

	for (level = 1; level <= XVM_MAX_LEAF_LEVEL; level++)
		xvm_mmu_count_leaves(xvm, level, -(s64)count->leaves[level]);
	atomic64_sub(count->tables, &xvm->stat.table_pages);
}

static void free_subtrees(struct xvm *xvm, struct list_head *list)
{
	struct xvm_pgtable_count count = {};
	struct page *page, *next;

	list_for_each_entry_safe(page, next, list, lru) {
		unsigned int level = page_private(page);

		list_del(&page->lru);
		set_page_private(page, 0);
		xvm_pgtable_free(&xvm->mmu.pgt, page_address(page), level, free_table, &count);
	}
	count_zapped(xvm, &count);
}

static void free_zapped(struct xvm *xvm)
{
	struct xvm_zap_queue *queue = &xvm->mmu.zapped;
	LIST_HEAD(list);

	spin_lock(&queue->lock);
	list_splice_init(&queue->freeable, &list);
	queue->nr_freeable = 0;
	spin_unlock(&queue->lock);

	free_subtrees(xvm, &list);
}

static void zap_worker(struct work_struct *work)
{
	free_zapped(container_of(to_delayed_work(work), struct xvm, mmu.zapped.work));
}

void xvm_mmu_zap_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn, bool may_yield)
{
	struct xvm_pgtable_count count = {};

	lockdep_assert_held_write(&xvm->mmu.lock);
	if (xvm->mmu.shadow)
		xvm_shadow_zap_range(xvm, start_gfn, end_gfn, may_yield);
	else if (xvm_pgtable_unmap(xvm_pgt(xvm), start_gfn, end_gfn, xvm, &count))
		xvm_tlb_defer(xvm, count.start, count.end);
	count_zapped(xvm, &count);
	trace_xvm_zap(start_gfn, end_gfn);
}

void xvm_mmu_zap_flush(struct xvm *xvm)
{
	struct xvm_zap_queue *queue = &xvm->mmu.zapped;

	lockdep_assert_held_write(&xvm->mmu.lock);
	if (!xvm_tlb_flush_deferred(xvm))
		return;
	if (xvm->mmu.shadow)
		xvm_shadow_free_zapped(xvm);
	if (list_empty(&queue->detached))
		return;
	spin_lock(&queue->lock);
	list_splice_tail_init(&queue->detached, &queue->freeable);
	queue->nr_freeable += queue->nr_detached;
	queue->nr_detached = 0;
	spin_unlock(&queue->lock);
	/* At the next tick: to wake a worker now would cost an IPI, and more may follow. */
	queue_delayed_work(XVM_UNBOUND_WQ, &queue->work, 1);
}

void xvm_mmu_zap_throttle(struct xvm *xvm)
{
	if (READ_ONCE(xvm->mmu.zapped.nr_freeable) > ZAP_QUEUE_MAX)
		free_zapped(xvm);
}

u64 xvm_mmu_root(struct xvm *xvm)
{
	return virt_to_phys(xvm->mmu.pgt.root);
}

int xvm_mmu_init(struct xvm *xvm)
{
	struct xvm_mmu *mmu = &xvm->mmu;
	int err;

	rwlock_init(&mmu->lock);
	atomic64_set(&mmu->tlb_gen, 1);
	INIT_LIST_HEAD(&mmu->zapped.detached);
	INIT_LIST_HEAD(&mmu->zapped.freeable);
	spin_lock_init(&mmu->zapped.lock);
	INIT_DELAYED_WORK(&mmu->zapped.work, zap_worker);

	mmu->pgt.ops = &tdp_pgtable_ops;
	/* Nested tables have as many levels as the host's own (APM vol. 2, 15.25.3). */
	mmu->pgt.levels = pgtable_l5_enabled() ? 5 : 4;
	mmu->pgt.root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!mmu->pgt.root)
		return -ENOMEM;
	atomic64_inc(&xvm->stat.table_pages);

	err = xvm_npt ? 0 : xvm_shadow_create(xvm);
	if (err)
		goto free_root;
	err = xvm_mmu_notifier_register(xvm);
	if (err)
		goto destroy_shadow;
	if (mmu->shadow)
		xvm_shadow_show(xvm);
	return 0;

destroy_shadow:
	if (mmu->shadow)
		xvm_shadow_destroy(xvm);
free_root:
	free_page((unsigned long)mmu->pgt.root);
	return err;
}

void xvm_mmu_destroy(struct xvm *xvm)
{
	struct xvm_mmu *mmu = &xvm->mmu;
	struct xvm_pgtable_count count = {};

	if (mmu->shadow)
		xvm_shadow_destroy(xvm);
	flush_delayed_work(&mmu->zapped.work);
	/* No vCPU is left to walk these; their ASID is flushed before it is used again. */
	free_subtrees(xvm, &mmu->zapped.detached);
	xvm_pgtable_free(&mmu->pgt, mmu->pgt.root, mmu->pgt.levels, free_table, &count);
	count_zapped(xvm, &count);
	WARN_ON_ONCE(atomic64_read(&xvm->stat.table_pages) || atomic64_read(&xvm->stat.pages_4k) ||
		     atomic64_read(&xvm->stat.pages_2m) || atomic64_read(&xvm->stat.pages_1g));
}
