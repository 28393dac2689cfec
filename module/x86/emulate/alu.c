// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic and its flags, after the AMD64 manual, volume 3.
 *
 * Where the manual leaves a flag undefined, this does what is simplest:
 *   AND, OR, XOR, TEST  AF is cleared
 *   shifts              AF is kept; OF follows the 1-bit rule for every count
 *   rotates             OF follows the 1-bit rule for every count
 *   SHLD, SHRD          as shifts; a 16-bit count above 16 shifts the operands in a circle
 *   BT and its kin      OF, SF, AF and PF are kept
 *   IMUL                SF, ZF, AF and PF are kept
 */
#include "internal.h"

static unsigned int top_bit(unsigned int size)
{
	return size * 8 - 1;
}

static void put_flag(u64 *flags, u64 flag, bool set)
{
	*flags = set ? *flags | flag : *flags & ~flag;
}

static void put_szp(u64 *flags, unsigned int size, u64 res)
{
	unsigned int nibble = (res ^ res >> 4) & 0xf;

	put_flag(flags, X86_EFLAGS_SF, res >> top_bit(size) & 1);
	put_flag(flags, X86_EFLAGS_ZF, !res);
	/* 0x6996 has the bits of the nibbles with odd parity set. */
	put_flag(flags, X86_EFLAGS_PF, !(0x6996 >> nibble & 1));
}

/* @carries: for each bit, whether it carried into (or borrowed from) the next one. */
static void put_carries(u64 *flags, unsigned int size, u64 carries)
{
	unsigned int top = top_bit(size);

	put_flag(flags, X86_EFLAGS_CF, carries >> top & 1);
	put_flag(flags, X86_EFLAGS_AF, carries >> 3 & 1);
	put_flag(flags, X86_EFLAGS_OF, (carries >> top ^ carries >> (top - 1)) & 1);
}

static u64 add(unsigned int size, u64 a, u64 b, bool carry, u64 *flags)
{
	u64 res = (a + b + carry) & emul_mask(size);

	put_carries(flags, size, (a & b) | ((a | b) & ~res));
	put_szp(flags, size, res);
	return res;
}

static u64 sub(unsigned int size, u64 a, u64 b, bool borrow, u64 *flags)
{
	u64 res = (a - b - borrow) & emul_mask(size);

	put_carries(flags, size, (~a & b) | ((~a | b) & res));
	put_szp(flags, size, res);
	return res;
}

static u64 logic(unsigned int size, u64 res, u64 *flags)
{
	*flags &= ~(X86_EFLAGS_CF | X86_EFLAGS_OF | X86_EFLAGS_AF);
	put_szp(flags, size, res);
	return res;
}

/* Both operands are zero-extended from @size, and so is the result. */
u64 emul_alu(u8 op, unsigned int size, u64 dst, u64 src, u64 *flags)
{
	bool carry = *flags & X86_EFLAGS_CF;

	switch (op) {
	case OP_ADD:
		return add(size, dst, src, false, flags);
	case OP_ADC:
		return add(size, dst, src, carry, flags);
	case OP_SUB:
	case OP_CMP:
		return sub(size, dst, src, false, flags);
	case OP_SBB:
		return sub(size, dst, src, carry, flags);
	case OP_NEG:
		return sub(size, 0, dst, false, flags);
	case OP_OR:
		return logic(size, dst | src, flags);
	case OP_XOR:
		return logic(size, dst ^ src, flags);
	default: /* OP_AND, OP_TEST */
		return logic(size, dst & src, flags);
	}
}

u64 emul_incdec(u8 op, unsigned int size, u64 dst, u64 *flags)
{
	u64 carry = *flags & X86_EFLAGS_CF;
	u64 res;

	res = op == OP_INC ? add(size, dst, 1, false, flags) : sub(size, dst, 1, false, flags);
	*flags = (*flags & ~X86_EFLAGS_CF) | carry;
	return res;
}

/* Rotates by one bit at a time through the carry: at most 63 steps. */
static u64 rotate_carry(u8 op, unsigned int size, u64 val, unsigned int count, u64 *flags)
{
	unsigned int top = top_bit(size);
	bool carry = *flags & X86_EFLAGS_CF;

	for (count %= size * 8 + 1; count; count--) {
		bool out;

		if (op == OP_RCL) {
			out = val >> top & 1;
			val = (val << 1 | carry) & emul_mask(size);
		} else {
			out = val & 1;
			val = val >> 1 | (u64)carry << top;
		}
		carry = out;
	}
	put_flag(flags, X86_EFLAGS_CF, carry);
	return val;
}

