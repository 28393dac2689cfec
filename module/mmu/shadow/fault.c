// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page fault of a shadowed guest: walk its own tables as its CPU would; what
 * they deny is the guest's fault, what they grant goes into ours.
 *
 * The walk holds no lock.  Afterwards, under mmu.lock, each of the guest's
 * entries is read once more when writes to its table are caught: if it is what
 * the walk saw, nobody changes it behind our back from there on.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../../observe/trace.h"
#include "../../x86/x86.h"
#include "shadow.h"

#define PKEY_SHIFT	59

struct shadow_fault {
	u64 gva;
	u32 access;			/* XVM_GPT_ */
	struct xvm_gpt_role gpt;
	struct xvm_gpt_result walk;
	u32 rights;			/* of the leaf to be: SHADOW_ */
	u32 pkey;

	u64 gfn;
	unsigned long hva;
	struct xvm_around around;	/* what a stream of writes may bring in */
	bool slot_writable;
	bool logged;
	bool logs;			/* its leaf has become writable by this write */
	unsigned int level;		/* of the leaf to be; at first, the largest possible */
	unsigned long seq;		/* of the invalidations, before anything was looked up */
};

/* error: of an intercepted page fault (APM vol. 2, 15.12.15). */
static u32 fault_access(struct xvm_vcpu *vcpu, u32 error)
{
	bool user_mode = xvm_vendor->get_cpl(vcpu) == 3;
	u32 access = XVM_GPT_SET_AD;

	if (error & XVM_PF_WRITE)
		access |= XVM_GPT_WRITE;
	if (error & XVM_PF_FETCH)
		access |= XVM_GPT_FETCH;
	if (error & XVM_PF_USER)
		access |= XVM_GPT_USER;
	else if (user_mode)
		access |= XVM_GPT_IMPLICIT;
	else if (vcpu->arch.rflags & X86_EFLAGS_AC)
		access |= XVM_GPT_AC;
	return access;
}

static int guest_fault(struct xvm_vcpu *vcpu, const struct shadow_fault *fault)
{
	xvm_queue_page_fault(vcpu, fault->gva, fault->walk.error_code);
	return XVM_FAULT_FIXED;
}

/* In a read section.  A table where there is no memory: nothing is there to be found. */
static int walk_failed(struct xvm_vcpu *vcpu, struct shadow_fault *fault, int err)
{
	u64 gpa = fault->walk.entry_gpa[fault->walk.level - 1];

	/* What user space is told if it is memory, but can't be had. */
	fault->walk.gpa = gpa;
	if (err != -EFAULT || xvm_vcpu_slot(vcpu, gpa >> PAGE_SHIFT))
		return err;
	return guest_fault(vcpu, fault);
}

/*
 * With CR0.WP clear a protection key lets the guest's kernel write; but the CPU runs
 * with WP set, and goes by the key.
 */
static bool key_denies_write(const struct shadow_fault *fault)
{
	const struct xvm_gpt_role *gpt = &fault->gpt;

	return !gpt->wp && gpt->pke && fault->walk.user && !(fault->access & XVM_GPT_USER) &&
	       gpt->pkru >> (2 * fault->walk.pkey + 1) & 1;
}

/*
 * What the leaf grants, by the guest's tables.  An entry that is clean grants no
 * writes until one has set its dirty bit.  A supervisor that may write what is
 * read-only (CR0.WP is clear) gets a page of its own, which user mode faults on.
 * False: hardware can't be made to grant that and no more.
 */
