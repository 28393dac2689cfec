// SPDX-License-Identifier: GPL-2.0-only
/*
 * The few intercepted instructions that need no more of a decoder than this;
 * see insn.h.
 */
#include <linux/percpu.h>
#include <asm/debugreg.h>

#include "gpt.h"
#include "insn.h"
#include "x86.h"

#define INSN_MAX	15
#define DR7_GD		BIT(13)
#define DR6_BD		BIT(13)

struct insn {
	u8 bytes[INSN_MAX];
	unsigned int got;	/* bytes read */
	unsigned int len;	/* bytes taken */
	u8 rex;
	bool op_override;	/* prefix 66 */
	u8 opcode;		/* the second byte, where the first is 0F */
	bool two_byte;
};

static bool take(struct insn *insn, u8 *byte)
{
	if (insn->len >= insn->got)
		return false;
	*byte = insn->bytes[insn->len++];
	return true;
}

static bool is_prefix(u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
	case 0x64: case 0x65: case 0x66: case 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	default:
		return false;
	}
}

/* Prefixes and opcode.  -EFAULT: not to be read. */
static int read_opcode(struct xvm_vcpu *vcpu, struct insn *insn)
{
	int got = xvm_fetch_insn(vcpu, insn->bytes, INSN_MAX);
	bool long_mode = xvm_is_64bit_code(vcpu);
	u8 byte;

	if (got < 0)
		return got;
	insn->got = got;
	for (;;) {
		if (!take(insn, &byte))
			return -EFAULT;
		if (is_prefix(byte)) {
			insn->op_override |= byte == 0x66;
			insn->rex = 0;
		} else if (long_mode && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
		} else {
			break;
		}
	}
	insn->two_byte = byte == 0x0f;
	if (insn->two_byte && !take(insn, &byte))
		return -EFAULT;
	insn->opcode = byte;
	return 0;
}

static void step_over(struct xvm_vcpu *vcpu, const struct insn *insn)
{
	u64 rip = vcpu->arch.rip + insn->len;

	xvm_skip_to(vcpu, xvm_is_64bit_code(vcpu) ? rip : (u32)rip);
}

int xvm_skip_insn(struct xvm_vcpu *vcpu)
{
	struct insn insn = {};
	int err = read_opcode(vcpu, &insn);
	u8 byte;

	if (err)
		return err;
	/* 0F 01 is a group whose third byte is the instruction: VMMCALL, XSETBV, MONITOR. */
	if (insn.two_byte && insn.opcode == 0x01 && !take(&insn, &byte))
		return -EFAULT;
	step_over(vcpu, &insn);
	return 0;
}

int xvm_skip_failed(struct xvm_vcpu *vcpu)
{
	/* The CPU has just executed it: somebody changed the code or its mapping meanwhile. */
	return xvm_internal_error(vcpu, NULL, 0);
}

static int read_dr(struct xvm_vcpu *vcpu, unsigned int nr, u64 *val)
{
	switch (nr) {
	case 0 ... 3:
		*val = vcpu->arch.db[nr];
		return 0;
	case 6:
		*val = vcpu->arch.dr6;
		return 0;
	default:
		*val = vcpu->arch.dr7;
		return 0;
	}
}

/* Nonzero: #GP. */
static int write_dr(struct xvm_vcpu *vcpu, unsigned int nr, u64 val)
{
	if (nr >= 6 && val >> 32)
		return 1;
	switch (nr) {
	case 0 ... 3:
		vcpu->arch.db[nr] = val;
		break;
	case 6:
		vcpu->arch.dr6 = (val & 0xe00fULL) | DR6_RESERVED;
		break;
	default:
		vcpu->arch.dr7 = (val & ~0xd800ULL) | 0x400;
		break;
	}
	return 0;
}

static int do_dr(struct xvm_vcpu *vcpu, unsigned int nr, u64 *reg, bool write)
{
	/* DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them invalid (APM vol. 2, 13.1.1). */
	if (nr == 4 || nr == 5) {
		if (xvm_vendor->get_cr4(vcpu) & X86_CR4_DE) {
			xvm_queue_ud(vcpu);
			return 1;
		}
		nr += 2;
	}
	if (nr > 7) {
		xvm_queue_ud(vcpu);
		return 1;
	}
	/* General detect: any access traps, once. */
	if (vcpu->arch.dr7 & DR7_GD) {
		vcpu->arch.dr7 &= ~(u64)DR7_GD;
		vcpu->arch.dr6 |= DR6_BD;
		xvm_queue_exception(vcpu, 1, false, 0);
		return 1;
	}
	if (!write) {
		read_dr(vcpu, nr, reg);
		return 0;
	}
	if (write_dr(vcpu, nr, *reg)) {
		xvm_queue_gp(vcpu);
		return 1;
	}
	return 0;
}

