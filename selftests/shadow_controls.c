// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of paging that a bit in CR4 switches on: five levels of tables, protection
 * keys, PCIDs; or that are not there, where the CPU has none.
 */
#include <string.h>

#include "probe.h"
#include "test.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_controls);

#define CR3_NOFLUSH (1ul << 63)
#define VA 0x200000ul
#define TABLE PROBE_TABLE
#define PAGE_A PROBE_PAGE_A
#define PAGE_B PROBE_PAGE_B
#define PRESENT (PTE_P | PTE_W)

/* Tables of the test's own. */
#define PML5 0x60000ul
#define PML4 0x61000ul
#define PDPT 0x62000ul
#define PD 0x63000ul
#define PT 0x64000ul

#define CR3 3
#define CR4 4
#define INVPCID 5

/*
 * r9: CR3, CR4, or INVPCID, to be loaded from r8, or with type r8 and the descriptor
 * that rbx points to.  Then back to r10 as CR3, if that isn't 0, and a read of rsi.
 */
GUEST_ASM(control, 64,
	  "cmp $3, %r9d\n jne 1f\n mov %r8, %cr3\n"
	  "1: cmp $4, %r9d\n jne 2f\n mov %r8, %cr4\n"
	  "2: cmp $5, %r9d\n jne 3f\n invpcid (%rbx), %r8\n"
	  "3: test %r10, %r10\n jz 4f\n mov %r10, %cr3\n"
	  "4: test %rsi, %rsi\n jz 5f\n mov (%rsi), %rax\n"
	  "5: out %al, $0x10\n");

struct control {
	uint64_t op, value, cr3, va;
	uint64_t desc[2];
	/* What came of it. */
	uint64_t data, vector;
	int exit;
};

static void run_control(struct guest *g, struct control *c)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.r9 = c->op, .r8 = c->value, .r10 = c->cr3, .rsi = c->va,
		.rbx = GUEST_DATA + GUEST_PAGE,
	};

	guest_load(g, control, control_end);
	memcpy(g->mem + GUEST_DATA + GUEST_PAGE, c->desc, sizeof(c->desc));
	memset(guest_record(g), 0, sizeof(struct idt_record));
	guest_record(g)->resume = GUEST_CODE + (control_end - control) - 2;
	vcpu_set_regs(&g->cpu, &regs);
	c->exit = vcpu_run(&g->cpu);
	vcpu_get_regs(&g->cpu, &regs);
	c->data = regs.rax;
	c->vector = guest_record(g)->count ? guest_record(g)->vector : 0;
}

static uint64_t *table(struct guest *g, uint64_t gpa)
{
	return (uint64_t *)(g->mem + gpa);
}

static void set_cr4(struct guest *g, uint64_t cr4, uint64_t cr3)
{
	struct kvm_sregs s;

	vcpu_get_sregs(&g->cpu, &s);
	s.cr4 |= cr4;
	if (cr3)
		s.cr3 = cr3;
	vcpu_set_sregs(&g->cpu, &s);
}

#define FIFTH (3ul << 48)	/* no address with four levels */

/* Five levels: the first 256 TiB are as ever, at FIFTH is a page. */
static void start_la57(struct guest *g, int dev)
{
	probe_start(g, dev);
	memset(g->mem + PML5, 0, 5 * GUEST_PAGE);
	table(g, PML5)[0] = GUEST_TABLES | PRESENT | PTE_U;
	table(g, PML5)[3] = PML4 | PRESENT | PTE_U;
	table(g, PML4)[0] = PDPT | PRESENT | PTE_U;
	table(g, PDPT)[0] = PD | PRESENT | PTE_U;
	table(g, PD)[0] = PT | PRESENT | PTE_U;
	table(g, PT)[0] = PAGE_A | PRESENT | PTE_U;
	*table(g, PAGE_A) = 0xaa;
	*table(g, PAGE_B) = 0xbb;
	set_cr4(g, CR4_LA57, PML5);
}

#define NEEDS_LA57(dev)								\
	do {									\
		if (!(device_cpuid(dev, 7, 0, CPUID_ECX) >> 16 & 1))		\
			SKIP(return, "no five-level paging");			\
	} while (0)

