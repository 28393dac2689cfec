// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a user address to the page that the host maps there.
 *
 * A page reference is held only until the leaf is installed: from then on the
 * MMU notifier tells when the host takes the page away.  Memory without
 * struct pages (VM_PFNMAP) is never referenced at all.
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "../compat/compat.h"
#include "../xvm.h"

static void set_page(struct xvm_hostmap *map, struct page *page, bool writable)
{
	map->page = page;
	map->pfn = page_to_pfn(page);
	map->writable = writable;
}

int xvm_hostmap_fast(unsigned long hva, bool write, struct xvm_hostmap *map)
{
	struct page *page;

	/* Ask for a writable page even if a read faulted: it saves the write fault to come. */
	if (get_user_pages_fast_only(hva, 1, FOLL_WRITE, &page) == 1) {
		set_page(map, page, true);
		return 0;
	}
	if (!write && get_user_pages_fast_only(hva, 1, 0, &page) == 1) {
		set_page(map, page, false);
		return 0;
	}
	return -EAGAIN;
}

/* Device memory and the like: the pfn stands in the page table alone. */
static int hostmap_pfnmap(unsigned long hva, bool write, struct xvm_hostmap *map)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool unlocked, writable;
	int ret;

	do {
		unlocked = false;
		mmap_read_lock(mm);
		vma = vma_lookup(mm, hva);
		ret = -EFAULT;
		if (vma && (vma->vm_flags & (VM_IO | VM_PFNMAP)) &&
		    (vma->vm_flags & VM_READ) && (!write || (vma->vm_flags & VM_WRITE))) {
			ret = xvm_follow_pfnmap(vma, hva, &map->pfn, &writable);
			if (ret || (write && !writable)) {
				ret = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0,
						       &unlocked);
				if (!ret)
					ret = unlocked ? -EAGAIN :
					      xvm_follow_pfnmap(vma, hva, &map->pfn, &writable);
				if (!ret && write && !writable)
					ret = -EFAULT;
			}
		}
		mmap_read_unlock(mm);
	} while (ret == -EAGAIN && !signal_pending(current));

	if (ret)
		return ret == -EAGAIN ? -EINTR : -EFAULT;
	/*
	 * Struct pages behind a VM_PFNMAP can go to someone else without this
	 * mapping being told what a reference would tell: only reserved or
	 * page-less memory is safe to map without one.
	 */
	if (pfn_valid(map->pfn) && !PageReserved(pfn_to_page(map->pfn)))
		return -EFAULT;
	map->page = NULL;
	map->writable = writable;
	return 0;
}

int xvm_hostmap_get(unsigned long hva, bool write, struct xvm_hostmap *map)
{
	/* The fast lookup doesn't find what NUMA balancing wants to see used. */
	unsigned int flags = FOLL_HWPOISON | XVM_FOLL_INTERRUPTIBLE | XVM_FOLL_HONOR_NUMA_FAULT;
	struct page *page;
	long ret;

	if (!xvm_hostmap_fast(hva, write, map))
		return 0;

	ret = get_user_pages_unlocked(hva, 1, &page, flags | (write ? FOLL_WRITE : 0));
	if (ret == 1) {
		struct page *wpage;

		set_page(map, page, write);
		/* A read may have made a page that can be written as well. */
		if (!write && get_user_pages_fast_only(hva, 1, FOLL_WRITE, &wpage) == 1) {
			put_page(page);
			set_page(map, wpage, true);
		}
		return 0;
	}
	if (ret == -EHWPOISON) {
		/* As if the process had touched it. */
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
		return -EINTR;
	}
	if (ret == -EINTR || ret == -ENOMEM)
		return ret;
	if (signal_pending(current) && (ret == -EAGAIN || ret == -ERESTARTSYS))
		return -EINTR;
	return hostmap_pfnmap(hva, write, map);
}

int xvm_hostmap_nowait(unsigned long hva, struct xvm_hostmap *map)
{
	struct page *page;

	if (!xvm_hostmap_fast(hva, true, map))
		return 0;
	if (!xvm_hostmap_fresh(hva, 1) ||
	    get_user_pages_unlocked(hva, 1, &page, FOLL_WRITE | FOLL_NOWAIT) != 1)
		return -EAGAIN;
	set_page(map, page, true);
	return 0;
}

void xvm_hostmap_put(struct xvm_hostmap *map)
{
	if (map->page)
		put_page(map->page);
}

static void set_entry(struct xvm_host_entry *entry, unsigned long hva, unsigned int level,
		      u64 pfn, bool writable, bool dirty)
{
	entry->level = level;
	entry->pfn = pfn + ((hva >> PAGE_SHIFT) & (xvm_level_pages(level) - 1));
	entry->writable = writable;
	entry->dirty = dirty;
}

