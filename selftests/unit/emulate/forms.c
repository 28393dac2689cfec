// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generator knows nothing of the decoder's tables: forms and their encoding are written down
 * here a second time.  It picks registers, prefixes and an addressing mode at random, picks the
 * address that the operand shall have, and then solves for the base register or the displacement.
 */
#include <linux/kernel.h>
#include <string.h>

#include "forms.h"
#include "tap.h"

#define EXT(n) .ext = 1 + (n)
#define F1(name_, op_, flags_, ...)                                                               \
	{ .name = name_, .opcode = { op_ }, .opcode_len = 1, .flags = (flags_), __VA_ARGS__ }
#define F2(name_, op_, flags_, ...)                                                               \
	{ .name = name_, .opcode = { 0x0f, op_ }, .opcode_len = 2, .flags = (flags_),  \
	  __VA_ARGS__ }
#define F3(name_, op_, flags_, ...)                                                               \
	{ .name = name_, .opcode = { 0x0f, 0x38, op_ }, .opcode_len = 3,             \
	  .flags = (flags_), __VA_ARGS__ }

#define ALU(name_, op_, n, lock_, undef_)                                                         \
	F1(name_ " Eb,Gb", op_, T_MODRM | T_BYTE | (lock_), .undefined = (undef_)),               \
	F1(name_ " Ev,Gv", (op_) + 1, T_MODRM | (lock_), .undefined = (undef_)),                  \
	F1(name_ " Gb,Eb", (op_) + 2, T_MODRM | T_BYTE, .undefined = (undef_)),                   \
	F1(name_ " Gv,Ev", (op_) + 3, T_MODRM, .undefined = (undef_)),                            \
	F1(name_ " AL,Ib", (op_) + 4, T_BYTE | T_IMM8, .undefined = (undef_)),                    \
	F1(name_ " rAX,Iz", (op_) + 5, T_IMMZ, .undefined = (undef_)),                            \
	F1(name_ " Eb,Ib", 0x80, T_MODRM | T_BYTE | T_IMM8 | (lock_), EXT(n),                   \
	   .undefined = (undef_)),                                                                \
	F1(name_ " Ev,Iz", 0x81, T_MODRM | T_IMMZ | (lock_), EXT(n), .undefined = (undef_)),    \
	F1(name_ " Ev,Ib", 0x83, T_MODRM | T_IMM8 | (lock_), EXT(n), .undefined = (undef_))
#define SHIFT(name_, n)                                                                           \
	F1(name_ " Eb,Ib", 0xc0, T_MODRM | T_BYTE | T_IMM8 | T_SHIFT, EXT(n)),                  \
	F1(name_ " Ev,Ib", 0xc1, T_MODRM | T_IMM8 | T_SHIFT, EXT(n)),                           \
	F1(name_ " Eb,1", 0xd0, T_MODRM | T_BYTE | T_ONE | T_SHIFT, EXT(n)),                    \
	F1(name_ " Ev,1", 0xd1, T_MODRM | T_ONE | T_SHIFT, EXT(n)),                             \
	F1(name_ " Eb,CL", 0xd2, T_MODRM | T_BYTE | T_CL | T_SHIFT, EXT(n)),                    \
	F1(name_ " Ev,CL", 0xd3, T_MODRM | T_CL | T_SHIFT, EXT(n))
#define UNARY(name_, op_, n, undef_)                                                              \
	F1(name_ " Eb", op_, T_MODRM | T_BYTE | T_LOCK, EXT(n), .undefined = (undef_)),         \
	F1(name_ " Ev", (op_) + 1, T_MODRM | T_LOCK, EXT(n), .undefined = (undef_))
#define BIT(name_, op_, n, lock_)                                                                 \
	F2(name_ " Ev,Gv", op_, T_MODRM | T_BITREG | (lock_), .undefined = OF | SF | AF | PF),    \
	F2(name_ " Ev,Ib", 0xba, T_MODRM | T_IMM8 | (lock_), EXT(n),                            \
	   .undefined = OF | SF | AF | PF)
#define STRING(name_, op_)                                                                        \
	F1(name_ "B", op_, T_STRING | T_BYTE), F1(name_ "W/D/Q", (op_) + 1, T_STRING)
