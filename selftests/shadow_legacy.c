// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paging of 32-bit systems, with tables of 1024 entries and with PAE's: what it permits,
 * the bits that the CPU sets, and when a change has to be seen (APM vol. 2, 5.2 and 5.6).
 * Without nested paging the hardware walks tables of another format in their place.
 */
#include <string.h>

#include "legacy.h"
#include "test.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_legacy);

#define PRESENT (PTE_P | PTE_W)
#define CR0_BASE (CR0_PE | CR0_ET | CR0_NE | CR0_PG)
#define VA 0x400000u

/* The entries on the way to VA, and what the CPU is told. */
struct way {
	bool pae, nx, large;
	uint64_t pde, pte;
	bool wp, smep, smap, ac, user;
	enum probe_access access;
};

/* The error code of the fault, or -1. */
static int expected_fault(const struct way *w)
{
	const struct probe_asker asker = {
		.access = w->access, .user = w->user, .ac = w->ac, .wp = w->wp,
		.smep = w->smep, .smap = w->smap,
	};
	uint64_t pte = w->large ? w->pde : w->pte;
	int error = (w->access == ACCESS_WRITE ? PF_W : 0) | (w->user ? PF_U : 0);

	/* Where none can be forbidden, fetches are told as reads. */
	if (w->access == ACCESS_FETCH && (w->nx || w->smep))
		error |= PF_FETCH;
	if (!(w->pde & pte & PTE_P))
		return error;
	return probe_permits(w->pde & pte, w->pde | pte, &asker) ? -1 : error | PF_P;
}

static void pick_entries(uint64_t *seed, struct way *w)
{
	int i;

	w->pde = w->large ? LEGACY_LARGE | PTE_PS : LEGACY_TABLE;
	w->pte = LEGACY_PAGE_A;
	for (i = 0; i < 2; i++) {
		uint64_t *entry = i ? &w->pte : &w->pde;

		/* Mostly present: else there is nothing more to see. */
		*entry |= pick(seed, 2) || pick(seed, 2) || pick(seed, 2) ? PTE_P : 0;
		*entry |= pick(seed, 2) ? PTE_W : 0;
		*entry |= pick(seed, 2) ? PTE_U : 0;
		*entry |= w->nx && pick(seed, 2) && pick(seed, 2) ? PTE_NX : 0;
	}
}

static void pick_access(uint64_t *seed, struct way *w, bool smep, bool smap)
{
	w->wp = pick(seed, 2);
	w->smep = smep && pick(seed, 2);
	w->smap = smap && pick(seed, 2);
	w->ac = pick(seed, 2);
	w->user = pick(seed, 2);
	w->access = pick(seed, 2) ? ACCESS_WRITE : pick(seed, 2) ? ACCESS_READ : ACCESS_FETCH;
}

/* An access that went through has set A, and a write D; what a fault denied set no D. */
static void check_bits(struct __test_metadata *_metadata, const struct legacy *l,
		       const struct way *w, bool faulted)
{
	uint64_t pde = legacy_entry(l, legacy_pde(l, VA));
	uint64_t pte = legacy_entry(l, legacy_pte(l, LEGACY_TABLE, VA));
	uint64_t written = w->access == ACCESS_WRITE ? PTE_D : 0;

	if (faulted) {
		EXPECT_EQ((w->pde | w->pte) & PTE_D, (pde | pte) & PTE_D);
	} else if (w->large) {
		EXPECT_EQ(w->pde | PTE_A | written, pde);
	} else {
		EXPECT_EQ(w->pde | PTE_A, pde);
		EXPECT_EQ(w->pte | PTE_A | written, pte);
	}
}

static void go(struct __test_metadata *_metadata, struct legacy *l, const struct way *w,
	       struct legacy_probe *p, uint32_t cr4)
{
	int error = expected_fault(w);
	bool faults = error >= 0;