TEST_F(shadow_controls, five_levels)
{
	static const uint64_t at[] = { PML5 + 24, PML4, PDPT, PD, PT };
	struct guest *g = &self->g;
	struct probe p;
	unsigned int i;

	NEEDS_LA57(self->dev);
	start_la57(g, self->dev);
	p = probe_try(g, ACCESS_READ, FIFTH);
	ASSERT_EQ(KVM_EXIT_IO, p.exit);
	ASSERT_EQ(0, p.vector);
	EXPECT_EQ(0xaa, p.data);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(PTE_A, probe_word(g, at[i]) & (PTE_A | PTE_D));
	EXPECT_EQ(0, probe_try(g, ACCESS_WRITE, FIFTH + 8).vector);
	EXPECT_EQ(PTE_A | PTE_D, probe_word(g, PT) & (PTE_A | PTE_D));

	/* Another page, and back, by each of the levels: the others' entries stay. */
	for (i = 0; i < 10; i++) {
		p = (struct probe){
			.at = { PT }, .value = { (i % 2 ? PAGE_A : PAGE_B) | PRESENT },
			.flush = i % 3 ? FLUSH_INVLPG : FLUSH_CR3, .cr3 = PML5,
			.access = ACCESS_READ, .va = FIFTH,
		};
		probe_run(g, &p);
		ASSERT_EQ(KVM_EXIT_IO, p.exit);
		EXPECT_EQ(i % 2 ? 0xaa : 0xbb, p.data);
	}
	/* The same tables by another entry of the top one. */
	p = (struct probe){
		.at = { PML5 + 32 }, .value = { PML4 | PRESENT },
		.access = ACCESS_READ, .va = 4ul << 48,
	};
	probe_run(g, &p);
	EXPECT_EQ(0, p.vector);
	EXPECT_EQ(0xaa, p.data);
	guest_verify(g);
	ASSERT_EQ(0, madvise(g->mem + PAGE_A, GUEST_PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, probe_try(g, ACCESS_READ, 4ul << 48).data);
	EXPECT_EQ(0, probe_try(g, ACCESS_READ, FIFTH).data);
}

/* Each level can deny: absent, read-only, supervisor's, not to be executed. */
TEST_F(shadow_controls, five_levels_deny)
{
	static const uint64_t at[] = { PML5 + 24, PML4, PDPT, PD, PT };
	struct guest *g = &self->g;
	unsigned int i;

	NEEDS_LA57(self->dev);
	start_la57(g, self->dev);
	memset(g->mem + PAGE_A, 0xc3, 8);
	for (i = 0; i < 5; i++) {
		const uint64_t entry = probe_word(g, at[i]);
		struct probe p = {
			.at = { at[i] }, .flush = FLUSH_CR3, .cr3 = PML5, .va = FIFTH,
		};

		p.value[0] = entry & ~(uint64_t)PTE_P;
		p.access = ACCESS_READ;
		probe_run(g, &p);
		EXPECT_TRUE(p.faulted);
		EXPECT_EQ(0, p.error);
		EXPECT_EQ(FIFTH, p.cr2);

		p.value[0] = entry & ~(uint64_t)PTE_W;
		p.access = ACCESS_WRITE;
		probe_run(g, &p);
		EXPECT_TRUE(p.faulted);
		EXPECT_EQ(PF_P | PF_W, p.error);

		p.value[0] = entry | PTE_NX;
		p.access = ACCESS_FETCH;
		probe_run(g, &p);
		EXPECT_TRUE(p.faulted);
		EXPECT_EQ(PF_P | PF_FETCH, p.error);

		p.value[0] = entry & ~(uint64_t)PTE_U;
		p.access = ACCESS_NONE;
		probe_run(g, &p);
		p = (struct probe){ .access = ACCESS_READ, .va = FIFTH, .user = true };
		probe_run(g, &p);
		EXPECT_TRUE(p.faulted);
		EXPECT_EQ(PF_P | PF_U, p.error);

		/* Whole again. */
		p = (struct probe){
			.at = { at[i] }, .value = { entry }, .flush = FLUSH_CR3, .cr3 = PML5,
			.access = ACCESS_FETCH, .va = FIFTH,
		};
		probe_run(g, &p);
		EXPECT_EQ(0, p.vector);
	}
}

TEST_F(shadow_controls, five_levels_reserved)
{
	struct control down = { .op = CR4 };
	struct guest *g = &self->g;
	struct kvm_sregs s;
	struct probe p;

	NEEDS_LA57(self->dev);
	start_la57(g, self->dev);
	EXPECT_EQ(0, probe_try(g, ACCESS_READ, FIFTH).vector);
	/* No page is that large. */
	p = (struct probe){
		.at = { PML5 + 24 }, .value = { PML4 | PRESENT | PTE_PS },
		.flush = FLUSH_CR3, .cr3 = PML5, .access = ACCESS_READ, .va = FIFTH,
	};
	probe_run(g, &p);
	EXPECT_TRUE(p.faulted);
	/* An emulated CPU leaves the present bit out. */
	EXPECT_EQ(PF_RSVD, p.error & ~(uint64_t)PF_P);
	/* Beyond 57 bits nothing is an address. */
	EXPECT_EQ(13, probe_try(g, ACCESS_READ, 1ul << 57).vector);
	/* Their number can't be changed in long mode. */
	vcpu_get_sregs(&g->cpu, &s);
	down.value = s.cr4 & ~CR4_LA57;
	run_control(g, &down);
	EXPECT_EQ(KVM_EXIT_IO, down.exit);
	EXPECT_EQ(13, down.vector);
}

static void set_gbpages(struct guest *g, int dev, bool on)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	unsigned int i;

	xioctl(dev, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 0x80000001 && !on)
			cpuid.entries[i].edx &= ~(1u << 26);
	xioctl(g->cpu.fd, KVM_SET_CPUID2, &cpuid);
}