static u64 rotate(u8 op, unsigned int size, u64 val, unsigned int count, u64 *flags)
{
	unsigned int bits = size * 8;

	count %= bits;
	if (count && op == OP_ROL)
		val = (val << count | val >> (bits - count)) & emul_mask(size);
	else if (count)
		val = (val >> count | val << (bits - count)) & emul_mask(size);
	put_flag(flags, X86_EFLAGS_CF, op == OP_ROL ? val & 1 : val >> (bits - 1) & 1);
	return val;
}

u64 emul_shift(u8 op, unsigned int size, u64 dst, unsigned int count, u64 *flags)
{
	unsigned int top = top_bit(size);
	bool sign = dst >> top & 1;
	bool carry;
	u64 res;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return dst;

	switch (op) {
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR:
		res = op <= OP_ROR ? rotate(op, size, dst, count, flags) :
				     rotate_carry(op, size, dst, count, flags);
		carry = *flags & X86_EFLAGS_CF;
		if (op == OP_ROL || op == OP_RCL)
			put_flag(flags, X86_EFLAGS_OF, (res >> top & 1) != carry);
		else
			put_flag(flags, X86_EFLAGS_OF, (res >> top ^ res >> (top - 1)) & 1);
		return res;
	case OP_SHR:
		carry = dst >> (count - 1) & 1;
		res = dst >> count;
		put_flag(flags, X86_EFLAGS_OF, sign);
		break;
	case OP_SAR:
		dst = emul_sext(dst, size);
		carry = (s64)dst >> (count - 1) & 1;
		res = (s64)dst >> count & emul_mask(size);
		put_flag(flags, X86_EFLAGS_OF, false);
		break;
	default: /* OP_SHL and its alias */
		carry = count <= top + 1 && dst >> (top + 1 - count) & 1;
		res = dst << count & emul_mask(size);
		put_flag(flags, X86_EFLAGS_OF, (res >> top & 1) != carry);
		break;
	}
	put_flag(flags, X86_EFLAGS_CF, carry);
	put_szp(flags, size, res);
	return res;
}

u64 emul_shift_double(u8 op, unsigned int size, u64 dst, u64 src, unsigned int count, u64 *flags)
{
	unsigned int bits = size * 8, top = bits - 1;
	bool carry;
	u64 res;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return dst;
	if (count > bits) {
		u64 tmp = dst;

		dst = src;
		src = tmp;
		count -= bits;
	}
	if (op == OP_SHLD) {
		carry = dst >> (bits - count) & 1;
		res = count == bits ? src : dst << count | src >> (bits - count);
	} else {
		carry = dst >> (count - 1) & 1;
		res = count == bits ? src : dst >> count | src << (bits - count);
	}
	res &= emul_mask(size);
	put_flag(flags, X86_EFLAGS_CF, carry);
	put_flag(flags, X86_EFLAGS_OF, (dst ^ res) >> top & 1);
	put_szp(flags, size, res);
	return res;
}

u64 emul_bit(u8 op, unsigned int size, u64 dst, u64 bit, u64 *flags)
{
	u64 mask = 1ULL << (bit & top_bit(size));

	put_flag(flags, X86_EFLAGS_CF, dst & mask);
	switch (op) {
	case OP_BTS:
		return dst | mask;
	case OP_BTR:
		return dst & ~mask;
	case OP_BTC:
		return dst ^ mask;
	default:
		return dst;
	}
}

u64 emul_imul(unsigned int size, u64 a, u64 b, u64 *flags)
{
	__int128 wide = (__int128)(s64)emul_sext(a, size) * (s64)emul_sext(b, size);
	u64 res = (u64)wide & emul_mask(size);
	bool lost = wide != (s64)emul_sext(res, size);

	put_flag(flags, X86_EFLAGS_CF, lost);
	put_flag(flags, X86_EFLAGS_OF, lost);
	return res;
}

bool emul_condition(u8 cc, u64 flags)
{
	bool less = !(flags & X86_EFLAGS_SF) != !(flags & X86_EFLAGS_OF);
	bool res;

	switch (cc >> 1 & 7) {
	case 0:
		res = flags & X86_EFLAGS_OF;
		break;
	case 1:
		res = flags & X86_EFLAGS_CF;
		break;
	case 2:
		res = flags & X86_EFLAGS_ZF;
		break;
	case 3:
		res = flags & (X86_EFLAGS_CF | X86_EFLAGS_ZF);
		break;
	case 4:
		res = flags & X86_EFLAGS_SF;
		break;
	case 5:
		res = flags & X86_EFLAGS_PF;
		break;
	case 6:
		res = less;
		break;
	default:
		res = less || flags & X86_EFLAGS_ZF;
		break;
	}
	return res != (cc & 1);
}