	p->cr0 = CR0_BASE | (w->wp ? CR0_WP : 0);
	p->cr4 = cr4 | (w->smep ? CR4_SMEP : 0) | (w->smap ? CR4_SMAP : 0);
	p->va = VA;
	p->access = w->access;
	p->user = w->user;
	p->ac = w->ac;
	p->data = 0xc3c3c3c3;
	legacy_run(l, p);
	if (p->exit != KVM_EXIT_IO || p->vector != (faults ? 14 : LEGACY_DONE) ||
	    (faults && p->error != error))
		TH_LOG("pde %#lx pte %#lx wp %d smep %d smap %d ac %d user %d op %d: %lu, %#lx",
		       w->pde, w->pte, w->wp, w->smep, w->smap, w->ac, w->user, w->access,
		       p->vector, p->error);
	ASSERT_EQ(KVM_EXIT_IO, p->exit);
	ASSERT_EQ(faults ? 14 : LEGACY_DONE, p->vector);
	if (faults) {
		ASSERT_EQ(error, p->error);
		ASSERT_EQ(VA, p->cr2);
	}
	check_bits(_metadata, l, w, faults);
}

/* Entries that the guest has just written and flushed for; then they are used otherwise. */
static void permissions(struct __test_metadata *_metadata, struct guest *g, int dev,
			uint32_t cr4, bool nx, bool large)
{
	bool smep = probe_cr4_bits(dev) & CR4_SMEP;
	bool smap = probe_cr4_bits(dev) & CR4_SMAP;
	uint64_t seed = 1;
	struct legacy l;
	int i, j;

	/* An emulator's PDPTEs get accessed bits, which KVM refuses when SMEP changes. */
	smep &= !(cr4 & CR4_PAE) || !device_has_npt(dev);
	legacy_start(&l, g, dev, cr4, nx);
	for (i = 0; i < 400; i++) {
		struct way w = { .pae = l.pae, .nx = nx, .large = large };

		pick_entries(&seed, &w);
		for (j = 0; j < 2; j++) {
			struct legacy_probe p = { 0 };

			if (!j) {
				p.edit[0].at = legacy_pde(&l, VA);
				p.edit[0].value = w.pde;
				p.edit[1].at = legacy_pte(&l, LEGACY_TABLE, VA);
				p.edit[1].value = w.pte;
				if (l.pae) {
					p.edit[0].store = pick(&seed, 2) ? STORE_8 : STORE_4_4;
					p.edit[1].store = pick(&seed, 2) ? STORE_8 : STORE_4_4;
				}
				p.flush = pick(&seed, 2) ? FLUSH_CR3 : FLUSH_INVLPG;
			}
			pick_access(&seed, &w, smep, smap);
			go(_metadata, &l, &w, &p, cr4);
			w.pde = legacy_entry(&l, legacy_pde(&l, VA));
			w.pte = legacy_entry(&l, legacy_pte(&l, LEGACY_TABLE, VA));
		}
	}
}

/* Each breaks if make_leaf(), of fault.c, grants what fault->rights lack: W, or without NX. */
TEST_F_TIMEOUT(shadow_legacy, permissions_32, 200)
{
	permissions(_metadata, &self->g, self->dev, CR4_PSE, false, false);
}

TEST_F_TIMEOUT(shadow_legacy, permissions_4m, 200)
{
	permissions(_metadata, &self->g, self->dev, CR4_PSE, false, true);
}

TEST_F_TIMEOUT(shadow_legacy, permissions_pae, 200)
{
	permissions(_metadata, &self->g, self->dev, CR4_PAE, true, false);
}

TEST_F_TIMEOUT(shadow_legacy, permissions_pae_2m, 200)
{
	permissions(_metadata, &self->g, self->dev, CR4_PAE, true, true);
}

TEST_F_TIMEOUT(shadow_legacy, permissions_pae_without_nx, 200)
{
	permissions(_metadata, &self->g, self->dev, CR4_PAE, false, false);
}

