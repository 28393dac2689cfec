// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions on MMIO do what they do on memory.  Each case runs twice, the
 * same code with the same registers: once its operand's page is memory, once
 * there is nothing and user space plays the device.  Registers, flags, memory
 * and device must come out alike.
 */
#include <string.h>

#include "mmio_cases.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(mmio);

/* Guest physical: memory ends where the device begins. */
#define MEM_SIZE 0xa0000
#define DEVICE_GPA 0xa0000
#define TWIN_GPA 0x90000
#define WINDOW (2 * GUEST_PAGE)

#define TABLES 0x70000 /* for long mode, of each kind of window */

static uint8_t device[WINDOW];

struct counts {
	int reads, writes;
	uint32_t len; /* of the last access */
	bool bad;
};

/* Runs to the HLT; user space answers MMIO from and to device[]. */
static int serve(struct vcpu *v, struct counts *c)
{
	struct kvm_run *run = v->run;

	memset(c, 0, sizeof(*c));
	for (;;) {
		int reason = vcpu_run(v);
		uint64_t at = run->mmio.phys_addr - DEVICE_GPA;

		if (reason != KVM_EXIT_MMIO)
			return reason;
		c->len = run->mmio.len;
		if (at >= WINDOW || !c->len || c->len > 8 ||
		    at + c->len > WINDOW) {
			c->bad = true;
			return reason;
		}
		if (run->mmio.is_write) {
			c->writes++;
			memcpy(device + at, run->mmio.data, c->len);
		} else {
			c->reads++;
			memcpy(run->mmio.data, device + at, c->len);
		}
	}
}

static void fill(uint8_t *p)
{
	size_t i;

	for (i = 0; i < WINDOW; i++)
		p[i] = i * 13 + i / 256 + 0x81;
}

/* PML4, PDPT, the first PD, and the window's own table. */
static uint64_t *window_tables(struct guest *g, bool device_0, bool device_1)
{
	return (uint64_t *)(g->mem + TABLES + (device_0 * 2 + device_1) * 4 * GUEST_PAGE);
}

/*
 * The window's pages, first and second, are the twin or the device.  No table
 * that was in use says something else: KVM, when it shadows them, would not see it.
 */
static void map_window(struct guest *g, bool device_0, bool device_1)
{
	uint64_t *pml4 = window_tables(g, device_0, device_1);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512, *table = pd + 512;
	uint64_t root = (uint8_t *)pml4 - g->mem;
	struct kvm_sregs sregs;

	memcpy(pml4, g->mem + GUEST_TABLES, 3 * GUEST_PAGE);
	pml4[0] += root - GUEST_TABLES;
	pdpt[0] += root - GUEST_TABLES;
	table[0] = (device_0 ? DEVICE_GPA : TWIN_GPA) | PTE_P | PTE_W;
	table[1] = ((device_1 ? DEVICE_GPA : TWIN_GPA) + GUEST_PAGE) | PTE_P |
		   PTE_W;
	pd[MMIO_VA >> 21] = (root + 3 * GUEST_PAGE) | PTE_P | PTE_W;
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.cr3 = root;
	vcpu_set_sregs(&g->cpu, &sregs);
}

static const struct kvm_regs initial = {
	.rax = 0x1122334455667788,
	.rbx = MMIO_VA + 0x100,
	.rcx = 5,
	.rdx = 0x99aabbccddeeff01,
	.rsi = 0x10,
	.rdi = MMIO_VA + 0x200,
	.rsp = GUEST_STACK,
	.rbp = MMIO_VA + 0x80,
	.r8 = 0x8877665544332211,
	.r9 = 0xfedcba9876543210,
	.r10 = 0x20,
	.r11 = MMIO_VA + 0x140,
	.r12 = MMIO_VA + 0x180,
	.r13 = MMIO_VA + 0x1c0,
	.r14 = 0x30,
	.r15 = 0x0f0f0f0f0f0f0f0f,
	.rip = GUEST_CODE,
	.rflags = 0x2,
};

