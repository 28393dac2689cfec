/* SPDX-License-Identifier: GPL-2.0-only */
/* The invariant checker: walks a live VM and proves what docs/architecture.md promises. */
#ifndef XVM_OBSERVE_VERIFY_H
#define XVM_OBSERVE_VERIFY_H

#include "../uapi/xvm.h"

struct task_struct;
struct xvm;

/*
 * XVM_VERIFY.  For a thread of the VM's own process: what a leaf should map is
 * asked from current->mm.  Holds off memslot updates; vCPUs and the host go on.
 * 0, -EINTR, -EFAULT, -ENOMEM, or -EAGAIN: so much changes that counts can't be
 * compared.
 */
int xvm_verify(struct xvm *xvm, struct xvm_verify __user *arg);

/* The same for anyone, from a worker that uses the VM's memory as its own. */
int xvm_verify_outside(struct xvm *xvm, struct xvm_verify *result);

/* A verification under way. */
struct verify {
	struct xvm *xvm;
	struct task_struct *asker;	/* its signals end the walk; it waits for the result */
	struct xvm_verify result;
};

/* Count a broken invariant; the first one's message is kept. */
__printf(2, 3) void verify_violated(struct verify *verify, const char *fmt, ...);

/* verify_slots.c; memslots.lock held */
void verify_slots(struct verify *verify);
/* verify_mmu.c; memslots.lock held; 0, -EINTR, -EAGAIN */
int verify_mmu(struct verify *verify);

struct memslot;

/* A leaf that is being looked at. */
struct verify_leaf {
	u64 pte;
	u64 gfn;
	u64 pages;
	unsigned int level;
};

/* What holds for leaves of all tables; mmu.lock held.  last: the slot of the leaf before. */
void verify_leaf(struct verify *verify, struct memslot **last, const struct verify_leaf *leaf);
/* verify_shadow.c; memslots.lock held; 0, -EINTR, -ENOMEM */
int verify_shadow(struct verify *verify);

#endif