#define SSE(name_, prefix_, op_, flags_)                                                          \
	F2(name_, op_, T_MODRM | T_MEM | (flags_), .prefix = prefix_)

const struct form forms[] = {
	ALU("ADD", 0x00, 0, T_LOCK, 0),
	ALU("OR", 0x08, 1, T_LOCK, AF),
	ALU("ADC", 0x10, 2, T_LOCK, 0),
	ALU("SBB", 0x18, 3, T_LOCK, 0),
	ALU("AND", 0x20, 4, T_LOCK, AF),
	ALU("SUB", 0x28, 5, T_LOCK, 0),
	ALU("XOR", 0x30, 6, T_LOCK, AF),
	ALU("CMP", 0x38, 7, 0, 0),
	F1("TEST Eb,Gb", 0x84, T_MODRM | T_BYTE, .undefined = AF),
	F1("TEST Ev,Gv", 0x85, T_MODRM, .undefined = AF),
	F1("TEST AL,Ib", 0xa8, T_BYTE | T_IMM8, .undefined = AF),
	F1("TEST rAX,Iz", 0xa9, T_IMMZ, .undefined = AF),
	F1("TEST Eb,Ib", 0xf6, T_MODRM | T_BYTE | T_IMM8, EXT(0), .undefined = AF),
	F1("TEST Ev,Iz", 0xf7, T_MODRM | T_IMMZ, EXT(0), .undefined = AF),
	F1("TEST Eb,Ib /1", 0xf6, T_MODRM | T_BYTE | T_IMM8, EXT(1), .undefined = AF),
	UNARY("NOT", 0xf6, 2, 0),
	UNARY("NEG", 0xf6, 3, 0),
	UNARY("INC", 0xfe, 0, 0),
	UNARY("DEC", 0xfe, 1, 0),
	SHIFT("ROL", 0),
	SHIFT("ROR", 1),
	SHIFT("RCL", 2),
	SHIFT("RCR", 3),
	SHIFT("SHL", 4),
	SHIFT("SHR", 5),
	SHIFT("SAL", 6),
	SHIFT("SAR", 7),
	F2("SHLD Ev,Gv,Ib", 0xa4, T_MODRM | T_IMM8 | T_SHIFT | T_DOUBLE),
	F2("SHLD Ev,Gv,CL", 0xa5, T_MODRM | T_CL | T_SHIFT | T_DOUBLE),
	F2("SHRD Ev,Gv,Ib", 0xac, T_MODRM | T_IMM8 | T_SHIFT | T_DOUBLE),
	F2("SHRD Ev,Gv,CL", 0xad, T_MODRM | T_CL | T_SHIFT | T_DOUBLE),
	BIT("BT", 0xa3, 4, 0),
	BIT("BTS", 0xab, 5, T_LOCK),
	BIT("BTR", 0xb3, 6, T_LOCK),
	BIT("BTC", 0xbb, 7, T_LOCK),
	F2("IMUL Gv,Ev", 0xaf, T_MODRM, .undefined = SF | ZF | AF | PF),
	F1("IMUL Gv,Ev,Iz", 0x69, T_MODRM | T_IMMZ, .undefined = SF | ZF | AF | PF),
	F1("IMUL Gv,Ev,Ib", 0x6b, T_MODRM | T_IMM8, .undefined = SF | ZF | AF | PF),

	F1("MOV Eb,Gb", 0x88, T_MODRM | T_BYTE),
	F1("MOV Ev,Gv", 0x89, T_MODRM),
	F1("MOV Gb,Eb", 0x8a, T_MODRM | T_BYTE),
	F1("MOV Gv,Ev", 0x8b, T_MODRM),
	F1("MOV AL,Ob", 0xa0, T_MOFFS | T_BYTE),
	F1("MOV rAX,Ov", 0xa1, T_MOFFS),
	F1("MOV Ob,AL", 0xa2, T_MOFFS | T_BYTE),
	F1("MOV Ov,rAX", 0xa3, T_MOFFS),
	F1("MOV Eb,Ib", 0xc6, T_MODRM | T_BYTE | T_IMM8, EXT(0)),
	F1("MOV Ev,Iz", 0xc7, T_MODRM | T_IMMZ, EXT(0)),
	F1("MOV Ev,CS", 0x8c, T_MODRM, EXT(1)),
	F1("MOV Ev,SS", 0x8c, T_MODRM, EXT(2)),
	F1("MOV Ev,/6", 0x8c, T_MODRM | T_INVALID, EXT(6)),
	F1("MOVSXD Gv,Ed", 0x63, T_MODRM | T_NOPREFIX | T_ONLY64),
	F2("MOVZX Gv,Eb", 0xb6, T_MODRM),
	F2("MOVZX Gv,Ew", 0xb7, T_MODRM),
	F2("MOVSX Gv,Eb", 0xbe, T_MODRM),
	F2("MOVSX Gv,Ew", 0xbf, T_MODRM),
	F2("MOVNTI", 0xc3, T_MODRM | T_MEM | T_NOPREFIX),
	F3("MOVBE Gv,Mv", 0xf0, T_MODRM | T_MEM | T_NOREP),
	F3("MOVBE Mv,Gv", 0xf1, T_MODRM | T_MEM | T_NOREP),
	F1("XCHG Eb,Gb", 0x86, T_MODRM | T_BYTE | T_LOCK),
	F1("XCHG Ev,Gv", 0x87, T_MODRM | T_LOCK),
	F2("XADD Eb,Gb", 0xc0, T_MODRM | T_BYTE | T_LOCK),
	F2("XADD Ev,Gv", 0xc1, T_MODRM | T_LOCK),
	F2("CMPXCHG Eb,Gb", 0xb0, T_MODRM | T_BYTE | T_LOCK | T_ACC),
	F2("CMPXCHG Ev,Gv", 0xb1, T_MODRM | T_LOCK | T_ACC),
	F2("CMPXCHG8B/16B", 0xc7, T_MODRM | T_MEM | T_LOCK | T_PAIR | T_NOPREFIX, EXT(1)),
	F2("SETcc", 0x90, T_MODRM | T_BYTE | T_CC),
	F2("CMOVcc", 0x40, T_MODRM | T_CC),

	F1("PUSH r", 0x50, T_STACK | T_LOW3),
	F1("PUSH Iz", 0x68, T_STACK | T_IMMZ),
	F1("PUSH Ib", 0x6a, T_STACK | T_IMM8),
	F1("PUSH Ev", 0xff, T_STACK | T_MODRM, EXT(6)),
	F1("POP r", 0x58, T_STACK | T_LOW3),
	F1("POP Ev", 0x8f, T_STACK | T_MODRM, EXT(0)),

	STRING("MOVS", 0xa4),
	STRING("CMPS", 0xa6),
	STRING("STOS", 0xaa),
	STRING("LODS", 0xac),
	STRING("SCAS", 0xae),

	F1("IN AL,Ib", 0xe4, T_PORT | T_BYTE | T_IMM8),
	F1("OUT Ib,eAX", 0xe7, T_PORT | T_IMM8),
	F1("IN eAX,DX", 0xed, T_PORT),
	F1("OUT DX,AL", 0xee, T_PORT | T_BYTE),
	F1("INSB", 0x6c, T_PORT | T_STRING | T_BYTE),
	F1("OUTSW/D", 0x6f, T_PORT | T_STRING),

	SSE("MOVUPS load", 0, 0x10, T_NOPREFIX),
	SSE("MOVUPD load", 0x66, 0x10, T_NOPREFIX),
	SSE("MOVSS load", 0xf3, 0x10, T_NOPREFIX),
	SSE("MOVSD load", 0xf2, 0x10, T_NOPREFIX),
	SSE("MOVUPS store", 0, 0x11, T_NOPREFIX),
	SSE("MOVUPD store", 0x66, 0x11, T_NOPREFIX),
	SSE("MOVSS store", 0xf3, 0x11, T_NOPREFIX),
	SSE("MOVSD store", 0xf2, 0x11, T_NOPREFIX),
	SSE("MOVAPS load", 0, 0x28, T_NOPREFIX | T_ALIGN),
	SSE("MOVAPD load", 0x66, 0x28, T_NOPREFIX | T_ALIGN),
	SSE("MOVAPS store", 0, 0x29, T_NOPREFIX | T_ALIGN),
	SSE("MOVAPD store", 0x66, 0x29, T_NOPREFIX | T_ALIGN),
	SSE("MOVNTPS", 0, 0x2b, T_NOPREFIX | T_ALIGN),
	SSE("MOVNTPD", 0x66, 0x2b, T_NOPREFIX | T_ALIGN),
	SSE("MOVD/Q load", 0x66, 0x6e, T_NOPREFIX),
	SSE("MOVDQA load", 0x66, 0x6f, T_NOPREFIX | T_ALIGN),
	SSE("MOVDQU load", 0xf3, 0x6f, T_NOPREFIX),
	SSE("MOVD/Q store", 0x66, 0x7e, T_NOPREFIX),
	SSE("MOVQ load", 0xf3, 0x7e, T_NOPREFIX),
	SSE("MOVDQA store", 0x66, 0x7f, T_NOPREFIX | T_ALIGN),
	SSE("MOVDQU store", 0xf3, 0x7f, T_NOPREFIX),
	SSE("MOVQ store", 0x66, 0xd6, T_NOPREFIX),
	SSE("MOVNTDQ", 0x66, 0xe7, T_NOPREFIX | T_ALIGN),
};