static void start_64(struct guest *g, bool on_device)
{
	guest_long_mode(g, &g->cpu, GUEST_CODE);
	map_window(g, on_device, on_device);
	vcpu_set_regs(&g->cpu, &initial);
}

/* In the other modes the window comes by the segments' bases; fs stays flat. */
static void set_bases(struct vcpu *v, uint32_t base)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(v, &sregs);
	sregs.ds.base = base;
	sregs.es.base = base;
	sregs.gs.base = base;
	sregs.ss.base = base;
	vcpu_set_sregs(v, &sregs);
}

static void start_32(struct guest *g, bool on_device)
{
	struct kvm_regs regs = initial;

	guest_protected_mode(g, &g->cpu, GUEST_CODE);
	set_bases(&g->cpu, (on_device ? DEVICE_GPA : TWIN_GPA) - MMIO_VA);
	regs.rax = (uint32_t)regs.rax;
	regs.rdx = (uint32_t)regs.rdx;
	vcpu_set_regs(&g->cpu, &regs);
}

static void start_16(struct guest *g, bool on_device)
{
	struct kvm_regs regs = initial;

	vcpu_real_mode(&g->cpu, 0);
	set_bases(&g->cpu, on_device ? DEVICE_GPA : TWIN_GPA);
	regs.rip = 0;
	regs.rax = 0x55667788;
	regs.rbx = 0x100;
	regs.rdx = 0xddeeff01;
	regs.rdi = 0x200;
	regs.rbp = 0x80;
	vcpu_set_regs(&g->cpu, &regs);
}

static void start_case(struct guest *g, const struct mmio_case *c,
		       bool on_device)
{
	guest_load(g, c->start, c->end);
	fill(g->mem + TWIN_GPA);
	fill(g->mem + MMIO_SCRATCH);
	fill(device);
	if (c->bits == 64)
		start_64(g, on_device);
	else if (c->bits == 32)
		start_32(g, on_device);
	else
		start_16(g, on_device);
}

#define FLAGS_OF_ARITHMETIC 0x8d5
#define FLAG_AF 0x10

static bool regs_alike(const struct kvm_regs *a, const struct kvm_regs *b,
		       uint64_t flags)
{
	struct kvm_regs x = *a, y = *b;

	x.rflags &= flags;
	y.rflags &= flags;
	return !memcmp(&x, &y, sizeof(x));
}

static void check_case(struct __test_metadata *_metadata, struct guest *g,
		       const struct mmio_case *c)
{
	uint64_t flags = FLAGS_OF_ARITHMETIC;
	uint8_t twin[WINDOW], scratch[WINDOW];
	struct kvm_regs on_memory, on_device;
	struct counts counts;

	if (c->group == MMIO_LOGIC)
		flags &= ~FLAG_AF; /* undefined there */

	start_case(g, c, false);
	ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts)) {
		TH_LOG("on memory: %s", c->text);
	}
	ASSERT_EQ(0, counts.reads + counts.writes);
	vcpu_get_regs(&g->cpu, &on_memory);
	memcpy(twin, g->mem + TWIN_GPA, WINDOW);
	memcpy(scratch, g->mem + MMIO_SCRATCH, WINDOW);

	start_case(g, c, true);
	EXPECT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts)) {
		TH_LOG("%d-bit: %s", c->bits, c->text);
		return;
	}
	vcpu_get_regs(&g->cpu, &on_device);
	EXPECT_FALSE(counts.bad);
	EXPECT_TRUE(regs_alike(&on_memory, &on_device, flags));
	EXPECT_EQ(0, memcmp(twin, device, WINDOW));
	EXPECT_EQ(0, memcmp(scratch, g->mem + MMIO_SCRATCH, WINDOW));
	EXPECT_EQ(c->reads, counts.reads);
	EXPECT_EQ(c->writes, counts.writes);
	if (c->reads + c->writes) {
		EXPECT_EQ(c->len, counts.len);
	}
	if (_metadata->exit_code) {
		TH_LOG("%d-bit: %s", c->bits, c->text);
		TH_LOG("rax %#llx, expected %#llx; rflags %#llx, expected %#llx",
		       on_device.rax, on_memory.rax, on_device.rflags,
		       on_memory.rflags);
		ASSERT_EQ(0, _metadata->exit_code);
	}
}

