// SPDX-License-Identifier: LGPL-2.1-or-later
/* What only x86 has: MSRs, CPUID, and the states that guests start in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxvm.h"

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define PTE_PRESENT_WRITE 0x3ull
#define PTE_HUGE (1ull << 7)
#define PTES_PER_TABLE 512
#define TABLE_SIZE 4096ull

#define RFLAGS_RESERVED 0x2 /* always reads as 1 */

/* One entry follows the header in memory, as KVM wants it. */
struct xvm_one_msr {
	struct kvm_msrs header;
	struct kvm_msr_entry entry;
};

int xvm_get_msr(int vcpu, uint32_t index, uint64_t *value)
{
	struct xvm_one_msr msr = { .header.nmsrs = 1, .entry.index = index };
	int ret = xvm_ioctl(vcpu, KVM_GET_MSRS, &msr);

	if (ret < 0)
		return ret;
	if (ret != 1)
		return -EINVAL;
	*value = msr.entry.data;
	return 0;
}

int xvm_set_msr(int vcpu, uint32_t index, uint64_t value)
{
	struct xvm_one_msr msr = {
		.header.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};
	int ret = xvm_ioctl(vcpu, KVM_SET_MSRS, &msr);

	if (ret < 0)
		return ret;
	return ret == 1 ? 0 : -EINVAL;
}

int xvm_x86_set_cpuid(int device, int vcpu)
{
	struct kvm_cpuid2 *cpuid;
	int ret, space;

	/* The device does not say how many entries it has, only "too few". */
	for (space = 64;; space *= 2) {
		cpuid = calloc(1, sizeof(*cpuid) +
				  space * sizeof(cpuid->entries[0]));
		if (!cpuid)
			return -ENOMEM;
		cpuid->nent = space;
		ret = xvm_ioctl(device, KVM_GET_SUPPORTED_CPUID, cpuid);
		if (ret != -E2BIG || space >= 4096)
			break;
		free(cpuid);
	}
	if (!ret)
		ret = xvm_ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return ret;
}

int xvm_x86_real_mode(int vcpu, uint16_t cs, uint16_t ip)
{
	struct kvm_regs regs = { .rip = ip, .rflags = RFLAGS_RESERVED };
	struct kvm_sregs sregs;
	int ret;

	/* A new vCPU is in real mode: only CS still points at the reset vector. */
	ret = xvm_get_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	sregs.cs.selector = cs;
	sregs.cs.base = (uint64_t)cs << 4;
	ret = xvm_set_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	return xvm_set_regs(vcpu, &regs);
}

/* Map 4 GiB to themselves: one PML4, one PDPT, four directories of 2M pages. */
static void xvm_x86_identity_map(uint64_t *tables, uint64_t gpa)
{
	uint64_t *pml4 = tables;
	uint64_t *pdpt = pml4 + PTES_PER_TABLE;
	uint64_t *directories = pdpt + PTES_PER_TABLE;
	uint64_t i;

	memset(tables, 0, XVM_X86_TABLES_SIZE);
	pml4[0] = (gpa + TABLE_SIZE) | PTE_PRESENT_WRITE;
	for (i = 0; i < 4; i++)
		pdpt[i] = (gpa + (2 + i) * TABLE_SIZE) | PTE_PRESENT_WRITE;
	for (i = 0; i < 4ull * PTES_PER_TABLE; i++)
		directories[i] = i << 21 | PTE_HUGE | PTE_PRESENT_WRITE;
}

int xvm_x86_long_mode(int vcpu, void *tables, uint64_t tables_gpa,
		      uint64_t rip, uint64_t rsp)
{
	struct kvm_regs regs = {
		.rip = rip,
		.rsp = rsp,
		.rflags = RFLAGS_RESERVED,
	};
	const struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 0x8,
		.type = 0xb, /* execute, read, accessed */
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 0x10,
		.type = 0x3, /* read, write, accessed */
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
	struct kvm_sregs sregs;
	int ret;

	if (tables_gpa & (TABLE_SIZE - 1))
		return -EINVAL;
	ret = xvm_get_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	xvm_x86_identity_map(tables, tables_gpa);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.cr3 = tables_gpa;
	sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs.efer = EFER_LME | EFER_LMA;
	ret = xvm_set_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	return xvm_set_regs(vcpu, &regs);
}
