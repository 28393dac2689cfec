// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the instruction emulator and a vCPU: its registers in and out, its
 * memory by guest page tables, slots and MMIO.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "emulate/emulate.h"
#include "gpt.h"
#include "x86.h"

/* Iterations of a repeated string instruction before the guest may take an interrupt. */
#define MAX_ITERATIONS	64

/* What a linear page translated to, for one kind of access. */
struct translation {
	u64 page;
	u64 gpa;
	u32 access;
	bool valid;
};

/* The instruction under emulation; kept while it waits for user space. */
struct xvm_emulation {
	struct xvm_emul e;
	bool waiting;
	struct translation last;	/* good for this instruction */
	u8 burst[PAGE_SIZE];
};

static struct xvm_vcpu *emul_vcpu(struct xvm_emul *e)
{
	return e->vcpu;
}

static int raise_page_fault(struct xvm_emul *e, u64 linear, u32 error)
{
	e->fault.vector = 14;
	e->fault.has_error = true;
	e->fault.error = error;
	e->fault.cr2 = linear;
	return EMUL_FAULT;
}

static int translate(struct xvm_emul *e, u64 linear, u32 access, u64 *gpa)
{
	struct translation *last = &container_of(e, struct xvm_emulation, e)->last;
	struct xvm_gpt_result res;
	int ret;

	if (e->implicit)
		access |= XVM_GPT_IMPLICIT;
	else if (e->cpl == 3)
		access |= XVM_GPT_USER;
	if (e->rflags & X86_EFLAGS_AC)
		access |= XVM_GPT_AC;
	if (last->valid && last->page == (linear & PAGE_MASK) && last->access == access) {
		*gpa = last->gpa | offset_in_page(linear);
		return EMUL_OK;
	}
	ret = xvm_translate(emul_vcpu(e), linear, access | XVM_GPT_SET_AD, &res);
	if (ret == -EAGAIN)
		return EMUL_RETRY;
	/* A fault; or tables outside memory, or whose memory can't be had. */
	if (ret)
		return raise_page_fault(e, linear, res.error_code);
	*last = (struct translation) {
		.page = linear & PAGE_MASK,
		.gpa = res.gpa & PAGE_MASK,
		.access = access,
		.valid = true,
	};
	*gpa = res.gpa;
	return EMUL_OK;
}

static unsigned int in_page(u64 addr, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(addr));
}

static int emul_read(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	while (len) {
		unsigned int n = in_page(linear, len);
		u64 gpa;
		int ret;

		ret = translate(e, linear, 0, &gpa);
		if (ret)
			return ret;
		if (xvm_read_gpa(emul_vcpu(e), gpa, buf, n)) {
			ret = xvm_mmio_read(emul_vcpu(e), gpa, buf, n);
			if (ret)
				return ret;
		}
		linear = xvm_emul_wrap(e, linear + n);
		buf += n;
		len -= n;
	}
	return EMUL_OK;
}

static int emul_probe_write(struct xvm_emul *e, u64 linear, unsigned int len)
{
	u64 gpa;
	int ret = EMUL_OK;

	while (len && !ret) {
		unsigned int n = in_page(linear, len);

		ret = translate(e, linear, XVM_GPT_WRITE, &gpa);
		linear = xvm_emul_wrap(e, linear + n);
		len -= n;
	}
	return ret;
}

static bool emul_is_memory(struct xvm_emul *e, u64 linear, bool write)
{
	u64 gpa;

	return translate(e, linear, write ? XVM_GPT_WRITE : 0, &gpa) == EMUL_OK &&
	       xvm_gpa_is_memory(emul_vcpu(e), gpa, write);
}

/* Perhaps it is one of the guest's page tables. */
static void written(struct xvm_vcpu *vcpu, u64 gpa, unsigned int len)
{
	if (vcpu->shadow)
		xvm_shadow_written(vcpu, gpa, len);
}