const unsigned int nr_forms = ARRAY_SIZE(forms);

enum { AX, CX, DX, BX, SP, BP, SI, DI };

struct gen {
	const struct form *form;
	const struct world *world;
	struct instance *inst;
	const u8 *mem;
	bool op66, addr67, lock;
	u8 override; /* segment prefix, or 0 */
	u8 rep;
	u8 rex;
	u8 modrm;
	unsigned int size;
	unsigned int addr_bits;
	unsigned int disp_at; /* where a RIP-relative displacement is to be patched in, or 0 */
	u64 target;
};

static void put(struct gen *g, u64 val, unsigned int size)
{
	while (size--) {
		g->inst->insn[g->inst->len++] = val;
		val >>= 8;
	}
}

static u64 sext(u64 val, unsigned int bits)
{
	return (s64)(val << (64 - bits)) >> (64 - bits);
}

static u64 truncate(struct gen *g, u64 addr)
{
	return g->addr_bits == 64 ? addr : addr & ((1ULL << g->addr_bits) - 1);
}

/* A register for a shorter address may hold anything above it. */
static u64 dress(struct gen *g, u64 addr)
{
	return g->addr_bits == 64 ? addr : truncate(g, addr) | rnd() << g->addr_bits;
}

/* The offset of the target in the segment that an address will use. */
static u64 offset_in(struct gen *g, unsigned int seg)
{
	static const u8 prefixes[EMUL_NR_SEGS] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	unsigned int i;

	for (i = 0; i < EMUL_NR_SEGS; i++)
		if (g->override == prefixes[i])
			seg = i;
	if (g->world->bits == 64 && seg < EMUL_SEG_FS)
		return g->target;
	return g->target - g->world->seg[seg].base;
}

