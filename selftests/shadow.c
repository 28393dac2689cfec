// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own paging, to the letter: what it permits, which fault it gives,
 * which bits the CPU sets in the tables, and when a change of them has to be seen.
 * Hardware does it all with nested paging; without, it is the device's to get right.
 */
#include <string.h>

#include "probe.h"
#include "stats.h"
#include "test.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow);

/* Memory of the guest's: a table for the 2 MiB at VA, pages that it can map. */
#define TABLE PROBE_TABLE
#define TABLE_2 PROBE_TABLE_2
#define VA 0x200000ul
#define PAGE_A PROBE_PAGE_A
#define PAGE_B PROBE_PAGE_B
#define PD0 PROBE_PD
#define NO_MEMORY 0x40000000ul

/* The entries on the way to VA, and what the CPU is told. */
struct way {
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
	int error = (w->access == ACCESS_WRITE ? PF_W : 0) |
		    (w->access == ACCESS_FETCH ? PF_FETCH : 0) |
		    (w->user ? PF_U : 0);

	if (!(w->pde & w->pte & PTE_P))
		return error;
	return probe_permits(w->pde & w->pte, w->pde | w->pte, &asker) ? -1 : error | PF_P;
}

static struct way pick_way(uint64_t *seed, bool smep, bool smap)
{
	struct way w = { .pde = TABLE, .pte = PAGE_A };
	int i;

	/* Mostly present: else there is nothing more to see. */
	w.pde |= pick(seed, 2) || pick(seed, 2) || pick(seed, 2) ? PTE_P : 0;
	w.pte |= pick(seed, 2) || pick(seed, 2) || pick(seed, 2) ? PTE_P : 0;
	for (i = 0; i < 2; i++) {
		uint64_t *entry = i ? &w.pte : &w.pde;

		*entry |= pick(seed, 2) ? PTE_W : 0;
		*entry |= pick(seed, 2) ? PTE_U : 0;
		*entry |= pick(seed, 2) && pick(seed, 2) ? PTE_NX : 0;
	}
	w.wp = pick(seed, 2);
	w.smep = smep && pick(seed, 2);
	w.smap = smap && pick(seed, 2);
	w.ac = pick(seed, 2);
	w.user = pick(seed, 2);
	w.access = pick(seed, 2) ? ACCESS_WRITE :
		   pick(seed, 2) ? ACCESS_READ : ACCESS_FETCH;
	return w;
}

static void set_controls(struct vcpu *v, const struct way *w)
{
	struct kvm_sregs s;

	vcpu_get_sregs(v, &s);
	s.cr0 = w->wp ? s.cr0 | CR0_WP : s.cr0 & ~(uint64_t)CR0_WP;
	s.cr4 &= ~(CR4_SMEP | CR4_SMAP);
	s.cr4 |= (w->smep ? CR4_SMEP : 0) | (w->smap ? CR4_SMAP : 0);
	vcpu_set_sregs(v, &s);
}

static void check_bits(struct __test_metadata *_metadata, struct guest *g,
		       const struct way *w, bool faulted)
{
	uint64_t pde = probe_word(g, PD0 + 8), pte = probe_word(g, TABLE);

	if (faulted)
		return;
	EXPECT_EQ(w->pde | PTE_A, pde);
	EXPECT_EQ(w->pte | PTE_A | (w->access == ACCESS_WRITE ? PTE_D : 0), pte);
}

/* Each way with entries that the guest has just written, and flushed for. */
TEST_F_TIMEOUT(shadow, permissions, 400)
{
	bool smep = probe_cr4_bits(self->dev) & CR4_SMEP;
	bool smap = probe_cr4_bits(self->dev) & CR4_SMAP;
	struct guest *g = &self->g;
	uint64_t seed = 1;
	int i;

	probe_start(g, self->dev);
	for (i = 0; i < 1500; i++) {
		struct way w = pick_way(&seed, smep, smap);
		struct probe edit = {
			.at = { PD0 + 8, TABLE },
			.value = { w.pde, w.pte },
			.flush = pick(&seed, 2) ? FLUSH_CR3 : FLUSH_INVLPG,
			.va = VA,
		};
		struct probe r = {
			.access = w.access, .va = VA, .user = w.user, .ac = w.ac,
			.data = 0xc3c3c3c3c3c3c3c3,
		};
		int error = expected_fault(&w);
		bool faults = error >= 0;

		set_controls(&g->cpu, &(struct way){ .wp = true });
		probe_run(g, &edit);
		ASSERT_EQ(KVM_EXIT_IO, edit.exit);
		ASSERT_EQ(0, guest_record(g)->count);

		set_controls(&g->cpu, &w);
		probe_run(g, &r);
		if (r.exit != KVM_EXIT_IO || r.faulted != faults ||
		    (r.faulted && r.error != error))
			TH_LOG("%d: pde %#lx pte %#lx wp %d smep %d smap %d ac %d user %d op %d",
			       i, w.pde, w.pte, w.wp, w.smep, w.smap, w.ac,
			       w.user, w.access);
		ASSERT_EQ(KVM_EXIT_IO, r.exit);
		ASSERT_EQ(error >= 0, r.faulted);
		if (error >= 0) {
			ASSERT_EQ(error, r.error);
			ASSERT_EQ(VA, r.cr2);
		}
		check_bits(_metadata, g, &w, r.faulted);
	}
}