static int emul_write(struct xvm_emul *e, u64 linear, const void *buf, unsigned int len)
{
	int ret, result = EMUL_OK;

	/* Both pages of a write that crosses must do before the first byte changes. */
	if (in_page(linear, len) < len) {
		ret = emul_probe_write(e, linear, len);
		if (ret)
			return ret;
	}
	while (len) {
		unsigned int n = in_page(linear, len);
		u64 gpa;

		ret = translate(e, linear, XVM_GPT_WRITE, &gpa);
		if (ret)
			return ret;
		if (xvm_write_gpa(emul_vcpu(e), gpa, buf, n)) {
			ret = xvm_mmio_write(emul_vcpu(e), gpa, buf, n);
			if (ret == EMUL_EXIT)
				result = EMUL_EXIT;
			else if (ret)
				return ret;
		} else {
			written(emul_vcpu(e), gpa, n);
		}
		linear = xvm_emul_wrap(e, linear + n);
		buf += n;
		len -= n;
	}
	return result;
}

static int emul_cmpxchg(struct xvm_emul *e, u64 linear, const void *old, const void *new,
			unsigned int len)
{
	u64 gpa, from = 0, to = 0;
	int ret;

	/* Split locks and 16 bytes can't be atomic by user address: a plain write, as KVM's. */
	if (len > 8 || !IS_ALIGNED(linear, len))
		return emul_write(e, linear, new, len);
	ret = translate(e, linear, XVM_GPT_WRITE, &gpa);
	if (ret)
		return ret;
	memcpy(&from, old, len);
	memcpy(&to, new, len);
	switch (xvm_cmpxchg_gpa(emul_vcpu(e), gpa, from, to, len)) {
	case 0:
		written(emul_vcpu(e), gpa, len);
		return EMUL_OK;
	case -EAGAIN:
		return EMUL_RETRY;
	default:
		return xvm_mmio_write(emul_vcpu(e), gpa, new, len);
	}
}

static int emul_fetch(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	unsigned int n = in_page(linear, len);
	u64 gpa;
	int ret;

	ret = translate(e, linear, XVM_GPT_FETCH, &gpa);
	if (ret)
		return -ret;
	/* Code outside memory can't be emulated. */
	return xvm_read_gpa(emul_vcpu(e), gpa, buf, n) ? -EMUL_UNHANDLED : n;
}

static int emul_pio(struct xvm_emul *e, u16 port, bool in, unsigned int size, void *data,
		    unsigned int *count)
{
	return xvm_string_pio(emul_vcpu(e), port, in, size, data, count);
}

static void emul_read_xmm(struct xvm_emul *e, unsigned int reg, u64 val[2])
{
	xvm_fpu_read_xmm(emul_vcpu(e), reg, val);
}

static void emul_write_xmm(struct xvm_emul *e, unsigned int reg, const u64 val[2])
{
	xvm_fpu_write_xmm(emul_vcpu(e), reg, val);
}

static void emul_invlpg(struct xvm_emul *e, u64 linear)
{
	/* Only a shadowed guest's is intercepted. */
	if (emul_vcpu(e)->shadow)
		xvm_shadow_invlpg(emul_vcpu(e), linear);
}

static const struct xvm_emul_ops emul_ops = {
	.read = emul_read,
	.write = emul_write,
	.locked_write = emul_cmpxchg,
	.fetch = emul_fetch,
	.is_memory = emul_is_memory,
	.probe_write = emul_probe_write,
	.pio = emul_pio,
	.invlpg = emul_invlpg,
	.read_xmm = emul_read_xmm,
	.write_xmm = emul_write_xmm,
};

static void load_segment(struct xvm_vcpu *vcpu, struct xvm_emul_seg *seg, enum xvm_seg which)
{
	struct kvm_segment var;

	xvm_vendor->get_segment(vcpu, &var, which);
	seg->sel = var.selector;
	seg->base = var.base;
	seg->limit = var.limit;
	seg->attrib = var.type | var.s << 4 | var.dpl << 5 | var.present << 7 | var.avl << 8 |
		      var.l << 9 | var.db << 10 | var.g << 11;
}