static int do_cr(struct xvm_vcpu *vcpu, unsigned int nr, u64 *reg, bool write)
{
	int bad;

	switch (nr) {
	case 0:
		if (!write) {
			*reg = xvm_vendor->get_cr0(vcpu);
			return 0;
		}
		bad = xvm_guest_set_cr0(vcpu, *reg);
		break;
	/* Never intercepted by itself; but an emulated CPU takes all reads for those of CR0. */
	case 2:
		if (write)
			vcpu->arch.cr2 = *reg;
		else
			*reg = vcpu->arch.cr2;
		return 0;
	case 3:
		if (!write) {
			*reg = xvm_vendor->get_cr3(vcpu);
			return 0;
		}
		bad = xvm_guest_set_cr3(vcpu, *reg);
		break;
	case 4:
		if (!write) {
			*reg = xvm_vendor->get_cr4(vcpu);
			return 0;
		}
		bad = xvm_guest_set_cr4(vcpu, *reg);
		break;
	/* As CR2, to be read. */
	case 8:
		if (!write) {
			*reg = xvm_get_cr8(vcpu);
			return 0;
		}
		fallthrough;
	default:
		xvm_queue_ud(vcpu);
		return 1;
	}
	if (bad)
		xvm_queue_gp(vcpu);
	return bad;
}

/* MOV between a register and a CR or DR: mod is ignored, the operand is always a register. */
static int mov_crdr(struct xvm_vcpu *vcpu, struct insn *insn)
{
	bool long_mode = xvm_is_64bit_code(vcpu);
	bool write = insn->opcode & 2, dr = insn->opcode & 1;
	unsigned int nr;
	u64 *reg, val;
	u8 modrm;
	int fault;

	if (!take(insn, &modrm))
		return xvm_skip_failed(vcpu);
	nr = ((modrm >> 3) & 7) | (insn->rex & 4 ? 8 : 0);
	reg = &vcpu->arch.regs[(modrm & 7) | (insn->rex & 1 ? 8 : 0)];
	val = long_mode ? *reg : (u32)*reg;

	fault = dr ? do_dr(vcpu, nr, &val, write) : do_cr(vcpu, nr, &val, write);
	if (fault)
		return 1;
	if (!write)
		*reg = long_mode ? val : (u32)val;
	step_over(vcpu, insn);
	return 1;
}

static int clts(struct xvm_vcpu *vcpu, const struct insn *insn)
{
	xvm_vendor->set_cr0(vcpu, xvm_vendor->get_cr0(vcpu) & ~(u64)X86_CR0_TS);
	step_over(vcpu, insn);
	return 1;
}

/* Not known here.  The guest's user mode must not be able to end the VM. */
static int msw_in_memory(struct xvm_vcpu *vcpu, const struct insn *insn)
{
	if (!xvm_vendor->get_cpl(vcpu) || vcpu->xvm->arch.exit_on_emulation_error)
		return xvm_internal_error(vcpu, insn->bytes, insn->got);
	xvm_queue_ud(vcpu);
	return 1;
}

/* How many bytes of CR0 SMSW stores in a register; four clear the upper half. */
static unsigned int smsw_size(struct xvm_vcpu *vcpu, const struct insn *insn)
{
	struct kvm_segment cs;

	if (insn->rex & 8)
		return 8;
	xvm_vendor->get_segment(vcpu, &cs, XVM_SEG_CS);
	return (cs.db || xvm_is_64bit_code(vcpu)) != insn->op_override ? 4 : 2;
}

static void smsw(struct xvm_vcpu *vcpu, const struct insn *insn, u64 *reg)
{
	u64 cr0 = xvm_vendor->get_cr0(vcpu);

	switch (smsw_size(vcpu, insn)) {
	case 8:
		*reg = cr0;
		break;
	case 4:
		*reg = (u32)cr0;
		break;
	default:
		*reg = (*reg & ~0xffffULL) | (cr0 & 0xffff);
	}
	step_over(vcpu, insn);
}

