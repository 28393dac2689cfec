// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's CPUID, as user space set it, and what follows from it.
 *
 * Bits that mirror the vCPU's state (OSXSAVE, OSPKE, the APIC's enable bit, the
 * size of the XSAVE area) are kept up to date in the entries themselves, so
 * that the guest's CPUID is a look-up and nothing else.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor.h>

#include "cpuid.h"
#include "x86.h"

/* With no leaf that tells: the oldest CPUs' 64 GiB. */
#define DEFAULT_MAXPHYADDR	36

/* Leaves lie in three short runs, from 0, 40000000H and 80000000H on. */
static unsigned int bucket(u32 function)
{
	return (function + (function >> 26)) % XVM_CPUID_BUCKETS;
}

static const struct kvm_cpuid_entry2 *find(const struct xvm_cpuid_list *list, unsigned int start,
					   u32 function, u32 index)
{
	unsigned int i;

	for (i = start; i < list->nr; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

bool xvm_cpuid_has(const struct xvm_cpuid_list *list, unsigned int feature)
{
	const struct xvm_cpuid_reg *reg = xvm_feature_reg(feature);
	const struct kvm_cpuid_entry2 *e = NULL;

	if (reg)
		e = find(list, 0, reg->function, reg->index);
	return e && xvm_entry_reg(e, reg->reg) & BIT(feature % 32);
}

bool xvm_cpuid_has_21(const struct xvm_cpuid_list *list, u32 bits)
{
	const struct kvm_cpuid_entry2 *e = find(list, 0, 0x80000021, 0);

	return e && e->eax & bits;
}

u64 xvm_cpuid_cr4(const struct xvm_cpuid_list *list)
{
	static const struct {
		u16 feature;
		u32 cr4;
	} optional[] = {
		{ X86_FEATURE_XSAVE, X86_CR4_OSXSAVE },
		{ X86_FEATURE_SMEP, X86_CR4_SMEP },
		{ X86_FEATURE_SMAP, X86_CR4_SMAP },
		{ X86_FEATURE_FSGSBASE, X86_CR4_FSGSBASE },
		{ X86_FEATURE_PKU, X86_CR4_PKE },
		{ X86_FEATURE_LA57, X86_CR4_LA57 },
		{ X86_FEATURE_UMIP, X86_CR4_UMIP },
		{ X86_FEATURE_PCID, X86_CR4_PCIDE },
	};
	/* What KVM lets every guest set, whatever its CPUID says. */
	u64 cr4 = X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |
		  X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |
		  X86_CR4_OSXMMEXCPT;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(optional); i++)
		if (xvm_cpuid_has(list, optional[i].feature))
			cr4 |= optional[i].cr4;
	return cr4;
}

u64 xvm_cpuid_efer(const struct xvm_cpuid_list *list)
{
	u64 efer = EFER_SCE;

	if (xvm_cpuid_has(list, X86_FEATURE_LM))
		efer |= EFER_LME | EFER_LMA;
	if (xvm_cpuid_has(list, X86_FEATURE_NX))
		efer |= EFER_NX;
	if (xvm_cpuid_has(list, X86_FEATURE_FXSR_OPT))
		efer |= EFER_FFXSR;
	if (xvm_cpuid_has_21(list, XVM_CPUID_21_AUTOIBRS))
		efer |= EFER_AUTOIBRS;
	return efer;
}

static struct xvm_cpuid_list guest_list(struct xvm_vcpu *vcpu)
{
	return (struct xvm_cpuid_list) { vcpu->arch.cpuid, vcpu->arch.nr_cpuid };
}

bool xvm_guest_has(struct xvm_vcpu *vcpu, unsigned int feature)
{
	struct xvm_cpuid_list list = guest_list(vcpu);

	return xvm_cpuid_has(&list, feature);
}

bool xvm_guest_has_21(struct xvm_vcpu *vcpu, u32 bits)
{
	struct xvm_cpuid_list list = guest_list(vcpu);

	return xvm_cpuid_has_21(&list, bits);
}

const struct kvm_cpuid_entry2 *xvm_cpuid_find(struct xvm_vcpu *vcpu, u32 function, u32 index)
{
	struct xvm_cpuid_list list = guest_list(vcpu);

	return find(&list, vcpu->arch.cpuid_first[bucket(function)], function, index);
}

void xvm_cpuid_guest(struct xvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct kvm_cpuid_entry2 *e;
	u32 function = *eax, index = *ecx;

	e = xvm_cpuid_find(vcpu, function, index);
	if (e) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
		return;
	}
	/* AMD's way: a leaf that is not there reads as zeros. */
	*eax = *ebx = *ecx = *edx = 0;
	/* Past their end topology leaves still tell the level asked for, and the APIC id. */
	if (function == 0xb || function == 0x1f) {
		e = xvm_cpuid_find(vcpu, function, 1);
		if (e) {
			*ecx = index & 0xff;
			*edx = e->edx;
		}
	}
}

static struct kvm_cpuid_entry2 *entry(struct kvm_cpuid_entry2 *entries, unsigned int nr,
				      u32 function, u32 index)
{
	const struct xvm_cpuid_list list = { entries, nr };

	return (struct kvm_cpuid_entry2 *)find(&list, 0, function, index);
}

static void assign(u32 *reg, u32 bits, bool on)
{
	*reg = on ? *reg | bits : *reg & ~bits;
}