static bool choose_rights(struct shadow_fault *fault)
{
	const struct xvm_gpt_role *gpt = &fault->gpt;
	const struct xvm_gpt_result *walk = &fault->walk;
	bool write = fault->access & XVM_GPT_WRITE;
	bool kernel;

	fault->rights = 0;
	fault->pkey = gpt->pke ? walk->pkey : 0;
	if (walk->writable)
		fault->rights |= SHADOW_WRITE;
	if (walk->user)
		fault->rights |= SHADOW_USER;
	if (walk->executable)
		fault->rights |= SHADOW_EXEC;
	if (!gpt->levels)
		return true;

	if (!write && !(walk->entry[walk->level - 1] & XVM_PTE_DIRTY)) {
		fault->rights &= ~SHADOW_WRITE;
		return true;
	}
	/*
	 * For each access that the kernel's code makes, not only its writes: an
	 * instruction may need the page for other purposes at once.
	 */
	if (write && key_denies_write(fault))
		return false;
	kernel = !(fault->access & (XVM_GPT_USER | XVM_GPT_IMPLICIT)) || write;
	if (walk->writable || gpt->wp || !kernel)
		return true;
	/* Without U, neither SMAP nor a protection key would hold. */
	if (walk->user && (gpt->smap || gpt->pke))
		return !write;
	fault->rights |= SHADOW_WRITE;
	fault->rights &= ~SHADOW_USER;
	if (walk->user && gpt->smep)
		fault->rights &= ~SHADOW_EXEC;
	return true;
}

/* As large as the guest's page, in our format.  Its pages of 4M are made of two halves each. */
static unsigned int guest_level(const struct shadow_fault *fault)
{
	if (!fault->gpt.levels)
		return 2;
	return fault->gpt.levels == 2 ? 1 : min_t(unsigned int, fault->walk.level,
						  XVM_MAX_LEAF_LEVEL);
}

/* A translation for the access, and the slot that it leads to.  FIXED: there is one. */
static int look_up(struct xvm_vcpu *vcpu, struct shadow_fault *fault)
{
	struct xvm *xvm = vcpu->xvm;
	bool write = fault->access & XVM_GPT_WRITE;
	int ret = XVM_FAULT_EMULATE;
	struct memslot *slot;

	fault->seq = READ_ONCE(xvm->mmu.invalidate_seq);
	/* Pairs with the write barrier in notifier.c: tables, slot and page are looked up after. */
	smp_rmb();

	memslots_read_lock(&xvm->memslots, &vcpu->slots_reader);
	ret = xvm_gpt_walk(&xvm_gpt_vcpu_ops, vcpu, &fault->gpt, fault->gva, fault->access,
			   &fault->walk);
	if (ret == XVM_GPT_FAULT) {
		ret = guest_fault(vcpu, fault);
		goto guest;
	}
	if (ret) {
		ret = walk_failed(vcpu, fault, ret);
		goto guest;
	}
	ret = XVM_FAULT_EMULATE;
	fault->gfn = fault->walk.gpa >> PAGE_SHIFT;
	slot = xvm_vcpu_slot(vcpu, fault->gfn);
	if (slot && choose_rights(fault)) {
		fault->slot_writable = !(slot->flags & KVM_MEM_READONLY);
		fault->logged = slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
		fault->hva = memslot_gfn_to_hva(slot, fault->gfn);
		xvm_around_init(&xvm->mmu, &fault->around, slot, fault->gfn);
		fault->level = min(xvm_slot_max_level(slot, fault->gfn), guest_level(fault));
		if (fault->slot_writable || !write)
			ret = XVM_FAULT_FIXED;
	}
	memslots_read_unlock(&xvm->memslots, &vcpu->slots_reader);
	return ret;

guest:
	memslots_read_unlock(&xvm->memslots, &vcpu->slots_reader);
	/* Its own fault, which is queued: there is nothing to map. */
	return ret == XVM_FAULT_FIXED ? XVM_FAULT_RETRY : ret;
}

/* mmu.lock is held since before the leaf was made: nobody protects it in between. */
static void mark_dirty(struct xvm_vcpu *vcpu, u64 gfn)
{
	bool began = xvm_access_begin(vcpu);

	xvm_dirty_mark(vcpu, gfn);
	xvm_access_end(vcpu, began);
}

