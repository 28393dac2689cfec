// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page walker against a naive model: random tables that point into each other, random CPUs,
 * modes and accesses.  The model decides bit by bit what is reserved, and judges permissions from
 * the whole list of entries at the end.
 */
#include <errno.h>
#include <string.h>

#include "gpt.h"
#include "suites.h"
#include "tap.h"

#define PAGES 24
#define MEMORY (PAGES * 4096)

#define CR0_PG (1U << 31)
#define CR0_WP (1U << 16)
#define CR4_PSE (1U << 4)
#define CR4_PAE (1U << 5)
#define CR4_LA57 (1U << 12)
#define CR4_SMEP (1U << 20)
#define CR4_SMAP (1U << 21)
#define CR4_PKE (1U << 22)
#define EFER_LMA (1U << 10)
#define EFER_NXE (1U << 11)

enum mode { NONE, LEGACY, PAE, FOUR, FIVE, NR_MODES };

static const char *const mode_names[] = { "no paging", "32-bit", "PAE", "4-level", "5-level" };

struct cpu_state {
	struct xvm_gpt_cpu cpu;
	enum mode mode;
	u64 cr0, cr3, cr4, efer;
	u32 pkru;
};

struct verdict {
	int ret;
	u32 error;
	u64 gpa, size;
};

static u8 memory[MEMORY], expected[MEMORY];

/* What the walker meets when it sets a bit. */
static unsigned int races_left;
static u64 race_gpa;

static int op_read(void *ctx, u64 gpa, void *buf, unsigned int len)
{
	(void)ctx;
	if (gpa > MEMORY - len)
		return -EFAULT;
	memcpy(buf, memory + gpa, len);
	return 0;
}

static int op_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int size)
{
	(void)ctx;
	if (races_left) {
		/* Another CPU sets the accessed bit of some entry first. */
		races_left--;
		memory[race_gpa] |= 0x20;
		return -EAGAIN;
	}
	if (memcmp(memory + gpa, &old, size))
		return -EAGAIN;
	memcpy(memory + gpa, &new, size);
	return 0;
}

static const struct xvm_gpt_ops ops = { .read_gpa = op_read, .cmpxchg_gpa = op_cmpxchg };

static bool model_leaf(const struct cpu_state *s, unsigned int level, u64 entry)
{
	bool ps = entry >> 7 & 1;

	if (level == 1)
		return true;
	switch (s->mode) {
	case LEGACY:
		return ps && s->cr4 & CR4_PSE;
	case PAE:
		return ps && level == 2;
	default:
		return ps && (level == 2 || (level == 3 && s->cpu.gbpages));
	}
}

static bool model_reserved_bit(const struct cpu_state *s, unsigned int level, bool leaf,
			       unsigned int bit)
{
	unsigned int phys = s->cpu.maxphyaddr;
	bool nx = s->efer & EFER_NXE;

	if (s->mode == LEGACY)
		return leaf && level == 2 && bit >= 13 && bit <= 21 &&
		       (bit == 21 || bit - 13 + 32 >= phys);
	if (s->mode == PAE && level == 3)
		return bit == 1 || bit == 2 || (bit >= 6 && bit <= 8) || bit >= phys;
	if (bit == 63)
		return !nx;
	if (bit >= 52)
		return s->mode == PAE;
	if (bit >= phys)
		return true;
	if (leaf && level == 2)
		return bit >= 13 && bit <= 20;
	if (leaf && level == 3)
		return bit >= 13 && bit <= 29;
	if (!leaf && bit == 7)
		return level >= 3;
	if (!leaf && bit == 8)
		return level >= 3 && s->cpu.amd;
	return false;
}

static bool model_denies(const struct cpu_state *s, u32 access, bool user_page, bool write_page,
			 bool nx_page)
{
	bool wp = s->cr0 & CR0_WP;

	if (access & XVM_GPT_FETCH && nx_page)
		return true;
	if (access & XVM_GPT_USER) {
		if (!user_page)
			return true;
		return access & XVM_GPT_WRITE && !write_page;
	}
	if (access & XVM_GPT_WRITE && !write_page && wp)
		return true;
	if (user_page && access & XVM_GPT_FETCH && s->cr4 & CR4_SMEP)
		return true;
	return user_page && !(access & XVM_GPT_FETCH) && s->cr4 & CR4_SMAP &&
	       !(access & XVM_GPT_AC);
}

static bool model_pkey_denies(const struct cpu_state *s, u32 access, u64 leaf)
{
	unsigned int key = leaf >> 59 & 15;

	if (s->mode < FOUR || !(s->cr4 & CR4_PKE) || access & XVM_GPT_FETCH)
		return false;
	if (s->pkru >> (2 * key) & 1)
		return true;
	return s->pkru >> (2 * key + 1) & 1 && access & XVM_GPT_WRITE &&
	       (access & XVM_GPT_USER || s->cr0 & CR0_WP);
}

