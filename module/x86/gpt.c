// SPDX-License-Identifier: GPL-2.0-only
#include <asm/processor-flags.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "gpt.h"

#define EFER_LMA BIT_ULL(10)
#define EFER_NXE BIT_ULL(11)

#define PTE_P BIT_ULL(0)
#define PTE_W BIT_ULL(1)
#define PTE_U BIT_ULL(2)
#define PTE_A BIT_ULL(5)
#define PTE_D BIT_ULL(6)
#define PTE_PS BIT_ULL(7)
#define PTE_G BIT_ULL(8)
#define PTE_NX BIT_ULL(63)
#define PTE_PKEY_SHIFT 59

#define PAE_LEVELS 3
#define LEGACY_LEVELS 2

/* A guest may rewrite its tables for ever: give up after so many walks. */
#define MAX_WALKS 8

/* Bits @lo to @hi, none if @lo > @hi. */
static u64 bits(unsigned int lo, unsigned int hi)
{
	return lo > hi ? 0 : ~0ULL >> (63 - hi) & ~0ULL << lo;
}

static unsigned int entry_bytes(const struct xvm_gpt_role *role)
{
	return role->levels == LEGACY_LEVELS ? 4 : 8;
}

static unsigned int level_shift(const struct xvm_gpt_role *role, unsigned int level)
{
	return 12 + (level - 1) * (role->levels == LEGACY_LEVELS ? 10 : 9);
}

void xvm_gpt_role_init(struct xvm_gpt_role *role, const struct xvm_gpt_cpu *cpu, u64 cr0, u64 cr3,
		       u64 cr4, u64 efer, u32 pkru)
{
	memset(role, 0, sizeof(*role));
	role->cpu = *cpu;
	role->wp = cr0 & X86_CR0_WP;
	role->smep = cr4 & X86_CR4_SMEP;
	role->smap = cr4 & X86_CR4_SMAP;
	if (!(cr0 & X86_CR0_PG))
		return;
	if (!(cr4 & X86_CR4_PAE)) {
		role->levels = LEGACY_LEVELS;
		role->pse = cr4 & X86_CR4_PSE;
		role->root = cr3 & bits(12, 31);
		return;
	}
	role->nx = efer & EFER_NXE;
	role->pse = true;
	if (!(efer & EFER_LMA)) {
		role->levels = PAE_LEVELS;
		role->root = cr3 & bits(5, 31);
		return;
	}
	role->levels = cr4 & X86_CR4_LA57 ? 5 : 4;
	role->root = cr3 & bits(12, cpu->maxphyaddr - 1);
	role->pke = cr4 & X86_CR4_PKE;
	role->pkru = pkru;
}

static bool is_leaf(const struct xvm_gpt_role *role, unsigned int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || !role->pse)
		return false;
	/* A set PS bit higher up, or without 1G pages, is a reserved bit. */
	return level == 2 || (level == 3 && role->levels >= 4 && role->cpu.gbpages);
}

u64 xvm_gpt_reserved(const struct xvm_gpt_role *role, unsigned int level, u64 entry)
{
	unsigned int maxphyaddr = role->cpu.maxphyaddr;
	bool leaf = is_leaf(role, level, entry);
	u64 rsvd = role->nx ? 0 : PTE_NX;

	if (role->levels == LEGACY_LEVELS) {
		/* Only a 4M page has any: PSE-36 puts address bits 39 to 32 into 20 to 13. */
		if (level == 1 || !leaf)
			return 0;
		return maxphyaddr < 40 ? bits(maxphyaddr - 32 + 13, 21) : bits(21, 21);
	}
	/* Bit 5 is reserved too, but QEMU's CPU sets it there as an accessed bit. */
	if (role->levels == PAE_LEVELS && level == 3)
		return bits(1, 2) | bits(6, 8) | bits(maxphyaddr, 63);

	/* Outside long mode the bits free for software are reserved as well. */
	rsvd |= bits(maxphyaddr, role->levels == PAE_LEVELS ? 62 : 51);
	if (level == 1)
		return rsvd;
	if (leaf)
		return rsvd | bits(13, level_shift(role, level) - 1);
	if (level >= 3) {
		rsvd |= PTE_PS;
		if (role->cpu.amd)
			rsvd |= PTE_G;
	}
	return rsvd;
}

static u64 leaf_address(const struct xvm_gpt_role *role, unsigned int level, u64 entry, u64 gva)
{
	u64 offset_bits = bits(0, level_shift(role, level) - 1);
	u64 base = entry & bits(12, role->levels == LEGACY_LEVELS ? 31 : 51);

	if (role->levels == LEGACY_LEVELS && level == 2)
		base |= (entry & bits(13, 20)) << 19;
	return (base & ~offset_bits) | (gva & offset_bits);
}

static bool pkey_denies(const struct xvm_gpt_role *role, const struct xvm_gpt_result *res,
			u32 access)
{
	u32 rights;

	if (!role->pke || !res->user || access & XVM_GPT_FETCH)
		return false;
	rights = role->pkru >> res->pkey * 2 & 3;
	if (rights & 1)
		return true;
	return rights & 2 && access & XVM_GPT_WRITE && (access & XVM_GPT_USER || role->wp);
}

