/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow paging: where nested paging is off, the CPU walks tables of ours that
 * say what the guest's own tables and the memslots say together.
 *
 * A shadow page is such a table.  It stands for a guest frame used as a table at
 * some level (of which the guest's writes are caught: the frame is marked in the
 * rmaps, and no leaf maps it writable), or for a linear range of guest frames
 * (direct: below a large page of the guest, or without guest paging).  Its role
 * says all that its entries depend on besides; pages are found by frame and role
 * and shared by all vCPUs.  Upper entries grant everything, leaves what the guest
 * grants on the whole way.
 *
 * A frame used as a last-level table alone may be written by the guest while its
 * shadow pages are out of step ("unsync"), as a TLB would be: until what makes a
 * CPU forget old translations.
 *
 * All of it is under mmu.lock for writing, but for what readers only look at
 * (the checker, statistics) or take from leaves: A when the host ages its pages,
 * W for a dirty log.
 */
#ifndef XVM_MMU_SHADOW_H
#define XVM_MMU_SHADOW_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "../../xvm.h"
#include "../../x86/gpt.h"
#include "../pgtable.h"
#include "../rmap.h"

struct xvm;
struct xvm_vcpu;
struct memslot;

/* What a leaf grants; all of them: an upper entry. */
#define SHADOW_WRITE	BIT(0)
#define SHADOW_USER	BIT(1)
#define SHADOW_EXEC	BIT(2)
#define SHADOW_ALL	(SHADOW_WRITE | SHADOW_USER | SHADOW_EXEC)

union shadow_role {
	u32 word;
	struct {
		u32 level : 3;		/* of its entries, 1 to 5 */
		u32 direct : 1;
		u32 access : 3;		/* that the way to it grants: SHADOW_ */
		u32 pkey : 4;		/* direct only: of the guest's large page */
		/* The rest is 0 in direct ones. */
		u32 guest_levels : 3;	/* of the guest's tables: 2 to 5 */
		u32 quadrant : 2;	/* which part of a table of 1024 entries it stands for */
		u32 pse : 1;		/* how the guest's entries are read */
		u32 nx : 1;
		u32 pke : 1;
		u32 wp : 1;		/* and what they mean to its kernel */
		u32 smep : 1;		/* these two only without wp */
		u32 smap : 1;
		u32 maxphyaddr : 6;
		u32 gbpages : 1;
	};
};

struct shadow_page {
	struct hlist_node hash;
	struct list_head link;		/* shadow->pages, oldest first, or ->freeable */
	u64 gfn;
	union shadow_role role;
	unsigned int roots;		/* vCPUs whose root it is: they keep it from being freed */
	bool obsolete;			/* no longer to be found; those vCPUs need another root */
	bool unsync;
	u8 writes;			/* emulated ones since it was last used */
	struct list_head unsync_link;	/* shadow->unsync */
	u64 *table;
	u64 *guest;			/* the guest's entry that each was made from, or NULL */
	struct xvm_rmap parents;	/* entries that lead to it */
};

#define SHADOW_HASH_BITS	10

/* A VM's. */
struct xvm_shadow {
	struct xvm *xvm;
	struct list_head vms_link;	/* shrink.c */
	struct xvm_rmaps rmaps;
	struct list_head pages;
	struct list_head unsync;
	struct list_head orphans;	/* obsolete, but still a vCPU's root */
	struct list_head freeable;	/* cut off; freed after the flush that is due */
	unsigned int nr_pages;
	unsigned int nr_unsync;
	struct hlist_head hash[1 << SHADOW_HASH_BITS];
};

/*
 * Leaves of a frame, and links to a page.  The guest decides how many there are
 * to be, and a removal looks through them.
 */
#define SHADOW_MAX_ALIASES	1000

/* Pages that are zapped, or compared with the guest's tables, under one hold of mmu.lock. */
#define SHADOW_BATCH		64

/* Tables that one fault may make, and links: 5 levels. */
#define SHADOW_STOCK_PAGES	5
/* Leaves that a fault may make besides, of an aligned part of a table. */
#define SHADOW_PREFETCH		64
#define SHADOW_STOCK_DESCS	(7 + SHADOW_PREFETCH)
#define SHADOW_STOCK_CHUNKS	6

#define SHADOW_NO_RIP		(~0ULL)

/* A vCPU's.  All of it belongs to the vCPU's thread, but for *pae: mmu.lock. */
struct xvm_shadow_vcpu {
	bool resync;			/* the guest's tables may have been changed by the host */
	bool stale;			/* registers have changed since the root was loaded */
	struct xvm_gpt_role gpt;	/* how the guest pages, as of then */
	struct shadow_page *root;	/* of a guest in long mode */
	u64 *pae;			/* else: the four top entries, below 4G */

	/* A write to a guest table that is to be emulated, for when it can't be. */
	bool table_write;
	u64 table_gfn;
	/* Where that happened last, and was left to the guest; SHADOW_NO_RIP: it has gone on. */
	u64 retry_rip;
	u64 retry_gfn;

	struct xvm_rmap_stock stock;
	struct shadow_page *pages[SHADOW_STOCK_PAGES];	/* with their tables */
	unsigned int nr_pages;
	u64 *guest[SHADOW_STOCK_PAGES];	/* pages for what the guest's tables say */
	unsigned int nr_guest;
	void *buf;			/* a page */
};