/* Bring entries in line with the vCPU's state. */
static void refresh(struct xvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, unsigned int nr)
{
	u64 cr4 = xvm_vendor->get_cr4(vcpu), xcr0 = vcpu->arch.xcr0;
	struct kvm_cpuid_entry2 *e;

	e = entry(entries, nr, 1, 0);
	if (e) {
		assign(&e->ecx, BIT(X86_FEATURE_OSXSAVE % 32), cr4 & X86_CR4_OSXSAVE);
		assign(&e->edx, BIT(X86_FEATURE_APIC % 32),
		       vcpu->arch.apic_base & MSR_IA32_APICBASE_ENABLE);
	}
	e = entry(entries, nr, 7, 0);
	if (e && boot_cpu_has(X86_FEATURE_PKU))
		assign(&e->ecx, BIT(X86_FEATURE_OSPKE % 32), cr4 & X86_CR4_PKE);
	e = entry(entries, nr, 0xd, 0);
	if (e)
		e->ebx = xvm_xsave_size(xcr0, false);
	e = entry(entries, nr, 0xd, 1);
	if (e && e->eax & (BIT(X86_FEATURE_XSAVES % 32) | BIT(X86_FEATURE_XSAVEC % 32)))
		e->ebx = xvm_xsave_size(xcr0, true);
}

void xvm_cpuid_refresh(struct xvm_vcpu *vcpu)
{
	refresh(vcpu, vcpu->arch.cpuid, vcpu->arch.nr_cpuid);
}

static u8 maxphyaddr(struct xvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = xvm_cpuid_find(vcpu, 0x80000000, 0);

	if (e && e->eax >= 0x80000008) {
		e = xvm_cpuid_find(vcpu, 0x80000008, 0);
		if (e)
			return e->eax & 0xff;
	}
	return DEFAULT_MAXPHYADDR;
}

/* What the new entries let the guest do. */
static void settle(struct xvm_vcpu *vcpu)
{
	struct xvm_cpuid_list list = guest_list(vcpu);
	struct xvm_vcpu_arch *arch = &vcpu->arch;
	const struct kvm_cpuid_entry2 *e;
	unsigned int i;

	/* The first entry of a bucket: its others, and other buckets', are behind it. */
	for (i = 0; i < XVM_CPUID_BUCKETS; i++)
		arch->cpuid_first[i] = list.nr;
	for (i = list.nr; i-- > 0;)
		arch->cpuid_first[bucket(list.entries[i].function)] = i;

	arch->maxphyaddr = maxphyaddr(vcpu);
	e = xvm_cpuid_find(vcpu, 0x80000001, 0);
	arch->gbpages = e && e->edx & BIT(X86_FEATURE_GBPAGES % 32);
	/* Before there is a CPUID, CR4 may have all that xvm offers; EFER and XCR0 may not. */
	arch->cr4_allowed = xvm_cpuid_cr4(&xvm_cpuid_offered);
	if (arch->cpuid)
		arch->cr4_allowed &= xvm_cpuid_cr4(&list);
	arch->efer_allowed = xvm_cpuid_efer(&xvm_cpuid_offered) & xvm_cpuid_efer(&list);
	e = xvm_cpuid_find(vcpu, 0xd, 0);
	arch->xcr0_allowed = e ? (e->eax | (u64)e->edx << 32) & xvm_supported_xcr0() : 0;
}

void xvm_cpuid_reset(struct xvm_vcpu *vcpu)
{
	settle(vcpu);
}

static int check(const struct kvm_cpuid_entry2 *entries, unsigned int nr)
{
	const struct xvm_cpuid_list list = { entries, nr };
	const struct kvm_cpuid_entry2 *e = find(&list, 0, 0x80000008, 0);

	if (e) {
		u8 linear = e->eax >> 8;

		if (linear != 0 && linear != 48 && linear != 57)
			return -EINVAL;
	}
	/* AMX needs a permission that nobody can have here. */
	e = find(&list, 0, 0xd, 0);
	if (e && e->eax & XFEATURE_MASK_XTILE_DATA)
		return -EPERM;
	return 0;
}

/* KVM's answer to a change after the first run, where nothing may differ but the padding. */
static int check_same(struct xvm_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries,
		      unsigned int nr)
{
	const size_t compared = offsetof(struct kvm_cpuid_entry2, padding);
	unsigned int i;

	if (nr != vcpu->arch.nr_cpuid)
		return -EINVAL;
	for (i = 0; i < nr; i++)
		if (memcmp(&entries[i], &vcpu->arch.cpuid[i], compared))
			return -EINVAL;
	return 0;
}

int xvm_cpuid_set(struct xvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;
	int err;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > XVM_MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (head.nent) {
		entries = vmemdup_user(arg->entries, head.nent * sizeof(*entries));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	refresh(vcpu, entries, head.nent);
	if (vcpu->arch.last_ran) {
		err = check_same(vcpu, entries, head.nent);
		kvfree(entries);
		return err;
	}
	err = check(entries, head.nent);
	if (err) {
		kvfree(entries);
		return err;
	}
	kvfree(vcpu->arch.cpuid);
	vcpu->arch.cpuid = entries;
	vcpu->arch.nr_cpuid = head.nent;
	settle(vcpu);
	return 0;
}

int xvm_cpuid_get(struct xvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	unsigned int nr = vcpu->arch.nr_cpuid;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < nr)
		return -E2BIG;
	head.nent = nr;
	if (copy_to_user(arg->entries, vcpu->arch.cpuid, nr * sizeof(*arg->entries)) ||
	    copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}