static u32 access_above(const struct shadow_fault *fault, unsigned int level)
{
	u32 access = SHADOW_ALL;
	unsigned int l;

	for (l = fault->gpt.levels; l >= level && l; l--)
		/* The top entries of PAE carry no permissions. */
		if (!(fault->gpt.levels == 3 && l == 3))
			access &= shadow_access(fault->walk.entry[l - 1]);
	return access;
}

/* What the entry of this level on the way to gva has to lead to. */
static struct shadow_page *next_page(struct xvm_vcpu *vcpu, struct shadow_fault *fault,
				     unsigned int level)
{
	const struct xvm_gpt_role *gpt = &fault->gpt;
	unsigned int below = level - 1;
	union shadow_role role = { .word = 0 };
	u64 gpte;

	/* Without tables of the guest's, or below one of its large pages. */
	if (!gpt->levels || level <= fault->walk.level) {
		role.level = below;
		role.direct = 1;
		role.access = fault->rights;
		role.pkey = fault->pkey;
		if (!gpt->levels)
			role.access = SHADOW_ALL;
		return shadow_get(vcpu, fault->gfn & ~(xvm_level_pages(level) - 1), role);
	}
	/* The four top entries stand for one table of 32-bit paging, a quarter each. */
	if (level > gpt->levels) {
		role = shadow_role(gpt, below, SHADOW_ALL);
		role.quadrant = fault->gva >> 30 & 3;
		return shadow_get(vcpu, gpt->root >> PAGE_SHIFT, role);
	}
	gpte = fault->walk.entry[level - 1];
	role = shadow_role(gpt, below, access_above(fault, level));
	if (gpt->levels == 2)
		role.quadrant = fault->gva >> 21 & 1;
	return shadow_get(vcpu, (gpte & XVM_PTE_ADDR) >> PAGE_SHIFT, role);
}

/*
 * Is the memory of a guest table about to become other memory?  What is made of
 * it now would outlive it: the tables there have been dropped already.
 */
static bool table_going(struct xvm_vcpu *vcpu, u64 gfn)
{
	const struct xvm_mmu *mmu = &vcpu->xvm->mmu;
	const struct memslot *slot;
	bool began, going;

	if (!mmu->notifiers_active && !mmu->frozen)
		return false;
	began = xvm_access_begin(vcpu);
	slot = xvm_vcpu_slot(vcpu, gfn);
	/* Only what is under way: what has ended is in the table that is read here. */
	going = slot && xvm_mmu_retry(vcpu->xvm, mmu->invalidate_seq, gfn,
				      memslot_gfn_to_hva(slot, gfn), 1);
	xvm_access_end(vcpu, began);
	return going;
}

static bool in_read_only_memory(struct xvm_vcpu *vcpu, u64 gfn)
{
	bool began = xvm_access_begin(vcpu), read_only;
	const struct memslot *slot;

	slot = xvm_vcpu_slot(vcpu, gfn);
	read_only = slot && slot->flags & KVM_MEM_READONLY;
	xvm_access_end(vcpu, began);
	return read_only;
}

/* Does the guest's table still say what the walk saw?  If so, note it. */
static int check_guest(struct xvm_vcpu *vcpu, struct shadow_fault *fault, struct shadow_page *sp,
		       u64 *entry)
{
	unsigned int i = shadow_index(entry), bytes = sp->role.guest_levels == 2 ? 4 : 8;
	const u64 ad = XVM_PTE_ACCESSED | XVM_PTE_DIRTY;
	u64 seen = fault->walk.entry[sp->role.level - 1], gpte = 0;

	if (sp->role.direct)
		return XVM_FAULT_FIXED;
	if (table_going(vcpu, sp->gfn))
		return XVM_FAULT_RETRY;
	/* Every write to it so far has been caught, and would have dropped the entry. */
	if (*entry && !sp->unsync && sp->guest[i] == seen)
		return XVM_FAULT_FIXED;
	if (shadow_read(vcpu, shadow_guest_gpa(sp, i), &gpte, bytes) ||
	    ((gpte ^ seen) & ~ad))
		return XVM_FAULT_RETRY;
	/* What the walk set has been taken again: the leaf would hide that. */
	if (seen & ~gpte & ad && !in_read_only_memory(vcpu, sp->gfn))
		return XVM_FAULT_RETRY;
	if (*entry && !shadow_says_same(sp->guest[i], seen))
		shadow_drop_entry(vcpu->xvm, entry);
	sp->guest[i] = seen;
	return XVM_FAULT_FIXED;
}