/* Works on, and sets accessed and dirty bits in, ->expected. */
static struct verdict model(const struct cpu_state *s, u64 gva, u32 access)
{
	static const unsigned int top[NR_MODES] = { 0, 2, 3, 4, 5 };
	unsigned int size = s->mode == LEGACY ? 4 : 8, width = s->mode == LEGACY ? 10 : 9;
	u64 base, path[6], entry = 0;
	unsigned int level, bit;
	bool user = true, write = true, nx = false, pk;
	struct verdict v = {};

	if (s->mode == NONE)
		return (struct verdict){ .gpa = gva & 0xffffffff, .size = 4096 };
	if (access & XVM_GPT_IMPLICIT)
		access &= ~(XVM_GPT_USER | XVM_GPT_AC);
	if (access & XVM_GPT_WRITE)
		v.error |= 2;
	if (access & XVM_GPT_USER)
		v.error |= 4;
	if (access & XVM_GPT_FETCH &&
	    (s->cr4 & CR4_SMEP || (s->mode >= PAE && s->efer & EFER_NXE)))
		v.error |= 16;
	v.ret = XVM_GPT_FAULT;

	if (s->mode == LEGACY)
		base = s->cr3 & 0xfffff000;
	else if (s->mode == PAE)
		base = s->cr3 & 0xffffffe0;
	else
		base = s->cr3 & ((1ULL << s->cpu.maxphyaddr) - 1) & ~0xfffULL;
	for (level = top[s->mode];; level--) {
		u64 index = gva >> (12 + (level - 1) * width) & ((1 << width) - 1);

		if (s->mode == PAE && level == 3)
			index = gva >> 30 & 3;
		path[level] = base + index * size;
		if (path[level] > MEMORY - size)
			return (struct verdict){ .ret = -EFAULT };
		entry = 0;
		memcpy(&entry, expected + path[level], size);
		if (!(entry & 1))
			return v;
		for (bit = 0; bit < 64; bit++) {
			bool leaf = model_leaf(s, level, entry);

			if (entry >> bit & 1 && model_reserved_bit(s, level, leaf, bit)) {
				v.error |= 9;
				return v;
			}
		}
		if (s->mode != PAE || level != 3) {
			write = write && entry >> 1 & 1;
			user = user && entry >> 2 & 1;
			nx = nx || (s->mode >= PAE && entry >> 63);
		}
		if (model_leaf(s, level, entry))
			break;
		base = entry & 0xffffffffff000ULL;
	}

	pk = user && model_pkey_denies(s, access, entry);
	if (pk || model_denies(s, access, user, write, nx)) {
		v.error |= 1 | (pk ? 32 : 0);
		return v;
	}

	v.ret = 0;
	v.error = 0;
	v.size = 1ULL << (12 + (level - 1) * width);
	v.gpa = entry & 0xffffffffff000ULL;
	if (s->mode == LEGACY && level == 2)
		v.gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	v.gpa = v.gpa / v.size * v.size + gva % v.size;
	if (access & XVM_GPT_SET_AD) {
		unsigned int l;

		for (l = top[s->mode]; l >= level; l--)
			if (s->mode != PAE || l != 3)
				expected[path[l]] |= 0x20;
		if (access & XVM_GPT_WRITE)
			expected[path[level]] |= 0x40;
	}
	return v;
}

static void random_cpu(struct cpu_state *s, enum mode mode)
{
	memset(s, 0, sizeof(*s));
	s->mode = mode;
	s->cpu.maxphyaddr = 32 + rnd_below(21);
	s->cpu.gbpages = rnd_chance(50);
	s->cpu.amd = rnd_chance(50);
	s->cr0 = 1 | (mode != NONE ? CR0_PG : 0) | (rnd_chance(50) ? CR0_WP : 0);
	s->cr4 = (rnd() & (CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PKE)) |
		 (mode >= PAE ? CR4_PAE : 0) | (mode == FIVE ? CR4_LA57 : 0);
	s->efer = (mode >= FOUR ? EFER_LMA : 0) | (rnd_chance(60) ? EFER_NXE : 0);
	s->pkru = rnd();
	s->cr3 = rnd_below(PAGES) << 12 | rnd_below(4096);
}

static u64 random_entry(const struct cpu_state *s)
{
	u64 entry = rnd_below(PAGES) << 12;
	u64 flags = rnd() & 0xfff;

	if (rnd_chance(85))
		flags |= 1;
	if (rnd_chance(60))
		flags |= 6;
	if (s->mode == PAE ? rnd_chance(60) : rnd_chance(75))
		flags &= ~0x100ULL;
	if (rnd_chance(70))
		flags &= ~0x80ULL;
	if (rnd_chance(3)) /* out of memory */
		entry = rnd() & 0xffffffffff000ULL & ((1ULL << s->cpu.maxphyaddr) - 1);
	if (flags & 0x80 && rnd_chance(80)) /* a large page that is aligned */
		entry = (rnd() & ((1ULL << s->cpu.maxphyaddr) - 1)) >> 30 << 30;
	if (s->mode == LEGACY && flags & 0x80)
		entry |= rnd_below(1 << 9) << 13;
	if (rnd_chance(15) && s->efer & EFER_NXE)
		flags |= 1ULL << 63;
	if (s->mode >= FOUR)
		flags |= rnd_below(128) << 52;
	if (rnd_chance(4))
		flags |= 1ULL << rnd_below(64);
	return entry | flags;
}

