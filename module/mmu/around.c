// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: a fault that mapped a small page maps its neighbours too, as
 * far as the host has them present, so that the guest need not fault on each.
 *
 * Nobody has asked for those pages yet, so little may follow from mapping
 * them: no page is brought in or becomes dirty, no leaf says that it was used or
 * can be written where a log would not see it, and what is mapped stays as it is.
 * The host notes one reference of each, as whenever a page is looked up (GUP).
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>

#include "../observe/trace.h"
#include "../xvm.h"

#define AROUND_MAX	64

static unsigned int fault_around_pages = 16;
module_param(fault_around_pages, uint, 0644);
MODULE_PARM_DESC(fault_around_pages, "Pages that a fault may map, a power of two up to 64; 1: no more than its own (16)");

void xvm_around_init(const struct xvm_mmu *mmu, struct xvm_around *around,
		     const struct memslot *slot, u64 gfn)
{
	const u32 read_only = xvm_dirty_by_cpu(mmu) ?
				      KVM_MEM_READONLY :
				      KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES;
	unsigned int pages = clamp(READ_ONCE(fault_around_pages), 1U, (unsigned int)AROUND_MAX);
	u64 start;

	/* A power of two that divides a table's entries: all of it is in one table. */
	pages = rounddown_pow_of_two(pages);
	start = gfn & ~(u64)(pages - 1);
	around->start = max(start, slot->base_gfn);
	around->window_end = start + pages;
	around->nr = min(around->window_end, memslot_end_gfn(slot)) - around->start;
	around->hva = memslot_gfn_to_hva(slot, around->start);
	around->writable = !(slot->flags & read_only);
}

/* Reference the pages of [first, end), whose rights in the host are alike.  Returns how many. */
static unsigned int get_run(const struct xvm_around *around, unsigned int first, unsigned int end,
			    bool writable, struct page **pages)
{
	int nr = get_user_pages_fast_only(around->hva + ((unsigned long)first << PAGE_SHIFT),
					  end - first, writable ? FOLL_WRITE : 0, pages + first);

	return nr > 0 ? nr : 0;
}

/*
 * Look up all that are present, in runs of the same rights.  Returns which could be had; the
 * zero page is had without a reference, as it never goes.
 */
static u64 get_pages(const struct xvm_around *around, const struct xvm_host_pages *host,
		     struct page **pages)
{
	u64 present = host->present & ~host->zero, writable = host->writable;
	unsigned int i = 0;
	u64 got = 0;

	while (i < around->nr && present >> i) {
		unsigned int first = i + __ffs64(present >> i), nr;
		bool write = writable >> first & 1;

		i = first + 1;
		while (i < around->nr && (present >> i & 1) && (writable >> i & 1) == write)
			i++;
		nr = get_run(around, first, i, write, pages);
		if (nr)
			got |= GENMASK_ULL(first + nr - 1, first);
	}
	for (i = 0; i < around->nr; i++)
		if (host->zero >> i & 1)
			pages[i] = ZERO_PAGE(0);
	return got | host->zero;
}

static void map_pages(struct xvm_vcpu *vcpu, const struct xvm_around *around, unsigned long seq,
		      u64 got, u64 writable, struct page **pages)
{
	struct xvm *xvm = vcpu->xvm;
	u64 ptes[AROUND_MAX];
	unsigned int i, nr;

	for (i = 0; i < around->nr; i++) {
		ptes[i] = 0;
		if (!(got >> i & 1))
			continue;
		/* Not accessed: the CPU says so when it is. */
		ptes[i] = page_to_pfn(pages[i]) << PAGE_SHIFT | XVM_PTE_PRESENT | XVM_PTE_USER;
		if (writable >> i & 1)
			ptes[i] |= XVM_PTE_WRITE | XVM_PTE_MAY_WRITE;
	}

	read_lock(&xvm->mmu.lock);
	if (!xvm_mmu_retry(xvm, seq, around->start, around->hva, around->nr)) {
		nr = xvm_pgtable_fill(xvm_pgt(xvm), around->start, ptes, around->nr);
		xvm_mmu_count_leaves(xvm, 1, nr);
		if (nr)
			trace_xvm_around(around->start, around->start + around->nr);
		vcpu->stat.pf_around += nr;
		/* The host's entry says so as well; as for any leaf that the guest may write. */
		for (i = 0; i < around->nr; i++)
			if (ptes[i] & XVM_PTE_WRITE && !PageReserved(pages[i]))
				set_page_dirty(pages[i]);
	}
	read_unlock(&xvm->mmu.lock);
}

void xvm_mmu_fault_around(struct xvm_vcpu *vcpu, const struct xvm_around *around,
			  unsigned long seq, u64 vacant)
{
	struct page *pages[AROUND_MAX];
	struct xvm_host_pages host;
	unsigned int i;
	u64 got;

	xvm_hostmap_scan(around->hva, around->nr, &host);
	host.present &= vacant;
	host.zero &= vacant;
	/* Who writes will want another page there: this one only makes for a flush. */
	if (!around->reads) {
		host.present &= ~host.zero;
		host.zero = 0;
	}
	if (!host.present)
		return;
	host.writable &= around->writable ? ~host.zero : 0;
	got = get_pages(around, &host, pages);
	if (!got)
		return;
	map_pages(vcpu, around, seq, got, host.writable, pages);
	for (i = 0; i < around->nr; i++)
		if ((got & ~host.zero) >> i & 1)
			put_page(pages[i]);
}