static bool permitted(const struct xvm_gpt_role *role, const struct xvm_gpt_result *res, u32 access)
{
	if (access & XVM_GPT_FETCH && !res->executable)
		return false;
	if (access & XVM_GPT_USER)
		return res->user && (res->writable || !(access & XVM_GPT_WRITE));
	if (access & XVM_GPT_WRITE && role->wp && !res->writable)
		return false;
	if (!res->user)
		return true;
	if (access & XVM_GPT_FETCH)
		return !role->smep;
	return !role->smap || access & XVM_GPT_AC;
}

static int page_fault(const struct xvm_gpt_role *role, struct xvm_gpt_result *res, u32 access,
		      u32 error)
{
	if (access & XVM_GPT_WRITE)
		error |= XVM_PF_WRITE;
	if (access & XVM_GPT_USER)
		error |= XVM_PF_USER;
	/* Without a way to forbid fetches the CPU does not tell them from reads. */
	if (access & XVM_GPT_FETCH && (role->nx || role->smep))
		error |= XVM_PF_FETCH;
	res->error_code = error;
	return XVM_GPT_FAULT;
}

static int walk_once(const struct xvm_gpt_ops *ops, void *ctx, const struct xvm_gpt_role *role,
		     u64 gva, u32 access, struct xvm_gpt_result *res)
{
	unsigned int bytes = entry_bytes(role);
	u64 table = role->root;
	unsigned int level;
	u64 entry = 0;
	u32 error;
	int ret;

	res->user = true;
	res->writable = true;
	res->executable = true;
	for (level = role->levels;; level--) {
		unsigned int shift = level_shift(role, level);
		u64 index = gva >> shift & (4096 / bytes - 1);

		if (role->levels == PAE_LEVELS && level == PAE_LEVELS)
			index &= 3;
		entry = 0;
		res->level = level;
		res->entry_gpa[level - 1] = table + index * bytes;
		ret = ops->read_gpa(ctx, table + index * bytes, &entry, bytes);
		if (ret)
			return ret;
		res->entry[level - 1] = entry;

		if (!(entry & PTE_P))
			return page_fault(role, res, access, 0);
		if (entry & xvm_gpt_reserved(role, level, entry))
			return page_fault(role, res, access, XVM_PF_PRESENT | XVM_PF_RSVD);
		/* The top entries of PAE carry no permissions.  NX that is off was reserved. */
		if (role->levels != PAE_LEVELS || level != PAE_LEVELS) {
			res->user &= !!(entry & PTE_U);
			res->writable &= !!(entry & PTE_W);
			res->executable &= !(entry & PTE_NX);
		}
		if (is_leaf(role, level, entry))
			break;
		table = entry & bits(12, bytes == 4 ? 31 : 51);
	}

	if (role->levels >= 4)
		res->pkey = entry >> PTE_PKEY_SHIFT & 0xf;
	res->page_size = 1ULL << level_shift(role, level);
	res->gpa = leaf_address(role, level, entry, gva);

	error = pkey_denies(role, res, access) ? XVM_PF_PK : 0;
	if (error || !permitted(role, res, access))
		return page_fault(role, res, access, error | XVM_PF_PRESENT);
	return 0;
}

static int set_accessed_dirty(const struct xvm_gpt_ops *ops, void *ctx,
			      const struct xvm_gpt_role *role, u32 access,
			      struct xvm_gpt_result *res)
{
	unsigned int level;
	int ret;

	for (level = role->levels; level >= res->level; level--) {
		u64 old = res->entry[level - 1], new = old | PTE_A;

		if (role->levels == PAE_LEVELS && level == PAE_LEVELS)
			continue;
		if (level == res->level) {
			res->first = !(old & PTE_A);
			if (access & XVM_GPT_WRITE)
				new |= PTE_D;
		}
		if (new == old)
			continue;
		ret = ops->cmpxchg_gpa(ctx, res->entry_gpa[level - 1], old, new, entry_bytes(role));
		if (ret)
			return ret;
		res->entry[level - 1] = new;
	}
	return 0;
}

int xvm_gpt_walk(const struct xvm_gpt_ops *ops, void *ctx, const struct xvm_gpt_role *role,
		 u64 gva, u32 access, struct xvm_gpt_result *res)
{
	unsigned int walks;
	int ret = 0;

	memset(res, 0, sizeof(*res));
	if (!role->levels) {
		res->gpa = (u32)gva;
		res->level = 1;
		res->page_size = 4096;
		res->user = true;
		res->writable = true;
		res->executable = true;
		return 0;
	}
	if (access & XVM_GPT_IMPLICIT)
		access &= ~(XVM_GPT_USER | XVM_GPT_AC);

	for (walks = 0; walks < MAX_WALKS; walks++) {
		ret = walk_once(ops, ctx, role, gva, access, res);
		if (!ret && access & XVM_GPT_SET_AD)
			ret = set_accessed_dirty(ops, ctx, role, access, res);
		if (ret != -EAGAIN)
			break;
	}
	/* For who takes a table that can't be read for one without entries. */
	if (ret < 0)
		page_fault(role, res, access, 0);
	return ret;
}