/* SMSW; LMSW sets PE, MP, EM, TS and can't clear PE.  Operands in memory are not supported. */
static int machine_status_word(struct xvm_vcpu *vcpu, struct insn *insn)
{
	const u64 mask = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	u64 cr0 = xvm_vendor->get_cr0(vcpu), *reg;
	u8 modrm;

	if (!take(insn, &modrm))
		return xvm_skip_failed(vcpu);
	if (((modrm >> 3) & 7) != 4 && (((modrm >> 3) & 7) != 6 || xvm_vendor->get_cpl(vcpu))) {
		xvm_queue_gp(vcpu);
		return 1;
	}
	if ((modrm >> 6) != 3)
		return msw_in_memory(vcpu, insn);
	reg = &vcpu->arch.regs[(modrm & 7) | (insn->rex & 1 ? 8 : 0)];
	if (((modrm >> 3) & 7) == 4) {
		smsw(vcpu, insn, reg);
		return 1;
	}
	if (xvm_guest_set_cr0(vcpu, (cr0 & ~mask) | (*reg & (mask | X86_CR0_PE))))
		xvm_queue_gp(vcpu);
	else
		step_over(vcpu, insn);
	return 1;
}

int xvm_emulate_crdr(struct xvm_vcpu *vcpu)
{
	struct insn insn = {};

	if (read_opcode(vcpu, &insn) || !insn.two_byte)
		return xvm_skip_failed(vcpu);
	/* These bytes need not be those that exited: another thread may have changed them. */
	if (insn.opcode != 0x01 && xvm_vendor->get_cpl(vcpu)) {
		xvm_queue_gp(vcpu);
		return 1;
	}
	switch (insn.opcode) {
	case 0x01:
		return machine_status_word(vcpu, &insn);
	case 0x06:
		return clts(vcpu, &insn);
	case 0x20 ... 0x23:
		return mov_crdr(vcpu, &insn);
	default:
		return xvm_skip_failed(vcpu);
	}
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL, INVPCID_ALL_BUT_GLOBAL };

struct invpcid_desc {
	u64 pcid;
	u64 addr;
};

/* 0; 1: the guest faults or tries again; -EFAULT: no memory there. */
static int read_desc(struct xvm_vcpu *vcpu, u64 linear, struct invpcid_desc *desc)
{
	u32 access = XVM_GPT_SET_AD | (vcpu->arch.rflags & X86_EFLAGS_AC ? XVM_GPT_AC : 0);
	unsigned int done = 0;

	while (done < sizeof(*desc)) {
		unsigned int n = min_t(u64, sizeof(*desc) - done,
				       PAGE_SIZE - offset_in_page(linear));
		struct xvm_gpt_result res = {};
		int ret;

		if (!xvm_is_64bit_code(vcpu))
			linear = (u32)linear;
		ret = xvm_translate(vcpu, linear, access, &res);
		if (ret == -EAGAIN)
			return 1;
		if (ret) {
			/* A table that isn't memory is one without entries. */
			xvm_queue_page_fault(vcpu, linear, res.error_code);
			return 1;
		}
		if (xvm_read_gpa(vcpu, res.gpa, (u8 *)desc + done, n))
			return -EFAULT;
		linear += n;
		done += n;
	}
	return 0;
}

/* As the guest's paging mode has it. */
static bool canonical(struct xvm_vcpu *vcpu, u64 linear)
{
	unsigned int bits = xvm_vendor->get_cr4(vcpu) & X86_CR4_LA57 ? 57 : 48;

	return !xvm_is_64bit_code(vcpu) || sign_extend64(linear, bits - 1) == linear;
}

int xvm_check_invpcid(struct xvm_vcpu *vcpu, u64 type, u64 linear, bool *allowed)
{
	struct invpcid_desc desc;
	int ret;

	if (!xvm_guest_has(vcpu, X86_FEATURE_INVPCID)) {
		xvm_queue_ud(vcpu);
		return 1;
	}
	/* The intercept comes before these checks. */
	if (type > INVPCID_ALL_BUT_GLOBAL || xvm_vendor->get_cpl(vcpu) ||
	    !canonical(vcpu, linear) || !canonical(vcpu, linear + sizeof(desc) - 1))
		goto gp;
	ret = read_desc(vcpu, linear, &desc);
	if (ret)
		return ret < 0 ? xvm_internal_error(vcpu, NULL, 0) : 1;
	if (desc.pcid >> 12 || (type == INVPCID_ADDRESS && !xvm_canonical(desc.addr)))
		goto gp;
	if (type <= INVPCID_SINGLE && desc.pcid && !(xvm_vendor->get_cr4(vcpu) & X86_CR4_PCIDE))
		goto gp;
	*allowed = true;
	return 1;
gp:
	xvm_queue_gp(vcpu);
	return 1;
}
