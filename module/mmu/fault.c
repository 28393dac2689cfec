// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest touched a physical address that its tables don't map (or not for
 * this access): find slot and host page, install the leaf.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../observe/trace.h"
#include "../xvm.h"

/* Where a fault stands: filled in by find_slot, then by the host's mapping. */
struct fault {
	u64 gfn;
	bool write;
	unsigned long hva;
	bool slot_writable;
	bool logged;		/* the slot has a dirty log */
	bool protects;		/* by faults: leaves are writable for a write alone */
	unsigned int max_level;	/* of a leaf there, as far as the slot goes */
	unsigned long seq;	/* of the invalidations, before anything was looked up */
	struct xvm_around around;
	bool fresh;		/* nothing was mapped there before */
	bool unasked;		/* the guest has not touched it */
};

unsigned int xvm_slot_max_level(const struct memslot *slot, u64 gfn)
{
	u64 skew = slot->base_gfn ^ (slot->hva >> PAGE_SHIFT);
	unsigned int level;

	if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return 1;
	for (level = 1; level < XVM_MAX_LEAF_LEVEL; level++) {
		u64 pages = xvm_level_pages(level + 1);
		u64 first = gfn & ~(pages - 1);

		if (skew & (pages - 1) || first < slot->base_gfn ||
		    first + pages > memslot_end_gfn(slot))
			break;
	}
	return level;
}

/* As large as the host's mapping, where the slot lets it. */
static unsigned int choose_level(const struct fault *fault, const struct xvm_hostmap *map)
{
	struct xvm_host_entry host;

	if (fault->max_level == 1 || !map->page)
		return 1;
	xvm_hostmap_entry(fault->hva, &host);
	/* It may be about to change: the sequence tells, but not whether both are of one time. */
	if (!host.level || host.pfn != map->pfn || (map->writable && !host.writable))
		return 1;
	return min(host.level, fault->max_level);
}

static u64 make_leaf(const struct fault *fault, const struct xvm_hostmap *map, unsigned int level)
{
	u64 pfn = map->pfn & ~(xvm_level_pages(level) - 1);
	u64 pte = pfn << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_USER;

	if (!fault->unasked)
		pte |= XVM_PTE_ACCESSED;
	if (level > 1)
		pte |= XVM_PTE_HUGE;
	if (map->writable && fault->slot_writable) {
		pte |= XVM_PTE_MAY_WRITE;
		if (fault->write || !fault->protects)
			pte |= XVM_PTE_WRITE;
	}
	if (fault->write)
		pte |= XVM_PTE_DIRTY;
	return pte;
}

/* The slot may go as soon as the read section ends: only its hva is kept, and the sequence. */
static enum xvm_fault_result find_slot(struct xvm_vcpu *vcpu, struct fault *fault)
{
	struct xvm *xvm = vcpu->xvm;
	enum xvm_fault_result ret = XVM_FAULT_EMULATE;
	struct memslot *slot;

	fault->seq = READ_ONCE(xvm->mmu.invalidate_seq);
	/* Pairs with the write barrier in notifier.c: slot and page are looked up after. */
	smp_rmb();

	memslots_read_lock(&xvm->memslots, &vcpu->slots_reader);
	slot = xvm_vcpu_slot(vcpu, fault->gfn);
	if (slot) {
		fault->slot_writable = !(slot->flags & KVM_MEM_READONLY);
		fault->logged = slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
		fault->protects = fault->logged && !xvm_dirty_by_cpu(&xvm->mmu);
		fault->max_level = xvm_slot_max_level(slot, fault->gfn);
		fault->hva = memslot_gfn_to_hva(slot, fault->gfn);
		xvm_around_init(&xvm->mmu, &fault->around, slot, fault->gfn);
		fault->around.reads = !fault->write && !fault->unasked;
		if (fault->slot_writable || !fault->write)
			ret = XVM_FAULT_FIXED;
	}
	memslots_read_unlock(&xvm->memslots, &vcpu->slots_reader);
	return ret;
}

/*
 * mmu.lock is held since before the leaf was mapped: nobody protects it in between.
 * The slot has not changed since it was looked up, else the sequence had.
 */
static void mark_dirty(struct xvm_vcpu *vcpu, const struct fault *fault)
{
	struct memslots *slots = &vcpu->xvm->memslots;

	memslots_read_lock(slots, &vcpu->slots_reader);
	xvm_dirty_mark(vcpu, fault->gfn);
	memslots_read_unlock(slots, &vcpu->slots_reader);
}

static bool stale(struct xvm *xvm, const struct fault *fault, unsigned int level)
{
	u64 pages = xvm_level_pages(level);

	return xvm_mmu_retry(xvm, fault->seq, fault->gfn & ~(pages - 1),
			     fault->hva & ~((pages << PAGE_SHIFT) - 1), pages);
}