static void put(struct guest *g, uint32_t gpa, uint32_t word)
{
	memcpy(g->mem + gpa, &word, sizeof(word));
}

#define EXPECT_DATA(l, at, expected)						\
	do {									\
		struct legacy_probe p_ = legacy_try(l, ACCESS_READ, at);	\
										\
		ASSERT_EQ(KVM_EXIT_IO, p_.exit);				\
		ASSERT_EQ(LEGACY_DONE, p_.vector);				\
		ASSERT_EQ(expected, p_.data);					\
	} while (0)

/*
 * Page A, page B, none; each by either flush, the entry written by each kind of store,
 * in the table and in the directory above.
 */
static void remap(struct __test_metadata *_metadata, struct guest *g, int dev, uint32_t cr4)
{
	struct legacy l;
	uint32_t pde, i;

	legacy_start(&l, g, dev, cr4, false);
	pde = legacy_pde(&l, VA);
	put(g, LEGACY_PAGE_A, 0xa);
	put(g, LEGACY_PAGE_B, 0xb);
	legacy_set(&l, pde, LEGACY_TABLE | PRESENT);
	legacy_set(&l, legacy_pte(&l, LEGACY_TABLE_2, VA), LEGACY_PAGE_B | PRESENT);
	for (i = 0; i < 120; i++) {
		const uint64_t ptes[] = { LEGACY_PAGE_A | PRESENT, LEGACY_PAGE_B | PTE_P, 0 };
		const uint64_t pdes[] = { LEGACY_TABLE_2 | PRESENT, LEGACY_TABLE | PRESENT, 0 };
		bool directory = i >= 60;
		struct legacy_probe p = {
			.edit[0] = {
				.at = directory ? pde : legacy_pte(&l, LEGACY_TABLE, VA),
				.value = directory ? pdes[i % 3] : ptes[i % 3],
				.store = l.pae ? i / 6 % 2 ? STORE_8 : STORE_4_4 : STORE_4,
			},
			.flush = i / 3 % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
			.access = ACCESS_READ, .va = VA,
		};

		if (i == 60)
			legacy_edit(&l, legacy_pte(&l, LEGACY_TABLE, VA), ptes[0]);
		legacy_run(&l, &p);
		ASSERT_EQ(KVM_EXIT_IO, p.exit);
		ASSERT_EQ(i % 3 == 2 ? 14 : LEGACY_DONE, p.vector);
		if (i % 3 == 2) {
			ASSERT_EQ(0, p.error);
		} else {
			ASSERT_EQ(i % 3 == directory ? 0xa : 0xb, p.data);
		}
	}
}

/* Breaks if xvm_shadow_invlpg() does nothing. */
TEST_F(shadow_legacy, remap_32)
{
	remap(_metadata, &self->g, self->dev, 0);
}

TEST_F(shadow_legacy, remap_pae)
{
	remap(_metadata, &self->g, self->dev, CR4_PAE);
}

#define IDS 0x90000u
#define NR_IDS 16u

/*
 * All of a table of 1024 entries: a shadow table stands for either half.  Breaks if
 * guest_index() leaves the quadrant out for level 1.
 */
