// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of writes to fresh memory, page after page.  Each page would cost an
 * exit, which takes far longer than the page itself.  So a fault that goes on
 * where the last one ended has the host bring in the next pages as well, for
 * fault-around to map.
 *
 * They are as many as the stream has come to so far, and it ends where one of them
 * was not used: what a guest then leaves unused is at most as much as it used, and
 * at most a window of fault-around.
 */
#include <linux/mm.h>

#include "../xvm.h"

/*
 * A CPU sets the bit before it uses a leaf that has none (APM vol. 2, 5.4.2).  Where
 * aging took it, and a TLB still had the leaf, a stream ends that need not have.
 */
static bool used_all(struct xvm *xvm, const struct xvm_stream *stream)
{
	bool used = true;
	u64 gfn;

	read_lock(&xvm->mmu.lock);
	for (gfn = stream->gfn; gfn < stream->next && used; gfn++)
		used = xvm_mmu_age_gfns(xvm, gfn, gfn + 1, false);
	read_unlock(&xvm->mmu.lock);
	return used;
}

void xvm_mmu_populate_ahead(struct xvm_vcpu *vcpu, const struct xvm_around *around, u64 gfn)
{
	struct xvm_stream *stream = &vcpu->stream;
	u64 left = around->start + around->nr - gfn;
	unsigned long hva = around->hva + ((gfn - around->start) << PAGE_SHIFT);
	unsigned int nr;

	/* The same fault once more, or that of a page which was brought in. */
	if (gfn - stream->gfn < stream->next - stream->gfn)
		return;
	if (gfn != stream->next || !used_all(vcpu->xvm, stream))
		stream->pages = 0;
	/* No page is swapped in, unshared or moved that the guest has not asked for. */
	nr = clamp_t(u64, stream->pages, 1, left);
	nr = 1 + xvm_hostmap_fresh(hva + PAGE_SIZE, nr - 1);
	stream->gfn = gfn;
	stream->next = gfn + nr;
	stream->pages += nr;
	/*
	 * Only what comes without waiting; no handler of userfaultfd is asked.
	 * The page of the fault itself may fail here: it gets its own call.
	 */
	if (nr > 1)
		get_user_pages_unlocked(hva, nr, NULL, FOLL_WRITE | FOLL_NOWAIT);
}

/* Slots may follow in the window on one that ends there: as far as the stream may go. */
void xvm_mmu_stream_on(struct xvm_vcpu *vcpu, const struct xvm_around *around)
{
	struct xvm_stream *stream = &vcpu->stream;
	u64 brought = stream->next - stream->gfn, end;

	if (stream->next != around->start + around->nr)
		return;
	end = min(around->window_end, stream->gfn + stream->pages - brought);
	while (stream->next < end && xvm_mmu_map_unasked(vcpu, stream->next)) {
		stream->next++;
		stream->pages++;
	}
}