/* mmu.lock is held.  -EBUSY: a table is in the way. */
static int map_leaf(struct xvm_vcpu *vcpu, struct fault *fault, const struct xvm_hostmap *map,
		    unsigned int level)
{
	struct xvm *xvm = vcpu->xvm;
	u64 pages = xvm_level_pages(level);
	u64 gfn = fault->gfn & ~(pages - 1);
	u64 pte = make_leaf(fault, map, level);
	/* Only rings log by faults here; an entry of theirs is true at once. */
	bool logs = fault->write && fault->protects;

	switch (xvm_pgtable_map(xvm_pgt(xvm), gfn, level, pte, &vcpu->mmu_cache)) {
	case XVM_MAP_NEW:
		xvm_mmu_count_leaves(xvm, level, 1);
		if (fault->unasked)
			vcpu->stat.pf_around++;
		else
			vcpu->stat.pf_fixed++;
		fault->fresh = true;
		break;
	case XVM_MAP_RELAXED:
		vcpu->stat.pf_fixed++;
		break;
	case XVM_MAP_SAME:
		/* Whoever made it writable has logged it. */
		logs = false;
		vcpu->stat.pf_spurious++;
		break;
	case XVM_MAP_REPLACED:
		/* The host swapped pages without telling: nobody may go on using the old one. */
		xvm_tlb_flush_range(xvm, gfn, gfn + pages);
		/* What the old leaf knew of writes is lost. */
		if (fault->logged && !fault->protects)
			mark_dirty(vcpu, fault);
		vcpu->stat.pf_fixed++;
		break;
	case XVM_MAP_NO_TABLE:
		return -ENOMEM;
	case XVM_MAP_BLOCKED:
		return -EBUSY;
	}
	if (logs)
		mark_dirty(vcpu, fault);
	trace_xvm_map(vcpu, gfn, level, pte);
	/*
	 * The guest may write it at any time from now on.  Under the lock: who
	 * cleans the page zaps the leaf first, and so comes before or after this.
	 */
	if (fault->slot_writable && map->writable && map->page && !PageReserved(map->page))
		set_page_dirty(map->page);
	return XVM_FAULT_FIXED;
}

/*
 * Smaller leaves are there, or just their empty table, from when the host's
 * mapping or the slots were others.  Flush before the large leaf comes: a CPU
 * may still walk the table that goes, and its leaves may say something else.
 */
static int map_over_table(struct xvm_vcpu *vcpu, struct fault *fault,
			  const struct xvm_hostmap *map, unsigned int level)
{
	struct xvm *xvm = vcpu->xvm;
	u64 gfn = fault->gfn & ~(xvm_level_pages(level) - 1);
	int ret = XVM_FAULT_RETRY;

	write_lock(&xvm->mmu.lock);
	if (!stale(xvm, fault, level)) {
		xvm_mmu_zap_range(xvm, gfn, gfn + xvm_level_pages(level), false);
		xvm_mmu_zap_flush(xvm);
		trace_xvm_collapse(gfn, gfn + xvm_level_pages(level));
		ret = map_leaf(vcpu, fault, map, level);
	}
	write_unlock(&xvm->mmu.lock);
	return ret;
}

/* The slot may end within the window, be it after a page: those that follow have their turn. */
static void around_following(struct xvm_vcpu *vcpu, const struct xvm_around *around)
{
	struct xvm *xvm = vcpu->xvm;
	struct fault next = { .gfn = around->start + around->nr };
	u64 vacant;

	while (next.gfn < around->window_end && find_slot(vcpu, &next) == XVM_FAULT_FIXED) {
		next.around.reads = around->reads;
		read_lock(&xvm->mmu.lock);
		vacant = xvm_pgtable_vacant(xvm_pgt(xvm), next.around.start, next.around.nr);
		read_unlock(&xvm->mmu.lock);
		if (vacant)
			xvm_mmu_fault_around(vcpu, &next.around, next.seq, vacant);
		next.gfn = next.around.start + next.around.nr;
	}
}

static int install(struct xvm_vcpu *vcpu, struct fault *fault, const struct xvm_hostmap *map)
{
	unsigned int level = choose_level(fault, map);
	struct xvm *xvm = vcpu->xvm;
	int ret = XVM_FAULT_RETRY;
	u64 vacant = 0;

	read_lock(&xvm->mmu.lock);
	if (!stale(xvm, fault, level))
		ret = map_leaf(vcpu, fault, map, level);
	if (fault->fresh && level == 1 && map->page)
		vacant = xvm_pgtable_vacant(xvm_pgt(xvm), fault->around.start, fault->around.nr);
	read_unlock(&xvm->mmu.lock);
	if (ret == -EBUSY)
		return map_over_table(vcpu, fault, map, level);
	if (vacant)
		xvm_mmu_fault_around(vcpu, &fault->around, fault->seq, vacant);
	if (fault->fresh && level == 1 && map->page && !fault->unasked)
		around_following(vcpu, &fault->around);
	return ret;
}