/* A page, another, none, the first: by INVLPG and by CR3, the table being written over and over. */
/* Breaks if xvm_shadow_invlpg() does nothing. */
TEST_F(shadow, remap)
{
	struct guest *g = &self->g;
	int i;

	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	memset(g->mem + PAGE_A, 0xaa, GUEST_PAGE);
	memset(g->mem + PAGE_B, 0xbb, GUEST_PAGE);
	for (i = 0; i < 200; i++) {
		static const uint64_t ptes[] = { PAGE_A | PTE_P | PTE_W, PAGE_B | PTE_P, 0 };
		uint64_t pte = ptes[i % 3];
		struct probe r = {
			.at = { TABLE }, .value = { pte },
			.flush = i / 3 % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
			.access = ACCESS_READ, .va = VA,
		};

		probe_run(g, &r);
		ASSERT_EQ(KVM_EXIT_IO, r.exit);
		ASSERT_EQ(!pte, r.faulted);
		if (pte)
			ASSERT_EQ(probe_word(g, pte & ~0xffful), r.data);
	}
}

/* Entries that become present need no flush, at any level. */
TEST_F(shadow, new_entries_without_a_flush)
{
	struct guest *g = &self->g;
	uint64_t i;

	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	memset(g->mem + TABLE, 0, GUEST_PAGE);
	for (i = 0; i < 64; i++) {
		struct probe r = {
			.at = { TABLE + 8 * i },
			.value = { (GUEST_FREE + i * GUEST_PAGE) | PTE_P | PTE_W },
			.access = ACCESS_WRITE, .va = VA + i * GUEST_PAGE,
			.data = 0x5000 + i,
		};

		EXPECT_TRUE(probe_try(g, ACCESS_READ, r.va).faulted);
		probe_run(g, &r);
		ASSERT_EQ(KVM_EXIT_IO, r.exit);
		ASSERT_FALSE(r.faulted);
		ASSERT_EQ(0x5000 + i, probe_word(g, GUEST_FREE + i * GUEST_PAGE));
	}
	/* A new table, at once. */
	memcpy(g->mem + TABLE_2, g->mem + TABLE, GUEST_PAGE);
	for (i = 0; i < 2; i++) {
		struct probe r = {
			.at = { PD0 + 8 * 5 }, .value = { TABLE_2 | PTE_P | PTE_W },
			.access = ACCESS_READ, .va = 5 * VA,
		};

		((uint64_t *)(g->mem + PD0))[5] = 0;
		r.flush = FLUSH_CR3;
		probe_run(g, &r);
		ASSERT_FALSE(r.faulted);
		ASSERT_EQ(0x5000, r.data);
	}
}

/* The dirty bit is set again after the guest has cleared it, and the accessed bit. */
TEST_F(shadow, accessed_and_dirty_again)
{
	struct guest *g = &self->g;
	int i;

	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	for (i = 0; i < 10; i++) {
		struct probe r = {
			.at = { TABLE }, .value = { PAGE_A | PTE_P | PTE_W },
			.flush = i % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
			.access = ACCESS_READ, .va = VA,
		};

		probe_run(g, &r);
		EXPECT_EQ(r.value[0] | PTE_A, probe_word(g, TABLE));
		EXPECT_FALSE(probe_try(g, ACCESS_WRITE, VA).faulted);
		EXPECT_EQ(r.value[0] | PTE_A | PTE_D, probe_word(g, TABLE));
	}
}

