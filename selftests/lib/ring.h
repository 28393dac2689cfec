/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM with a dirty ring, and its entries, as user space takes them. */
#ifndef SELFTESTS_RING_H
#define SELFTESTS_RING_H

#include "guest.h"

/* Of the entries, those that stay free when the vCPU stops. */
#define RING_RESERVED 64
#define RING_OFFSET (KVM_DIRTY_LOG_PAGE_OFFSET * GUEST_PAGE)

struct ring {
	struct kvm_dirty_gfn *entries;
	uint32_t nr;	/* of them */
	uint32_t next;	/* to take */
	uint64_t pages; /* of slot 1, which alone is logged */
};

/* KVM_ENABLE_CAP of ext, rings of so many bytes: 0, or -errno. */
long ring_enable(struct guest *g, uint32_t ext, uint64_t size);

/* Maps the ring of size bytes that a vCPU was created with; nothing is logged yet. */
void ring_map(struct vcpu *v, size_t size, struct ring *ring);
/* A guest in long mode with the code of pass, small pages, and a ring of size bytes. */
void ring_start(struct guest *g, int dev, size_t size, struct ring *ring);

/* Takes the next entry: its page, or -1 if there is none. */
long ring_take(struct ring *ring);
/* Takes all there are; seen counts them by page, unless it is NULL. */
unsigned int ring_take_all(struct ring *ring, uint8_t *seen);
/* Those that were taken may be used again: how many, or -errno. */
long ring_reset(struct guest *g);

#endif
