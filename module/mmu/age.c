// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host asks whether guests have used its pages: the accessed bits of leaves,
 * which the CPU sets (APM vol. 2, 15.25.5), and user space's for what is young.
 *
 * Faults go on meanwhile: nothing is removed, and a bit is taken by
 * compare-and-exchange.  A page that a TLB still has may be used without its
 * leaf being young again.  Whoever reclaims memory had better know: for him the
 * vCPUs flush, but not before they enter the next time.  To interrupt them for
 * a page that may be young costs more than now and then a wrong guess.
 */
#include <linux/mmu_notifier.h>

#include "../observe/trace.h"
#include "../xvm.h"

bool xvm_mmu_age_gfns(struct xvm *xvm, u64 first, u64 end, bool clear)
{
	return xvm->mmu.shadow ? xvm_shadow_age(xvm, first, end, clear) :
				 xvm_pgtable_age(xvm_pgt(xvm), first, end, clear);
}

static bool age(struct xvm *xvm, unsigned long start, unsigned long end, bool clear)
{
	int idx = memslots_read_lock_shared(&xvm->memslots);
	struct memslot_set *set = memslots_active(&xvm->memslots, 0);
	unsigned long last = end - 1;
	struct memslot *slot;
	bool young = false;

	memslot_for_each_hva(slot, set, start, last) {
		u64 first = memslot_hva_to_gfn(slot, max(start, slot->hva));
		u64 stop = memslot_hva_to_gfn(slot, min(last, memslot_last_hva(slot))) + 1;

		read_lock(&xvm->mmu.lock);
		young |= xvm_mmu_age_gfns(xvm, first, stop, clear);
		read_unlock(&xvm->mmu.lock);
		if (young && !clear)
			break;
	}
	memslots_read_unlock_shared(&xvm->memslots, idx);
	trace_xvm_age(start, end, young);
	return young;
}

bool xvm_mmu_test_young(struct xvm *xvm, unsigned long start, unsigned long end)
{
	return age(xvm, start, end, false);
}

bool xvm_mmu_clear_young(struct xvm *xvm, unsigned long start, unsigned long end)
{
	return age(xvm, start, end, true);
}

bool xvm_mmu_clear_flush_young(struct xvm *xvm, unsigned long start, unsigned long end)
{
	bool young = age(xvm, start, end, true);

	if (young)
		xvm_tlb_flush_later(xvm);
	return young;
}
