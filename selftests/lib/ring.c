// SPDX-License-Identifier: GPL-2.0-only
#include "ring.h"

#include <string.h>

#include "pass.h"

long ring_enable(struct guest *g, uint32_t ext, uint64_t size)
{
	struct kvm_enable_cap cap = { .cap = ext, .args = { size } };

	return kioctl(g->vm, KVM_ENABLE_CAP, &cap);
}

void ring_map(struct vcpu *v, size_t size, struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->nr = size / sizeof(struct kvm_dirty_gfn);
	ring->entries = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
			     RING_OFFSET);
	if (ring->entries == MAP_FAILED)
		die("mmap of the ring: %m");
}

void ring_start(struct guest *g, int dev, size_t size, struct ring *ring)
{
	guest_create_bare(g, dev);
	if (ring_enable(g, KVM_CAP_DIRTY_LOG_RING, size))
		die("KVM_CAP_DIRTY_LOG_RING: %m");
	pass_load(g);
	ring_map(&g->cpu, size, ring);
}

long ring_take(struct ring *ring)
{
	struct kvm_dirty_gfn *entry = &ring->entries[ring->next % ring->nr];

	if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) !=
	    KVM_DIRTY_GFN_F_DIRTY)
		return -1;
	if (entry->slot != 1 || entry->offset >= ring->pages)
		die("an entry for slot %u, page %llu", entry->slot,
		    entry->offset);
	ring->next++;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	return entry->offset;
}

unsigned int ring_take_all(struct ring *ring, uint8_t *seen)
{
	unsigned int n = 0;
	long page;

	while ((page = ring_take(ring)) >= 0) {
		if (seen)
			seen[page]++;
		n++;
	}
	return n;
}

long ring_reset(struct guest *g)
{
	return kioctl(g->vm, KVM_RESET_DIRTY_RINGS, 0ul);
}
