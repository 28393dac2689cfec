// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages: made, found, linked, zapped.
 */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "shadow.h"

/* Pages for each thousand of the slots', and at least so many, unless user space says otherwise. */
#define PAGES_PERMILLE	20
#define MIN_PAGES	64

struct hlist_head *shadow_bucket(struct xvm_shadow *shadow, u64 gfn)
{
	return &shadow->hash[hash_64(gfn, SHADOW_HASH_BITS)];
}

static void free_page_struct(struct shadow_page *sp)
{
	free_page((unsigned long)sp->table);
	free_page((unsigned long)sp->guest);
	kfree(sp);
}

static struct shadow_page *alloc_page_struct(void)
{
	struct shadow_page *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	sp->table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!sp->table) {
		kfree(sp);
		return NULL;
	}
	return sp;
}

int shadow_stock_fill(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;

	while (sv->nr_pages < SHADOW_STOCK_PAGES) {
		struct shadow_page *sp = alloc_page_struct();

		if (!sp)
			return -ENOMEM;
		sv->pages[sv->nr_pages++] = sp;
	}
	while (sv->nr_guest < SHADOW_STOCK_PAGES) {
		u64 *guest = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!guest)
			return -ENOMEM;
		sv->guest[sv->nr_guest++] = guest;
	}
	return xvm_rmap_stock_fill(&sv->stock, SHADOW_STOCK_DESCS, SHADOW_STOCK_CHUNKS,
				   GFP_KERNEL_ACCOUNT);
}

void shadow_stock_free(struct xvm_shadow_vcpu *sv)
{
	while (sv->nr_pages)
		free_page_struct(sv->pages[--sv->nr_pages]);
	while (sv->nr_guest)
		free_page((unsigned long)sv->guest[--sv->nr_guest]);
	xvm_rmap_stock_free(&sv->stock);
}

struct shadow_page *shadow_find(struct xvm *xvm, u64 gfn, union shadow_role role)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(xvm->mmu.shadow, gfn), hash)
		if (sp->gfn == gfn && sp->role.word == role.word)
			return sp;
	return NULL;
}