/* A large page of the guest's, split and joined again by the guest. */
TEST_F(shadow, large_pages)
{
	struct guest *g = &self->g;
	uint64_t i;

	probe_start(g, self->dev);
	guest_split(g, 0, TABLE); /* only the table is wanted: of 0 to 2M */
	((uint64_t *)(g->mem + PD0))[0] = PTE_P | PTE_W | PTE_PS;
	memset(g->mem + PAGE_A, 0xaa, GUEST_PAGE);
	for (i = 0; i < 8; i++) {
		/* At 2M: the first 2M by a large page, or by small ones, with A and B swapped. */
		uint64_t large = PTE_P | PTE_W | PTE_PS, small = TABLE | PTE_P | PTE_W;
		struct probe r = {
			.at = { PD0 + 8 * 9, TABLE + PAGE_A / 512 },
			.value = { i % 2 ? small : large, PAGE_B | PTE_P | PTE_W },
			.flush = FLUSH_CR3,
			.access = ACCESS_READ, .va = 9 * VA + PAGE_A,
		};

		probe_run(g, &r);
		ASSERT_FALSE(r.faulted);
		ASSERT_EQ(probe_word(g, i % 2 ? PAGE_B : PAGE_A), r.data);
		ASSERT_FALSE(probe_try(g, ACCESS_WRITE, 9 * VA + PAGE_B + 8).faulted);
		ASSERT_TRUE(probe_word(g, PD0 + 8 * 9) & (i % 2 ? PTE_A : PTE_D));
	}
}

/* A top-level entry that leads to the table itself: tables are pages like any other. */
TEST_F(shadow, self_map)
{
	/* Entry 256: through it the PTE of VA is at this address. */
	const uint64_t pte_va = 0xffff800000000000ul | (VA >> 12 << 3);
	struct guest *g = &self->g;
	int i;

	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	((uint64_t *)(g->mem + GUEST_TABLES))[256] = GUEST_TABLES | PTE_P | PTE_W;
	memset(g->mem + PAGE_A, 0xaa, GUEST_PAGE);
	memset(g->mem + PAGE_B, 0xbb, GUEST_PAGE);
	for (i = 0; i < 20; i++) {
		uint64_t page = i % 2 ? PAGE_A : PAGE_B;
		struct probe r = {
			.at = { pte_va }, .value = { page | PTE_P | PTE_W },
			.flush = i / 2 % 2 ? FLUSH_CR3 : FLUSH_INVLPG,
			.access = ACCESS_READ, .va = VA,
		};

		probe_run(g, &r);
		ASSERT_EQ(KVM_EXIT_IO, r.exit);
		ASSERT_FALSE(r.faulted);
		ASSERT_EQ(probe_word(g, page), r.data);
		/* The tables above, too: a page directory entry by the same way. */
		r.at[0] = 0xffff804000000000ul | (VA * 7 >> 21 << 3);
		r.value[0] = TABLE | PTE_P | PTE_W;
		r.va = VA * 7;
		probe_run(g, &r);
		ASSERT_FALSE(r.faulted);
		ASSERT_EQ(probe_word(g, page), r.data);
	}
}

/* One frame as a table of two levels at once, and as data. */
TEST_F(shadow, table_of_two_levels)
{
	struct guest *g = &self->g;
	uint64_t *table;
	struct probe r;

	probe_start(g, self->dev);
	/* As a page table it maps itself, whatever it maps as a directory. */
	table = (uint64_t *)(g->mem + TABLE);
	memset(table, 0, GUEST_PAGE);
	table[0] = TABLE | PTE_P | PTE_W;
	table[1] = TABLE_2 | PTE_P | PTE_W;
	memset(g->mem + TABLE_2, 0, GUEST_PAGE);
	((uint64_t *)(g->mem + TABLE_2))[0] = PAGE_A | PTE_P | PTE_W;
	((uint64_t *)(g->mem + PD0))[3] = TABLE | PTE_P | PTE_W;
	/* A directory for the second GiB. */
	((uint64_t *)(g->mem + GUEST_TABLES + GUEST_PAGE))[1] = TABLE | PTE_P | PTE_W;
	memset(g->mem + PAGE_A, 0xaa, GUEST_PAGE);
	memset(g->mem + PAGE_B, 0xbb, GUEST_PAGE);

	r = probe_try(g, ACCESS_READ, 0x40000000 + VA);
	EXPECT_FALSE(r.faulted);
	EXPECT_EQ(probe_word(g, PAGE_A), r.data);
	r = probe_try(g, ACCESS_READ, 3 * VA + GUEST_PAGE);
	EXPECT_EQ(probe_word(g, TABLE_2), r.data);
	/* Written by the mapping of itself. */
	r = (struct probe){
		.at = { 3 * VA + 16 }, .value = { PAGE_B | PTE_P | PTE_W },
		.flush = FLUSH_INVLPG, .access = ACCESS_READ, .va = 3 * VA + 2 * GUEST_PAGE,
	};
	probe_run(g, &r);
	EXPECT_EQ(KVM_EXIT_IO, r.exit);
	EXPECT_FALSE(r.faulted);
	EXPECT_EQ(probe_word(g, PAGE_B), r.data);
}

