// SPDX-License-Identifier: GPL-2.0-only
/*
 * What xvm lets guests have of this CPU: KVM_GET_SUPPORTED_CPUID and
 * KVM_GET_EMULATED_CPUID.
 *
 * A feature is offered if the CPU has it, the kernel has not switched it off
 * and xvm can virtualize it.  Left out on purpose: nested virtualization,
 * performance counters, SMM, TSX, MPX, AMX, supervisor XSAVE states, the TSC
 * deadline timer, and all that the host alone is concerned with.
 */
#include <linux/kernel.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>
#include <asm/processor.h>

#include "cpuid.h"
#include "x86.h"

#define MAX_BASIC	0xd
#define MAX_EXTENDED	0x80000021
#define MAX_ENTRIES	128

/* Bits of 80000001H:EDX that repeat those of 1:EDX. */
#define COMMON_EDX	0x0183f3ff
#define INVARIANT_TSC	BIT(8)

#define XSAVE_BASE	(512 + 64)	/* legacy region and header */
#define NR_XSTATES	(XFEATURE_PKRU + 1)

enum { EAX, EBX, ECX, EDX };

/* A word is named by any one of its features. */
#define WORD(feature)	(X86_FEATURE_##feature / 32)

static const struct xvm_cpuid_reg words[NCAPINTS] = {
	[WORD(FPU)]		= { 0x1, 0, EDX },
	[WORD(XMM3)]		= { 0x1, 0, ECX },
	[WORD(FSGSBASE)]	= { 0x7, 0, EBX },
	[WORD(UMIP)]		= { 0x7, 0, ECX },
	[WORD(FSRM)]		= { 0x7, 0, EDX },
	[WORD(AVX_VNNI)]	= { 0x7, 1, EAX },
	[WORD(XSAVEOPT)]	= { 0xd, 1, EAX },
	[WORD(SYSCALL)]		= { 0x80000001, 0, EDX },
	[WORD(LAHF_LM)]		= { 0x80000001, 0, ECX },
	[WORD(CLZERO)]		= { 0x80000008, 0, EBX },
};

#define F(feature)	X86_FEATURE_##feature

static const u16 features[] = {
	F(XMM3), F(PCLMULQDQ), F(SSSE3), F(FMA), F(CX16), F(PCID), F(XMM4_1), F(XMM4_2),
	F(MOVBE), F(POPCNT), F(AES), F(XSAVE), F(AVX), F(F16C), F(RDRAND),

	F(FPU), F(VME), F(DE), F(PSE), F(TSC), F(MSR), F(PAE), F(MCE), F(CX8), F(APIC), F(SEP),
	F(MTRR), F(PGE), F(MCA), F(CMOV), F(PAT), F(PSE36), F(CLFLUSH), F(MMX), F(FXSR), F(XMM),
	F(XMM2), F(SELFSNOOP),

	F(FSGSBASE), F(BMI1), F(AVX2), F(FDP_EXCPTN_ONLY), F(SMEP), F(BMI2), F(ERMS), F(INVPCID),
	F(ZERO_FCS_FDS), F(AVX512F), F(AVX512DQ), F(RDSEED), F(ADX), F(SMAP), F(AVX512IFMA),
	F(CLFLUSHOPT), F(CLWB), F(AVX512CD), F(SHA_NI), F(AVX512BW), F(AVX512VL),

	F(AVX512VBMI), F(RDPID), F(AVX512_VPOPCNTDQ), F(UMIP), F(AVX512_VBMI2), F(GFNI), F(VAES),
	F(VPCLMULQDQ), F(AVX512_VNNI), F(AVX512_BITALG), F(MOVDIRI), F(MOVDIR64B),

	F(SPEC_CTRL), F(SPEC_CTRL_SSBD), F(INTEL_STIBP), F(MD_CLEAR), F(AVX512_VP2INTERSECT),
	F(FSRM), F(SERIALIZE),

	F(AVX_VNNI), F(AVX512_BF16),

	F(XSAVEOPT), F(XSAVEC), F(XGETBV1), F(XSAVES),

	F(SYSCALL), F(NX), F(MMXEXT), F(FXSR_OPT), F(GBPAGES), F(RDTSCP), F(LM), F(3DNOWEXT),
	F(3DNOW),

	F(LAHF_LM), F(CMP_LEGACY), F(CR8_LEGACY), F(ABM), F(SSE4A), F(MISALIGNSSE),
	F(3DNOWPREFETCH), F(XOP), F(FMA4), F(TBM), F(TOPOEXT),

	F(CLZERO), F(XSAVEERPTR), F(WBNOINVD), F(AMD_IBPB), F(AMD_IBRS), F(AMD_SSBD),
	F(AMD_SSB_NO), F(AMD_STIBP), F(AMD_STIBP_ALWAYS_ON),
};