/* No larger than the host's mapping, as with nested tables. */
static void choose_level(struct shadow_fault *fault, const struct xvm_hostmap *map)
{
	struct xvm_host_entry host = {};

	if (fault->level > 1 && map->page)
		xvm_hostmap_entry(fault->hva, &host);
	if (host.pfn != map->pfn || (map->writable && !host.writable))
		host.level = 1;
	fault->level = min(fault->level, max(host.level, 1U));
}

/* A table of the guest's is mapped by small leaves alone, to be protected by itself. */
static void avoid_tables(struct xvm *xvm, struct shadow_fault *fault)
{
	for (; fault->level > 1; fault->level--) {
		u64 pages = xvm_level_pages(fault->level), first = fault->gfn & ~(pages - 1);

		if (xvm_rmaps_next_marked(&xvm->mmu.shadow->rmaps, first, first + pages) ==
		    first + pages)
			return;
	}
}

static bool invalidated(struct xvm *xvm, const struct shadow_fault *fault)
{
	u64 pages = xvm_level_pages(fault->level);

	return xvm_mmu_retry(xvm, fault->seq, fault->gfn & ~(pages - 1),
			     fault->hva & ~((pages << PAGE_SHIFT) - 1), pages);
}

static u64 make_leaf(struct xvm_vcpu *vcpu, const struct shadow_fault *fault,
		     const struct xvm_hostmap *map)
{
	u64 pfn = map->pfn & ~(xvm_level_pages(fault->level) - 1);
	u64 pte = pfn << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_ACCESSED;
	bool write = fault->access & XVM_GPT_WRITE;

	if (fault->level > 1)
		pte |= XVM_PTE_HUGE;
	if (fault->rights & SHADOW_USER)
		pte |= XVM_PTE_USER;
	if (!(fault->rights & SHADOW_EXEC))
		pte |= XVM_PTE_NX;
	if (fault->rights & SHADOW_WRITE && map->writable && fault->slot_writable &&
	    (write || !fault->logged) && !shadow_caught(vcpu->xvm, fault->gfn))
		pte |= XVM_PTE_WRITE;
	if (write)
		pte |= XVM_PTE_DIRTY;
	return pte | (u64)fault->pkey << PKEY_SHIFT;
}

/* Rights that a leaf grants; NX is the other way round. */
static u64 grants(u64 pte)
{
	return (pte ^ XVM_PTE_NX) & (XVM_PTE_WRITE | XVM_PTE_USER | XVM_PTE_NX);
}

static int set_leaf(struct xvm_vcpu *vcpu, struct shadow_fault *fault, u64 *entry, u64 pte)
{
	const u64 same = XVM_PTE_ADDR | XVM_PTE_HUGE | 15ULL << PKEY_SHIFT;
	struct shadow_page *sp = shadow_page_of(entry);
	u64 gfn = fault->gfn & ~(xvm_level_pages(fault->level) - 1);
	struct xvm *xvm = vcpu->xvm;
	u64 old = READ_ONCE(*entry);

	/* Whatever it maps, by whichever frame, it is taken off its list first. */
	if (old && ((old ^ pte) & same || shadow_gfn(sp, shadow_index(entry)) != gfn)) {
		shadow_drop_entry(xvm, entry);
		old = 0;
	}
	if (!old) {
		/* No TLB holds leaves of two sizes, nor what was dropped here before. */
		if (fault->level > 1)
			shadow_flush(xvm);
		shadow_limit_aliases(xvm, fault->level, gfn);
		if (xvm_rmaps_add(&xvm->mmu.shadow->rmaps, fault->level, gfn, entry,
				  &vcpu->shadow->stock) < 0)
			return -ENOMEM;
		xvm_mmu_count_leaves(xvm, fault->level, 1);
	} else if (grants(old) & ~grants(pte)) {
		shadow_flush_due(xvm);
	}
	if (old && !((old ^ pte) & ~(XVM_PTE_ACCESSED | XVM_PTE_DIRTY)))
		vcpu->stat.pf_spurious++;
	else
		vcpu->stat.pf_fixed++;
	fault->logs = fault->logged && pte & ~old & XVM_PTE_WRITE;
	WRITE_ONCE(*entry, pte);
	return XVM_FAULT_FIXED;
}

