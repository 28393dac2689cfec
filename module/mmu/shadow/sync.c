// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping shadow pages in step with the guest's tables.
 *
 * Upper tables are always in step: writes to them are caught, emulated, and what
 * was made from the old entries is dropped.  Last-level tables are let out of
 * step by their first write, and come back into step when the guest does what
 * makes a CPU forget its translations: loads CR3, or flushes otherwise.
 */
#include <linux/uaccess.h>

#include "../../x86/x86.h"
#include "shadow.h"

#define GPTE_DIRTY	BIT_ULL(6)
/* Bits that the CPU leaves to software in all formats. */
#define GPTE_IGNORED	GENMASK_ULL(11, 9)

static unsigned int gpte_bytes(const struct shadow_page *sp)
{
	return sp->role.guest_levels == 2 ? 4 : 8;
}

/* Tables of 1024 entries have several pages each; an upper one of those two entries for each. */
static unsigned int guest_index(const struct shadow_page *sp, unsigned int i)
{
	if (sp->role.guest_levels != 2)
		return i;
	if (sp->role.level == 1)
		return sp->role.quadrant * XVM_PGT_ENTRIES + i;
	return (sp->role.quadrant * XVM_PGT_ENTRIES + i) / 2;
}

u64 shadow_guest_gpa(const struct shadow_page *sp, unsigned int i)
{
	return (sp->gfn << PAGE_SHIFT) + guest_index(sp, i) * gpte_bytes(sp);
}

bool shadow_says_same(u64 then, u64 now)
{
	u64 changed = (then ^ now) & ~GPTE_IGNORED;

	/* What was made of a clean entry is read-only. */
	if (now & GPTE_DIRTY)
		changed &= ~GPTE_DIRTY;
	return !changed;
}

int shadow_read(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len)
{
	int err;

	pagefault_disable();
	err = xvm_read_gpa(vcpu, gpa, buf, len);
	pagefault_enable();
	return err;
}

void shadow_sync_page(struct xvm_vcpu *vcpu, struct shadow_page *sp)
{
	struct xvm *xvm = vcpu->xvm;
	void *buf = vcpu->shadow->buf;
	unsigned int i;

	/* Without a look at it nothing of it can be trusted. */
	if (shadow_read(vcpu, sp->gfn << PAGE_SHIFT, buf, PAGE_SIZE)) {
		shadow_zap(xvm, sp);
		return;
	}
	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		u64 gpte;

		if (!sp->table[i])
			continue;
		gpte = gpte_bytes(sp) == 4 ? ((u32 *)buf)[guest_index(sp, i)] : ((u64 *)buf)[i];
		if (!shadow_says_same(sp->guest[i], gpte))
			shadow_drop_entry(xvm, &sp->table[i]);
	}
}

/*
 * The list goes round once.  Where several vCPUs do so at a time, a page may be looked
 * at by another one of them only: that was after this one had begun, too.
 */
void shadow_resync(struct xvm_vcpu *vcpu)
{
	struct xvm *xvm = vcpu->xvm;
	struct xvm_shadow *shadow = xvm->mmu.shadow;
	unsigned int left = READ_ONCE(shadow->nr_pages);

	while (left) {
		unsigned int i, batch = min_t(unsigned int, left, SHADOW_BATCH);

		write_lock(&xvm->mmu.lock);
		for (i = 0; i < batch && !list_empty(&shadow->pages); i++) {
			struct shadow_page *sp = list_first_entry(&shadow->pages,
								  struct shadow_page, link);

			list_move_tail(&sp->link, &shadow->pages);
			if (!sp->role.direct)
				shadow_sync_page(vcpu, sp);
		}
		shadow_flush(xvm);
		write_unlock(&xvm->mmu.lock);
		left -= batch;
		cond_resched();
	}
}

/* All pages of a frame are out of step, or none: move them to a list.  Returns how many. */
static unsigned int take_unsync(struct xvm_shadow *shadow, u64 gfn, struct list_head *list)
{
	struct shadow_page *sp;
	unsigned int nr = 0;

	hlist_for_each_entry(sp, shadow_bucket(shadow, gfn), hash) {
		if (sp->gfn != gfn || !sp->unsync)
			continue;
		list_move_tail(&sp->unsync_link, list);
		nr++;
	}
	shadow->nr_unsync -= nr;
	return nr;
}

static void sync_list(struct xvm_vcpu *vcpu, struct list_head *list)
{
	struct xvm *xvm = vcpu->xvm;
	struct shadow_page *sp;

	list_for_each_entry(sp, list, unsync_link) {
		sp->unsync = false;
		xvm_shadow_wrprotect(xvm, sp->gfn, sp->gfn + 1, NULL);
		/* Even if none could be written any more: see catch_writes(). */
		shadow_flush_due(xvm);
	}
	/* No write is under way any more that would not be caught. */
	shadow_flush(xvm);
	while (!list_empty(list)) {
		sp = list_first_entry(list, struct shadow_page, unsync_link);
		list_del(&sp->unsync_link);
		shadow_sync_page(vcpu, sp);
	}
}

void shadow_sync_gfn(struct xvm_vcpu *vcpu, u64 gfn)
{
	LIST_HEAD(list);

	lockdep_assert_held_write(&vcpu->xvm->mmu.lock);
	take_unsync(vcpu->xvm->mmu.shadow, gfn, &list);
	sync_list(vcpu, &list);
}