static u32 offered[NCAPINTS];
static u32 offered_21_eax;
static u64 offered_xcr0;
static struct {
	u32 size;
	u32 offset;
	bool align;		/* to 64 bytes, in the compacted format */
} xstates[NR_XSTATES];

static struct kvm_cpuid_entry2 entries[MAX_ENTRIES];
struct xvm_cpuid_list xvm_cpuid_offered = { .entries = entries };

const struct xvm_cpuid_reg *xvm_feature_reg(unsigned int feature)
{
	const struct xvm_cpuid_reg *reg = &words[feature / 32];

	return reg->function ? reg : NULL;
}

static void offer(unsigned int feature)
{
	offered[feature / 32] |= BIT(feature % 32);
}

u64 xvm_supported_xcr0(void)
{
	return offered_xcr0;
}

u32 xvm_xsave_size(u64 xfeatures, bool compacted)
{
	u32 size = XSAVE_BASE;
	unsigned int i;

	for (i = XFEATURE_YMM; i < NR_XSTATES; i++) {
		if (!(xfeatures & BIT_ULL(i)))
			continue;
		if (!compacted)
			size = max(size, xstates[i].offset + xstates[i].size);
		else if (xstates[i].align)
			size = ALIGN(size, 64) + xstates[i].size;
		else
			size += xstates[i].size;
	}
	return size;
}

/* By hand: kernels differ in where they declare the instruction's wrappers. */
static void cpuid_insn(struct kvm_cpuid_entry2 *e)
{
	asm volatile("cpuid" : "=a"(e->eax), "=b"(e->ebx), "=c"(e->ecx), "=d"(e->edx)
		     : "a"(e->function), "c"(e->index));
}

struct kvm_cpuid_entry2 xvm_host_cpuid(u32 function, u32 index)
{
	struct kvm_cpuid_entry2 max = { .function = function & 0x80000000 };
	struct kvm_cpuid_entry2 e = { .function = function, .index = index };

	cpuid_insn(&max);
	if (function <= max.eax)
		cpuid_insn(&e);
	return e;
}

static void init_xstates(void)
{
	u64 avx512 = XFEATURE_MASK_AVX512;
	unsigned int i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	/* User states that the host has switched on, and saves for everybody. */
	offered_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK) &
		       (XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | avx512 |
			XFEATURE_MASK_PKRU);
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		offered_xcr0 &= ~(u64)XFEATURE_MASK_PKRU;
	if ((offered_xcr0 & avx512) != avx512)
		offered_xcr0 &= ~avx512;

	for (i = XFEATURE_YMM; i < NR_XSTATES; i++) {
		struct kvm_cpuid_entry2 e;

		if (!(offered_xcr0 & BIT_ULL(i)))
			continue;
		e = xvm_host_cpuid(0xd, i);
		xstates[i].size = e.eax;
		xstates[i].offset = e.ebx;
		xstates[i].align = e.ecx & BIT(1);
	}
}

static void init_features(void)
{
	struct kvm_cpuid_entry2 e;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(features); i++) {
		const struct xvm_cpuid_reg *reg = xvm_feature_reg(features[i]);

		e = xvm_host_cpuid(reg->function, reg->index);
		/* The kernel sets some bits for itself that the CPU doesn't have. */
		if (boot_cpu_has(features[i]) &&
		    xvm_entry_reg(&e, reg->reg) & BIT(features[i] % 32))
			offer(features[i]);
	}
	if (boot_cpu_has(X86_FEATURE_OSPKE))
		offer(X86_FEATURE_PKU);
	e = xvm_host_cpuid(7, 0);
	if (e.ecx & BIT(X86_FEATURE_LA57 % 32))
		offer(X86_FEATURE_LA57);

	/* Done in software, whatever the CPU has. */
	offer(X86_FEATURE_X2APIC);
	offer(X86_FEATURE_TSC_ADJUST);
	offer(X86_FEATURE_ARCH_CAPABILITIES);

	/* Properties of the CPU, not to be switched off: nested data breakpoints to SRSO_NO. */
	e = xvm_host_cpuid(0x80000021, 0);
	offered_21_eax = e.eax & (GENMASK(2, 0) | BIT(5) | BIT(6) | BIT(8) | GENMASK(30, 27));
	offered_21_eax |= XVM_CPUID_21_NO_SMM_CTL_MSR;
	if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
		offered_21_eax |= XVM_CPUID_21_LFENCE_SERIALIZING;
	if (!boot_cpu_has_bug(X86_BUG_NULL_SEG))
		offered_21_eax |= XVM_CPUID_21_NULL_SEL_CLR_BASE;
}

