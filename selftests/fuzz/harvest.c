// SPDX-License-Identifier: GPL-2.0-only
/*
 * User space's half of a dirty ring: what the vCPU pushed is collected, or
 * something else put in its place, and reset.  Nothing keeps threads from doing
 * so at once, nor while the vCPU pushes.
 */
#include "ops.h"

#include <sys/mman.h>

#define MAX_BYTES (65536 * sizeof(struct kvm_dirty_gfn))

/* A power of two, or 0.  Beyond the ring there are no pages: nothing else tells its size. */
static size_t ring_bytes(uint8_t *ring)
{
	size_t bytes;

	for (bytes = 0; bytes < MAX_BYTES; bytes = bytes ? 2 * bytes : GUEST_PAGE)
		if (madvise(ring + bytes, GUEST_PAGE, MADV_POPULATE_READ))
			break;
	return bytes;
}

static bool is_dirty(const struct kvm_dirty_gfn *entry)
{
	return (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_MASK) ==
	       KVM_DIRTY_GFN_F_DIRTY;
}

/* That is pushed and not marked; 0 if there is none, or no other. */
static size_t first_dirty(const struct kvm_dirty_gfn *ring, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (is_dirty(&ring[i]) && !is_dirty(&ring[(i + nr - 1) % nr]))
			return i;
	return 0;
}

/* Some stay as they are, so that a reset meets both kinds.  Returns what the flags are to be. */
static uint32_t forge(struct kvm_dirty_gfn *entry, uint32_t slot, uint64_t page, uint64_t r)
{
	const uint64_t more = r >> 16;

	switch (r & 7) {
	case 0:
		break;
	case 1:
		/* A page nearby, or any. */
		entry->offset ^= 1ul << (more & (r & 8 ? 63 : 7));
		break;
	case 2:
		entry->offset = page + more % 128;
		break;
	case 3:
		entry->offset = (r & 8 ? 1ul << (more >> 8 & 63) : 0) - more % 128;
		break;
	case 4:
		entry->slot = slot;
		break;
	case 5:
		entry->slot ^= 1u << (more & 31);
		break;
	case 6:
		entry->slot = slot;
		entry->offset = page + more % 128;
		break;
	default:
		fill(entry, sizeof(*entry), more);
	}
	/* Here and there one that isn't marked: a reset stops there, until another harvest. */
	switch (r >> 8 & 31) {
	case 0:
		return (more & ~KVM_DIRTY_GFN_F_RESET) | KVM_DIRTY_GFN_F_DIRTY;
	case 1 ... 7:
		return more | KVM_DIRTY_GFN_F_RESET;
	default:
		return KVM_DIRTY_GFN_F_RESET;
	}
}

long harvest(int vm, int vcpu, uint64_t how, uint32_t slot, uint64_t page, uint64_t seed)
{
	uint8_t *map = mmap(NULL, MAX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
			    KVM_DIRTY_LOG_PAGE_OFFSET * GUEST_PAGE);
	const bool all = how & HARVEST_FORGE && !(seed & 7);
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
	size_t nr, first, i, left;
	long ret = 0;

	if (map == MAP_FAILED)
		return -errno;
	nr = ring_bytes(map) / sizeof(struct kvm_dirty_gfn);
	left = how & HARVEST_SOME ? 1 + seed % 64 : nr;
	first = first_dirty((void *)map, nr);
	for (i = 0; i < nr && left; i++) {
		struct kvm_dirty_gfn *entry = (void *)map;
		uint32_t flags = KVM_DIRTY_GFN_F_RESET;

		entry += (first + i) % nr;
		if (!all && !is_dirty(entry))
			continue;
		if (how & HARVEST_FORGE)
			flags = forge(entry, slot, page, next_random(&state));
		__atomic_store_n(&entry->flags, flags, __ATOMIC_RELEASE);
		left--;
		ret++;
	}
	if (!(how & HARVEST_NO_RESET))
		ret = kioctl(vm, KVM_RESET_DIRTY_RINGS, 0ul);
	munmap(map, MAX_BYTES);
	return ret;
}
