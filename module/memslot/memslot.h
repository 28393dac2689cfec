/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two-set memslot store: which guest frames are backed by which user memory.
 *
 * Every address space has two sets of the same slot objects, one active, one inactive. Readers
 * walk the active set without a lock. An update edits the inactive set, publishes it with one
 * pointer store, and brings the other set into line once nobody walks it any more. The protocol
 * and its memory ordering are argued in docs/memslots.md.
 *
 * The store knows no MMU: struct memslot_ops is how an update reaches it.
 */
#ifndef XVM_MEMSLOT_H
#define XVM_MEMSLOT_H

#include <linux/atomic.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>

#define MEMSLOT_MAX_SPACES	2
#define MEMSLOT_NR_IDS		65536U
#define MEMSLOT_MAX_PAGES	((1UL << 31) - 1)
/* A longer batch must repeat itself: each id can be deleted once and set once. */
#define MEMSLOT_MAX_BATCH	(MEMSLOT_MAX_SPACES * MEMSLOT_NR_IDS * 2)

struct memslots;

/* A slot's link in the hva tree of one of the two sets. */
struct memslot_node {
	struct rb_node hva;
	unsigned long hva_subtree_last;
};

/*
 * What a slot is (base_gfn to hva, flags to as_id) never changes once it is published: a change
 * makes a new object. Its links [i] belong to set i and are written only while set i is inactive
 * and unread. What a search looks at lies close together.
 *
 * dirty_bitmap belongs to whoever implements the hooks: made in ->prepare(), released in ->free().
 * A MOVE or FLAGS change hands it on to the new object. Between then and ->free() the old object
 * still points at it, for readers that came before. Load it with READ_ONCE() where memslots->lock
 * is not held.
 */
struct memslot {
	struct rb_node gfn_node[2];
	u64 base_gfn;
	u64 npages;
	unsigned long hva;
	struct memslot_node node[2];
	struct hlist_node id_node[2];
	u32 flags;		/* KVM_MEM_* */
	u16 id;
	u8 as_id;
	u8 state;		/* the updater's own */
	unsigned long *dirty_bitmap;
	struct memslot *next;	/* the updater's own */
};

struct memslot_set {
	struct rb_root gfn_tree;
	struct rb_root_cached hva_tree;
	struct hlist_head *ids;		/* NULL while the set is empty */
	u64 generation;			/* of its publication; no two publications share one */
	struct memslot *last_used;	/* a hint: some slot of this set, or NULL */
	u32 nr_slots;
	u8 id_bits;			/* log2 of the number of buckets in ids */
	u8 idx;				/* which of a slot's links are used here */
};

/* What an update does to one set and then, as soon as nobody reads it, to the other. */
struct memslot_edit {
	struct memslot *gone;		/* linked by next */
	struct memslot *come;
	struct hlist_head *ids;		/* if resize: the set's new buckets, or NULL */
	u8 id_bits;
	bool resize;
};

struct memslot_space {
	struct memslot_set __rcu *active;
	struct memslot_set sets[2];
	struct memslot_edit edit;	/* of the last update, if stale */
	bool stale;			/* the inactive set has yet to follow */
};

/* Written under memslots->lock; read without it by statistics, one value at a time. */
struct memslot_stats {
	u64 updates;		/* transactions published */
	u64 changes;		/* slots created, deleted, moved, reflagged */
	u64 grace_skipped;	/* no reader was inside when the update had published */
	u64 grace_polled;	/* readers were, and had left when the updater looked again */
	u64 grace_waited;	/* the updater slept through an SRCU grace period */
	u64 grace_deferred;	/* updates that returned before the other set was in line */
};

struct memslots {
	/*
	 * Serialises updates; the caller of memslots_update() holds it. Never taken inside a read
	 * section: an update may wait for readers.
	 */
	struct mutex lock;

	const struct memslot_ops *ops;
	u64 max_gfn;
	unsigned int nr_spaces;
	struct memslot_space spaces[MEMSLOT_MAX_SPACES];

	u64 generation;		/* of the last publication */
	u64 nr_pages;		/* of all slots of all spaces; lock, or READ_ONCE() */
	u32 nr_slots;		/* likewise */

	/* Readers, and what is still to be waited for since the last publication. */
	struct srcu_struct srcu;
	spinlock_t readers_lock;	/* readers, and their snap */
	struct list_head readers;
	atomic_t shared_readers;
	bool grace_pending;
	bool shared_pending;
	bool srcu_watches;		/* srcu_cookie is of this publication, not an older one */
	bool srcu_used;			/* srcu_cookie is of some publication */
	unsigned long srcu_cookie;

