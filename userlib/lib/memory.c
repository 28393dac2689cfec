// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memslots, one at a time and in batches. */
#include <errno.h>
#include <stdlib.h>

#include "libxvm.h"

int xvm_set_memory(int vm, uint32_t slot, uint64_t gpa, uint64_t size,
		   void *hva, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return xvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

int xvm_delete_memory(int vm, uint32_t slot)
{
	return xvm_set_memory(vm, slot, 0, 0, NULL, 0);
}

struct xvm_batch {
	struct xvm_memory_change *changes;
	uint32_t nr;
	uint32_t space;
};

struct xvm_batch *xvm_batch_new(void)
{
	return calloc(1, sizeof(struct xvm_batch));
}

void xvm_batch_free(struct xvm_batch *batch)
{
	if (batch)
		free(batch->changes);
	free(batch);
}

void xvm_batch_reset(struct xvm_batch *batch)
{
	batch->nr = 0;
}

static int xvm_batch_add(struct xvm_batch *batch,
			 const struct xvm_memory_change *change)
{
	if (batch->nr == batch->space) {
		uint32_t space = batch->space ? batch->space * 2 : 16;
		struct xvm_memory_change *changes;

		if (space < batch->space)
			return -E2BIG;
		changes = reallocarray(batch->changes, space, sizeof(*changes));
		if (!changes)
			return -ENOMEM;
		batch->changes = changes;
		batch->space = space;
	}
	batch->changes[batch->nr++] = *change;
	return 0;
}

int xvm_batch_set(struct xvm_batch *batch, uint32_t slot, uint64_t gpa,
		  uint64_t size, void *hva, uint32_t flags)
{
	struct xvm_memory_change change = {
		.op = XVM_MEMORY_SET,
		.region = {
			.slot = slot,
			.flags = flags,
			.guest_phys_addr = gpa,
			.memory_size = size,
			.userspace_addr = (uintptr_t)hva,
		},
	};

	return xvm_batch_add(batch, &change);
}

int xvm_batch_delete(struct xvm_batch *batch, uint32_t slot)
{
	struct xvm_memory_change change = {
		.op = XVM_MEMORY_DELETE,
		.region.slot = slot,
	};

	return xvm_batch_add(batch, &change);
}

int xvm_batch_commit(const struct xvm_batch *batch, int vm, uint32_t *failed)
{
	struct xvm_memory_regions regions = {
		.nr = batch->nr,
		.failed_index = batch->nr,
		.regions = (uintptr_t)batch->changes,
	};
	int ret = xvm_ioctl(vm, XVM_SET_USER_MEMORY_REGIONS, &regions);

	if (ret < 0 && failed)
		*failed = regions.failed_index;
	return ret;
}
