// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's FPU state, in the standard XSAVE format that KVM_GET_XSAVE hands out.
 *
 * It is in the registers from section_enter to section_leave; outside, in
 * memory.  kernel_fpu_begin() puts the host's away and keeps preemption off;
 * nothing else may use the FPU in between, so the guest's stays valid from one
 * entry to the next.  PKRU, XCR0 and XSS act on the kernel itself: they are the
 * guest's only around the world switch, with interrupts off.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "cpuid.h"
#include "x86.h"

#define XSAVE_LEGACY	512
#define XSAVE_HEADER	64
#define XSTATE_BV	(XSAVE_LEGACY / 8)	/* u64 index of the header's first word */
#define MXCSR_DEFAULT	0x1f80

/* Saved and restored here by XSAVE; PKRU has its own way. */
static u64 xsave_mask;
static u64 host_xcr0, host_xss;
static u32 xsave_size;
static u32 pkru_offset;
static bool host_pke;
static u32 mxcsr_mask;
static struct kmem_cache *fpu_cache;

/* The first 512 bytes: what FXSAVE stores. */
struct fxsave {
	u16 cwd, swd, twd, fop;
	u64 rip, rdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
};

static struct fxsave *legacy(struct xvm_vcpu *vcpu)
{
	return (struct fxsave *)vcpu->arch.fpu;
}

static void xsave(u64 *area)
{
	asm volatile("xsave64 %0" : "+m"(*(u8 (*)[4096])area)
		     : "a"((u32)xsave_mask), "d"((u32)(xsave_mask >> 32)) : "memory");
}

static void xrstor(const u64 *area)
{
	asm volatile("xrstor64 %0" : : "m"(*(const u8 (*)[4096])area),
		     "a"((u32)xsave_mask), "d"((u32)(xsave_mask >> 32)) : "memory");
}

static u32 rdpkru_raw(void)
{
	u32 pkru, edx;

	asm volatile(".byte 0x0f,0x01,0xee" : "=a"(pkru), "=d"(edx) : "c"(0));
	return pkru;
}

static void wrpkru_raw(u32 pkru)
{
	asm volatile(".byte 0x0f,0x01,0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

int xvm_fpu_init(void)
{
	static u8 image[XSAVE_LEGACY] __aligned(16);
	unsigned int i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE)) {
		pr_err("this CPU has no XSAVE\n");
		return -EOPNOTSUPP;
	}
	host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		host_xss = xvm_rdmsr(MSR_IA32_XSS);
	host_pke = boot_cpu_has(X86_FEATURE_OSPKE);
	xsave_mask = xvm_supported_xcr0() & ~(u64)XFEATURE_MASK_PKRU;

	xsave_size = XSAVE_LEGACY + XSAVE_HEADER;
	for (i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 state;

		if (!(xvm_supported_xcr0() & BIT_ULL(i)))
			continue;
		/* EBX: where it is in the area; EAX: its size. */
		state = xvm_host_cpuid(0xd, i);
		xsave_size = max(xsave_size, state.ebx + state.eax);
		if (BIT_ULL(i) == XFEATURE_MASK_PKRU)
			pkru_offset = state.ebx;
	}

	kernel_fpu_begin();
	asm volatile("fxsave %0" : "=m"(image));
	kernel_fpu_end();
	mxcsr_mask = *(u32 *)(image + 28);
	if (!mxcsr_mask)
		mxcsr_mask = 0xffbf;

	/* KVM_GET_XSAVE copies 4096 bytes whatever the state's size. */
	fpu_cache = kmem_cache_create("xvm_fpu", max(xsave_size, 4096U), 64, SLAB_ACCOUNT, NULL);
	return fpu_cache ? 0 : -ENOMEM;
}

void xvm_fpu_exit(void)
{
	kmem_cache_destroy(fpu_cache);
}