static u64 pick_target(struct gen *g)
{
	unsigned int align = rnd_chance(50) ? 1 : 16;
	u64 addr = DATA_BASE + 256 + rnd_below(DATA_SIZE - 512) / align * align;
	unsigned int kind = rnd_below(100);

	if (g->form->flags & (T_ALIGN | T_PAIR) && rnd_chance(80))
		addr &= ~15ULL;
	if (kind < 2)
		return DATA_BASE + DATA_SIZE - rnd_below(18);
	if (kind < 3)
		return DATA_BASE - rnd_below(18);
	if (kind < 4) /* across the two pages */
		return DATA_BASE + DATA_SIZE / 2 - rnd_below(16);
	return addr;
}

static void put_prefixes(struct gen *g)
{
	u8 list[24];
	unsigned int n = 0, i;

	if (g->op66)
		list[n++] = 0x66;
	if (g->addr67)
		list[n++] = 0x67;
	if (g->override)
		list[n++] = g->override;
	if (g->lock)
		list[n++] = 0xf0;
	if (g->rep)
		list[n++] = g->rep;
	/* Segment prefixes without a meaning here; now and then so many that it gets too long. */
	if (g->world->bits == 64 && rnd_chance(10)) {
		unsigned int pad = rnd_chance(80) ? 1 : rnd_below(14);

		while (pad--)
			list[n++] = 0x26 | rnd_below(4) << 3;
	}
	for (i = n; i > 1; i--) {
		unsigned int j = rnd_below(i);
		u8 tmp = list[i - 1];

		list[i - 1] = list[j];
		list[j] = tmp;
	}
	/* A REX prefix that another prefix follows does not count. */
	if (g->world->bits == 64 && n && rnd_chance(3))
		put(g, 0x40 | rnd_below(16), 1);
	for (i = 0; i < n; i++)
		put(g, list[i], 1);
	if (g->rex)
		put(g, g->rex, 1);
}

