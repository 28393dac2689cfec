// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory from the kernel: by guest-physical address through the
 * memslots, by virtual address through the guest's own page tables.
 *
 * An access goes by user address, as the host process's own would, so it needs
 * no page held and no leaf.  It stays inside a read section of the memslots: an
 * update that takes the memory away waits for it.
 */
#include <linux/uaccess.h>

#include "gpt.h"
#include "x86.h"

/* User address of gpa, for len bytes in one page.  -EFAULT: no memory, or not for writing. */
static int gpa_to_hva(struct xvm_vcpu *vcpu, u64 gpa, bool write, unsigned long *hva)
{
	struct memslot *slot = xvm_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);

	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		return -EFAULT;
	*hva = memslot_gfn_to_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	return 0;
}

/* A fault in the host's tables is one that may not sleep, or else an error. */
static void section_begin(struct xvm_vcpu *vcpu)
{
	if (vcpu->arch.in_section)
		pagefault_disable();
}

static void section_end(struct xvm_vcpu *vcpu)
{
	if (vcpu->arch.in_section)
		pagefault_enable();
}

static int load_words(void *buf, unsigned long hva, unsigned int len)
{
	u64 word;
	u32 half;

	if (!user_read_access_begin((void __user *)hva, len))
		return -EFAULT;
	for (; len >= sizeof(word); len -= sizeof(word)) {
		unsafe_get_user(word, (u64 __user *)hva, fault);
		*(u64 *)buf = word;
		hva += sizeof(word);
		buf += sizeof(word);
	}
	if (len) {
		unsafe_get_user(half, (u32 __user *)hva, fault);
		*(u32 *)buf = half;
	}
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/* Entries of a guest's tables by one load each: another vCPU may be storing them. */
static int copy_in(struct xvm_vcpu *vcpu, void *buf, unsigned long hva, unsigned int len)
{
	int err;

	if ((len % 8 == 0 && IS_ALIGNED(hva, 8)) || (len == 4 && IS_ALIGNED(hva, 4))) {
		section_begin(vcpu);
		err = load_words(buf, hva, len);
		section_end(vcpu);
		return err;
	}
	if (!vcpu->arch.in_section)
		return copy_from_user(buf, (void __user *)hva, len) ? -EFAULT : 0;
	return copy_from_user_nofault(buf, (void __user *)hva, len);
}

static int copy_out(struct xvm_vcpu *vcpu, unsigned long hva, const void *buf, unsigned int len)
{
	if (!vcpu->arch.in_section)
		return copy_to_user((void __user *)hva, buf, len) ? -EFAULT : 0;
	return copy_to_user_nofault((void __user *)hva, buf, len);
}

/* Whoever makes many accesses in a row holds one read section over them all. */
bool xvm_access_begin(struct xvm_vcpu *vcpu)
{
	if (memslots_read_locked(&vcpu->slots_reader))
		return false;
	memslots_read_lock(&vcpu->xvm->memslots, &vcpu->slots_reader);
	/* Taken or not: nothing that sparse could count. */
	__release(&vcpu->xvm->memslots.srcu);
	return true;
}

void xvm_access_end(struct xvm_vcpu *vcpu, bool began)
{
	if (!began)
		return;
	__acquire(&vcpu->xvm->memslots.srcu);
	memslots_read_unlock(&vcpu->xvm->memslots, &vcpu->slots_reader);
}

/* Each page of an access lies in whatever slot it lies in. */
static unsigned int in_page(u64 gpa, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
}

bool xvm_gpa_is_memory(struct xvm_vcpu *vcpu, u64 gpa, bool write)
{
	bool began = xvm_access_begin(vcpu);
	unsigned long hva;
	int err = gpa_to_hva(vcpu, gpa, write, &hva);

	xvm_access_end(vcpu, began);
	return !err;
}

int xvm_read_gpa(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len)
{
	bool began = xvm_access_begin(vcpu);
	int err = 0;

	while (len && !err) {
		unsigned int n = in_page(gpa, len);
		unsigned long hva;

		err = gpa_to_hva(vcpu, gpa, false, &hva);
		if (!err)
			err = copy_in(vcpu, buf, hva, n);
		gpa += n;
		buf += n;
		len -= n;
	}
	xvm_access_end(vcpu, began);
	return err;
}

/* A copy that fails may have written some of it. */
static int write_page(struct xvm_vcpu *vcpu, u64 gpa, unsigned long hva, const void *buf,
		      unsigned int len)
{
	int err = copy_out(vcpu, hva, buf, len);

	xvm_dirty_mark(vcpu, gpa >> PAGE_SHIFT);
	return err;
}

int xvm_write_gpa(struct xvm_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len)
{
	bool began = xvm_access_begin(vcpu);
	int err = 0;

	while (len && !err) {
		unsigned int n = in_page(gpa, len);
		unsigned long hva;

		err = gpa_to_hva(vcpu, gpa, true, &hva);
		if (!err)
			err = write_page(vcpu, gpa, hva, buf, n);
		gpa += n;
		buf += n;
		len -= n;
	}
	xvm_access_end(vcpu, began);
	return err;
}

#define CMPXCHG_USER(type)							\
({										\
	type __user *p = (type __user *)hva;					\
	type o = old;								\
	int ret = -EFAULT;							\
										\
	if (user_access_begin(p, sizeof(*p))) {					\
		ret = unsafe_try_cmpxchg_user(p, &o, (type)new, fault) ?	\
		      0 : -EAGAIN;						\
		user_access_end();						\
	}									\
	ret;									\
})

static int cmpxchg_user(unsigned long hva, u64 old, u64 new, unsigned int size)
{
	switch (size) {
	case 1:
		return CMPXCHG_USER(u8);
	case 2:
		return CMPXCHG_USER(u16);
	case 4:
		return CMPXCHG_USER(u32);
	case 8:
		return CMPXCHG_USER(u64);
	default:
		return -EFAULT;
	}
fault:
	user_access_end();
	return -EFAULT;
}

int xvm_cmpxchg_gpa(struct xvm_vcpu *vcpu, u64 gpa, u64 old, u64 new, unsigned int size)
{
	bool began = xvm_access_begin(vcpu);
	unsigned long hva;
	int err;

	err = gpa_to_hva(vcpu, gpa, true, &hva);
	if (!err) {
		section_begin(vcpu);
		err = cmpxchg_user(hva, old, new, size);
		section_end(vcpu);
		if (!err)
			xvm_dirty_mark(vcpu, gpa >> PAGE_SHIFT);
	}
	xvm_access_end(vcpu, began);
	return err;
}

static int gpt_read(void *ctx, u64 gpa, void *buf, unsigned int len)
{
	return xvm_read_gpa(ctx, gpa, buf, len);
}

static int gpt_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct memslot *slot;
	int err = 0;
	bool began;

	/* A walk may be made to start over and over: it can't push more than is kept free. */
	if (xvm_dirty_ring_room(ctx) <= XVM_DIRTY_RING_RESERVED / 4)
		return -EAGAIN;
	began = xvm_access_begin(ctx);
	slot = xvm_vcpu_slot(ctx, gpa >> PAGE_SHIFT);
	/* Accessed and dirty bits of tables in read-only memory stay as they are. */
	if (!slot || !(slot->flags & KVM_MEM_READONLY))
		err = xvm_cmpxchg_gpa(ctx, gpa, old, new, size);
	xvm_access_end(ctx, began);
	return err;
}

