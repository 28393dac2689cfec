// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: who keeps each, and what may be written.  The
 * guest's accesses and user space's come through here; the rules are KVM's on
 * AMD.  KVM's own paravirtual MSRs are not among them.
 */
#include <linux/kernel.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include <asm/processor.h>

#include "cpuid.h"
#include "x86.h"

#define PAT_RESET		0x0007040600070406ULL
/* The revision that KVM makes up on AMD, until user space sets another. */
#define UCODE_REV_RESET		0x01000065
#define MISC_ENABLE_READ_ONLY	\
	(MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)

/* HWCR: bits that guests set on their way up and that do nothing here, and those that are kept. */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))
#define HWCR_KEPT		(BIT_ULL(18) | BIT_ULL(24))

#define X2APIC_FIRST		0x800
#define X2APIC_LAST		0x8ff
#define MTRR_FIRST		0x200
#define MTRR_LAST		MSR_MTRRfix4K_F8000
#define K7_CLK_CTL_VALUE	0x20000000

static u64 offered_arch_capabilities(void)
{
	u64 val = ARCH_CAP_PSCHANGE_MC_NO;

	if (!boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN))
		val |= ARCH_CAP_RDCL_NO;
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		val |= ARCH_CAP_SSB_NO;
	if (!boot_cpu_has_bug(X86_BUG_MDS))
		val |= ARCH_CAP_MDS_NO;
	return val;
}

int xvm_get_feature_msr(u32 index, u64 *val)
{
	switch (index) {
	case MSR_AMD64_DE_CFG:
		*val = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ?
		       MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
		return 0;
	case MSR_IA32_UCODE_REV:
		*val = boot_cpu_data.microcode;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		*val = offered_arch_capabilities();
		return 0;
	case MSR_IA32_PERF_CAPABILITIES:
		*val = 0;
		return 0;
	default:
		return 1;
	}
}

void xvm_msr_reset(struct xvm_vcpu *vcpu, bool init)
{
	struct xvm_vcpu_arch *arch = &vcpu->arch;

	arch->spec_ctrl = 0;
	arch->smi_count = 0;
	arch->ucode_rev = UCODE_REV_RESET;
	if (init)
		return;
	xvm_vendor->set_msr(vcpu, MSR_IA32_CR_PAT, PAT_RESET);
	arch->misc_enable = MISC_ENABLE_READ_ONLY;
	xvm_get_feature_msr(MSR_IA32_ARCH_CAPABILITIES, &arch->arch_capabilities);
}

bool xvm_canonical(u64 addr)
{
	unsigned int bits = xvm_cpuid_has(&xvm_cpuid_offered, X86_FEATURE_LA57) ? 57 : 48;

	return sign_extend64(addr, bits - 1) == addr;
}

static bool valid_pat(u64 pat)
{
	unsigned int i;

	/* UC, WC, WT, WP, WB, UC- */
	for (i = 0; i < 64; i += 8) {
		u8 type = pat >> i;

		if (type > 7 || !(BIT(type) & 0xf3))
			return false;
	}
	return true;
}

static bool guest_has_any(struct xvm_vcpu *vcpu, unsigned int a, unsigned int b)
{
	return xvm_guest_has(vcpu, a) || xvm_guest_has(vcpu, b);
}

static bool has_spec_ctrl(struct xvm_vcpu *vcpu)
{
	return guest_has_any(vcpu, X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBRS) ||
	       guest_has_any(vcpu, X86_FEATURE_AMD_STIBP, X86_FEATURE_AMD_SSBD);
}

static bool has_tsc_aux(struct xvm_vcpu *vcpu)
{
	return guest_has_any(vcpu, X86_FEATURE_RDTSCP, X86_FEATURE_RDPID);
}

static bool offers_any(unsigned int a, unsigned int b)
{
	return xvm_cpuid_has(&xvm_cpuid_offered, a) || xvm_cpuid_has(&xvm_cpuid_offered, b);
}