static bool has_subleaves(u32 function)
{
	switch (function) {
	case 4:
	case 7:
	case 0xb:
	case 0xd:
	case 0x8000001d:
		return true;
	default:
		return false;
	}
}

static void add(struct kvm_cpuid_entry2 e)
{
	if (WARN_ON_ONCE(xvm_cpuid_offered.nr == MAX_ENTRIES))
		return;
	if (has_subleaves(e.function))
		e.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	entries[xvm_cpuid_offered.nr++] = e;
}

static void add_leaf_7(void)
{
	struct kvm_cpuid_entry2 e = xvm_host_cpuid(7, 0);

	e.eax = min(e.eax, 1U);
	e.ebx = offered[WORD(FSGSBASE)];
	e.ecx = offered[WORD(UMIP)];
	e.edx = offered[WORD(FSRM)];
	add(e);
	if (e.eax) {
		/* CMPCCXADD and fast short string moves have no name in some kernels. */
		add((struct kvm_cpuid_entry2) {
			.function = 7, .index = 1,
			.eax = offered[WORD(AVX_VNNI)] |
			       (xvm_host_cpuid(7, 1).eax & (BIT(7) | GENMASK(12, 10))),
		});
	}
}

static void add_leaf_d(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0xd };
	unsigned int i;

	e.eax = (u32)offered_xcr0;
	e.ebx = xvm_xsave_size(offered_xcr0, false);
	e.ecx = e.ebx;
	e.edx = offered_xcr0 >> 32;
	add(e);

	e = (struct kvm_cpuid_entry2) { .function = 0xd, .index = 1 };
	e.eax = offered[WORD(XSAVEOPT)];
	if (e.eax & (BIT(X86_FEATURE_XSAVES % 32) | BIT(X86_FEATURE_XSAVEC % 32)))
		e.ebx = xvm_xsave_size(offered_xcr0, true);
	add(e);

	for (i = XFEATURE_YMM; i < NR_XSTATES; i++) {
		if (!(offered_xcr0 & BIT_ULL(i)))
			continue;
		e = xvm_host_cpuid(0xd, i);
		e.ecx &= BIT(1);
		e.edx = 0;
		add(e);
	}
}

/* Leaves with nothing for guests are listed too: user space fills in what it finds. */
static void add_empty(u32 function)
{
	add((struct kvm_cpuid_entry2) { .function = function });
}

static void add_basic(u32 function)
{
	struct kvm_cpuid_entry2 e;

	switch (function) {
	case 1:
		e = xvm_host_cpuid(1, 0);
		e.ecx = offered[WORD(XMM3)];
		e.edx = offered[WORD(FPU)];
		add(e);
		break;
	case 7:
		add_leaf_7();
		break;
	case 0xd:
		add_leaf_d();
		break;
	default:
		/* Intel's caches, topology, performance counters... */
		add_empty(function);
		break;
	}
}

static void add_address_sizes(void)
{
	struct kvm_cpuid_entry2 e = xvm_host_cpuid(0x80000008, 0);
	u32 phys = e.eax & 0xff, virt = max((e.eax >> 8) & 0xff, 48U);
	/* Bits 23:16 say what nested paging reaches: it has as many levels as the host's. */
	u32 guest_phys = min(phys, pgtable_l5_enabled() ? 52U : 48U);

	e.eax = phys | virt << 8 | guest_phys << 16;
	e.ebx = offered[WORD(CLZERO)];
	e.ecx &= GENMASK(15, 12) | GENMASK(7, 0);
	e.edx = 0;
	add(e);
}