/*
 * Pages of 1 GiB are for CPUs whose CPUID has them.  With nested paging the CPU itself walks
 * the guest's tables, and has them.  Breaks if xvm_gpt_vcpu_role() asks the host's CPU alone.
 */
TEST_F(shadow_controls, gigabyte_pages)
{
	unsigned int on;

	if (!(device_cpuid(self->dev, 0x80000001, 0, CPUID_EDX) >> 26 & 1))
		SKIP(return, "the CPU has no pages of 1 GiB");
	for (on = 0; on < 2; on++) {
		struct guest *g = &self->g;
		struct probe p = {
			.at = { GUEST_TABLES + GUEST_PAGE + 8 },
			.value = { PRESENT | PTE_PS },
			.flush = FLUSH_CR3, .access = ACCESS_READ, .va = (1ul << 30) + PAGE_A,
		};

		probe_start(g, self->dev);
		set_gbpages(g, self->dev, on);
		probe_run(g, &p);
		if (on || device_has_npt(self->dev)) {
			EXPECT_FALSE(p.faulted);
			EXPECT_EQ(probe_word(g, PAGE_A), p.data);
		} else {
			EXPECT_EQ(14, p.vector);
			EXPECT_EQ(PF_P | PF_RSVD, p.error);
		}
		guest_destroy(g);
	}
}

/* SDM vol. 3, 4.6 and 4.7: the fault of an access to a page with a key, or -1. */
static int expected_fault(const struct probe *p, uint64_t pte, bool wp)
{
	uint32_t key = pte >> 59 & 15, rights = p->pkru >> 2 * key & 3;
	bool write = p->access == ACCESS_WRITE, denied;
	int error = PF_P | (write ? PF_W : 0) | (p->user ? PF_U : 0);

	/* Keys are of user pages, and of data. */
	denied = pte & PTE_U && (rights & 1 || (rights & 2 && write && (wp || p->user)));
	if (denied)
		return error | PF_PK;
	if (p->user && !(pte & PTE_U))
		return error;
	if (write && !(pte & PTE_W) && (wp || p->user))
		return error;
	return -1;
}