int xvm_fpu_create(struct xvm_vcpu *vcpu)
{
	vcpu->arch.fpu = kmem_cache_zalloc(fpu_cache, GFP_KERNEL_ACCOUNT);
	return vcpu->arch.fpu ? 0 : -ENOMEM;
}

void xvm_fpu_destroy(struct xvm_vcpu *vcpu)
{
	kmem_cache_free(fpu_cache, vcpu->arch.fpu);
}

void xvm_fpu_reset(struct xvm_vcpu *vcpu, bool init)
{
	/* INIT leaves the FPU alone (APM vol. 2, table 14-1). */
	if (init)
		return;
	memset(vcpu->arch.fpu, 0, xsave_size);
	legacy(vcpu)->cwd = 0x40;
	legacy(vcpu)->twd = 0;
	legacy(vcpu)->mxcsr = MXCSR_DEFAULT;
	/* MXCSR is loaded with the SSE state; the rest is at its initial value. */
	vcpu->arch.fpu[XSTATE_BV] = XFEATURE_MASK_FP | XFEATURE_MASK_SSE;
	vcpu->arch.xcr0 = XFEATURE_MASK_FP;
	vcpu->arch.pkru = 0;
}

/* Some CPUs restore the x87 pointers only with an exception pending: leave no one's to find. */
static void hide_x87_pointers(void)
{
	static const u32 zero;

	if (boot_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex; emms; fildl %0" : : "m"(zero));
}

void xvm_fpu_section_enter(struct xvm_vcpu *vcpu)
{
	kernel_fpu_begin();
	vcpu->arch.in_section = true;
	hide_x87_pointers();
	xrstor(vcpu->arch.fpu);
}

void xvm_fpu_section_leave(struct xvm_vcpu *vcpu)
{
	xsave(vcpu->arch.fpu);
	vcpu->arch.in_section = false;
	kernel_fpu_end();
}

void xvm_fpu_load_guest_xcr0(struct xvm_vcpu *vcpu)
{
	/* Decided once: after some exits the guest's registers can't be asked. */
	vcpu->arch.xcr0_loaded = (xvm_vendor->get_cr4(vcpu) & X86_CR4_OSXSAVE) &&
				 vcpu->arch.xcr0 != host_xcr0;
	if (vcpu->arch.xcr0_loaded)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->arch.xcr0);
	/* Guests have no supervisor states; XSAVES can't be intercepted. */
	if (host_xss)
		xvm_wrmsr(MSR_IA32_XSS, 0);
	if (host_pke) {
		vcpu->arch.host_pkru = rdpkru_raw();
		if (vcpu->arch.host_pkru != vcpu->arch.pkru)
			wrpkru_raw(vcpu->arch.pkru);
	}
}

void xvm_fpu_load_host_xcr0(struct xvm_vcpu *vcpu)
{
	if (host_pke) {
		/* Without CR4.PKE or XCR0.PKRU the guest could not change it. */
		vcpu->arch.pkru = rdpkru_raw();
		if (vcpu->arch.host_pkru != vcpu->arch.pkru)
			wrpkru_raw(vcpu->arch.host_pkru);
	}
	if (host_xss)
		xvm_wrmsr(MSR_IA32_XSS, host_xss);
	if (vcpu->arch.xcr0_loaded)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
}

/* A component that is not in XSTATE_BV is at its initial value, whatever the area holds. */
static void materialize(struct xvm_vcpu *vcpu, u64 bit)
{
	u64 *bv = &vcpu->arch.fpu[XSTATE_BV];

	if (*bv & bit)
		return;
	if (bit == XFEATURE_MASK_FP) {
		memset(vcpu->arch.fpu, 0, offsetof(struct fxsave, mxcsr));
		legacy(vcpu)->cwd = 0x37f;
		memset(legacy(vcpu)->st, 0, sizeof(legacy(vcpu)->st));
	} else {
		memset(legacy(vcpu)->xmm, 0, sizeof(legacy(vcpu)->xmm));
	}
	*bv |= bit;
}