static enum emul_mode emul_mode(struct xvm_vcpu *vcpu, const struct xvm_emul *e)
{
	const struct xvm_emul_seg *cs = &e->seg[EMUL_SEG_CS];

	if (!(e->cr0 & X86_CR0_PE))
		return EMUL_MODE_REAL;
	if (e->rflags & X86_EFLAGS_VM)
		return EMUL_MODE_VM86;
	if (xvm_is_64bit_code(vcpu))
		return EMUL_MODE_LONG64;
	return cs->attrib & BIT(10) ? EMUL_MODE_PROT32 : EMUL_MODE_PROT16;
}

static void emul_init(struct xvm_vcpu *vcpu, struct xvm_emul *e)
{
	static const enum xvm_seg segs[] = {
		[EMUL_SEG_ES] = XVM_SEG_ES, [EMUL_SEG_CS] = XVM_SEG_CS,
		[EMUL_SEG_SS] = XVM_SEG_SS, [EMUL_SEG_DS] = XVM_SEG_DS,
		[EMUL_SEG_FS] = XVM_SEG_FS, [EMUL_SEG_GS] = XVM_SEG_GS,
	};
	unsigned int i;

	memset(e, 0, sizeof(*e));
	e->ops = &emul_ops;
	e->vcpu = vcpu;
	memcpy(e->regs, vcpu->arch.regs, sizeof(e->regs));
	e->rip = vcpu->arch.rip;
	e->rflags = vcpu->arch.rflags;
	e->cr0 = xvm_vendor->get_cr0(vcpu);
	e->cr4 = xvm_vendor->get_cr4(vcpu);
	e->efer = xvm_vendor->get_efer(vcpu);
	e->cpl = xvm_vendor->get_cpl(vcpu);
	for (i = 0; i < EMUL_NR_SEGS; i++)
		load_segment(vcpu, &e->seg[i], segs[i]);
	load_segment(vcpu, &e->tr, XVM_SEG_TR);
	e->mode = emul_mode(vcpu, e);
}

static void queue_fault(struct xvm_vcpu *vcpu, const struct xvm_emul *e)
{
	if (e->fault.vector == 14)
		xvm_queue_page_fault(vcpu, e->fault.cr2, e->fault.error);
	else
		xvm_queue_exception(vcpu, e->fault.vector, e->fault.has_error, e->fault.error);
}

/* What an instruction that is over leaves behind, besides its results. */
static void retire(struct xvm_vcpu *vcpu)
{
	xvm_vendor->set_interrupt_shadow(vcpu, 0);
	vcpu->arch.rflags &= ~(u64)X86_EFLAGS_RF;
	if (vcpu->arch.rflags & X86_EFLAGS_TF) {
		vcpu->arch.dr6 |= BIT(14);	/* single step */
		xvm_queue_exception(vcpu, 1, false, 0);
	}
}

static void commit(struct xvm_vcpu *vcpu, const struct xvm_emul *e)
{
	memcpy(vcpu->arch.regs, e->regs, sizeof(e->regs));
	vcpu->arch.rip = e->rip;
	vcpu->arch.rflags = e->rflags;
	vcpu->arch.io.nr_reads = 0;
	vcpu->arch.io.next_read = 0;
	if (!e->again)
		retire(vcpu);
	vcpu->stat.insn_emulation++;
}

int xvm_internal_error(struct xvm_vcpu *vcpu, const u8 *insn, unsigned int len)
{
	struct kvm_run *run = vcpu->run;

	vcpu->stat.insn_emulation_fail++;
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 0;
	run->emulation_failure.flags = 0;
	if (len) {
		/* flags, then 16 bytes that begin with the length: in units of eight bytes. */
		run->emulation_failure.ndata = 1 + 2;
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = len;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, insn, len);
	}
	return 0;
}

