/* SPDX-License-Identifier: GPL-2.0-only */
/* Changes of memslots, and XVM_SET_USER_MEMORY_REGIONS on an array of them. */
#ifndef SELFTESTS_BATCH_H
#define SELFTESTS_BATCH_H

#include "guest.h"

#define NEEDS_BATCH(dev)						\
	do {								\
		if (!device_is_xvm(dev))				\
			SKIP(return, "stock KVM has no batches");	\
	} while (0)

static inline struct xvm_memory_change change_set(uint32_t slot, uint64_t gpa,
						  uint64_t size, void *hva)
{
	return (struct xvm_memory_change){
		.op = XVM_MEMORY_SET,
		.region = {
			.slot = slot,
			.guest_phys_addr = gpa,
			.memory_size = size,
			.userspace_addr = (uintptr_t)hva,
		},
	};
}

static inline struct xvm_memory_change change_delete(uint32_t slot)
{
	return (struct xvm_memory_change){
		.op = XVM_MEMORY_DELETE,
		.region.slot = slot,
	};
}

/* The ioctl's result; failed, if not NULL, gets the index that it blames. */
static inline int apply(struct guest *g, const struct xvm_memory_change *changes,
			uint32_t nr, uint32_t *failed)
{
	struct xvm_memory_regions regions = {
		.nr = nr,
		.failed_index = 0xdead,
		.regions = (uintptr_t)changes,
	};
	int ret = kioctl(g->vm, XVM_SET_USER_MEMORY_REGIONS, &regions);

	if (failed)
		*failed = regions.failed_index;
	return ret;
}

#endif