	struct memslot_stats stats;
};

/* One requested change. size 0 deletes the slot id; what else happens follows from what exists. */
struct memslot_change {
	u32 as_id;
	u32 id;
	u32 flags;
	u64 gpa;
	u64 size;
	u64 hva;
};

enum memslot_change_kind {
	MEMSLOT_CREATE,		/* no old */
	MEMSLOT_DELETE,		/* no new */
	MEMSLOT_MOVE,		/* another base_gfn, perhaps other flags too */
	MEMSLOT_FLAGS,		/* other flags alone */
};

/*
 * How an update reaches the MMU; each hook may be NULL. All are called with memslots->lock held,
 * outside any read section, and may sleep unless said otherwise. In the order of one update:
 *
 * check_hva: may this process use these user addresses at all (access_ok())? Aligned, not wrapping.
 * prepare: the only hook that may fail. Nothing is visible yet. Allocates what @new needs, such as
 *   a dirty bitmap if it asks for logging and @old has none; else @new takes over that of @old. On
 *   failure it leaves @new to ->free(), which is called for every new slot of a failed update,
 *   prepared or not.
 * freeze: from now until thaw no fault in [start_gfn, end_gfn) of @as_id may install a translation,
 *   a fault that began before included: the MMU's invalidation sequence count does it as for a
 *   host notifier. vCPUs that fault there try again. Once for each address space in which a slot
 *   is deleted, moved or reflagged; the range covers all of these slots as they were.
 * zap: drop all translations of a slot to be deleted (@new is NULL) or moved.
 * flush: after the last zap: no TLB holds any translation dropped by it on return.
 * (The new map is published here.)
 * thaw: the end of freeze; faults from here on see the new map.
 * commit: once per change, published: switch dirty logging on or off, count.
 * free: release dirty_bitmap if it is not NULL; no reader can reach @slot. Also
 *   called by memslots_destroy(), without lock.
 */
struct memslot_ops {
	bool (*check_hva)(struct memslots *ms, u64 hva, u64 size);
	int (*prepare)(struct memslots *ms, const struct memslot *old, struct memslot *new,
		       enum memslot_change_kind kind);
	void (*freeze)(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn);
	void (*zap)(struct memslots *ms, const struct memslot *slot, const struct memslot *new);
	void (*flush)(struct memslots *ms);
	void (*thaw)(struct memslots *ms, u16 as_id, u64 start_gfn, u64 end_gfn);
	void (*commit)(struct memslots *ms, const struct memslot *old, const struct memslot *new,
		       enum memslot_change_kind kind);
	void (*free)(struct memslots *ms, struct memslot *slot);
};

/* Once per module: the cache that slot objects come from. */
int memslot_cache_create(void);
void memslot_cache_destroy(void);

int memslots_init(struct memslots *ms, const struct memslot_ops *ops, unsigned int nr_spaces,
		  u64 max_gfn);
/* No reader is inside, none comes any more, all vCPUs' readers are removed. */
void memslots_destroy(struct memslots *ms);

/*
 * Apply all @nr changes or none. The caller holds ms->lock and is in no read section.
 *
 * With one change the outcome is that of KVM_SET_USER_MEMORY_REGION, errno for errno. A longer
 * batch is a set, not a sequence: the new map is the old one less every slot deleted or moved
 * away, plus every slot created or moved in, and only that map has to be free of overlaps. A slot
 * may be deleted and set in one batch; that replaces it (other size, other hva). Anything else
 * said twice about one id is -EINVAL.
 *
 * Returns 0 when readers that come from now on see the new map, and nobody reads or writes memory
 * that it took away. On failure nothing has changed, and *failed (if not NULL) is the index of the
 * offending change, or @nr if no single one is to blame.
 */
int memslots_update(struct memslots *ms, const struct memslot_change *changes, u32 nr,
		    u32 *failed);

/*
 * Reading. Between lock and unlock a set from memslots_active() and the slots found in it stay as
 * they are. Sections may sleep, but an update that takes memory away waits for them: leave the
 * section before anything long. The holder of memslots->lock may read without a section.
 *
 * A vCPU's own thread uses its reader, so that updates see at a glance whether it is inside; such
 * sections do not nest. Everybody else uses the shared form, which nests anywhere.
 */
struct memslot_reader {
	struct list_head link;
	u32 seq;	/* odd: inside */
	u32 snap;	/* seq when the last update published, 0 once it has moved on */
	int srcu_idx;
};