/* By how much a bit offset in a register moves the address. */
static u64 bit_displacement(struct gen *g, unsigned int src)
{
	u64 bit = sext(g->inst->st.regs[src], g->size * 8);

	if (!(g->form->flags & T_BITREG))
		return 0;
	return (s64)(bit & ~(u64)(g->size * 8 - 1)) >> 3;
}

/*
 * ModRM and displacement of a 16-bit address.  As below, a register is given the value that makes
 * the address come out.
 */
static bool put_address16(struct gen *g, unsigned int reg_field)
{
	static const u8 base[8] = { BX, BX, BP, BP, SI, DI, BP, BX };
	static const u8 index[8] = { SI, DI, SI, DI };
	unsigned int mod = rnd_below(3), rm = rnd_below(8);
	u64 *regs = g->inst->st.regs, ea, disp = 0;

	put(g, mod << 6 | reg_field << 3 | rm, 1);
	if (mod == 0 && rm == 6) {
		put(g, offset_in(g, EMUL_SEG_DS) - bit_displacement(g, reg_field), 2);
		return true;
	}
	if (g->form->flags & T_BITREG &&
	    (reg_field == base[rm] || (rm < 4 && reg_field == index[rm])))
		return false;
	if (mod)
		disp = sext(rnd(), mod == 1 ? 8 : 16);
	put(g, disp, mod);
	ea = offset_in(g, base[rm] == BP ? EMUL_SEG_SS : EMUL_SEG_DS);
	ea -= disp + bit_displacement(g, reg_field);
	if (rm < 4)
		ea -= regs[index[rm]];
	regs[base[rm]] = dress(g, ea);
	return true;
}

/* ModRM, SIB and displacement of a 32- or 64-bit address. */
static bool put_address(struct gen *g, unsigned int reg_field)
{
	unsigned int mod = rnd_below(3), rm = rnd_below(8), index = 4, scale = 0;
	unsigned int src = reg_field | (g->rex & 4 ? 8 : 0), base;
	u64 *regs = g->inst->st.regs, ea, rest, disp = 0;
	bool stack = g->form->flags & T_STACK;
	u64 shift = bit_displacement(g, src);

	if (stack && rm == 4)
		mod = rnd_below(2);
	put(g, mod << 6 | reg_field << 3 | rm, 1);
	base = rm | (g->rex & 1 ? 8 : 0);
	if (rm == 4) {
		unsigned int sib_base = rnd_below(8), sib_index = rnd_below(8);

		if (stack) {
			sib_index = 4;
			g->rex &= ~2;
		}
		scale = rnd_below(4);
		put(g, scale << 6 | sib_index << 3 | sib_base, 1);
		base = sib_base | (g->rex & 1 ? 8 : 0);
		index = sib_index | (g->rex & 2 ? 8 : 0);
		if (sib_base == 5 && mod == 0) {
			/* No base: keep the index small and put the rest into the displacement. */
			rest = 0;
			if (index != 4) {
				if (g->form->flags & T_BITREG && index == src)
					return false;
				regs[index] = dress(g, rnd_below(1 << 20));
				rest = truncate(g, regs[index]) << scale;
			}
			disp = offset_in(g, EMUL_SEG_DS) - shift - rest;
			put(g, disp, 4);
			return g->addr_bits == 32 || sext(disp, 32) == disp;
		}
		if (index != 4 && index == base)
			return false;
	} else if (rm == 5 && mod == 0) {
		ea = offset_in(g, EMUL_SEG_DS) - shift;
		if (g->world->bits == 64)
			g->disp_at = g->inst->len;
		put(g, ea, 4);
		return true;
	}
	if (mod)
		disp = sext(rnd(), mod == 1 ? 8 : 32);
	put(g, disp, mod == 2 ? 4 : mod);

	if (g->form->flags & T_BITREG && (src == base || (src == index && index != 4)))
		return false;
	/* The stack pointer has its value already: the operand lies near it. */
	if (stack && base == SP)
		return !g->override && !g->addr67;
	if (stack && index == SP)
		return false;
	rest = index == 4 ? 0 : regs[index] << scale;
	ea = offset_in(g, base == SP || base == BP ? EMUL_SEG_SS : EMUL_SEG_DS);
	regs[base] = dress(g, ea - shift - rest - disp);
	return true;
}