static void fill_tables(const struct cpu_state *s)
{
	unsigned int at;

	for (at = 0; at < MEMORY; at += 8) {
		u64 entry = random_entry(s);

		if (s->mode == LEGACY)
			entry = (u32)entry | random_entry(s) << 32;
		memcpy(memory + at, &entry, 8);
	}
	if (s->mode != PAE)
		return;
	/* PAE's top entries reserve so much that random ones would hardly ever do. */
	for (at = 0; at < 4; at++) {
		u64 entry = rnd_below(PAGES) << 12 | (rnd_chance(95) ? 1 : 0);

		if (rnd_chance(10))
			entry |= 1ULL << rnd_below(64);
		memcpy(memory + (s->cr3 & 0xffffffe0) + at * 8, &entry, 8);
	}
}

static bool same(const struct verdict *v, int ret, const struct xvm_gpt_result *res)
{
	if (ret != v->ret)
		return false;
	if (ret == XVM_GPT_FAULT)
		return res->error_code == v->error;
	return ret || (res->gpa == v->gpa && res->page_size == v->size);
}

struct tally {
	unsigned int mapped, large, faults, missing;
};

/* One walk, by both. */
static bool test_walk(const struct cpu_state *s, u64 gva, u32 access, struct tally *tally)
{
	struct xvm_gpt_result res;
	struct xvm_gpt_role role;
	bool raced, tables_differ;
	struct verdict v;
	int ret;

	races_left = rnd_chance(10) ? 1 + rnd_below(3) : 0;
	raced = races_left;
	race_gpa = rnd_below(MEMORY / 8) * 8;
	memcpy(expected, memory, MEMORY);
	xvm_gpt_role_init(&role, &s->cpu, s->cr0, s->cr3, s->cr4, s->efer, s->pkru);
	ret = xvm_gpt_walk(&ops, NULL, &role, gva, access, &res);

	/* A race changes memory before any bit is set: the model starts from there. */
	if (raced && expected[race_gpa] != memory[race_gpa])
		expected[race_gpa] |= 0x20;
	v = model(s, gva, access);
	tables_differ = memcmp(expected, memory, MEMORY);
	tally->mapped += !ret;
	tally->large += !ret && res.page_size > 4096;
	tally->faults += ret == XVM_GPT_FAULT;
	tally->missing += ret < 0;
	if (same(&v, ret, &res) && !tables_differ)
		return true;
	tap_note("gva %llx access %x: %d %x %llx %llx, model %d %x %llx %llx%s", gva, access, ret,
		 res.error_code, res.gpa, res.page_size, v.ret, v.error, v.gpa, v.size,
		 tables_differ ? "; tables differ" : "");
	return false;
}

static void test_mode(enum mode mode, unsigned int tables)
{
	struct tally tally = {};
	unsigned int i, j;
	bool ok = true;

	for (i = 0; i < tables && ok; i++) {
		struct cpu_state s;

		random_cpu(&s, mode);
		fill_tables(&s);
		for (j = 0; j < 400 && ok; j++) {
			u32 access = rnd() & 0x3f;

			if (access & XVM_GPT_FETCH)
				access &= ~XVM_GPT_WRITE;
			ok = test_walk(&s, mode >= FOUR ? rnd() : (u32)rnd(), access, &tally);
		}
	}
	ok = ok && tally.mapped && (mode == NONE || tally.faults);
	tap_result(ok, "walk, %s: %u mapped (%u large), %u faults, %u beyond memory",
		   mode_names[mode], tally.mapped, tally.large, tally.faults, tally.missing);
}

/* Tables that never stop changing must not hold the walker. */
static void test_endless_race(void)
{
	static const u64 pte = 0x7;
	struct xvm_gpt_cpu cpu = { .maxphyaddr = 40 };
	struct xvm_gpt_result res;
	struct xvm_gpt_role role;
	int ret;

	memset(memory, 0, sizeof(memory));
	memcpy(memory, &pte, sizeof(pte));
	xvm_gpt_role_init(&role, &cpu, CR0_PG | 1, 0, CR4_PAE, EFER_LMA, 0);
	races_left = ~0U;
	race_gpa = MEMORY - 8;
	ret = xvm_gpt_walk(&ops, NULL, &role, 0, XVM_GPT_SET_AD, &res);
	tap_result(ret == -EAGAIN, "walk: gives up on tables that keep changing");
}

void gpt_suite(unsigned int tables)
{
	enum mode mode;

	for (mode = NONE; mode < NR_MODES; mode++)
		test_mode(mode, tables);
	test_endless_race();
}