const struct xvm_gpt_ops xvm_gpt_vcpu_ops = {
	.read_gpa = gpt_read,
	.cmpxchg_gpa = gpt_cmpxchg,
};

void xvm_gpt_vcpu_role(struct xvm_vcpu *vcpu, struct xvm_gpt_role *role)
{
	const struct xvm_gpt_cpu cpu = {
		.maxphyaddr = clamp_t(u8, vcpu->arch.maxphyaddr, 32, 52),
		/* With nested paging its tables are the CPU's to walk. */
		.gbpages = xvm_npt ? boot_cpu_has(X86_FEATURE_GBPAGES) : vcpu->arch.gbpages,
		.amd = true,
	};

	xvm_gpt_role_init(role, &cpu, xvm_vendor->get_cr0(vcpu), xvm_vendor->get_cr3(vcpu),
			  xvm_vendor->get_cr4(vcpu), xvm_vendor->get_efer(vcpu), vcpu->arch.pkru);
}

int xvm_translate(struct xvm_vcpu *vcpu, u64 gva, u32 access, struct xvm_gpt_result *res)
{
	struct xvm_gpt_role role;

	xvm_gpt_vcpu_role(vcpu, &role);
	return xvm_gpt_walk(&xvm_gpt_vcpu_ops, vcpu, &role, gva, access, res);
}

u64 xvm_linear_rip(struct xvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	if (xvm_is_64bit_code(vcpu))
		return vcpu->arch.rip;
	xvm_vendor->get_segment(vcpu, &cs, XVM_SEG_CS);
	return (u32)(cs.base + vcpu->arch.rip);
}

int xvm_fetch_insn(struct xvm_vcpu *vcpu, u8 *buf, unsigned int max)
{
	u32 access = XVM_GPT_FETCH | (xvm_vendor->get_cpl(vcpu) == 3 ? XVM_GPT_USER : 0);
	u64 linear = xvm_linear_rip(vcpu);
	bool began = xvm_access_begin(vcpu);
	unsigned int got = 0;

	while (got < max) {
		unsigned int n = in_page(linear, max - got);
		struct xvm_gpt_result res;

		if (xvm_translate(vcpu, linear, access, &res) ||
		    xvm_read_gpa(vcpu, res.gpa, buf + got, n))
			break;
		got += n;
		linear += n;
	}
	xvm_access_end(vcpu, began);
	/* An instruction at the end of a page need not have a next page. */
	return got ? got : -EFAULT;
}

int xvm_ioctl_translate(struct xvm_vcpu *vcpu, struct kvm_translation *tr)
{
	struct xvm_gpt_result res;
	int ret = xvm_translate(vcpu, tr->linear_address, 0, &res);

	/* KVM reports no more than whether, and where. */
	tr->physical_address = ret ? ~0ULL : res.gpa;
	tr->valid = !ret;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}