static void pick_registers(struct gen *g)
{
	struct native_state *st = &g->inst->st;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		st->regs[i] = rnd_value();
		st->xmm[i][0] = rnd();
		st->xmm[i][1] = rnd();
	}
	st->rflags = (rnd() & (ARITH | DF)) | 0x202;
}

/* Makes the comparison of CMPXCHG come out equal, if memory is where it should be. */
static void match_accumulator(struct gen *g)
{
	u64 *regs = g->inst->st.regs;
	unsigned int len = g->form->flags & T_PAIR ? (g->rex & 8 ? 8 : 4) : g->size;
	u64 at = g->target - DATA_BASE;

	if (at >= DATA_SIZE - 16)
		return;
	memcpy(&regs[AX], g->mem + at, len);
	if (g->form->flags & T_PAIR)
		memcpy(&regs[DX], g->mem + at + len, len);
}

static void aim_string(struct gen *g)
{
	u64 *regs = g->inst->st.regs;
	u64 si = pick_target(g), di = pick_target(g);
	bool segmented = g->world->bits != 64;

	/* Two faults at once come in no order that the manual promises. */
	if (rnd_chance(50))
		si = DATA_BASE + DATA_SIZE / 2 + rnd_below(1024);
	else
		di = DATA_BASE + DATA_SIZE / 2 + rnd_below(1024);
	g->target = si;
	regs[SI] = dress(g, offset_in(g, EMUL_SEG_DS));
	regs[DI] = dress(g, di - (segmented ? g->world->seg[EMUL_SEG_ES].base : 0));
	if (g->rep)
		regs[CX] = dress(g, rnd_below(20));
}

static void limit_undefined(struct gen *g, u64 imm)
{
	unsigned int count = g->form->flags & T_ONE ? 1 :
			     g->form->flags & T_CL  ? g->inst->st.regs[CX] & 0xff :
						      imm & 0xff;
	bool rotate = !(g->form->flags & T_DOUBLE) && g->form->ext - 1 < 4;

	count &= g->size == 8 ? 63 : 31;
	if (count && !rotate)
		g->inst->undefined |= AF;
	if (count > 1)
		g->inst->undefined |= OF;
	if (count >= g->size * 8 && !rotate && g->form->ext - 1 != 7)
		g->inst->undefined |= CF;
}

static void pick_prefixes(struct gen *g, bool mem)
{
	static const u8 overrides[] = { 0x26, 0x36, 0x3e, 0x65 };
	const struct form *f = g->form;
	unsigned int bits = g->world->bits;

	g->op66 = f->prefix == 0x66 || (!(f->flags & T_NOPREFIX) && rnd_chance(25));
	g->addr67 = rnd_chance(20);
	g->override = 0;
	if (bits == 64)
		g->override = rnd_chance(10) ? 0x65 : 0;
	else if (rnd_chance(25))
		g->override = overrides[rnd_below(sizeof(overrides))];
	g->lock = rnd_chance(f->flags & T_LOCK && mem ? 30 : 2);
	g->rep = f->prefix == 0xf2 || f->prefix == 0xf3 ? f->prefix : 0;
	if (!f->prefix && !(f->flags & (T_NOPREFIX | T_NOREP)) &&
	    rnd_chance(f->flags & T_STRING ? 65 : 3))
		g->rep = rnd_chance(50) ? 0xf2 : 0xf3;
	g->rex = bits == 64 && rnd_chance(60) ? 0x40 | rnd_below(16) : 0;

	if (bits == 64) {
		g->addr_bits = g->addr67 ? 32 : 64;
		g->size = g->op66 ? 2 : f->flags & T_STACK ? 8 : 4;
	} else {
		g->addr_bits = (bits == 32) != g->addr67 ? 32 : 16;
		g->size = (bits == 32) != g->op66 ? 4 : 2;
	}
	if (g->rex & 8)
		g->size = 8;
	if (f->flags & T_BYTE)
		g->size = 1;
}