/* Entries that say what no CPU takes. */
TEST_F(shadow, senseless_tables)
{
	static const uint64_t pdes[] = {
		PTE_P | PTE_W | PTE_PS | 0x2000,	/* reserved in a large page */
		(1ul << 51) | PTE_P | PTE_W,		/* beyond any physical address */
	};
	struct guest *g = &self->g;
	unsigned int i;

	probe_start(g, self->dev);
	for (i = 0; i < sizeof(pdes) / sizeof(pdes[0]); i++) {
		struct probe r = {
			.at = { PD0 + 8 }, .value = { pdes[i] },
			.flush = FLUSH_CR3, .access = ACCESS_READ, .va = VA,
		};

		probe_run(g, &r);
		ASSERT_EQ(KVM_EXIT_IO, r.exit);
		EXPECT_TRUE(r.faulted);
		/* An emulated CPU leaves the present bit out. */
		EXPECT_EQ(PF_RSVD, r.error & ~(uint64_t)PF_P);
	}
}

/*
 * A table where no memory is: nothing is found there.  What comes of it with nested
 * paging is the hardware's affair, but must not hang or map.  Breaks if xvm_gpt_walk()
 * leaves out the error code of a table that can't be read.
 */
TEST_F(shadow, table_outside_memory)
{
	static const struct { enum probe_access access; bool user; int error; } cases[] = {
		{ ACCESS_READ, false, 0 },
		{ ACCESS_WRITE, false, PF_W },
		{ ACCESS_FETCH, false, PF_FETCH },
		{ ACCESS_READ, true, PF_U },
		{ ACCESS_WRITE, true, PF_U | PF_W },
		{ ACCESS_FETCH, true, PF_U | PF_FETCH },
	};
	const uint64_t levels[] = { PD0 + 8, GUEST_TABLES + GUEST_PAGE + 8, GUEST_TABLES + 8 };
	const uint64_t vas[] = { VA, 1ul << 30, 1ul << 39 };
	struct guest *g = &self->g;
	unsigned int i, l;

	probe_start(g, self->dev);
	for (l = 0; l < 3; l++) {
		*(uint64_t *)(g->mem + levels[l]) = NO_MEMORY | PTE_P | PTE_W | PTE_U;
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct probe r = {
				.access = cases[i].access, .user = cases[i].user, .va = vas[l],
			};

			probe_run(g, &r);
			if (device_has_npt(self->dev))
				continue;
			ASSERT_EQ(KVM_EXIT_IO, r.exit);
			ASSERT_TRUE(r.faulted);
			ASSERT_EQ(cases[i].error, r.error);
			ASSERT_EQ(vas[l], r.cr2);
		}
	}
	/* It goes on where there is memory. */
	*(uint64_t *)(g->mem + PD0 + 8) = PTE_P | PTE_W | PTE_PS;
	EXPECT_FALSE(probe_try(g, ACCESS_READ, VA + PAGE_A).faulted);
}

/* A mapping of no memory is MMIO, of a read-only slot too when written. */
TEST_F(shadow, mmio)
{
	struct guest *g = &self->g;
	uint8_t *rom = mem_alloc(GUEST_PAGE);
	struct probe r;

	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	memset(rom, 0x77, GUEST_PAGE);
	guest_add_slot(g, 1, KVM_MEM_READONLY, NO_MEMORY + GUEST_PAGE, GUEST_PAGE, rom);
	r = (struct probe){
		.at = { TABLE, TABLE + 8 },
		.value = { NO_MEMORY | PTE_P | PTE_W,
			   (NO_MEMORY + GUEST_PAGE) | PTE_P | PTE_W },
		.flush = FLUSH_CR3, .access = ACCESS_READ, .va = VA + GUEST_PAGE,
	};
	probe_run(g, &r);
	EXPECT_EQ(KVM_EXIT_IO, r.exit);
	EXPECT_EQ(0x7777777777777777, r.data);

	r = probe_try(g, ACCESS_READ, VA + 8);
	EXPECT_EQ(KVM_EXIT_MMIO, r.exit);
	EXPECT_EQ(NO_MEMORY + 8, g->cpu.run->mmio.phys_addr);
	EXPECT_FALSE(g->cpu.run->mmio.is_write);
	r = probe_try(g, ACCESS_WRITE, VA + GUEST_PAGE + 16);
	EXPECT_EQ(KVM_EXIT_MMIO, r.exit);
	EXPECT_EQ(NO_MEMORY + GUEST_PAGE + 16, g->cpu.run->mmio.phys_addr);
	EXPECT_TRUE(g->cpu.run->mmio.is_write);
}