/* Does any page stand for the guest table in this frame? */
static bool table_shadowed(struct xvm_shadow *shadow, u64 gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(shadow, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			return true;
	return false;
}

/* From now on the guest's writes to the frame are caught.  -ENOMEM: the stock is too small. */
static int catch_writes(struct xvm_vcpu *vcpu, u64 gfn)
{
	struct xvm *xvm = vcpu->xvm;
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;

	if (xvm_rmaps_marked(rmaps, gfn) && !shadow_caught(xvm, gfn))
		shadow_sync_gfn(vcpu, gfn);
	/* For another page of the frame they are caught already. */
	if (xvm_rmaps_marked(rmaps, gfn))
		return 0;
	if (xvm_rmaps_mark(rmaps, gfn, &vcpu->shadow->stock))
		return -ENOMEM;
	xvm_shadow_wrprotect(xvm, gfn, gfn + 1, NULL);
	/*
	 * Before the table is read: a TLB must not let a write pass that comes after.
	 * A leaf that can't be written is no proof: who took that from it, or zapped
	 * it, may still have to flush.
	 */
	if (shadow_mapped(xvm, gfn))
		shadow_flush_due(xvm);
	shadow_flush(xvm);
	return 0;
}

struct shadow_page *shadow_get(struct xvm_vcpu *vcpu, u64 gfn, union shadow_role role)
{
	struct xvm_shadow *shadow = vcpu->xvm->mmu.shadow;
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	struct shadow_page *sp = shadow_find(vcpu->xvm, gfn, role);

	lockdep_assert_held_write(&vcpu->xvm->mmu.lock);
	if (sp)
		return sp;
	if (!sv->nr_pages || !sv->nr_guest)
		return NULL;
	if (!role.direct && catch_writes(vcpu, gfn))
		return NULL;

	sp = sv->pages[--sv->nr_pages];
	if (!role.direct)
		sp->guest = sv->guest[--sv->nr_guest];
	sp->gfn = gfn;
	sp->role = role;
	set_page_private(virt_to_page(sp->table), (unsigned long)sp);
	hlist_add_head(&sp->hash, shadow_bucket(shadow, gfn));
	list_add_tail(&sp->link, &shadow->pages);
	WRITE_ONCE(shadow->nr_pages, shadow->nr_pages + 1);
	atomic64_inc(&vcpu->xvm->stat.table_pages);
	return sp;
}

static void clear_entry(void *ctx, u64 *entry)
{
	WRITE_ONCE(*entry, 0);
}

int shadow_link(struct xvm_vcpu *vcpu, u64 *entry, struct shadow_page *child)
{
	struct xvm *xvm = vcpu->xvm;
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	u64 pte = virt_to_phys(child->table) | XVM_PTE_PRESENT;

	/* The top entries of PAE have no rights in them. */
	if (shadow_page_of(entry))
		pte |= XVM_PTE_WRITE | XVM_PTE_USER | XVM_PTE_ACCESSED;
	if ((*entry & XVM_PTE_PRESENT) && !(*entry & XVM_PTE_HUGE) && shadow_child(*entry) == child)
		return 0;
	/*
	 * An upper entry may be cached, even if it was dropped before: nobody has it any more
	 * when another takes its place.
	 */
	shadow_drop_entry(xvm, entry);
	shadow_flush(xvm);
	/* As for an address that no TLB knows yet: it must see what is in the table now. */
	if (child->unsync)
		shadow_sync_page(vcpu, child);
	if (child->obsolete)
		return -EAGAIN;
	/* None of them is on the way here: of each level there is one, and this one is empty. */
	if (xvm_rmap_length(&child->parents) >= SHADOW_MAX_ALIASES) {
		xvm_rmap_zap(rmaps, &child->parents, clear_entry, NULL);
		shadow_flush_due(xvm);
	}
	if (xvm_rmap_add(rmaps, &child->parents, entry, &vcpu->shadow->stock) < 0)
		return -ENOMEM;
	WRITE_ONCE(*entry, pte);
	return 0;
}

bool shadow_drop_entry(struct xvm *xvm, u64 *entry)
{
	struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;
	struct shadow_page *sp = shadow_page_of(entry);
	u64 pte = *entry;
	bool known;

	lockdep_assert_held_write(&xvm->mmu.lock);
	if (!(pte & XVM_PTE_PRESENT))
		return false;
	/* The CPU may set A or D meanwhile: both go with it. */
	WRITE_ONCE(*entry, 0);
	if (sp && xvm_pte_is_leaf(pte, sp->role.level)) {
		known = xvm_rmaps_remove(rmaps, sp->role.level, shadow_gfn(sp, shadow_index(entry)),
					 entry);
		xvm_mmu_count_leaves(xvm, sp->role.level, -1);
	} else {
		known = xvm_rmap_remove(rmaps, &shadow_child(pte)->parents, entry);
	}
	WARN_ON_ONCE(!known);
	shadow_flush_due(xvm);
	return true;
}

void shadow_zap(struct xvm *xvm, struct shadow_page *sp)
{
	struct xvm_shadow *shadow = xvm->mmu.shadow;
	unsigned int i;

	lockdep_assert_held_write(&xvm->mmu.lock);
	for (i = 0; i < XVM_PGT_ENTRIES; i++)
		if (sp->table[i])
			shadow_drop_entry(xvm, &sp->table[i]);
	xvm_rmap_zap(&shadow->rmaps, &sp->parents, clear_entry, NULL);

	hlist_del(&sp->hash);
	list_del(&sp->link);
	WRITE_ONCE(shadow->nr_pages, shadow->nr_pages - 1);
	if (sp->unsync) {
		list_del(&sp->unsync_link);
		shadow->nr_unsync--;
	}
	if (!sp->role.direct && !table_shadowed(shadow, sp->gfn))
		xvm_rmaps_unmark(&shadow->rmaps, sp->gfn);
	/* Pairs with xvm_shadow_ready(), by way of the flush. */
	WRITE_ONCE(sp->obsolete, true);
	shadow_flush_due(xvm);
	list_add(&sp->link, sp->roots ? &shadow->orphans : &shadow->freeable);
}

void shadow_zap_gfn(struct xvm *xvm, u64 gfn)
{
	struct shadow_page *sp;
	struct hlist_node *next;

	hlist_for_each_entry_safe(sp, next, shadow_bucket(xvm->mmu.shadow, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			shadow_zap(xvm, sp);
}

void shadow_put_root(struct xvm *xvm, struct shadow_page *sp)
{
	lockdep_assert_held_write(&xvm->mmu.lock);
	if (--sp->roots || !sp->obsolete)
		return;
	list_move(&sp->link, &xvm->mmu.shadow->freeable);
	shadow_flush_due(xvm);
}

unsigned int shadow_zap_oldest(struct xvm *xvm, unsigned int nr)
{
	struct shadow_page *sp, *next;
	unsigned int zapped = 0;

	list_for_each_entry_safe(sp, next, &xvm->mmu.shadow->pages, link) {
		if (zapped == nr)
			break;
		if (sp->roots)
			continue;
		shadow_zap(xvm, sp);
		zapped++;
	}
	return zapped;
}

/* How many are to go before room more are made. */
static unsigned long surplus(struct xvm *xvm, unsigned int room)
{
	unsigned long limit = READ_ONCE(xvm->arch.nr_mmu_pages);
	/* Roots in use stay: what the limit says is for all others. */
	unsigned int roots = xvm_nr_vcpus(xvm);
	unsigned long wanted = max(xvm->mmu.shadow->nr_pages + room, roots) - roots;

	if (!limit)
		limit = max_t(unsigned long, MIN_PAGES,
			      READ_ONCE(xvm->memslots.nr_pages) * PAGES_PERMILLE / 1000);
	return wanted > limit ? wanted - limit : 0;
}

void shadow_reclaim(struct xvm *xvm, unsigned int room)
{
	unsigned long nr = surplus(xvm, room);

	if (!nr)
		return;
	shadow_zap_oldest(xvm, min_t(unsigned long, nr, SHADOW_BATCH));
	shadow_flush(xvm);
}

void xvm_shadow_limit(struct xvm *xvm)
{
	unsigned long nr;

	write_lock(&xvm->mmu.lock);
	while ((nr = surplus(xvm, 0))) {
		if (!shadow_zap_oldest(xvm, min_t(unsigned long, nr, SHADOW_BATCH)))
			break;
		shadow_flush(xvm);
		shadow_yield(xvm);
	}
	shadow_count_rmaps(xvm);
	write_unlock(&xvm->mmu.lock);
}

void shadow_count_rmaps(struct xvm *xvm)
{
	const struct xvm_rmaps *rmaps = &xvm->mmu.shadow->rmaps;

	atomic64_set(&xvm->stat.rmap_bytes, xvm_rmaps_bytes(rmaps));
	atomic64_set(&xvm->stat.max_mmu_rmap_size, rmaps->longest);
}

void xvm_shadow_free_zapped(struct xvm *xvm)
{
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, &xvm->mmu.shadow->freeable, link) {
		list_del(&sp->link);
		set_page_private(virt_to_page(sp->table), 0);
		free_page_struct(sp);
		atomic64_dec(&xvm->stat.table_pages);
	}
	shadow_count_rmaps(xvm);
}
