// SPDX-License-Identifier: GPL-2.0-only
/*
 * After a fault, its neighbours in the guest's table: entries that the guest has
 * used before, of frames that are mapped by some other leaf already.  The rmaps
 * lead to that leaf, which has all that there is to know: the page, and whether
 * it may be written now.  No slot is looked up and no page is asked for, so a new
 * address space that shares memory with others costs few faults.
 */
#include <linux/mm.h>

#include "../../x86/x86.h"
#include "shadow.h"

#define PKEY	GENMASK_ULL(62, 59)

/* Another leaf of the frame, whatever it grants.  0: there is none, or too many. */
static u64 other_leaf(struct xvm *xvm, u64 gfn)
{
	const struct xvm_rmap *list = xvm_rmaps_list(&xvm->mmu.shadow->rmaps, 1, gfn);
	struct xvm_rmap_iter iter;

	if (!list || xvm_rmap_length(list) >= SHADOW_MAX_ALIASES)
		return 0;
	return READ_ONCE(*xvm_rmap_first(list, &iter));
}

/* The leaf for a guest's entry, or 0: nothing that can be made of it here and now. */
static u64 make_leaf(struct xvm *xvm, const struct xvm_gpt_role *gpt,
		     const struct shadow_page *sp, u64 gpte)
{
	u64 gfn = (gpte & XVM_PTE_ADDR) >> PAGE_SHIFT, other, pte;
	u32 access;

	if (!(gpte & XVM_PTE_PRESENT) || !(gpte & XVM_PTE_ACCESSED) ||
	    gpte & xvm_gpt_reserved(gpt, 1, gpte))
		return 0;
	other = other_leaf(xvm, gfn);
	if (!other)
		return 0;

	access = sp->role.access & shadow_access(gpte);
	pte = (other & XVM_PTE_ADDR) | XVM_PTE_PRESENT;
	if (access & SHADOW_USER)
		pte |= XVM_PTE_USER;
	if (!(access & SHADOW_EXEC))
		pte |= XVM_PTE_NX;
	/* It can be written already: host and slot let it, and its log knows. */
	if (access & SHADOW_WRITE && gpte & XVM_PTE_DIRTY && other & XVM_PTE_WRITE &&
	    !shadow_caught(xvm, gfn))
		pte |= XVM_PTE_WRITE;
	if (sp->role.pke)
		pte |= gpte & PKEY;
	return pte;
}

void shadow_prefetch(struct xvm_vcpu *vcpu, struct shadow_page *sp, unsigned int at)
{
	unsigned int bytes = sp->role.guest_levels == 2 ? 4 : 8;
	unsigned int first = at & ~(SHADOW_PREFETCH - 1), i;
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	struct xvm *xvm = vcpu->xvm;
	u64 guest[SHADOW_PREFETCH];

	lockdep_assert_held_write(&xvm->mmu.lock);
	if (sp->role.direct ||
	    shadow_read(vcpu, shadow_guest_gpa(sp, first), guest, bytes * SHADOW_PREFETCH))
		return;
	for (i = 0; i < SHADOW_PREFETCH; i++) {
		u64 gpte = bytes == 4 ? ((u32 *)guest)[i] : guest[i], pte;
		u64 *entry = &sp->table[first + i];

		if (*entry)
			continue;
		pte = make_leaf(xvm, &sv->gpt, sp, gpte);
		if (!pte)
			continue;
		sp->guest[first + i] = gpte;
		if (xvm_rmaps_add(&xvm->mmu.shadow->rmaps, 1, shadow_gfn(sp, first + i), entry,
				  &sv->stock) < 0)
			return;
		WRITE_ONCE(*entry, pte);
		xvm_mmu_count_leaves(xvm, 1, 1);
		vcpu->stat.pf_around++;
	}
}