/*
 * An instruction not known here, as KVM takes it: to a guest's user mode it
 * doesn't exist, its kernel gets the VMM's attention; the capability
 * KVM_CAP_EXIT_ON_EMULATION_FAILURE makes it the VMM's affair always.
 */
static int unhandled(struct xvm_vcpu *vcpu, const struct xvm_emul *e)
{
	if (vcpu->shadow && xvm_shadow_release_table(vcpu))
		return 1;
	if (!vcpu->xvm->arch.exit_on_emulation_error) {
		xvm_queue_ud(vcpu);
		if (e->cpl)
			return 1;
	}
	return xvm_internal_error(vcpu, e->insn, e->insn_avail);
}

static int emulate_one(struct xvm_vcpu *vcpu, struct xvm_emul *e)
{
	int ret;

	vcpu->arch.io.next_read = 0;
	vcpu->arch.io.nr_writes = 0;
	vcpu->arch.io.next_write = 0;
	ret = xvm_emul_exec(e);
	if (e->committed)
		commit(vcpu, e);
	return ret;
}

/* Decoded: go on until it is done, or needs somebody else. */
static int execute(struct xvm_vcpu *vcpu, struct xvm_emul *e)
{
	unsigned int n = 0;
	int ret;

	do {
		e->committed = false;
		ret = emulate_one(vcpu, e);
	} while (((ret == EMUL_OK && e->again) || ret == EMUL_RETRY) && ++n < MAX_ITERATIONS &&
		 !xvm_dirty_ring_full(vcpu));
	return ret;
}

static int finish(struct xvm_vcpu *vcpu, struct xvm_emulation *em, int ret)
{
	struct xvm_emul *e = &em->e;

	switch (ret) {
	case EMUL_RETRY:
		/* The guest executes it anew: what was answered so far is not for that. */
		vcpu->arch.io.nr_reads = 0;
		return 1;
	case EMUL_OK:
		return 1;
	case EMUL_EXIT:
		/* A write or OUT that is committed hands its data out, a read waits for it. */
		em->waiting = !e->committed;
		return e->committed && vcpu->arch.io.nr_writes ? xvm_mmio_exit(vcpu) : 0;
	case EMUL_FAULT:
		vcpu->arch.io.nr_reads = 0;
		queue_fault(vcpu, e);
		return 1;
	default:
		vcpu->arch.io.nr_reads = 0;
		return unhandled(vcpu, e);
	}
}

static int emulate(struct xvm_vcpu *vcpu, bool again)
{
	struct xvm_emulation *em = vcpu->arch.emulation;
	int ret = EMUL_OK;
	bool began;

	if (!em) {
		em = kmalloc(sizeof(*em), GFP_KERNEL_ACCOUNT);
		if (!em)
			return -ENOMEM;
		em->waiting = false;
		vcpu->arch.emulation = em;
	}

	began = xvm_access_begin(vcpu);
	if (!again || !em->waiting) {
		em->last.valid = false;
		emul_init(vcpu, &em->e);
		em->e.burst = em->burst;
		em->e.burst_size = sizeof(em->burst);
		ret = xvm_emul_decode(&em->e);
	}
	em->waiting = false;
	if (ret == EMUL_OK)
		ret = execute(vcpu, &em->e);
	xvm_access_end(vcpu, began);
	return finish(vcpu, em, ret);
}

int xvm_emulate(struct xvm_vcpu *vcpu)
{
	return emulate(vcpu, false);
}

int xvm_emulate_again(struct xvm_vcpu *vcpu)
{
	return emulate(vcpu, true);
}

void xvm_emulator_forget(struct xvm_vcpu *vcpu)
{
	if (vcpu->arch.emulation)
		vcpu->arch.emulation->waiting = false;
}

void xvm_emulator_free(struct xvm_vcpu *vcpu)
{
	kfree(vcpu->arch.emulation);
}

void xvm_skip_to(struct xvm_vcpu *vcpu, u64 rip)
{
	vcpu->arch.rip = rip;
	retire(vcpu);
}
