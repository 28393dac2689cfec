/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the two halves of CPUID: what xvm offers to every guest
 * (cpuid_offer.c), and what one vCPU was given by user space (cpuid.c).
 */
#ifndef XVM_X86_CPUID_H
#define XVM_X86_CPUID_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/types.h>

#define XVM_MAX_CPUID_ENTRIES	256	/* in a call, as KVM's */

/* This CPU's own answer; zeros where it has no such leaf. */
struct kvm_cpuid_entry2 xvm_host_cpuid(u32 function, u32 index);

/* The register of CPUID that a word of the kernel's feature bits mirrors. */
struct xvm_cpuid_reg {
	u32 function;
	u32 index;
	u8 reg;			/* 0 to 3: EAX, EBX, ECX, EDX */
};

/* NULL: the word is the kernel's own, or one that guests have no use for. */
const struct xvm_cpuid_reg *xvm_feature_reg(unsigned int feature);

static inline u32 xvm_entry_reg(const struct kvm_cpuid_entry2 *e, unsigned int reg)
{
	const u32 regs[] = { e->eax, e->ebx, e->ecx, e->edx };

	return regs[reg];
}

/* CPUID.80000021H:EAX has no word in some kernels. */
#define XVM_CPUID_21_LFENCE_SERIALIZING	BIT(2)
#define XVM_CPUID_21_NULL_SEL_CLR_BASE	BIT(6)
#define XVM_CPUID_21_AUTOIBRS		BIT(8)
#define XVM_CPUID_21_NO_SMM_CTL_MSR	BIT(9)
#define XVM_CPUID_21_SBPB		BIT(27)

/* A list of entries, in user space's order. */
struct xvm_cpuid_list {
	const struct kvm_cpuid_entry2 *entries;
	unsigned int nr;
};

extern struct xvm_cpuid_list xvm_cpuid_offered;

/* Bytes that XSAVE needs for a set of states. */
u32 xvm_xsave_size(u64 xfeatures, bool compacted);

bool xvm_cpuid_has(const struct xvm_cpuid_list *list, unsigned int feature);
bool xvm_cpuid_has_21(const struct xvm_cpuid_list *list, u32 bits);
/* Bits of CR4 and EFER that a CPU with this CPUID has. */
u64 xvm_cpuid_cr4(const struct xvm_cpuid_list *list);
u64 xvm_cpuid_efer(const struct xvm_cpuid_list *list);

#endif