static bool patch_rip_relative(struct gen *g)
{
	u64 disp = offset_in(g, EMUL_SEG_DS) - native_rip() - g->inst->len;
	unsigned int i;

	if (!g->disp_at)
		return true;
	if (g->form->flags & T_BITREG || (!g->addr67 && sext(disp, 32) != disp))
		return false;
	for (i = 0; i < 4; i++)
		g->inst->insn[g->disp_at + i] = disp >> i * 8;
	return true;
}

/* Registers that are operands by themselves. */
static void aim_registers(struct gen *g)
{
	const struct form *f = g->form;
	u64 *regs = g->inst->st.regs, target;

	if (f->flags & (T_ACC | T_PAIR) && rnd_chance(50))
		match_accumulator(g);
	if (f->flags & T_STRING)
		aim_string(g);
	if (f->flags & T_STACK) {
		target = pick_target(g);
		if (g->world->bits != 64)
			target -= g->world->seg[EMUL_SEG_SS].base;
		regs[SP] = target;
	}
	/* A double shift by more than the operand's size has no defined result. */
	if (f->flags & T_DOUBLE && g->size == 2)
		regs[CX] = (regs[CX] & ~0xffULL) | rnd_below(17);
}

static bool try_instance(struct gen *g)
{
	const struct form *f = g->form;
	struct instance *inst = g->inst;
	unsigned int reg_field = f->ext ? f->ext - 1 : rnd_below(8);
	bool mem = f->flags & T_MEM || (f->flags & T_MODRM && rnd_chance(85));
	u64 imm = rnd_value();
	u8 opcode[3], rex;

	inst->len = 0;
	inst->undefined = f->undefined;
	g->disp_at = 0;
	pick_registers(g);
	pick_prefixes(g, mem);
	g->target = pick_target(g);
	if (g->addr_bits == 64 && !g->override && f->flags & T_MODRM && rnd_chance(2))
		g->target = 0x7ffffffffff0ULL + rnd_below(32);
	aim_registers(g);
	if (f->flags & T_DOUBLE && g->size == 2)
		imm = rnd_below(17);

	memcpy(opcode, f->opcode, sizeof(opcode));
	if (f->flags & T_LOW3)
		opcode[0] |= rnd_below(8);
	if (f->flags & T_CC)
		opcode[1] |= rnd_below(16);
	put_prefixes(g);
	memcpy(inst->insn + inst->len, opcode, f->opcode_len);
	inst->len += f->opcode_len;
	rex = g->rex;
	if (mem && !(g->addr_bits == 16 ? put_address16 : put_address)(g, reg_field))
		return false;
	if (g->rex != rex) /* it is written already */
		return false;
	if (!mem && f->flags & T_MODRM)
		put(g, 0xc0 | reg_field << 3 | rnd_below(8), 1);
	if (f->flags & T_MOFFS)
		put(g, offset_in(g, EMUL_SEG_DS), g->addr_bits / 8);
	if (f->flags & T_IMM8)
		put(g, imm, 1);
	if (f->flags & T_IMMZ)
		put(g, imm, g->size > 4 ? 4 : g->size);
	/* CX may have become part of the address. */
	if (f->flags & T_DOUBLE && g->size == 2 && f->flags & T_CL &&
	    (inst->st.regs[CX] & 31) > 16)
		return false;
	if (!patch_rip_relative(g))
		return false;
	if (f->flags & T_SHIFT)
		limit_undefined(g, imm);
	return inst->len <= 16;
}

void instantiate(const struct form *form, const struct world *world, const u8 *mem,
		 struct instance *inst)
{
	struct gen g = { .form = form, .world = world, .inst = inst, .mem = mem };

	while (!try_instance(&g))
		;
}
