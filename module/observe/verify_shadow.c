// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invariants of shadow paging.  Two walks, as in verify_mmu.c:
 *
 * The first follows the rmaps, in batches: each entry on a list is a live leaf of
 * that frame, as its shadow page says too, grants no more than the way to it, and
 * is right by slot and host; none lets the guest write a table of its own whose
 * writes have to be caught; none is listed twice.
 *
 * The second has everybody kept out, and follows the shadow pages: each can be
 * found, what it knows as its parents are links to it, each once, and there are
 * as many leaves, links and pages as lists, parents and counters say.  With that,
 * no leaf is missing from its list, and no link unknown: the time is linear.  Of a
 * VM with very many pages it is left out.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sort.h>

#include "../mmu/shadow/shadow.h"
#include "verify.h"

/* Leaves between two breaks of the lock. */
#define BATCH		1024
/* Of more shadow pages everybody would be kept out for too long. */
#define MAX_EXCLUSIVE	4096

struct walk {
	struct verify *verify;
	struct xvm_shadow *shadow;
	struct memslot *slot;		/* that the last leaf was in */
	u64 leaves[XVM_MAX_LEAF_LEVEL + 1];
	u64 links, parents;
	const u64 **entries;		/* of one list, as many as there may be */
};

static int compare_entries(const void *a, const void *b)
{
	const u64 *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* gfn: whose list it is */
static void check_distinct(struct walk *walk, const struct xvm_rmap *list, u64 gfn)
{
	struct xvm_rmap_iter iter;
	unsigned int nr = 0, i;
	const u64 *entry;

	xvm_rmap_for_each(entry, list, &iter) {
		if (nr == SHADOW_MAX_ALIASES) {
			verify_violated(walk->verify, "gfn 0x%llx: more than %u entries on a list",
					gfn, nr);
			break;
		}
		walk->entries[nr++] = entry;
	}
	if (nr < 2)
		return;
	sort(walk->entries, nr, sizeof(*walk->entries), compare_entries, NULL);
	for (i = 1; i < nr; i++)
		if (walk->entries[i] == walk->entries[i - 1])
			verify_violated(walk->verify, "gfn 0x%llx: an entry is on a list twice",
					gfn);
}

/* Of a large leaf any frame may be a table: even one out of step has small leaves alone. */
static bool lets_write_table(const struct walk *walk, u64 gfn, u64 pages)
{
	if (pages == 1)
		return shadow_caught(walk->verify->xvm, gfn);
	return xvm_rmaps_next_marked(&walk->shadow->rmaps, gfn, gfn + pages) != gfn + pages;
}

static void check_entry(struct walk *walk, unsigned int level, u64 gfn, const u64 *entry)
{
	const struct shadow_page *sp = shadow_page_of(entry);
	struct verify *verify = walk->verify;
	u64 pte = READ_ONCE(*entry);
	const struct verify_leaf leaf = {
		.pte = pte,
		.gfn = gfn,
		.pages = xvm_level_pages(level),
		.level = level,
	};

	if (!sp || sp->role.level != level || !(pte & XVM_PTE_PRESENT) ||
	    !xvm_pte_is_leaf(pte, level)) {
		verify_violated(verify, "gfn 0x%llx: rmap entry 0x%llx is no leaf of level %u",
				gfn, pte, level);
		return;
	}
	if (shadow_gfn(sp, shadow_index(entry)) != gfn) {
		verify_violated(verify, "gfn 0x%llx: rmap entry 0x%llx is a leaf of gfn 0x%llx",
				gfn, pte, shadow_gfn(sp, shadow_index(entry)));
		return;
	}
	if ((pte & XVM_PTE_USER && !(sp->role.access & SHADOW_USER)) ||
	    (pte & XVM_PTE_WRITE && !(sp->role.access & SHADOW_WRITE) &&
	     (sp->role.wp || pte & XVM_PTE_USER)) ||
	    (!(pte & XVM_PTE_NX) && !(sp->role.access & SHADOW_EXEC)))
		verify_violated(verify, "gfn 0x%llx: leaf 0x%llx grants more than access %u", gfn,
				pte, sp->role.access);
	if (pte & XVM_PTE_WRITE && lets_write_table(walk, gfn, leaf.pages))
		verify_violated(verify, "gfn 0x%llx: leaf 0x%llx lets a guest table be written",
				gfn, pte);
	verify_leaf(verify, &walk->slot, &leaf);
}

/* One batch of a level's lists from *gfn on.  True: there is more. */
static bool check_batch(struct walk *walk, unsigned int level, u64 *gfn)
{
	u64 end = XVM_GFN_END;
	unsigned int quota = BATCH;
	struct xvm_rmap_iter iter;
	struct xvm_rmap *list;
	u64 *entry;

	while (quota) {
		list = xvm_rmaps_next(&walk->shadow->rmaps, level, gfn, end);
		if (!list)
			return false;
		xvm_rmap_for_each(entry, list, &iter) {
			check_entry(walk, level, *gfn, entry);
			quota -= !!quota;
		}
		check_distinct(walk, list, *gfn);
		*gfn += xvm_level_pages(level);
	}
	return true;
}

static int check_lists(struct walk *walk)
{
	rwlock_t *lock = &walk->verify->xvm->mmu.lock;
	unsigned int level;
	bool more;

	for (level = 1; level <= XVM_MAX_LEAF_LEVEL; level++) {
		u64 gfn = 0;

		do {
			read_lock(lock);
			more = check_batch(walk, level, &gfn);
			read_unlock(lock);
			cond_resched();
			if (more && signal_pending(walk->verify->asker))
				return -EINTR;
		} while (more);
	}
	return 0;
}

static void check_parents(struct walk *walk, const struct shadow_page *sp)
{
	struct xvm_rmap_iter iter;
	const u64 *entry;

	xvm_rmap_for_each(entry, &sp->parents, &iter) {
		const struct shadow_page *parent = shadow_page_of(entry);

		/* The top entries of PAE are in no shadow page. */
		if ((parent && parent->role.level != sp->role.level + 1) ||
		    !(*entry & XVM_PTE_PRESENT) || *entry & XVM_PTE_HUGE ||
		    shadow_child(*entry) != sp)
			verify_violated(walk->verify,
					"gfn 0x%llx role 0x%x: parent is no link to it",
					sp->gfn, sp->role.word);
	}
	check_distinct(walk, &sp->parents, sp->gfn);
	walk->parents += xvm_rmap_length(&sp->parents);
}

static void check_link(struct walk *walk, const u64 *entry, unsigned int level)
{
	const struct shadow_page *child = shadow_child(*entry);

	walk->links++;
	if (!child || child->obsolete || child->role.level != level - 1)
		verify_violated(walk->verify, "link 0x%llx of level %u to no page of the next",
				*entry, level);
}

static void check_page(struct walk *walk, const struct shadow_page *sp)
{
	struct xvm *xvm = walk->verify->xvm;
	unsigned int i, level = sp->role.level;

	if (shadow_find(xvm, sp->gfn, sp->role) != sp)
		verify_violated(walk->verify, "gfn 0x%llx role 0x%x: the page isn't to be found",
				sp->gfn, sp->role.word);
	if (!sp->role.direct && !xvm_rmaps_marked(&walk->shadow->rmaps, sp->gfn))
		verify_violated(walk->verify, "gfn 0x%llx is a guest table, but not marked as one",
				sp->gfn);
	check_parents(walk, sp);
	for (i = 0; i < XVM_PGT_ENTRIES; i++) {
		if (!(sp->table[i] & XVM_PTE_PRESENT))
			continue;
		if (xvm_pte_is_leaf(sp->table[i], level))
			walk->leaves[level]++;
		else
			check_link(walk, &sp->table[i], level);
	}
}

static u64 count_list(const struct list_head *list)
{
	const struct list_head *pos;
	u64 nr = 0;

	list_for_each(pos, list)
		nr++;
	return nr;
}

static u64 count_entries(struct walk *walk, unsigned int level)
{
	struct xvm_rmap *list;
	u64 gfn = 0, nr = 0;

	for (; (list = xvm_rmaps_next(&walk->shadow->rmaps, level, &gfn, XVM_GFN_END));
	     gfn += xvm_level_pages(level))
		nr += xvm_rmap_length(list);
	return nr;
}

/* mmu.lock is held for writing. */
static void check_pages(struct walk *walk, const u64 *counted)
{
	struct verify *verify = walk->verify;
	struct xvm *xvm = verify->xvm;
	const struct shadow_page *sp;
	struct xvm_vcpu *vcpu;
	unsigned long i;
	u64 pages;

	list_for_each_entry(sp, &walk->shadow->pages, link)
		check_page(walk, sp);
	xvm_for_each_vcpu(i, vcpu, xvm) {
		unsigned int top;

		for (top = 0; top < 4; top++)
			if (vcpu->shadow->pae[top] & XVM_PTE_PRESENT)
				check_link(walk, &vcpu->shadow->pae[top], 3);
	}
	if (walk->links != walk->parents)
		verify_violated(verify, "%llu links between shadow pages, known as %llu",
				walk->links, walk->parents);
	for (i = 1; i <= XVM_MAX_LEAF_LEVEL; i++) {
		u64 listed = count_entries(walk, i);

		if (walk->leaves[i] != listed || walk->leaves[i] != counted[i])
			verify_violated(verify, "level %lu: %llu leaves, rmaps %llu, counted %llu",
					i, walk->leaves[i], listed, counted[i]);
	}
	/* The nested root is there, and stays empty. */
	pages = 1 + count_list(&walk->shadow->pages) + count_list(&walk->shadow->orphans) +
		count_list(&walk->shadow->freeable);
	if (pages != verify->result.table_pages)
		verify_violated(verify, "%llu table pages, counted as %llu", pages,
				verify->result.table_pages);
}

/* Keep everybody out, and tell what there is. */
static void count_and_check(struct walk *walk)
{
	struct xvm *xvm = walk->verify->xvm;
	struct xvm_verify *result = &walk->verify->result;
	u64 counted[XVM_MAX_LEAF_LEVEL + 1] = {};

	write_lock(&xvm->mmu.lock);
	counted[1] = atomic64_read(&xvm->stat.pages_4k);
	counted[2] = atomic64_read(&xvm->stat.pages_2m);
	counted[3] = atomic64_read(&xvm->stat.pages_1g);
	result->leaves = counted[1] + counted[2] + counted[3];
	result->table_pages = atomic64_read(&xvm->stat.table_pages);
	if (walk->shadow->nr_pages <= MAX_EXCLUSIVE)
		check_pages(walk, counted);
	write_unlock(&xvm->mmu.lock);
}

int verify_shadow(struct verify *verify)
{
	struct walk walk = { .verify = verify, .shadow = verify->xvm->mmu.shadow };
	int err = 0;

	walk.entries = kvmalloc_array(SHADOW_MAX_ALIASES, sizeof(*walk.entries),
				      GFP_KERNEL_ACCOUNT);
	if (!walk.entries)
		return -ENOMEM;
	/* Broken slots are no measure for leaves, nor safe to look anything up in. */
	if (!verify->result.violations)
		err = check_lists(&walk);
	if (!err)
		count_and_check(&walk);
	kvfree(walk.entries);
	return err;
}
