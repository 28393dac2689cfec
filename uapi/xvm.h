/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * User interface of /dev/xvm.
 *
 * /dev/xvm speaks the KVM API, version 12: what it shares with KVM is declared
 * by <linux/kvm.h>.  This header holds the rest, in two parts: what kernel
 * headers of 6.1 lack and xvm supports, and what only xvm has.
 */
#ifndef _UAPI_XVM_H
#define _UAPI_XVM_H

#include <linux/types.h>
#include <linux/kvm.h>

#define XVM_DEVICE_PATH "/dev/xvm"

/*
 * Part 1: newer parts of the KVM API, for headers older than 6.12.
 */

#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231
#endif

#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif

#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif

/* A bit of KVM_CAP_DISABLE_QUIRKS2: a slot that goes may take all that is mapped along. */
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL 0x80
#endif

/* VM ioctl.  xvm has no guest_memfd: KVM_MEM_GUEST_MEMFD in flags is EINVAL. */
#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 \
	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif

/* vCPU ioctl.  gpa and size advance by what was mapped, also on EINTR. */
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/*
 * The layout of kvm_run.memory_fault, which 6.1's struct kvm_run does not name.
 * gpa and size are in bytes and page-aligned.  KVM_RUN returns EFAULT
 * with this exit, not 0.
 */
struct xvm_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

#define XVM_MEMORY_FAULT(run) ((struct xvm_memory_fault *)(run)->padding)

/*
 * Part 2: what only xvm has.  Capabilities are numbered from a private range,
 * ioctls from 0xf0 on, where KVM has none.  Stock KVM answers 0 and ENOTTY.
 */

#define XVM_API_VERSION 1

#define XVM_CAP_BASE 0x58564d00 /* "XVM\0" */

/* Returns XVM_API_VERSION: the device is xvm.  Since 0.1. */
#define XVM_CAP_VERSION (XVM_CAP_BASE + 0)
/* Returns 1: the VM has XVM_VERIFY.  Since 0.1. */
#define XVM_CAP_VERIFY (XVM_CAP_BASE + 1)
/* Returns the longest batch that XVM_SET_USER_MEMORY_REGIONS takes.  Since 0.1. */
#define XVM_CAP_MEMSLOT_BATCH (XVM_CAP_BASE + 2)

/*
 * XVM_VERIFY - walk a live VM and check its invariants
 *
 * VM ioctl, needs XVM_CAP_VERIFY.  All fields are results.  The walk holds off
 * memslot updates; vCPUs may run meanwhile.
 *
 * Returns 0 when the walk was done, also if it found violations.
 * Errors: EFAULT (bad pointer), EINTR (a signal ended the wait for a running
 * update or the walk), EAGAIN (the VM changes too fast for its counts to be
 * compared), ENOMEM, EIO (the VM belongs to another process's address space).
 */
#define XVM_VERIFY_MESSAGE_SIZE 232

struct xvm_verify {
	__u64 slots;	   /* memslots seen, over all address spaces */
	__u64 leaves;	   /* present leaf entries seen in page tables */
	__u64 table_pages; /* page-table pages seen, of 4096 bytes */
	__u64 violations;  /* broken invariants; 0 is good */
	char message[XVM_VERIFY_MESSAGE_SIZE]; /* the first one, NUL-terminated */
};

#define XVM_VERIFY _IOR(KVMIO, 0xf0, struct xvm_verify)

/*
 * XVM_SET_USER_MEMORY_REGIONS - change many memslots at once, all or none
 *
 * VM ioctl, needs XVM_CAP_MEMSLOT_BATCH.  The changes take effect together:
 * every guest access sees the map before the batch or the map after it.  Only
 * the map after the batch has to be valid, so the order of the changes does not
 * matter, and one id may be deleted and set anew (a resize or a new hva).
 *
 * Errors: those of KVM_SET_USER_MEMORY_REGION for the map that would result,
 * and
 *   EINVAL  nr is 0; flags or a pad is not 0; op is unknown; a deletion whose
 *           region has more than its slot set; a set without a size; an id set
 *           or deleted twice
 *   E2BIG   nr is more than XVM_CAP_MEMSLOT_BATCH reports
 *   EFAULT  the structure or the array cannot be read
 * On an error nothing has changed, and failed_index is the index of an offending
 * change, or nr if no single one is to blame.
 */
#define XVM_MEMORY_SET 1    /* create, move or change flags, by region */
#define XVM_MEMORY_DELETE 2 /* delete region.slot; the rest of region is 0 */

struct xvm_memory_change {
	__u32 op; /* XVM_MEMORY_SET or XVM_MEMORY_DELETE */
	__u32 pad;
	struct kvm_userspace_memory_region region;
};

struct xvm_memory_regions {
	__u32 nr;	    /* in: number of changes, 1 or more */
	__u32 flags;	    /* in: 0 */
	__u32 failed_index; /* out, see above */
	__u32 pad;
	__u64 regions; /* in: user pointer to struct xvm_memory_change[nr] */
};

#define XVM_SET_USER_MEMORY_REGIONS \
	_IOWR(KVMIO, 0xf1, struct xvm_memory_regions)

#endif /* _UAPI_XVM_H */
