// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables that no sane guest has: a directory in the very page that it maps,
 * one frame at thousands of addresses.  They must cost the guest alone, and mean
 * what they mean to a CPU.
 */
#include <string.h>

#include "huge.h"
#include "idt.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_hostile);

#define TABLES 0x200000ul	/* of the test, in slot 0 */
#define PAGE_A 0x300000ul
#define PAGE_B 0x301000ul
#define PD(n) (GUEST_TABLES + (2 + (n)) * GUEST_PAGE)
#define VA GIB			/* PD(1) maps it */
#define PRESENT (PTE_P | PTE_W)

/*
 * An edit, r8 to rdi if that isn't 0; CR3 is loaded from rdx.  Then rcx words, the
 * first at rbx, rsi bytes apart: r9 goes to each if r15 says so, and they are
 * gathered by OR in r10.
 */
GUEST_ASM(sweep, 64,
	  "test %rdi, %rdi\n jz 1f\n mov %r8, (%rdi)\n"
	  "1: mov %rdx, %cr3\n xor %r10d, %r10d\n"
	  "2: test %r15, %r15\n jz 3f\n mov %r9, (%rbx)\n"
	  "3: or (%rbx), %r10\n add %rsi, %rbx\n dec %rcx\n jnz 2b\n"
	  "out %al, $0x10\n");

struct sweep {
	uint64_t edit_at, edit;
	uint64_t from, step, nr;
	bool write;
	uint64_t value;
};

static uint64_t go(struct __test_metadata *_metadata, struct guest *g, const struct sweep *s)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.rdi = s->edit_at, .r8 = s->edit, .rdx = GUEST_TABLES,
		.rbx = s->from, .rsi = s->step, .rcx = s->nr,
		.r15 = s->write, .r9 = s->value,
	};

	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	return regs.r10;
}

static uint64_t *table(struct guest *g, uint64_t gpa)
{
	return (uint64_t *)(g->mem + gpa);
}

/* A writable large page over the directory that it is an entry of, and over the one above. */
TEST_F(shadow_hostile, large_page_over_its_own_tables)
{
	const uint64_t base = 1ul << 39;
	const struct sweep first = {
		.from = base + 10 * GUEST_PAGE, .nr = 1, .write = true, .value = 7,
	};
	struct guest *g = &self->g;
	uint8_t *area = huge_area(1000);
	uint64_t *pdpt, *pd;
	int i;

	if (!area)
		SKIP(return, "no transparent huge pages");
	guest_start64(g, self->dev, sweep, sweep_end);
	guest_add_slot(g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	memset(area, 0, 2 * GUEST_PAGE);
	pdpt = page_word(area, 0);
	pd = page_word(area, 1);
	table(g, GUEST_TABLES)[1] = HUGE_GPA | PRESENT;
	pdpt[0] = (HUGE_GPA + GUEST_PAGE) | PRESENT;
	pd[0] = HUGE_GPA | PRESENT | PTE_PS;
	pd[1] = (HUGE_GPA + MIB2) | PRESENT | PTE_PS;

	go(_metadata, g, &first);
	for (i = 0; i < 20; i++) {
		uint64_t page = i % 2 ? 512 : 1024;
		struct sweep s = { .from = base + MIB2 + 5 * GUEST_PAGE, .nr = 1 };

		/* It is used before it is edited, without INVLPG. */
		ASSERT_EQ(1000 + (i % 2 ? 1024 : 512) + 5, go(_metadata, g, &s));
		s.edit_at = base + GUEST_PAGE + 8;
		s.edit = (HUGE_GPA + page * GUEST_PAGE) | PRESENT | PTE_PS;
		ASSERT_EQ(1000 + page + 5, go(_metadata, g, &s));
		guest_verify(g);
	}
}

#define NR_TABLES 4ul

/* Each entry of several tables is the same page: the host takes it from all of them. */
TEST_F(shadow_hostile, thousands_of_leaves)
{
	struct guest *g = &self->g;
	struct sweep s = { .from = VA, .step = GUEST_PAGE, .nr = NR_TABLES * 512 };
	uint64_t i;

	guest_start64(g, self->dev, sweep, sweep_end);
	for (i = 0; i < NR_TABLES; i++)
		table(g, PD(1))[i] = (TABLES + i * GUEST_PAGE) | PRESENT;
	for (i = 0; i < NR_TABLES * 512; i++)
		table(g, TABLES)[i] = PAGE_A | PRESENT;

	*table(g, PAGE_A) = 0x11;
	EXPECT_EQ(0x11, go(_metadata, g, &s));
	s.write = true;
	s.value = 0x22;
	EXPECT_EQ(0x22, go(_metadata, g, &s));
	/* What stands for them is bounded.  With nested paging there is none of it. */
	EXPECT_LE(read_stat(g->vm, "max_mmu_rmap_size"), 1001);
	guest_verify(g);

	ASSERT_EQ(0, madvise(g->mem + PAGE_A, GUEST_PAGE, MADV_DONTNEED));
	s.write = false;
	EXPECT_EQ(0, go(_metadata, g, &s));
	*table(g, PAGE_A) = 0x33;
	EXPECT_EQ(0x33, go(_metadata, g, &s));
}

/* One table that each entry of several directories leads to. */
TEST_F(shadow_hostile, thousands_of_links)
{
	struct guest *g = &self->g;
	struct sweep s = { .from = VA, .step = MIB2, .nr = 3 * 512 };
	uint64_t i;

	guest_start64(g, self->dev, sweep, sweep_end);
	for (i = 0; i < 3 * 512; i++)
		table(g, PD(1))[i] = TABLES | PRESENT;
	table(g, TABLES)[0] = PAGE_A | PRESENT;
	*table(g, PAGE_A) = 0x11;
	*table(g, PAGE_B) = 0x22;

	EXPECT_EQ(0x11, go(_metadata, g, &s));
	guest_verify(g);
	s.edit_at = TABLES;
	s.edit = PAGE_B | PRESENT;
	EXPECT_EQ(0x22, go(_metadata, g, &s));
	guest_verify(g);
	s.edit = PAGE_A | PRESENT;
	EXPECT_EQ(0x11, go(_metadata, g, &s));
}

TEST_HARNESS_MAIN