/* page.c: shadow pages */
int shadow_stock_fill(struct xvm_vcpu *vcpu);		/* may sleep; -ENOMEM */
void shadow_stock_free(struct xvm_shadow_vcpu *sv);
struct shadow_page *shadow_find(struct xvm *xvm, u64 gfn, union shadow_role role);
/* The one there is, or a new one.  NULL: the stock is too small.  Flushes if it has to. */
struct shadow_page *shadow_get(struct xvm_vcpu *vcpu, u64 gfn, union shadow_role role);
/* No longer to be found, nor linked; nothing is mapped by it.  Makes a flush due. */
void shadow_zap(struct xvm *xvm, struct shadow_page *sp);
/* All that stand for a guest table there. */
void shadow_zap_gfn(struct xvm *xvm, u64 gfn);
void shadow_put_root(struct xvm *xvm, struct shadow_page *sp);
/* Tell the VM's statistics. */
void shadow_count_rmaps(struct xvm *xvm);
/* Make room below the limit: zap the oldest, but not more at a time than a batch. */
void shadow_reclaim(struct xvm *xvm, unsigned int room);
/* How many there were of those that are no vCPU's root, up to nr.  Makes a flush due. */
unsigned int shadow_zap_oldest(struct xvm *xvm, unsigned int nr);
/* -ENOMEM: the stock is too small; -EAGAIN: the child is gone. */
int shadow_link(struct xvm_vcpu *vcpu, u64 *entry, struct shadow_page *child);
/* Empty an entry, whatever it holds.  True: something; a flush is due then. */
bool shadow_drop_entry(struct xvm *xvm, u64 *entry);

/* Entries are of addresses that the guest chose: no range of frames says which. */
static inline void shadow_flush_due(struct xvm *xvm)
{
	xvm->mmu.flush_start = 0;
	xvm->mmu.flush_end = XVM_GFN_END;
}

static inline void shadow_flush(struct xvm *xvm)
{
	if (xvm->mmu.flush_end)
		xvm_mmu_zap_flush(xvm);
}

/*
 * Let mmu.lock, held for writing, go if somebody waits for it or for the CPU.  Flushed
 * before: who finds no leaf, in a dirty log's frame for one, counts on no TLB to have it.
 */
static inline void shadow_yield(struct xvm *xvm)
{
	/* Not rwlock_needbreak(), which is about kernels that preempt themselves. */
	if (!need_resched() && !rwlock_is_contended(&xvm->mmu.lock))
		return;
	shadow_flush(xvm);
	write_unlock(&xvm->mmu.lock);
	cond_resched();
	write_lock(&xvm->mmu.lock);
}

static inline struct shadow_page *shadow_page_of(const u64 *entry)
{
	return (struct shadow_page *)page_private(virt_to_page(entry));
}

static inline unsigned int shadow_index(const u64 *entry)
{
	return offset_in_page(entry) / sizeof(*entry);
}

static inline unsigned int shadow_entry_index(u64 gva, unsigned int level)
{
	return gva >> (12 + XVM_PGT_BITS * (level - 1)) & (XVM_PGT_ENTRIES - 1);
}

static inline struct shadow_page *shadow_child(u64 pte)
{
	return (struct shadow_page *)page_private(pfn_to_page(xvm_pte_pfn(pte)));
}

/* The first frame that entry i of a page maps. */
static inline u64 shadow_gfn(const struct shadow_page *sp, unsigned int i)
{
	u64 pages = xvm_level_pages(sp->role.level);

	if (sp->guest)
		return (sp->guest[i] & XVM_PTE_ADDR) >> PAGE_SHIFT & ~(pages - 1);
	return sp->gfn + i * pages;
}

struct hlist_head *shadow_bucket(struct xvm_shadow *shadow, u64 gfn);

/* sync.c: shadow pages and the guest's tables */
/* Does the entry that was made from one of the guest's still do for what that is now? */
bool shadow_says_same(u64 then, u64 now);
/* Where the guest's entry is that entry i of a page shadows. */
u64 shadow_guest_gpa(const struct shadow_page *sp, unsigned int i);
/* The guest's memory, without sleeping.  -EFAULT: not at hand. */
int shadow_read(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len);
/* Drop what the guest's table no longer says.  A flush may be due; the page may be gone. */
void shadow_sync_page(struct xvm_vcpu *vcpu, struct shadow_page *sp);
/* All pages, whatever they are thought to be.  Takes mmu.lock, again and again. */
void shadow_resync(struct xvm_vcpu *vcpu);
/*
 * All pages that are out of step, or those of a frame; their writes are caught again.
 * For all of them mmu.lock may be let go on the way.
 */
void shadow_sync_all(struct xvm_vcpu *vcpu);
void shadow_sync_gfn(struct xvm_vcpu *vcpu, u64 gfn);
/* Let the guest write a table from now on.  False: it is not only used at the last level. */
bool shadow_unsync(struct xvm *xvm, u64 gfn);
/* Are writes to the frame caught? */
bool shadow_caught(struct xvm *xvm, u64 gfn);

/* leaf.c */
/* Does any leaf map the frame? */
bool shadow_mapped(struct xvm *xvm, u64 gfn);
/* Before another leaf maps it: if there are too many, none is left.  Makes a flush due. */
void shadow_limit_aliases(struct xvm *xvm, unsigned int level, u64 gfn);

/* prefetch.c: around entry at of a page that has just got one */
void shadow_prefetch(struct xvm_vcpu *vcpu, struct shadow_page *sp, unsigned int at);

/* role.c */
union shadow_role shadow_role(const struct xvm_gpt_role *gpt, unsigned int level, u32 access);
u32 shadow_access(u64 gpte);	/* SHADOW_ */

#endif