TEST_F_TIMEOUT(shadow_legacy, halves_of_a_table, 120)
{
	static const uint32_t at[] = { 0, 1023, 511, 512, 1, 513, 510, 1022, 256, 768 };
	struct guest *g = &self->g;
	struct legacy l;
	uint32_t i, j;

	legacy_start(&l, g, self->dev, 0, false);
	for (i = 0; i < NR_IDS; i++)
		put(g, IDS + i * GUEST_PAGE, 0x100 + i);
	for (i = 0; i < 1024; i++)
		legacy_set(&l, LEGACY_TABLE + 4 * i, (IDS + (i / 64) * GUEST_PAGE) | PRESENT);
	legacy_set(&l, legacy_pde(&l, VA), LEGACY_TABLE | PRESENT);
	for (i = 0; i < 1024; i += 13)
		EXPECT_DATA(&l, VA + i * GUEST_PAGE, 0x100 + i / 64);
	for (j = 0; j < 4; j++) {
		for (i = 0; i < 10; i++) {
			struct legacy_probe p = {
				.edit[0] = {
					.at = LEGACY_TABLE + 4 * at[i],
					.value = (IDS + (i + j) * GUEST_PAGE) | PRESENT,
				},
				.flush = j % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
				.access = j < 2 ? ACCESS_READ : ACCESS_WRITE,
				.va = VA + at[i] * GUEST_PAGE, .data = 0x100 + i + j,
			};

			legacy_run(&l, &p);
			ASSERT_EQ(LEGACY_DONE, p.vector);
			ASSERT_EQ(0x100 + i + j, p.data);
			/* The bits are set where the entry is, and not in the other half. */
			ASSERT_EQ(p.edit[0].value | PTE_A | (j < 2 ? 0 : PTE_D),
				  legacy_entry(&l, p.edit[0].at));
		}
		for (i = 0; i < 10; i++)
			EXPECT_DATA(&l, VA + at[i] * GUEST_PAGE, 0x100 + i + j);
	}
}

/*
 * A directory entry stands for two in the shadow, in one of four pages.  Breaks if
 * guest_index() leaves the quadrant out for level 2, or drop_written() ends with the first.
 */
TEST_F_TIMEOUT(shadow_legacy, quarters_of_a_directory, 120)
{
	static const uint32_t at[] = {
		0x00800000, 0x3fc00000, 0x40000000, 0x7fc00000, 0x80000000, 0xbfc00000,
		0xc0000000, 0xffc00000,
	};
	struct guest *g = &self->g;
	struct legacy l;
	uint32_t i, j;

	legacy_start(&l, g, self->dev, 0, false);
	for (i = 0; i < 4; i++)
		put(g, IDS + i * GUEST_PAGE, 0x100 + i);
	for (i = 0; i < 2; i++) {
		legacy_set(&l, LEGACY_TABLE + 2048 * i, (IDS + i * GUEST_PAGE) | PRESENT);
		legacy_set(&l, LEGACY_TABLE_2 + 2048 * i, (IDS + (2 + i) * GUEST_PAGE) | PRESENT);
	}
	for (j = 0; j < 6; j++) {
		uint32_t id = j % 2 ? 0x102 : 0x100;

		for (i = 0; i < 8; i++) {
			struct legacy_probe p = {
				.edit[0] = {
					.at = legacy_pde(&l, at[i]),
					.value = (j % 2 ? LEGACY_TABLE_2 : LEGACY_TABLE) | PRESENT,
				},
				.flush = j / 2 % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
				.access = ACCESS_READ, .va = at[i],
			};

			legacy_run(&l, &p);
			ASSERT_EQ(LEGACY_DONE, p.vector);
			ASSERT_EQ(id, p.data);
			EXPECT_DATA(&l, at[i] + 0x200000, id + 1);
		}
		for (i = 0; i < 8; i++) {
			EXPECT_DATA(&l, at[i], id);
			EXPECT_DATA(&l, at[i] + 0x200000, id + 1);
		}
	}
}