/* The same page by many addresses: the host takes it away from all of them. */
TEST_F(shadow, many_aliases)
{
	struct guest *g = &self->g;
	uint64_t *table;
	uint64_t i;

	probe_start(g, self->dev);
	table = guest_split(g, VA, TABLE);
	for (i = 0; i < 512; i++)
		table[i] = PAGE_A | PTE_P | PTE_W;
	memset(g->mem + PAGE_A, 0xaa, GUEST_PAGE);
	for (i = 0; i < 512; i++)
		ASSERT_FALSE(probe_try(g, i % 2 ? ACCESS_READ : ACCESS_WRITE,
				       VA + i * GUEST_PAGE).faulted);
	guest_verify(g);
	ASSERT_EQ(0, madvise(g->mem + PAGE_A, GUEST_PAGE, MADV_DONTNEED));
	for (i = 0; i < 512; i++)
		ASSERT_EQ(0, probe_try(g, ACCESS_READ, VA + i * GUEST_PAGE).data);
}

/* PKRU from r8, then a write and a read of rbx. */
GUEST_ASM(keyed, 64,
	  "xor %ecx, %ecx\n xor %edx, %edx\n mov %r8d, %eax\n wrpkru\n"
	  "mov %r9, (%rbx)\n mov (%rbx), %r10\n out %al, $0x10\n");

/* A kernel with CR0.WP clear writes a user page whatever its protection key says. */
TEST_F(shadow, protection_key_without_wp)
{
	const struct kvm_regs start_regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.rbx = VA, .r8 = 2u << 2 * 1 /* key 1: no writes */, .r9 = 0x1122,
	};
	struct guest *g = &self->g;
	struct kvm_regs regs;
	struct kvm_sregs s;

	if (!(device_cpuid(self->dev, 7, 0, CPUID_ECX) >> 3 & 1))
		SKIP(return, "no protection keys");
	guest_start64(g, self->dev, keyed, keyed_end);
	guest_set_idt(g, &g->cpu);
	guest_split(g, VA, TABLE)[0] = PAGE_A | PTE_P | PTE_W | PTE_U | 1ul << 59;
	vcpu_get_sregs(&g->cpu, &s);
	s.cr0 &= ~(uint64_t)CR0_WP;
	s.cr4 |= CR4_PKE;
	vcpu_set_sregs(&g->cpu, &s);
	guest_record(g)->resume = GUEST_CODE + (keyed_end - keyed) - 2;

	vcpu_set_regs(&g->cpu, &start_regs);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(0, guest_record(g)->count);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x1122, regs.r10);
	EXPECT_EQ(0x1122, probe_word(g, PAGE_A));

	/* With WP the key holds. */
	s.cr0 |= CR0_WP;
	vcpu_set_sregs(&g->cpu, &s);
	vcpu_set_regs(&g->cpu, &start_regs);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(1, guest_record(g)->count);
	EXPECT_EQ(14, guest_record(g)->vector);
}

/* Memory logged through any of its addresses. */
TEST_F(shadow, dirty_log_of_aliases)
{
	uint64_t bitmap[GUEST_SIZE / GUEST_PAGE / 64];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	struct guest *g = &self->g;
	uint64_t *table;
	int i;

	probe_start(g, self->dev);
	table = guest_split(g, VA, TABLE);
	for (i = 0; i < 16; i++)
		table[i] = PAGE_A | PTE_P | PTE_W;
	for (i = 0; i < 16; i++)
		probe_try(g, ACCESS_WRITE, VA + i * GUEST_PAGE);
	guest_add_slot(g, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, g->mem_size, g->mem);
	for (i = 0; i < 16; i++) {
		xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
		probe_try(g, ACCESS_READ, VA + i * GUEST_PAGE);
		xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
		EXPECT_FALSE(bitmap[PAGE_A / GUEST_PAGE / 64] >> PAGE_A / GUEST_PAGE % 64 & 1);
		probe_try(g, ACCESS_WRITE, VA + i * GUEST_PAGE);
		xioctl(g->vm, KVM_GET_DIRTY_LOG, &log);
		EXPECT_TRUE(bitmap[PAGE_A / GUEST_PAGE / 64] >> PAGE_A / GUEST_PAGE % 64 & 1);
	}
}

TEST_HARNESS_MAIN