/* The bits that this CPU takes without a fault. */
static u64 spec_ctrl_bits(void)
{
	u64 bits = 0;

	if (offers_any(X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBRS))
		bits |= SPEC_CTRL_IBRS;
	if (offers_any(X86_FEATURE_INTEL_STIBP, X86_FEATURE_AMD_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (offers_any(X86_FEATURE_SPEC_CTRL_SSBD, X86_FEATURE_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	return bits;
}

static int set_pred_cmd(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	u64 allowed = 0, offered = 0;

	if (host || guest_has_any(vcpu, X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBPB))
		allowed |= PRED_CMD_IBPB;
	if (host || xvm_guest_has_21(vcpu, XVM_CPUID_21_SBPB))
		allowed |= PRED_CMD_SBPB;
	if (offers_any(X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBPB))
		offered |= PRED_CMD_IBPB;
	if (xvm_cpuid_has_21(&xvm_cpuid_offered, XVM_CPUID_21_SBPB))
		offered |= PRED_CMD_SBPB;
	if (!allowed || (val & ~(allowed & offered)))
		return 1;
	if (val)
		xvm_wrmsr(MSR_IA32_PRED_CMD, val);
	return 0;
}

static int set_efer(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	u64 old = xvm_vendor->get_efer(vcpu);

	if (val & ~xvm_cpuid_efer(&xvm_cpuid_offered))
		return 1;
	if (!host) {
		if (val & ~vcpu->arch.efer_allowed)
			return 1;
		if (((val ^ old) & EFER_LME) && (xvm_vendor->get_cr0(vcpu) & X86_CR0_PG))
			return 1;
	}
	/* LMA follows CR0.PG and can't be written. */
	xvm_vendor->set_efer(vcpu, (val & ~(u64)EFER_LMA) | (old & EFER_LMA));
	return 0;
}

static int set_misc_enable(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	u64 old = vcpu->arch.misc_enable;

	if (!host) {
		if ((val ^ old) & MISC_ENABLE_READ_ONLY)
			return 1;
		val &= ~MSR_IA32_MISC_ENABLE_EMON;
		val |= old & MSR_IA32_MISC_ENABLE_EMON;
	}
	vcpu->arch.misc_enable = val;
	return 0;
}

/* Registers that have nothing to say in a guest: they read as 0. */
static bool reads_as_zero(u32 index)
{
	switch (index) {
	case MSR_IA32_P5_MC_ADDR:
	case MSR_IA32_P5_MC_TYPE:
	case MSR_IA32_PLATFORM_ID:
	case MSR_IA32_EBL_CR_POWERON:
	case MSR_IA32_MCG_CAP:
	case MSR_IA32_PERF_CTL:
	case MSR_IA32_DEBUGCTLMSR:
	case MSR_IA32_LASTBRANCHFROMIP:
	case MSR_IA32_LASTBRANCHTOIP:
	case MSR_IA32_LASTINTFROMIP:
	case MSR_IA32_LASTINTTOIP:
	case MSR_AMD64_SYSCFG:
	case MSR_AMD64_NB_CFG:
	case MSR_AMD64_BU_CFG2:
	case MSR_AMD64_DC_CFG:
	case MSR_AMD64_TW_CFG:
	case MSR_F15H_EX_CFG:
	case MSR_FAM10H_MMIO_CONF_BASE:
	case MSR_K8_TSEG_ADDR:
	case MSR_K8_TSEG_MASK:
	case MSR_K8_INT_PENDING_MSG:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
		return true;
	default:
		return false;
	}
}

/* Knobs that guests turn as the vendor tells them to: there is nothing behind them. */
static bool write_ignored(u32 index)
{
	switch (index) {
	case MSR_IA32_UCODE_WRITE:
	case MSR_IA32_DEBUGCTLMSR:
	case MSR_AMD64_PATCH_LOADER:
	case MSR_AMD64_NB_CFG:
	case MSR_AMD64_BU_CFG2:
	case MSR_AMD64_DC_CFG:
	case MSR_AMD64_TW_CFG:
	case MSR_F15H_EX_CFG:
	case MSR_K7_CLK_CTL:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
	case MSR_VM_IGNNE:
		return true;
	default:
		return false;
	}
}

int xvm_get_msr(struct xvm_vcpu *vcpu, u32 index, u64 *val, bool host)
{
	const struct xvm_vcpu_arch *arch = &vcpu->arch;

	if (!xvm_vendor->get_msr(vcpu, index, val))
		return 0;

	switch (index) {
	case MSR_IA32_TSC:
		*val = xvm_guest_tsc(vcpu);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		*val = arch->tsc_adjust;
		return 0;
	case MSR_TSC_AUX:
		*val = arch->tsc_aux;
		return !host && !has_tsc_aux(vcpu);
	case MSR_EFER:
		*val = xvm_vendor->get_efer(vcpu);
		return 0;
	case MSR_IA32_APICBASE:
		*val = arch->apic_base;
		return 0;
	case X2APIC_FIRST ... X2APIC_LAST:
		return xvm_lapic_msr(vcpu, index, val, false);
	case MSR_MTRRcap:
	case MSR_MTRRdefType:
	case MTRR_FIRST ... MTRR_LAST:
		return xvm_get_mtrr(vcpu, index, val);
	case MSR_IA32_SPEC_CTRL:
		*val = arch->spec_ctrl;
		return !host && !has_spec_ctrl(vcpu);
	case MSR_IA32_MISC_ENABLE:
		*val = arch->misc_enable;
		return 0;
	case MSR_IA32_MCG_STATUS:
		*val = arch->mcg_status;
		return 0;
	case MSR_IA32_MCG_CTL:
		*val = 0;
		return !host;
	case MSR_IA32_XSS:
		*val = 0;
		return !host && !xvm_guest_has(vcpu, X86_FEATURE_XSAVES);
	case MSR_IA32_UCODE_REV:
		*val = arch->ucode_rev;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		*val = arch->arch_capabilities;
		return !host && !xvm_guest_has(vcpu, X86_FEATURE_ARCH_CAPABILITIES);
	case MSR_IA32_PERF_CAPABILITIES:
		*val = 0;
		return !host && !xvm_guest_has(vcpu, X86_FEATURE_PDCM);
	case MSR_SMI_COUNT:
		*val = arch->smi_count;
		return 0;
	case MSR_K7_HWCR:
		*val = arch->hwcr;
		return 0;
	case MSR_K7_CLK_CTL:
		*val = K7_CLK_CTL_VALUE;
		return 0;
	case MSR_AMD64_DE_CFG:
		*val = arch->de_cfg;
		return 0;
	default:
		*val = 0;
		return !reads_as_zero(index);
	}
}

/* What hardware keeps, once it is fit for it. */
static int set_hardware_msr(struct xvm_vcpu *vcpu, u32 index, u64 val)
{
	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
		if (!xvm_canonical(val))
			return 1;
		break;
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_SYSENTER_ESP:
		/* AMD has no 64-bit SYSENTER: the upper half is not there. */
		val = (u32)val;
		break;
	case MSR_IA32_CR_PAT:
		if (!valid_pat(val))
			return 1;
		break;
	}
	return xvm_vendor->set_msr(vcpu, index, val);
}

int xvm_set_msr(struct xvm_vcpu *vcpu, u32 index, u64 val, bool host)
{
	struct xvm_vcpu_arch *arch = &vcpu->arch;
	int ret = set_hardware_msr(vcpu, index, val);

	if (ret != -ENOENT)
		return ret;

	switch (index) {
	case MSR_IA32_TSC:
		xvm_set_guest_tsc(vcpu, val, host);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		if (xvm_guest_has(vcpu, X86_FEATURE_TSC_ADJUST))
			xvm_set_tsc_adjust(vcpu, val, host);
		return 0;
	case MSR_TSC_AUX:
		if (!host && !has_tsc_aux(vcpu))
			return 1;
		/* AMD ignores the upper half, and reads it as zeros. */
		arch->tsc_aux = (u32)val;
		return 0;
	case MSR_EFER:
		return set_efer(vcpu, val, host);
	case MSR_IA32_APICBASE:
		return xvm_lapic_set_base(vcpu, val, host);
	case X2APIC_FIRST ... X2APIC_LAST:
		return xvm_lapic_msr(vcpu, index, &val, true);
	case MSR_MTRRdefType:
	case MTRR_FIRST ... MTRR_LAST:
		return xvm_set_mtrr(vcpu, index, val);
	case MSR_IA32_SPEC_CTRL:
		if ((!host && !has_spec_ctrl(vcpu)) || (val & ~spec_ctrl_bits()))
			return 1;
		arch->spec_ctrl = val;
		return 0;
	case MSR_IA32_PRED_CMD:
		return set_pred_cmd(vcpu, val, host);
	case MSR_IA32_MISC_ENABLE:
		return set_misc_enable(vcpu, val, host);
	case MSR_IA32_MCG_STATUS:
		arch->mcg_status = val;
		return 0;
	case MSR_IA32_MCG_CTL:
		/* There are no banks, and nothing to control: MCG_CAP is 0. */
		return val || !host;
	case MSR_IA32_XSS:
		/* There are no supervisor states. */
		return val || (!host && !xvm_guest_has(vcpu, X86_FEATURE_XSAVES));
	case MSR_IA32_UCODE_REV:
		if (host)
			arch->ucode_rev = val;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		if (!host)
			return 1;
		arch->arch_capabilities = val;
		return 0;
	case MSR_IA32_PERF_CAPABILITIES:
		return val || !host;
	case MSR_SMI_COUNT:
		if (!host)
			return 1;
		arch->smi_count = val;
		return 0;
	case MSR_K7_HWCR:
		val &= ~HWCR_IGNORED;
		if (val & ~HWCR_KEPT)
			return 1;
		arch->hwcr = val;
		return 0;
	case MSR_FAM10H_MMIO_CONF_BASE:
		return val != 0;
	case MSR_AMD64_DE_CFG: {
		u64 supported;

		xvm_get_feature_msr(index, &supported);
		if (val & ~supported)
			return 1;
		arch->de_cfg = val;
		return 0;
	}
	default:
		return !write_ignored(index);
	}
}