/* 4M pages are there while CR4.PSE is set.  Breaks if a role's pse is always set, or never. */
TEST_F(shadow_legacy, page_size_extension)
{
	const uint32_t table = 0xc00000; /* a large page that begins with it, too */
	struct guest *g = &self->g;
	struct legacy l;
	int i;

	if (!device_is_xvm(self->dev) && !device_has_npt(self->dev))
		SKIP(return, "KVM goes on with what it made of the entries before");
	legacy_start(&l, g, self->dev, 0, false);
	put(g, LEGACY_PAGE_A, 0xa);
	put(g, table + 0x200000, 0x1dd);
	legacy_set(&l, table, LEGACY_PAGE_A | PRESENT | PTE_A | PTE_D);
	legacy_set(&l, legacy_pde(&l, VA), table | PRESENT | PTE_PS);
	for (i = 0; i < 6; i++) {
		struct legacy_probe p = {
			.cr0 = CR0_BASE | CR0_WP, .cr4 = i % 2 ? CR4_PSE : CR4_DE,
			.access = ACCESS_READ, .va = VA,
		};

		legacy_run(&l, &p);
		ASSERT_EQ(KVM_EXIT_IO, p.exit);
		ASSERT_EQ(LEGACY_DONE, p.vector);
		ASSERT_EQ(i % 2 ? LEGACY_PAGE_A | PRESENT | PTE_A | PTE_D : 0xa, p.data);
		/* Its second half. */
		p = legacy_try(&l, ACCESS_READ, VA + 0x200000);
		ASSERT_EQ(i % 2 ? LEGACY_DONE : 14, p.vector);
		if (i % 2) {
			ASSERT_EQ(0x1dd, p.data);
		} else {
			ASSERT_EQ(0, p.error);
		}
	}
}

/* Bits 20 to 13 of a 4M page's entry are bits 39 to 32 of its address. */
TEST_F(shadow_legacy, page_above_4g)
{
	struct guest *g = &self->g;
	struct legacy_probe p;
	struct legacy l;
	uint8_t *high;

	if (!(device_cpuid(self->dev, 1, 0, CPUID_EDX) >> 17 & 1) ||
	    (device_cpuid(self->dev, 0x80000008, 0, CPUID_EAX) & 0xff) < 40)
		SKIP(return, "no such addresses");
	legacy_start(&l, g, self->dev, CR4_PSE, false);
	high = mem_alloc(4 << 20);
	guest_add_slot(g, 1, 0, 3ul << 32, 4 << 20, high);
	*(uint32_t *)(high + 0x234000) = 0x4321;
	put(g, 0x234000, 0x1234);
	legacy_edit(&l, legacy_pde(&l, VA), 3 << 13 | PRESENT | PTE_PS);
	EXPECT_DATA(&l, VA + 0x234000, 0x4321);
	p = legacy_try(&l, ACCESS_WRITE, VA + 0x234004);
	EXPECT_EQ(LEGACY_DONE, p.vector);
	EXPECT_EQ(0x1122, *(uint32_t *)(high + 0x234004));
	legacy_edit(&l, legacy_pde(&l, VA), PRESENT | PTE_PS);
	EXPECT_DATA(&l, VA + 0x234000, 0x1234);
}

/* Breaks if walk_once(), of gpt.c, doesn't ask xvm_gpt_reserved(). */
static void reserved(struct __test_metadata *_metadata, struct legacy *l, uint64_t pde,
		     uint64_t pte)
{
	struct legacy_probe p;

	legacy_edit(l, legacy_pte(l, LEGACY_TABLE, VA), pte);
	legacy_edit(l, legacy_pde(l, VA), pde);
	p = legacy_try(l, ACCESS_WRITE, VA);
	EXPECT_EQ(KVM_EXIT_IO, p.exit);
	EXPECT_EQ(14, p.vector);
	/* An emulated CPU leaves the present bit out. */
	EXPECT_EQ(PF_RSVD | PF_W, p.error & ~(uint64_t)PF_P) {
		TH_LOG("pde %#lx pte %#lx", pde, pte);
	}
	EXPECT_EQ(VA, p.cr2);
}