static void add_extended(u32 function)
{
	struct kvm_cpuid_entry2 e = xvm_host_cpuid(function, 0);
	unsigned int i;

	switch (function) {
	case 0x80000001:
		e.ebx &= ~GENMASK(27, 16);
		e.ecx = offered[WORD(LAHF_LM)];
		e.edx = offered[WORD(SYSCALL)] | (e.edx & offered[WORD(FPU)] & COMMON_EDX);
		break;
	case 0x80000005:			/* L1 caches and TLBs */
		break;
	case 0x80000006:			/* L2 and L3 */
		e.edx &= ~GENMASK(17, 16);
		break;
	case 0x80000007:
		e = (struct kvm_cpuid_entry2) {
			.function = function, .edx = e.edx & INVARIANT_TSC,
		};
		break;
	case 0x80000008:
		add_address_sizes();
		return;
	case 0x80000019:			/* 1G TLBs */
		e.ecx = 0;
		e.edx = 0;
		break;
	case 0x8000001a:			/* widths of the vector units */
		e = (struct kvm_cpuid_entry2) {
			.function = function, .eax = e.eax & GENMASK(2, 0),
		};
		break;
	case 0x8000001d:			/* caches; a type of 0 ends the list */
		for (i = 1; e.eax & 0x1f; i++) {
			add(e);
			e = xvm_host_cpuid(function, i);
		}
		break;
	case 0x80000021:
		/* ECX: not vulnerable to TSA. */
		e = (struct kvm_cpuid_entry2) {
			.function = function, .eax = offered_21_eax,
			.ecx = e.ecx & GENMASK(2, 1),
		};
		break;
	default:
		/* Name, SVM, topology, memory encryption, IBS... */
		add_empty(function);
		return;
	}
	add(e);
}

/*
 * The signature is KVM's because the interface is: guests and tests look for
 * it.  No paravirtual feature follows, so guests use none.
 */
static void add_hypervisor(void)
{
	struct kvm_cpuid_entry2 e = { .function = KVM_CPUID_SIGNATURE, .eax = KVM_CPUID_FEATURES };
	u32 signature[3];

	memcpy(signature, "KVMKVMKVM\0\0\0", sizeof(signature));
	e.ebx = signature[0];
	e.ecx = signature[1];
	e.edx = signature[2];
	add(e);
	add_empty(KVM_CPUID_FEATURES);
}

void xvm_cpuid_init(void)
{
	struct kvm_cpuid_entry2 e;
	u32 function, max;

	/* Some leaves differ between CPUs: take them all from one. */
	get_cpu();
	init_xstates();
	init_features();

	e = xvm_host_cpuid(0, 0);
	max = min_t(u32, e.eax, MAX_BASIC);
	e.eax = max;
	add(e);
	for (function = 1; function <= max; function++)
		add_basic(function);

	e = xvm_host_cpuid(0x80000000, 0);
	/* As KVM: 21H says more than some CPUs do, but who sees it takes 1DH for real. */
	max = e.eax >= 0x8000001d ? MAX_EXTENDED : e.eax;
	e.eax = max;
	add(e);
	for (function = 0x80000001; function <= max; function++)
		add_extended(function);
	add_hypervisor();
	put_cpu();
}

/* KVM checks that the padding is clean, in this call alone. */
static bool padding_clean(struct kvm_cpuid_entry2 __user *user, u32 nent)
{
	struct kvm_cpuid_entry2 e;
	u32 i;

	for (i = 0; i < nent; i++) {
		if (copy_from_user(e.padding, user[i].padding, sizeof(e.padding)))
			return false;
		if (e.padding[0] || e.padding[1] || e.padding[2])
			return false;
	}
	return true;
}

/* No instruction is emulated that the CPU doesn't have: leaves without features. */
static const struct kvm_cpuid_entry2 emulated[] = {
	{ .function = 0, .eax = 7 },
	{ .function = 1 },
	{ .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
};

long xvm_cpuid_dev_ioctl(unsigned int cmd, struct kvm_cpuid2 __user *arg)
{
	struct xvm_cpuid_list list = xvm_cpuid_offered;
	unsigned int needed = list.nr;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < 1)
		return -E2BIG;
	head.nent = min_t(u32, head.nent, XVM_MAX_CPUID_ENTRIES);
	if (cmd == KVM_GET_EMULATED_CPUID) {
		if (!padding_clean(arg->entries, head.nent))
			return -EINVAL;
		list = (struct xvm_cpuid_list) { emulated, ARRAY_SIZE(emulated) };
		/* KVM wants room for one more. */
		needed = list.nr + 1;
	}
	if (head.nent < needed)
		return -E2BIG;
	head.nent = list.nr;
	if (copy_to_user(arg->entries, list.entries, list.nr * sizeof(*list.entries)) ||
	    copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}