TEST_F_TIMEOUT(shadow_controls, protection_keys, 120)
{
	struct guest *g = &self->g;
	uint64_t seed = 7, pte;
	struct kvm_sregs s;
	int i;

	if (!(device_cpuid(self->dev, 7, 0, CPUID_ECX) >> 3 & 1))
		SKIP(return, "no protection keys");
	probe_start(g, self->dev);
	guest_split(g, VA, TABLE);
	set_cr4(g, CR4_PKE, 0);
	for (i = 0; i < 600; i++) {
		struct probe edit = {
			.at = { TABLE }, .flush = FLUSH_INVLPG, .va = VA, .pke = true,
		};
		struct probe p = { .va = VA, .data = 0x1122, .pke = true };
		bool wp = pick(&seed, 2);
		bool faults;
		int error;

		pte = PAGE_A | PTE_P | pick(&seed, 16) << 59;
		pte |= pick(&seed, 2) ? PTE_W : 0;
		pte |= pick(&seed, 4) ? PTE_U : 0;
		edit.value[0] = pte;
		/* Sometimes the page is the same, and only the rights are others. */
		if (i % 3)
			pte = probe_word(g, TABLE) & ~(uint64_t)(PTE_A | PTE_D);
		else
			probe_run(g, &edit);
		vcpu_get_sregs(&g->cpu, &s);
		s.cr0 = wp ? s.cr0 | CR0_WP : s.cr0 & ~(uint64_t)CR0_WP;
		vcpu_set_sregs(&g->cpu, &s);
		/* Key 0 is that of the code, and of the stack. */
		p.pkru = pick(&seed, 1ul << 31) & ~3u;
		p.user = pick(&seed, 2);
		p.access = pick(&seed, 2) ? ACCESS_WRITE : ACCESS_READ;
		error = expected_fault(&p, pte, wp);
		faults = error >= 0;
		probe_run(g, &p);
		if (p.exit != KVM_EXIT_IO || p.faulted != faults ||
		    (p.faulted && p.error != error))
			TH_LOG("%d: pte %#lx pkru %#x wp %d user %d access %d: error %#lx, not %#x",
			       i, pte, p.pkru, wp, p.user, p.access, p.error, error);
		ASSERT_EQ(KVM_EXIT_IO, p.exit);
		ASSERT_EQ(faults, p.faulted);
		if (faults) {
			ASSERT_EQ(error, p.error);
			ASSERT_EQ(VA, p.cr2);
		}
	}
}

static bool has_pcid(int dev)
{
	return device_cpuid(dev, 1, 0, CPUID_ECX) >> 17 & 1;
}

static bool has_invpcid(int dev)
{
	return device_cpuid(dev, 7, 0, CPUID_EBX) >> 10 & 1;
}

/* Where the CPU has none of it, nor has the guest. */
TEST_F(shadow_controls, no_pcids)
{
	struct control c = { .op = CR3, .value = GUEST_TABLES | CR3_NOFLUSH };
	struct guest *g = &self->g;
	struct kvm_sregs s;

	if (has_pcid(self->dev))
		SKIP(return, "there are PCIDs");
	probe_start(g, self->dev);
	vcpu_get_sregs(&g->cpu, &s);
	s.cr4 |= CR4_PCIDE;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &s));
	/* With nested paging this is the CPU's affair, and QEMU's lets it pass. */
	if (!device_has_npt(self->dev)) {
		run_control(g, &c);
		EXPECT_EQ(KVM_EXIT_IO, c.exit);
		EXPECT_EQ(13, c.vector);
	}
	c = (struct control){ .op = CR4, .value = s.cr4 };
	run_control(g, &c);
	EXPECT_EQ(13, c.vector);
	if (has_invpcid(self->dev))
		return;
	c = (struct control){ .op = INVPCID };
	run_control(g, &c);
	EXPECT_EQ(6, c.vector);
}

/* Two address spaces with PCIDs 1 and 2: VA is page A in one, and page B in the other. */
static void start_pcids(struct guest *g, int dev)
{
	probe_start(g, dev);
	guest_split(g, VA, TABLE);
	memcpy(g->mem + PML4, g->mem + GUEST_TABLES, GUEST_PAGE);
	memcpy(g->mem + PDPT, g->mem + GUEST_TABLES + GUEST_PAGE, GUEST_PAGE);
	memcpy(g->mem + PD, g->mem + PROBE_PD, GUEST_PAGE);
	memcpy(g->mem + PT, g->mem + TABLE, GUEST_PAGE);
	table(g, PML4)[0] = PDPT | PRESENT;
	table(g, PDPT)[0] = PD | PRESENT;
	table(g, PD)[1] = PT | PRESENT;
	table(g, TABLE)[0] = PAGE_A | PRESENT;
	table(g, PT)[0] = PAGE_B | PRESENT;
	*table(g, PAGE_A) = 0xaa;
	*table(g, PAGE_B) = 0xbb;
	set_cr4(g, CR4_PCIDE, GUEST_TABLES | 1);
}

