// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory type range registers.  They are kept and checked; memory types come
 * from the nested tables and the guest's PAT alone, as in KVM on AMD.
 */
#include <linux/kernel.h>
#include <asm/msr-index.h>

#include "x86.h"

#define MTRR_VAR_BASE	0x200		/* PHYSBASEn and PHYSMASKn take turns */
#define NR_VARIABLE	8
/* Fixed ranges and write combining are there. */
#define MTRR_CAP	(BIT(8) | BIT(10) | NR_VARIABLE)

static const u16 fixed[] = {
	MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, MSR_MTRRfix4K_C0000,
	MSR_MTRRfix4K_C8000, MSR_MTRRfix4K_D0000, MSR_MTRRfix4K_D8000, MSR_MTRRfix4K_E0000,
	MSR_MTRRfix4K_E8000, MSR_MTRRfix4K_F0000, MSR_MTRRfix4K_F8000,
};

static bool valid_type(u8 type)
{
	/* UC, WC, WT, WP, WB */
	return type < 8 && (BIT(type) & 0x73);
}

static bool valid_fixed(u64 val)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (!valid_type(val >> (8 * i)))
			return false;
	return true;
}

static bool is_variable(u32 index)
{
	return index - MTRR_VAR_BASE < 2 * NR_VARIABLE;
}

/* Where it is kept, NULL: none of ours. */
static u64 *slot(struct xvm_vcpu *vcpu, u32 index)
{
	unsigned int i;

	if (is_variable(index))
		return &vcpu->arch.mtrr_var[index - MTRR_VAR_BASE];
	if (index == MSR_MTRRdefType)
		return &vcpu->arch.mtrr_def_type;
	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fixed[i] == index)
			return &vcpu->arch.mtrr_fixed[i];
	return NULL;
}

static bool valid(struct xvm_vcpu *vcpu, u32 index, u64 val)
{
	u64 reserved = xvm_reserved_gpa_bits(vcpu);

	if (index == MSR_MTRRdefType)
		return !(val & ~0xcffULL) && valid_type(val);
	if (!is_variable(index))
		return valid_fixed(val);
	/* PHYSMASKn are the odd ones. */
	if (index & 1)
		return !(val & (reserved | GENMASK_ULL(10, 0)));
	return !(val & (reserved | GENMASK_ULL(11, 8))) && valid_type(val);
}

int xvm_get_mtrr(struct xvm_vcpu *vcpu, u32 index, u64 *val)
{
	const u64 *mtrr = slot(vcpu, index);

	if (index == MSR_MTRRcap)
		*val = MTRR_CAP;
	else if (mtrr)
		*val = *mtrr;
	else
		return 1;
	return 0;
}

int xvm_set_mtrr(struct xvm_vcpu *vcpu, u32 index, u64 val)
{
	u64 *mtrr = slot(vcpu, index);

	if (!mtrr || !valid(vcpu, index, val))
		return 1;
	*mtrr = val;
	return 0;
}