/*
 * The host's lowest entry for hva, if it is a pte; one above that maps the page
 * is told in entry.  IRQs are off: tables are freed by RCU, or after an IPI to
 * all CPUs that use the mm.  Each entry is read once, it may change meanwhile.
 */
static pte_t *walk_host(unsigned long hva, struct xvm_host_entry *entry)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(current->mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	*entry = (struct xvm_host_entry) {};
	if (pgd_none(pgd) || !pgd_present(pgd)) {
		entry->none = pgd_none(pgd);
		return NULL;
	}
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d)) {
		entry->none = p4d_none(p4d);
		return NULL;
	}
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud)) {
		entry->none = pud_none(pud);
		return NULL;
	}
	if (pud_leaf(pud)) {
		set_entry(entry, hva, 3, pud_pfn(pud), pud_write(pud), pud_dirty(pud));
		return NULL;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd)) {
		entry->none = pmd_none(pmd);
		return NULL;
	}
	if (pmd_leaf(pmd)) {
		set_entry(entry, hva, 2, pmd_pfn(pmd), pmd_write(pmd), pmd_dirty(pmd));
		return NULL;
	}
	return pte_offset_kernel(&pmd, hva);
}

static void read_pte(struct xvm_host_entry *entry, unsigned long hva, const pte_t *ptep)
{
	pte_t pte = READ_ONCE(*ptep);

	*entry = (struct xvm_host_entry) {};
	entry->none = pte_none(pte);
	if (!pte_present(pte))
		return;
	set_entry(entry, hva, 1, pte_pfn(pte), pte_write(pte), pte_dirty(pte));
	entry->zero = is_zero_pfn(pte_pfn(pte)) && pte_access_permitted(pte, false);
}

void xvm_hostmap_entry(unsigned long hva, struct xvm_host_entry *entry)
{
	unsigned long flags;
	pte_t *ptep;

	local_irq_save(flags);
	ptep = walk_host(hva, entry);
	if (ptep)
		read_pte(entry, hva, ptep);
	local_irq_restore(flags);
}

/* Memory that has no other store, but for swap: where nothing is, there would be zeroes. */
static bool is_plain_memory(struct vm_area_struct *vma)
{
	const struct inode *inode;

	if (vma_is_anonymous(vma))
		return true;
	if (!(vma->vm_flags & VM_SHARED) || !vma->vm_file)
		return false;
	/* The nodes of devices are on tmpfs, too. */
	inode = file_inode(vma->vm_file);
	return inode->i_sb->s_magic == TMPFS_MAGIC && S_ISREG(inode->i_mode);
}

/* Anonymous memory has an entry that says so; that of tmpfs has none. */
static bool shmem_swapped(struct vm_area_struct *vma, unsigned long hva)
{
	return vma->vm_file && xa_is_value(xa_load(&vma->vm_file->f_mapping->i_pages,
						   linear_page_index(vma, hva)));
}

unsigned int xvm_hostmap_fresh(unsigned long hva, unsigned int nr)
{
	struct mm_struct *mm = current->mm;
	struct xvm_host_entry entry;
	struct vm_area_struct *vma;
	unsigned int i = 0;

	/* Nobody waits for pages that nobody has asked for. */
	if (!nr || !mmap_read_trylock(mm))
		return 0;
	vma = vma_lookup(mm, hva);
	if (vma && is_plain_memory(vma))
		nr = min_t(unsigned long, nr, (vma->vm_end - hva) >> PAGE_SHIFT);
	else
		nr = 0;
	for (; i < nr; i++, hva += PAGE_SIZE) {
		xvm_hostmap_entry(hva, &entry);
		if (!entry.none || shmem_swapped(vma, hva))
			break;
	}
	mmap_read_unlock(mm);
	return i;
}

void xvm_hostmap_scan(unsigned long hva, unsigned int nr, struct xvm_host_pages *pages)
{
	struct xvm_host_entry entry;
	unsigned long flags;
	pte_t *ptep = NULL;
	unsigned int i;

	*pages = (struct xvm_host_pages) {};
	local_irq_save(flags);
	for (i = 0; i < nr; i++, hva += PAGE_SIZE) {
		/* Once for each table that the range touches. */
		if (!i || !(hva & ~PMD_MASK))
			ptep = walk_host(hva, &entry);
		else if (ptep)
			ptep++;
		if (ptep)
			read_pte(&entry, hva, ptep);
		if (!entry.level)
			continue;
		pages->present |= BIT_ULL(i);
		if (entry.writable && entry.dirty)
			pages->writable |= BIT_ULL(i);
		if (entry.zero)
			pages->zero |= BIT_ULL(i);
	}
	local_irq_restore(flags);
}