TEST_F(shadow_controls, pcid_switches)
{
	struct guest *g = &self->g;
	int i;

	if (!has_pcid(self->dev))
		SKIP(return, "no PCIDs");
	start_pcids(g, self->dev);
	for (i = 0; i < 20; i++) {
		uint64_t cr3 = i % 2 ? GUEST_TABLES | 1 : PML4 | 2;
		struct control c = {
			.op = CR3, .va = VA,
			.value = cr3 | (i / 2 % 2 ? CR3_NOFLUSH : 0),
		};

		run_control(g, &c);
		ASSERT_EQ(0, c.vector);
		ASSERT_EQ(i % 2 ? 0xaa : 0xbb, c.data);
	}
}

/* What another address space's entry says is seen once that is flushed, by each type. */
TEST_F(shadow_controls, invpcid_types)
{
	struct guest *g = &self->g;
	uint64_t i;

	if (!has_pcid(self->dev) || !has_invpcid(self->dev))
		SKIP(return, "no PCIDs, or no INVPCID");
	start_pcids(g, self->dev);
	for (i = 0; i < 16; i++) {
		uint64_t page = i / 4 % 2 ? PAGE_A : PAGE_B;
		struct probe edit = {
			.at = { TABLE }, .value = { page | PRESENT },
			.flush = FLUSH_CR3, .cr3 = PML4 | 2 | CR3_NOFLUSH,
		};
		struct control c = {
			.op = INVPCID, .value = i % 4, .desc = { 1, VA },
			.cr3 = GUEST_TABLES | 1 | CR3_NOFLUSH, .va = VA,
		};

		probe_run(g, &edit);
		run_control(g, &c);
		ASSERT_EQ(0, c.vector);
		ASSERT_EQ(probe_word(g, page), c.data);
	}
}

TEST_F(shadow_controls, invpcid_descriptors)
{
	static const struct { uint64_t type, desc[2]; int vector; } cases[] = {
		{ 0, { 1, VA }, 0 },
		{ 4, { 1, VA }, 13 },
		{ ~0ul, { 1, VA }, 13 },
		{ 0, { 0x1001, VA }, 13 },
		{ 1, { 0x1001, VA }, 13 },
		{ 2, { 1ul << 63, VA }, 13 },
		{ 3, { 0x1000, VA }, 13 },
		{ 0, { 1, 1ul << 62 }, 13 },
		{ 1, { 1, 1ul << 62 }, 0 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	if (!has_pcid(self->dev) || !has_invpcid(self->dev))
		SKIP(return, "no PCIDs, or no INVPCID");
	start_pcids(g, self->dev);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct control c = {
			.op = INVPCID, .value = cases[i].type,
			.desc = { cases[i].desc[0], cases[i].desc[1] },
		};

		run_control(g, &c);
		EXPECT_EQ(KVM_EXIT_IO, c.exit);
		EXPECT_EQ(cases[i].vector, c.vector) {
			TH_LOG("case %u", i);
		}
	}
}

/* Only what names a PCID needs them. */
TEST_F(shadow_controls, invpcid_without_pcids)
{
	static const struct { uint64_t type, pcid; int vector; } cases[] = {
		{ 0, 0, 0 }, { 0, 1, 13 }, { 1, 0, 0 }, { 1, 1, 13 }, { 2, 1, 0 }, { 3, 1, 0 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	if (!has_invpcid(self->dev))
		SKIP(return, "no INVPCID");
	probe_start(g, self->dev);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct control c = {
			.op = INVPCID, .value = cases[i].type, .desc = { cases[i].pcid, VA },
		};

		run_control(g, &c);
		EXPECT_EQ(KVM_EXIT_IO, c.exit);
		EXPECT_EQ(cases[i].vector, c.vector) {
			TH_LOG("case %u", i);
		}
	}
}

TEST_HARNESS_MAIN