/* The oldest first: what gets out of step meanwhile need not be looked at. */
void shadow_sync_all(struct xvm_vcpu *vcpu)
{
	struct xvm *xvm = vcpu->xvm;
	struct xvm_shadow *shadow = xvm->mmu.shadow;
	unsigned int left = shadow->nr_unsync;

	lockdep_assert_held_write(&xvm->mmu.lock);
	while (left && !list_empty(&shadow->unsync)) {
		unsigned int nr = 0;
		LIST_HEAD(list);

		while (nr < SHADOW_BATCH && !list_empty(&shadow->unsync)) {
			struct shadow_page *sp = list_first_entry(&shadow->unsync,
								  struct shadow_page, unsync_link);

			nr += take_unsync(shadow, sp->gfn, &list);
		}
		sync_list(vcpu, &list);
		left -= min(left, nr);
		shadow_yield(xvm);
	}
}

bool shadow_caught(struct xvm *xvm, u64 gfn)
{
	struct xvm_shadow *shadow = xvm->mmu.shadow;
	struct shadow_page *sp;

	if (!xvm_rmaps_marked(&shadow->rmaps, gfn))
		return false;
	hlist_for_each_entry(sp, shadow_bucket(shadow, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			return !sp->unsync;
	return false;
}

bool shadow_unsync(struct xvm *xvm, u64 gfn)
{
	struct xvm_shadow *shadow = xvm->mmu.shadow;
	struct shadow_page *sp;

	lockdep_assert_held_write(&xvm->mmu.lock);
	hlist_for_each_entry(sp, shadow_bucket(shadow, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct && sp->role.level > 1)
			return false;
	hlist_for_each_entry(sp, shadow_bucket(shadow, gfn), hash) {
		if (sp->gfn != gfn || sp->role.direct || sp->unsync)
			continue;
		sp->unsync = true;
		list_add_tail(&sp->unsync_link, &shadow->unsync);
		shadow->nr_unsync++;
	}
	return true;
}

/* Writes to a table that nobody uses meanwhile: it is about to become something else. */
#define MAX_WRITES	3

static void drop_written(struct xvm *xvm, struct shadow_page *sp, u64 gpa, unsigned int len)
{
	unsigned int i = 0, end = XVM_PGT_ENTRIES;

	if (gpte_bytes(sp) == 8) {
		i = offset_in_page(gpa) / 8;
		end = (offset_in_page(gpa) + len - 1) / 8 + 1;
	}
	for (; i < end; i++) {
		u64 at = shadow_guest_gpa(sp, i);

		if (sp->table[i] && at < gpa + len && at + gpte_bytes(sp) > gpa)
			shadow_drop_entry(xvm, &sp->table[i]);
	}
}

static void written(struct xvm *xvm, u64 gpa, unsigned int len)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	struct shadow_page *sp;
	struct hlist_node *next;

	hlist_for_each_entry_safe(sp, next, shadow_bucket(xvm->mmu.shadow, gfn), hash) {
		if (sp->gfn != gfn || sp->role.direct)
			continue;
		if (++sp->writes < MAX_WRITES)
			drop_written(xvm, sp, gpa, len);
		else
			shadow_zap(xvm, sp);
	}
}

void xvm_shadow_written(struct xvm_vcpu *vcpu, u64 gpa, unsigned int len)
{
	struct xvm *xvm = vcpu->xvm;

	write_lock(&xvm->mmu.lock);
	if (xvm_rmaps_marked(&xvm->mmu.shadow->rmaps, gpa >> PAGE_SHIFT)) {
		written(xvm, gpa, len);
		shadow_flush(xvm);
	}
	write_unlock(&xvm->mmu.lock);
}

/*
 * An instruction that can't be emulated is about to write a table: forget that it
 * is one, and let the guest do it.  Not twice in a row: it may need the very
 * table that it writes.
 */
bool xvm_shadow_release_table(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	struct xvm *xvm = vcpu->xvm;
	u64 rip = xvm_linear_rip(vcpu);

	if (!sv->table_write || (sv->retry_rip == rip && sv->retry_gfn == sv->table_gfn))
		return false;
	sv->table_write = false;
	sv->retry_rip = rip;
	sv->retry_gfn = sv->table_gfn;
	write_lock(&xvm->mmu.lock);
	shadow_zap_gfn(xvm, sv->table_gfn);
	shadow_flush(xvm);
	write_unlock(&xvm->mmu.lock);
	return true;
}

/* INVLPG: every entry on the way to gva that isn't what the guest's is now. */
void xvm_shadow_invlpg(struct xvm_vcpu *vcpu, u64 gva)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	struct xvm *xvm = vcpu->xvm;
	struct shadow_page *sp;
	u64 *entry;

	write_lock(&xvm->mmu.lock);
	sp = sv->root;
	entry = sp ? NULL : &sv->pae[gva >> 30 & 3];
	while (sp || (*entry & XVM_PTE_PRESENT)) {
		u64 gpte = 0;

		if (!sp)
			sp = shadow_child(*entry);
		entry = &sp->table[shadow_entry_index(gva, sp->role.level)];
		if (sp->role.direct || !(*entry & XVM_PTE_PRESENT))
			break;
		if (shadow_read(vcpu, shadow_guest_gpa(sp, shadow_index(entry)), &gpte,
				gpte_bytes(sp)) ||
		    !shadow_says_same(sp->guest[shadow_index(entry)], gpte)) {
			shadow_drop_entry(xvm, entry);
			break;
		}
		if (xvm_pte_is_leaf(*entry, sp->role.level))
			break;
		sp = NULL;
	}
	shadow_flush(xvm);
	write_unlock(&xvm->mmu.lock);
	/* Its own TLB too, if nothing was dropped. */
	vcpu->arch.tlb_gen = 0;
}