void xvm_get_fpu(struct xvm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fxsave *fx = legacy(vcpu);

	materialize(vcpu, XFEATURE_MASK_FP);
	materialize(vcpu, XFEATURE_MASK_SSE);
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm, sizeof(fpu->xmm));
	/* MXCSR is left to KVM_GET_XSAVE and its counterpart, as by KVM. */
}

int xvm_set_fpu(struct xvm_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct fxsave *fx = legacy(vcpu);

	materialize(vcpu, XFEATURE_MASK_FP);
	materialize(vcpu, XFEATURE_MASK_SSE);
	memcpy(fx->st, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm, fpu->xmm, sizeof(fpu->xmm));
	return 0;
}

u32 xvm_fpu_xsave_size(void)
{
	return max_t(u32, xsave_size, sizeof(struct kvm_xsave));
}

int xvm_get_xsave(struct xvm_vcpu *vcpu, void *buf, u32 size)
{
	u64 *out = buf;

	materialize(vcpu, XFEATURE_MASK_FP);
	materialize(vcpu, XFEATURE_MASK_SSE);
	memset(buf, 0, size);
	legacy(vcpu)->mxcsr_mask = mxcsr_mask;
	memcpy(buf, vcpu->arch.fpu, min(size, xsave_size));
	if (pkru_offset && pkru_offset + 4 <= size) {
		*(u32 *)(buf + pkru_offset) = vcpu->arch.pkru;
		out[XSTATE_BV] |= XFEATURE_MASK_PKRU;
	}
	return 0;
}

int xvm_set_xsave(struct xvm_vcpu *vcpu, const void *buf, u32 size)
{
	const u64 *in = buf;
	u64 bv = in[XSTATE_BV];
	unsigned int i;

	/* Unknown states, the compacted format and reserved words make XRSTOR fault. */
	if (bv & ~xvm_supported_xcr0())
		return -EINVAL;
	for (i = 1; i < XSAVE_HEADER / 8; i++)
		if (in[XSTATE_BV + i])
			return -EINVAL;
	if (*(const u32 *)(buf + offsetof(struct fxsave, mxcsr)) & ~mxcsr_mask)
		return -EINVAL;

	memcpy(vcpu->arch.fpu, buf, min(size, xsave_size));
	vcpu->arch.fpu[XSTATE_BV] &= xsave_mask;
	/* XRSTOR takes it from here even if what it belongs to is said to be as after INIT. */
	if (!(bv & (XFEATURE_MASK_SSE | XFEATURE_MASK_YMM)))
		legacy(vcpu)->mxcsr = MXCSR_DEFAULT;
	if (pkru_offset && pkru_offset + 4 <= size)
		vcpu->arch.pkru = bv & XFEATURE_MASK_PKRU ? *(const u32 *)(buf + pkru_offset) : 0;
	return 0;
}

int xvm_get_xcrs(struct xvm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->arch.xcr0;
	return 0;
}

int xvm_set_xcrs(struct xvm_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	unsigned int i;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++)
		if (xcrs->xcrs[i].xcr == XCR_XFEATURE_ENABLED_MASK)
			return xvm_guest_set_xcr(vcpu, XCR_XFEATURE_ENABLED_MASK,
						 xcrs->xcrs[i].value) ? -EINVAL : 0;
	return 0;
}

void xvm_fpu_read_xmm(struct xvm_vcpu *vcpu, unsigned int reg, void *buf)
{
	materialize(vcpu, XFEATURE_MASK_SSE);
	memcpy(buf, legacy(vcpu)->xmm[reg & 15], 16);
}

void xvm_fpu_write_xmm(struct xvm_vcpu *vcpu, unsigned int reg, const void *buf)
{
	materialize(vcpu, XFEATURE_MASK_SSE);
	memcpy(legacy(vcpu)->xmm[reg & 15], buf, 16);
}