/*
 * A write to a page that is mapped, and protected for the log's sake alone: it
 * needs nothing from the host, which would have told of any change.
 */
static bool fix_protected(struct xvm_vcpu *vcpu, struct fault *fault)
{
	struct xvm *xvm = vcpu->xvm;
	struct xvm_hostmap map = { .writable = true };
	bool fixed = false;
	unsigned int level;
	u64 pte;

	read_lock(&xvm->mmu.lock);
	pte = xvm_pgtable_lookup(xvm_pgt(xvm), fault->gfn, &level);
	if (pte & XVM_PTE_MAY_WRITE && !stale(xvm, fault, level)) {
		map.pfn = xvm_pte_pfn(pte) + (fault->gfn & (xvm_level_pages(level) - 1));
		fixed = map_leaf(vcpu, fault, &map, 1) == XVM_FAULT_FIXED;
	}
	read_unlock(&xvm->mmu.lock);
	return fixed;
}

enum xvm_fault_result xvm_mmu_fault_fast(struct xvm_vcpu *vcpu, u64 gpa, u32 access)
{
	struct fault fault = {
		.gfn = gpa >> PAGE_SHIFT,
		.write = access & XVM_FAULT_WRITE,
	};
	struct xvm_hostmap map;
	int ret;

	/* There mmu.lock sleeps, and so may what drops a page. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return XVM_FAULT_SLOW;
	ret = find_slot(vcpu, &fault);
	if (ret != XVM_FAULT_FIXED)
		return ret;
	if (!fault.write || !fault.logged || !fix_protected(vcpu, &fault)) {
		if (xvm_hostmap_fast(fault.hva, fault.write, &map))
			return XVM_FAULT_SLOW;
		ret = install(vcpu, &fault, &map);
		xvm_hostmap_put(&map);
		if (ret != XVM_FAULT_FIXED)
			return XVM_FAULT_SLOW;
	}
	trace_xvm_fault(vcpu, gpa, access, ret);
	return ret;
}

bool xvm_mmu_map_unasked(struct xvm_vcpu *vcpu, u64 gfn)
{
	struct fault fault = { .gfn = gfn, .unasked = true };
	struct xvm_hostmap map;
	int ret;

	if (find_slot(vcpu, &fault) != XVM_FAULT_FIXED || !fault.around.writable ||
	    xvm_hostmap_nowait(fault.hva, &map))
		return false;
	xvm_mmu_cache_topup(&vcpu->mmu_cache, XVM_FAULT_TABLES);
	ret = install(vcpu, &fault, &map);
	xvm_hostmap_put(&map);
	return ret == XVM_FAULT_FIXED;
}

static int fault_slow(struct xvm_vcpu *vcpu, u64 gpa, u32 access)
{
	struct fault fault = {
		.gfn = gpa >> PAGE_SHIFT,
		.write = access & XVM_FAULT_WRITE,
	};
	struct xvm_hostmap map;
	int ret;

	do {
		xvm_mmu_cache_topup(&vcpu->mmu_cache, XVM_FAULT_TABLES);
		ret = find_slot(vcpu, &fault);
		if (ret != XVM_FAULT_FIXED)
			return ret;

		if (fault.write && fault.around.writable)
			xvm_mmu_populate_ahead(vcpu, &fault.around, fault.gfn);
		ret = xvm_hostmap_get(fault.hva, fault.write, &map);
		if (!ret) {
			ret = install(vcpu, &fault, &map);
			xvm_hostmap_put(&map);
		} else if (ret == -EFAULT &&
			   xvm_mmu_outdated(vcpu->xvm, fault.seq, fault.gfn, fault.hva)) {
			ret = XVM_FAULT_RETRY;
		}
		if (ret == XVM_FAULT_RETRY) {
			vcpu->stat.pf_retry++;
			cond_resched();
		}
	} while (ret == XVM_FAULT_RETRY && !signal_pending(current));
	if (ret == XVM_FAULT_FIXED && fault.write && fault.around.writable)
		xvm_mmu_stream_on(vcpu, &fault.around);
	return ret;
}

int xvm_mmu_fault(struct xvm_vcpu *vcpu, u64 gpa, u32 access)
{
	int ret = fault_slow(vcpu, gpa, access);

	trace_xvm_fault(vcpu, gpa, access, ret);
	return ret;
}