TEST_F(shadow_legacy, reserved_32)
{
	struct legacy l;

	legacy_start(&l, &self->g, self->dev, CR4_PSE, false);
	reserved(_metadata, &l, LEGACY_LARGE | PRESENT | PTE_PS | 1 << 21, 0);
	/* Elsewhere nothing is reserved. */
	legacy_edit(&l, legacy_pte(&l, LEGACY_TABLE, VA), LEGACY_PAGE_A | PRESENT | 0xf80);
	legacy_edit(&l, legacy_pde(&l, VA), LEGACY_TABLE | PRESENT | 0xf00);
	EXPECT_EQ(LEGACY_DONE, legacy_try(&l, ACCESS_WRITE, VA).vector);
}

TEST_F(shadow_legacy, reserved_pae)
{
	const uint64_t table = LEGACY_TABLE | PRESENT, page = LEGACY_PAGE_A | PRESENT;
	const uint64_t large = LEGACY_LARGE | PRESENT | PTE_PS;
	struct legacy l;

	legacy_start(&l, &self->g, self->dev, CR4_PAE, false);
	reserved(_metadata, &l, table, page | 1ul << 51);
	reserved(_metadata, &l, table | 1ul << 51, page);
	reserved(_metadata, &l, table, page | 1ul << 52);
	reserved(_metadata, &l, table, page | 1ul << 62);
	reserved(_metadata, &l, table | 1ul << 62, page);
	/* Without EFER.NXE. */
	reserved(_metadata, &l, table, page | PTE_NX);
	reserved(_metadata, &l, table | PTE_NX, page);
	reserved(_metadata, &l, large | 1 << 13, page);
	reserved(_metadata, &l, large | 1 << 20, page);
	legacy_edit(&l, legacy_pde(&l, VA), large);
	EXPECT_EQ(LEGACY_DONE, legacy_try(&l, ACCESS_WRITE, VA).vector);
}

/*
 * The four top entries: another directory, or none.  Breaks if xvm_shadow_load() drops
 * nothing where there is no root.
 */
TEST_F(shadow_legacy, page_directory_pointers)
{
	const uint32_t va = 0x40000000, pdpte = LEGACY_CR3 + 8, other = LEGACY_TABLE_2;
	struct guest *g = &self->g;
	struct legacy_probe p;
	struct legacy l;
	int i;

	legacy_start(&l, g, self->dev, CR4_PAE, false);
	put(g, LEGACY_PAGE_A, 0xa);
	put(g, LEGACY_LARGE, 0xb);
	legacy_set(&l, legacy_pte(&l, LEGACY_TABLE, va), LEGACY_PAGE_A | PRESENT);
	legacy_set(&l, legacy_pde(&l, va), LEGACY_TABLE | PRESENT);
	legacy_set(&l, other, LEGACY_LARGE | PRESENT | PTE_PS);
	for (i = 0; i < 12; i++) {
		uint64_t pointers[] = { (LEGACY_PD + GUEST_PAGE) | PTE_P, other | PTE_P, 0 };

		p = (struct legacy_probe){
			.edit[0] = { pdpte, pointers[i % 3], i / 3 % 2 ? STORE_8 : STORE_4_4 },
			.flush = FLUSH_CR3, .access = ACCESS_READ, .va = va,
		};
		legacy_run(&l, &p);
		ASSERT_EQ(KVM_EXIT_IO, p.exit);
		ASSERT_EQ(i % 3 == 2 ? 14 : LEGACY_DONE, p.vector);
		if (i % 3 == 2) {
			ASSERT_EQ(0, p.error);
		} else {
			ASSERT_EQ(i % 3 ? 0xb : 0xa, p.data);
		}
	}
	/* Nor do they permit or forbid: the bits are reserved.  Hardware that walks looks later. */
	if (device_has_npt(self->dev))
		return;
	p = (struct legacy_probe){
		.edit[0] = { pdpte, other | PTE_P | PTE_W, STORE_8 }, .flush = FLUSH_CR3,
	};
	legacy_run(&l, &p);
	EXPECT_EQ(13, p.vector);
	EXPECT_EQ(0, p.error);
}

TEST_HARNESS_MAIN
