/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the guest's own page tables, as its MMU would: guest-virtual to guest-physical, in every
 * paging mode, with every permission check.  Plain C, so that it runs under a model in user space.
 */
#ifndef XVM_X86_GPT_H
#define XVM_X86_GPT_H

#include <linux/types.h>

/* The access to check for, as a mask. */
#define XVM_GPT_WRITE 0x01
#define XVM_GPT_USER 0x02 /* at CPL 3 */
#define XVM_GPT_FETCH 0x04
#define XVM_GPT_IMPLICIT 0x08 /* a system access: a supervisor's, whatever CPL and RFLAGS.AC */
#define XVM_GPT_AC 0x10 /* RFLAGS.AC is set: SMAP does not hold */
#define XVM_GPT_SET_AD 0x20 /* set accessed and dirty bits in the guest's tables */

/* xvm_gpt_walk(): the guest gets a page fault. */
#define XVM_GPT_FAULT 1

/* Bits of a page fault's error code. */
#define XVM_PF_PRESENT 0x01
#define XVM_PF_WRITE 0x02
#define XVM_PF_USER 0x04
#define XVM_PF_RSVD 0x08
#define XVM_PF_FETCH 0x10
#define XVM_PF_PK 0x20

#define XVM_GPT_MAX_LEVEL 5

/* What the guest's CPU is, as far as the format of its tables goes. */
struct xvm_gpt_cpu {
	u8 maxphyaddr; /* at least 32 */
	bool gbpages;
	bool amd; /* reserves bit 8 of the upper tables' entries */
};

/* Everything in the control registers that bears on a walk. */
struct xvm_gpt_role {
	struct xvm_gpt_cpu cpu;
	u64 root; /* guest-physical address of the top table */
	u8 levels; /* 0: no paging; 2; 3: PAE; 4; 5 */
	bool pse;
	bool nx;
	bool wp;
	bool smep;
	bool smap;
	bool pke;
	u32 pkru;
};

struct xvm_gpt_result {
	u64 gpa;
	u8 level; /* of the entry that maps the page; 1 without paging */
	u64 page_size; /* in bytes: 4K, 2M, 4M, 1G */
	bool first; /* this walk has set that entry's accessed bit */
	/* What all levels together permit, before CR0.WP, SMEP, SMAP and protection keys. */
	bool user;
	bool writable;
	bool executable;
	u8 pkey;
	u32 error_code; /* with XVM_GPT_FAULT; with an errno that of an entry not present */
	/* The entries read and where they lie, by level - 1, from the top down to ->level. */
	u64 entry[XVM_GPT_MAX_LEVEL];
	u64 entry_gpa[XVM_GPT_MAX_LEVEL];
};

struct xvm_gpt_ops {
	/* 0 or an errno, which ends the walk. */
	int (*read_gpa)(void *ctx, u64 gpa, void *buf, unsigned int len);
	/* 0, -EAGAIN if memory no longer holds @old, or another errno.  @size: 4 or 8 bytes. */
	int (*cmpxchg_gpa)(void *ctx, u64 gpa, u64 old, u64 new, unsigned int size);
};

void xvm_gpt_role_init(struct xvm_gpt_role *role, const struct xvm_gpt_cpu *cpu, u64 cr0, u64 cr3,
		       u64 cr4, u64 efer, u32 pkru);

/* Bits that must not be set in an entry of a level. */
u64 xvm_gpt_reserved(const struct xvm_gpt_role *role, unsigned int level, u64 entry);

/*
 * Translates @gva, which must be canonical, for an access of the kinds in the mask @access.
 * Returns 0 with the translation in @res; XVM_GPT_FAULT with ->error_code; or what an op returned,
 * -EAGAIN if the tables keep changing while accessed and dirty bits are set.
 */
int xvm_gpt_walk(const struct xvm_gpt_ops *ops, void *ctx, const struct xvm_gpt_role *role,
		 u64 gva, u32 access, struct xvm_gpt_result *res);

#endif