static void check_group(struct __test_metadata *_metadata, struct guest *g,
			int dev, int bits, int group)
{
	const struct mmio_case *c;
	int seen = 0;

	guest_create(g, dev, MEM_SIZE);
	for (c = __start_mmio_cases; c < __stop_mmio_cases; c++) {
		if (c->bits != bits || c->group != group)
			continue;
		check_case(_metadata, g, c);
		seen++;
	}
	EXPECT_GT(seen, 0);
}

#define GROUP_TEST(bits, name, group)					\
	TEST_F_TIMEOUT(mmio, name##_##bits, 120)			\
	{								\
		check_group(_metadata, &self->g, self->dev, bits, group); \
	}

GROUP_TEST(64, mov, MMIO_MOV)
GROUP_TEST(64, extend, MMIO_EXTEND)
GROUP_TEST(64, arithmetic, MMIO_ARITHMETIC)
GROUP_TEST(64, logic, MMIO_LOGIC)
GROUP_TEST(64, exchange, MMIO_EXCHANGE)
GROUP_TEST(64, strings, MMIO_STRING)
GROUP_TEST(64, addressing, MMIO_ADDRESSING)
GROUP_TEST(32, mov, MMIO_MOV)
GROUP_TEST(32, extend, MMIO_EXTEND)
GROUP_TEST(32, arithmetic, MMIO_ARITHMETIC)
GROUP_TEST(32, logic, MMIO_LOGIC)
GROUP_TEST(32, exchange, MMIO_EXCHANGE)
GROUP_TEST(32, strings, MMIO_STRING)
GROUP_TEST(32, addressing, MMIO_ADDRESSING)
GROUP_TEST(16, mov, MMIO_MOV)
GROUP_TEST(16, extend, MMIO_EXTEND)
GROUP_TEST(16, arithmetic, MMIO_ARITHMETIC)
GROUP_TEST(16, logic, MMIO_LOGIC)
GROUP_TEST(16, exchange, MMIO_EXCHANGE)
GROUP_TEST(16, strings, MMIO_STRING)
GROUP_TEST(16, addressing, MMIO_ADDRESSING)

GUEST_ASM(write_over_edge, 64, "mov %rax, (%rbx); hlt");
GUEST_ASM(read_over_edge, 64, "mov (%rbx), %rax; hlt");

/* An operand that begins in memory and ends in the device, and the reverse. */
static void check_edge(struct __test_metadata *_metadata, struct guest *g,
		       bool device_first)
{
	struct kvm_regs regs = initial;
	uint8_t *twin = g->mem + TWIN_GPA;
	uint8_t *first = device_first ? device : twin;
	uint8_t *second = device_first ? twin : device;
	struct counts counts;
	uint64_t value;
	int bytes;

	for (bytes = 1; bytes < 8; bytes++) {
		const uint64_t at = GUEST_PAGE - bytes;
		const int on_device = device_first ? bytes : 8 - bytes;

		regs.rbx = MMIO_VA + at;
		guest_long_mode(g, &g->cpu, GUEST_CODE);
		map_window(g, device_first, !device_first);
		fill(twin);
		fill(device);

		guest_load(g, write_over_edge, write_over_edge_end);
		vcpu_set_regs(&g->cpu, &regs);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
		EXPECT_EQ(0, memcmp(first + at, &regs.rax, bytes));
		EXPECT_EQ(0, memcmp(second + GUEST_PAGE,
				    (uint8_t *)&regs.rax + bytes, 8 - bytes));
		EXPECT_EQ(1, counts.writes);
		EXPECT_EQ(on_device, counts.len);

		fill(twin);
		fill(device);
		guest_load(g, read_over_edge, read_over_edge_end);
		vcpu_set_regs(&g->cpu, &regs);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
		memcpy(&value, device + at, 8);
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(value, regs.rax);
		EXPECT_EQ(1, counts.reads);
		EXPECT_EQ(on_device, counts.len);
		regs = initial;
	}
}

TEST_F(mmio, from_memory_into_device)
{
	guest_create(&self->g, self->dev, MEM_SIZE);
	check_edge(_metadata, &self->g, false);
}

TEST_F(mmio, from_device_into_memory)
{
	guest_create(&self->g, self->dev, MEM_SIZE);
	check_edge(_metadata, &self->g, true);
}

/* Both pages are the device's: two accesses, one for each page. */
TEST_F(mmio, over_two_device_pages)
{
	struct guest *g = &self->g;
	struct kvm_regs regs = initial;
	struct counts counts;
	uint64_t value;

	guest_create(g, self->dev, MEM_SIZE);
	guest_load(g, write_over_edge, write_over_edge_end);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
	map_window(g, true, true);
	regs.rbx = MMIO_VA + GUEST_PAGE - 3;
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
	EXPECT_EQ(2, counts.writes);
	EXPECT_EQ(5, counts.len);
	memcpy(&value, device + GUEST_PAGE - 3, 8);
	EXPECT_EQ(regs.rax, value);

	guest_load(g, read_over_edge, read_over_edge_end);
	fill(device);
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
	EXPECT_EQ(2, counts.reads);
	memcpy(&value, device + GUEST_PAGE - 3, 8);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(value, regs.rax);
}

/* The guest's own page tables: A after a read, D after a write, as by hardware. */
TEST_F(mmio, accessed_and_dirty)
{
	struct guest *g = &self->g;
	struct counts counts;
	uint64_t *table;

	guest_create(g, self->dev, MEM_SIZE);
	table = window_tables(g, true, true) + 3 * 512;
	guest_load(g, read_over_edge, read_over_edge_end);
	start_64(g, true);
	EXPECT_EQ(0, table[0] & (PTE_A | PTE_D));
	ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
	EXPECT_EQ(PTE_A, table[0] & (PTE_A | PTE_D));
	guest_load(g, write_over_edge, write_over_edge_end);
	start_64(g, true);
	ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
	EXPECT_EQ(PTE_A | PTE_D, table[0] & (PTE_A | PTE_D));
	EXPECT_EQ(0, table[1] & (PTE_A | PTE_D));
}

/* A memslot that comes and goes turns MMIO into memory and back. */
TEST_F(mmio, becomes_memory)
{
	struct guest *g = &self->g;
	uint8_t *mem = mem_alloc(WINDOW);
	struct counts counts;
	int i;

	guest_create(g, self->dev, MEM_SIZE);
	guest_load(g, write_over_edge, write_over_edge_end);
	for (i = 0; i < 3; i++) {
		start_64(g, true);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
		EXPECT_EQ(1, counts.writes);
		guest_add_slot(g, 1, 0, DEVICE_GPA, WINDOW, mem);
		memset(mem, 0, WINDOW);
		start_64(g, true);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&g->cpu, &counts));
		EXPECT_EQ(0, counts.writes);
		EXPECT_EQ(0, memcmp(mem + 0x100, &initial.rax, 8));
		guest_add_slot(g, 1, 0, 0, 0, NULL);
	}
}

/* An instruction that no one emulates: told so, with its bytes. */
GUEST_ASM(vector_store, 64, "fxsave (%rbx); hlt");

TEST_F(mmio, unknown_instruction)
{
	struct guest *g = &self->g;
	struct kvm_run *run;

	guest_create(g, self->dev, MEM_SIZE);
	guest_load(g, vector_store, vector_store_end);
	start_64(g, true);
	run = g->cpu.run;
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vcpu_run(&g->cpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
	EXPECT_EQ(GUEST_CODE, vcpu_rip(&g->cpu));
}

TEST_HARNESS_MAIN