/* mmu.lock is held for writing. */
static int map_leaf(struct xvm_vcpu *vcpu, struct shadow_fault *fault,
		    const struct xvm_hostmap *map)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	unsigned int level = sv->root ? sv->root->role.level : 3;
	struct shadow_page *sp = sv->root;
	u64 *entry;
	int ret;

	for (;; level--) {
		if (sp) {
			sp->writes = 0;
			entry = &sp->table[shadow_entry_index(fault->gva, level)];
			ret = check_guest(vcpu, fault, sp, entry);
			if (ret != XVM_FAULT_FIXED)
				return ret;
		} else {
			entry = &sv->pae[fault->gva >> 30 & 3];
		}
		/*
		 * The tables of this very walk are marked by now: it may map one
		 * of them, and go on to a lower level for it.
		 */
		if (level == fault->level)
			avoid_tables(vcpu->xvm, fault);
		if (level == fault->level)
			break;
		sp = next_page(vcpu, fault, level);
		if (!sp)
			return -ENOMEM;
		ret = shadow_link(vcpu, entry, sp);
		if (ret)
			return ret == -EAGAIN ? XVM_FAULT_RETRY : ret;
	}
	ret = set_leaf(vcpu, fault, entry, make_leaf(vcpu, fault, map));
	/* A first access says that the neighbours have had none through this table, either. */
	if (ret == XVM_FAULT_FIXED && level == 1 && !fault->walk.first)
		shadow_prefetch(vcpu, sp, shadow_index(entry));
	return ret;
}

static int install(struct xvm_vcpu *vcpu, struct shadow_fault *fault,
		   const struct xvm_hostmap *map)
{
	bool write = fault->access & XVM_GPT_WRITE;
	struct xvm *xvm = vcpu->xvm;
	int ret = XVM_FAULT_RETRY;

	choose_level(fault, map);
	write_lock(&xvm->mmu.lock);
	shadow_reclaim(xvm, SHADOW_STOCK_PAGES);
	avoid_tables(xvm, fault);
	if (!xvm_shadow_ready(vcpu) || invalidated(xvm, fault))
		goto unlock;
	/* A table that it writes is let out of step, if that is all it is used for. */
	if (write && shadow_caught(xvm, fault->gfn) && !shadow_unsync(xvm, fault->gfn)) {
		vcpu->shadow->table_write = true;
		vcpu->shadow->table_gfn = fault->gfn;
		ret = XVM_FAULT_EMULATE;
		goto unlock;
	}
	ret = map_leaf(vcpu, fault, map);
	if (ret == XVM_FAULT_FIXED && fault->logs)
		mark_dirty(vcpu, fault->gfn);
	/* As in fault.c, the guest may write it from now on. */
	if (ret == XVM_FAULT_FIXED && fault->slot_writable && map->writable && map->page &&
	    !PageReserved(map->page))
		set_page_dirty(map->page);
unlock:
	shadow_flush(xvm);
	shadow_count_rmaps(xvm);
	write_unlock(&xvm->mmu.lock);
	return ret;
}

static void trace_fault(struct xvm_vcpu *vcpu, const struct shadow_fault *fault, int result)
{
	u32 access = 0;

	if (fault->access & XVM_GPT_WRITE)
		access |= XVM_FAULT_WRITE;
	if (fault->access & XVM_GPT_FETCH)
		access |= XVM_FAULT_EXEC;
	trace_xvm_fault(vcpu, fault->walk.gpa, access, result);
}

