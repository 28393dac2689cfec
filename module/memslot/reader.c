// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who still reads the map before the last one? docs/memslots.md argues why this is right.
 *
 * A reader that is inside when an update has published holds it up only until it leaves that one
 * section; whoever enters later sees the new map. vCPUs are watched one by one, all other readers
 * through a count, and SRCU is asked where looking does not answer.
 */
#include <linux/processor.h>
#include <linux/sched.h>

#include "internal.h"

/* How often to look before sleeping: some microseconds, the length of a fault. */
#define GRACE_SPINS	200

void memslots_add_reader(struct memslots *ms, struct memslot_reader *reader)
{
	reader->seq = 0;
	reader->snap = 0;
	spin_lock(&ms->readers_lock);
	list_add_tail(&reader->link, &ms->readers);
	spin_unlock(&ms->readers_lock);
}

void memslots_del_reader(struct memslots *ms, struct memslot_reader *reader)
{
	WARN_ON_ONCE(memslots_read_locked(reader));
	spin_lock(&ms->readers_lock);
	list_del(&reader->link);
	spin_unlock(&ms->readers_lock);
}

/* Just published: note who is inside. */
void memslots_grace_begin(struct memslots *ms)
{
	struct memslot_reader *reader;

	/* Pairs with the barrier in memslots_read_lock(): it sees our map, or we see it inside. */
	smp_mb();

	ms->shared_pending = atomic_read_acquire(&ms->shared_readers);
	ms->grace_pending = ms->shared_pending;
	ms->srcu_watches = false;

	spin_lock(&ms->readers_lock);
	list_for_each_entry(reader, &ms->readers, link) {
		/* Pairs with the release on leaving: what the reader did inside is done. */
		u32 seq = smp_load_acquire(&reader->seq);

		reader->snap = seq & 1 ? seq : 0;
		ms->grace_pending |= seq & 1;
	}
	spin_unlock(&ms->readers_lock);

	if (!ms->grace_pending)
		ms->stats.grace_skipped++;
}

/* Have all who were inside left? Asks without waiting. */
static bool readers_left(struct memslots *ms)
{
	struct memslot_reader *reader;
	bool left;

	if (ms->shared_pending)
		ms->shared_pending = atomic_read_acquire(&ms->shared_readers);
	left = !ms->shared_pending;

	spin_lock(&ms->readers_lock);
	list_for_each_entry(reader, &ms->readers, link) {
		if (!reader->snap)
			continue;
		/* As above. */
		if (smp_load_acquire(&reader->seq) == reader->snap)
			left = false;
		else
			reader->snap = 0;
	}
	spin_unlock(&ms->readers_lock);
	return left;
}

bool memslots_grace_over(struct memslots *ms)
{
	if (!ms->grace_pending)
		return true;

	if (readers_left(ms) ||
	    (ms->srcu_watches && poll_state_synchronize_srcu(&ms->srcu, ms->srcu_cookie))) {
		ms->stats.grace_polled++;
		ms->grace_pending = false;
		return true;
	}
	return false;
}

/* Come back later: have SRCU watch the readers meanwhile. */
void memslots_grace_defer(struct memslots *ms)
{
	ms->srcu_cookie = start_poll_synchronize_srcu(&ms->srcu);
	ms->srcu_watches = true;
	ms->srcu_used = true;
	ms->stats.grace_deferred++;
}

void memslots_grace_wait(struct memslots *ms)
{
	unsigned int spins;

	for (spins = 0; !memslots_grace_over(ms); spins++) {
		if (spins == GRACE_SPINS || need_resched()) {
			synchronize_srcu_expedited(&ms->srcu);
			ms->stats.grace_waited++;
			ms->grace_pending = false;
			return;
		}
		cpu_relax();
	}
}

/* No reader is left at all. SRCU must not be torn down with a grace period under way. */
void memslots_grace_end(struct memslots *ms)
{
	WARN_ON_ONCE(!list_empty(&ms->readers) || atomic_read(&ms->shared_readers));
	if (ms->srcu_used && !poll_state_synchronize_srcu(&ms->srcu, ms->srcu_cookie))
		synchronize_srcu_expedited(&ms->srcu);
}