void memslots_add_reader(struct memslots *ms, struct memslot_reader *reader);
void memslots_del_reader(struct memslots *ms, struct memslot_reader *reader);

static inline void memslots_read_lock(struct memslots *ms, struct memslot_reader *reader)
{
	reader->srcu_idx = srcu_read_lock(&ms->srcu);
	WRITE_ONCE(reader->seq, reader->seq + 1);
	/* Pairs with the barrier after publication: the updater sees us, or we its map. */
	smp_mb();
}

static inline void memslots_read_unlock(struct memslots *ms, struct memslot_reader *reader)
{
	/* Pairs with the updater's acquire: our use of the old map came before. */
	smp_store_release(&reader->seq, reader->seq + 1);
	srcu_read_unlock(&ms->srcu, reader->srcu_idx);
}

static inline bool memslots_read_locked(const struct memslot_reader *reader)
{
	return reader->seq & 1;
}

static inline int memslots_read_lock_shared(struct memslots *ms)
{
	int srcu_idx = srcu_read_lock(&ms->srcu);

	atomic_inc(&ms->shared_readers);
	/* As in memslots_read_lock(). */
	smp_mb__after_atomic();
	return srcu_idx;
}

static inline void memslots_read_unlock_shared(struct memslots *ms, int srcu_idx)
{
	/* As in memslots_read_unlock(). */
	atomic_dec_return_release(&ms->shared_readers);
	srcu_read_unlock(&ms->srcu, srcu_idx);
}

/* The current map of an address space, for a reader or the holder of ms->lock. */
static inline struct memslot_set *memslots_active(struct memslots *ms, unsigned int as_id)
{
	return srcu_dereference_check(ms->spaces[as_id].active, &ms->srcu,
				      lockdep_is_held(&ms->lock));
}

/* A vCPU's last slot. Zero it at first; good for as long as the generation is the set's. */
struct memslot_cache {
	struct memslot *slot;
	u64 generation;
};

/* The slot that holds gfn, or NULL. */
struct memslot *memslot_by_gfn(struct memslot_set *set, u64 gfn);
/* The slot that holds gfn, else the nearest one below it, or NULL. */
struct memslot *memslot_by_gfn_approx(struct memslot_set *set, u64 gfn);
struct memslot *memslot_by_id(const struct memslot_set *set, u32 id);

static inline bool memslot_holds(const struct memslot *slot, u64 gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

static inline struct memslot *memslot_by_gfn_cached(struct memslot_set *set, u64 gfn,
						    struct memslot_cache *cache)
{
	struct memslot *slot;

	if (cache->generation == set->generation && memslot_holds(cache->slot, gfn))
		return cache->slot;

	slot = memslot_by_gfn(set, gfn);
	if (slot) {
		cache->slot = slot;
		cache->generation = set->generation;
	}
	return slot;
}

static inline u64 memslot_end_gfn(const struct memslot *slot)
{
	return slot->base_gfn + slot->npages;
}

static inline unsigned long memslot_last_hva(const struct memslot *slot)
{
	return slot->hva + (slot->npages << PAGE_SHIFT) - 1;
}

static inline unsigned long memslot_gfn_to_hva(const struct memslot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static inline u64 memslot_hva_to_gfn(const struct memslot *slot, unsigned long hva)
{
	return slot->base_gfn + ((hva - slot->hva) >> PAGE_SHIFT);
}

struct memslot *memslot_first_gfn(struct memslot_set *set, u64 start);
struct memslot *memslot_next_gfn(const struct memslot_set *set, const struct memslot *slot);
struct memslot *memslot_first_hva(struct memslot_set *set, unsigned long start,
				  unsigned long last);
struct memslot *memslot_next_hva(const struct memslot_set *set, struct memslot *slot,
				 unsigned long start, unsigned long last);

/* Every slot that has a frame in [start, end), in order. */
#define memslot_for_each_gfn(slot, set, start, end)					\
	for ((slot) = memslot_first_gfn(set, start);					\
	     (slot) && (slot)->base_gfn < (end);					\
	     (slot) = memslot_next_gfn(set, slot))

/* Every slot that has a byte in [start, last] of user memory, in order of hva. */
#define memslot_for_each_hva(slot, set, start, last)					\
	for ((slot) = memslot_first_hva(set, start, last); (slot);			\
	     (slot) = memslot_next_hva(set, slot, start, last))

#endif /* XVM_MEMSLOT_H */