static void fault_init(struct xvm_vcpu *vcpu, struct shadow_fault *fault, u64 gva, u32 error)
{
	*fault = (struct shadow_fault) {
		.gva = gva,
		.access = fault_access(vcpu, error),
		.gpt = vcpu->shadow->gpt,
	};
	fault->gpt.pkru = vcpu->arch.pkru;
	vcpu->shadow->table_write = false;
	/* It faults elsewhere: what was left to it is done. */
	if (vcpu->shadow->retry_rip != SHADOW_NO_RIP &&
	    vcpu->shadow->retry_rip != xvm_linear_rip(vcpu))
		vcpu->shadow->retry_rip = SHADOW_NO_RIP;
}

enum xvm_fault_result xvm_shadow_fault_fast(struct xvm_vcpu *vcpu, u64 gva, u32 error)
{
	struct shadow_fault fault;
	struct xvm_hostmap map;
	int ret;

	/* There mmu.lock sleeps, and so may what drops a page. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return XVM_FAULT_SLOW;
	/* What is stale needs a new root first. */
	if (!xvm_shadow_ready(vcpu))
		return XVM_FAULT_FIXED;
	fault_init(vcpu, &fault, gva, error);
	ret = look_up(vcpu, &fault);
	if (ret == XVM_FAULT_RETRY)
		return XVM_FAULT_FIXED;
	if (ret != XVM_FAULT_FIXED)
		return XVM_FAULT_SLOW;
	if (xvm_hostmap_fast(fault.hva, fault.access & XVM_GPT_WRITE, &map))
		return XVM_FAULT_SLOW;
	ret = install(vcpu, &fault, &map);
	xvm_hostmap_put(&map);
	if (ret != XVM_FAULT_FIXED)
		return XVM_FAULT_SLOW;
	trace_fault(vcpu, &fault, ret);
	return ret;
}

static int fault_slow(struct xvm_vcpu *vcpu, struct shadow_fault *fault)
{
	struct xvm_hostmap map;
	int ret;

	do {
		if (shadow_stock_fill(vcpu))
			return -ENOMEM;
		ret = look_up(vcpu, fault);
		if (ret == XVM_FAULT_RETRY || !xvm_shadow_ready(vcpu))
			return XVM_FAULT_FIXED;
		if (ret != XVM_FAULT_FIXED)
			return ret;
		if (fault->access & XVM_GPT_WRITE && fault->around.writable)
			xvm_mmu_populate_ahead(vcpu, &fault->around, fault->gfn);
		ret = xvm_hostmap_get(fault->hva, fault->access & XVM_GPT_WRITE, &map);
		if (!ret) {
			ret = install(vcpu, fault, &map);
			xvm_hostmap_put(&map);
		} else if (ret == -EFAULT &&
			   xvm_mmu_outdated(vcpu->xvm, fault->seq, fault->gfn, fault->hva)) {
			ret = XVM_FAULT_RETRY;
		}
		if (ret == XVM_FAULT_RETRY) {
			vcpu->stat.pf_retry++;
			cond_resched();
		}
		/* Each walk may log what it sets in the guest's tables. */
	} while (ret == XVM_FAULT_RETRY && !signal_pending(current) &&
		 !xvm_dirty_ring_full(vcpu));
	return ret;
}

int xvm_shadow_fault(struct xvm_vcpu *vcpu, u64 gva, u32 error, u64 *gpa)
{
	struct shadow_fault fault;
	int ret;

	fault_init(vcpu, &fault, gva, error);
	ret = fault_slow(vcpu, &fault);
	*gpa = fault.walk.gpa;
	trace_fault(vcpu, &fault, ret);
	/* The guest changes its tables all the time: it meets the fault again. */
	return ret == -EAGAIN ? XVM_FAULT_RETRY : ret;
}
