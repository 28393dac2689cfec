// SPDX-License-Identifier: GPL-2.0-only
/* Port I/O: every size, string instructions in both directions, and their data. */
#include <string.h>

#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(io);

#define PORT 0x5a0

/* Elements that went out, or that come in next, as a byte stream. */
struct stream {
	uint8_t bytes[8192];
	size_t len;   /* of OUT */
	size_t taken; /* by IN */
	int size;     /* of the last element */
	int exits;
};

#define DEVICE_GPA 0x40000000ul
static uint8_t device[GUEST_PAGE];

/* False: that isn't the device. */
static bool serve_device(struct kvm_run *run)
{
	uint64_t at = run->mmio.phys_addr - DEVICE_GPA;

	if (at >= sizeof(device) || run->mmio.len > sizeof(device) - at)
		return false;
	if (run->mmio.is_write)
		memcpy(device + at, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, device + at, run->mmio.len);
	return true;
}

/* Runs to the HLT, serving the port and the device; false if there was another exit. */
static bool serve(struct vcpu *v, struct stream *s)
{
	struct kvm_run *run = v->run;

	for (;;) {
		int reason = vcpu_run(v);
		uint8_t *data = (uint8_t *)run + run->io.data_offset;
		size_t bytes = (size_t)run->io.size * run->io.count;

		if (reason == KVM_EXIT_HLT)
			return true;
		if (reason == KVM_EXIT_MMIO && serve_device(run))
			continue;
		if (reason != KVM_EXIT_IO) {
			fprintf(stderr, "# exit %s\n", exit_name(reason));
			return false;
		}
		/* The data page is behind kvm_run; nothing goes beyond it. */
		if (run->io.port != PORT || !run->io.count ||
		    run->io.data_offset < GUEST_PAGE ||
		    run->io.data_offset + bytes > v->run_size ||
		    bytes > GUEST_PAGE)
			return false;
		s->size = run->io.size;
		s->exits++;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			if (s->len + bytes > sizeof(s->bytes))
				return false;
			memcpy(s->bytes + s->len, data, bytes);
			s->len += bytes;
		} else {
			if (s->taken + bytes > sizeof(s->bytes))
				return false;
			memcpy(data, s->bytes + s->taken, bytes);
			s->taken += bytes;
		}
	}
}

static void fill(uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 7 + i / 256 + 1;
}

GUEST_ASM(out_sizes, 64,
	  "mov $0x1122334455667788, %rax\n"
	  "mov $0x5a0, %edx\n"
	  "out %al, %dx\n"
	  "out %ax, %dx\n"
	  "out %eax, %dx\n"
	  "hlt");

TEST_F(io, out)
{
	const uint8_t expected[] = { 0x88, 0x88, 0x77, 0x88, 0x77, 0x66, 0x55 };
	struct stream s = { 0 };

	guest_start64(&self->g, self->dev, out_sizes, out_sizes_end);
	ASSERT_TRUE(serve(&self->g.cpu, &s));
	EXPECT_EQ(3, s.exits);
	ASSERT_EQ(sizeof(expected), s.len);
	EXPECT_EQ(0, memcmp(expected, s.bytes, s.len));
}

GUEST_ASM(in_sizes, 64,
	  "mov $0x1122334455667788, %rax\n"
	  "mov %rax, %rbx\n"
	  "mov %rax, %rcx\n"
	  "mov $0x5a0, %edx\n"
	  "in %dx, %al\n"
	  "xchg %rax, %rbx\n"
	  "in %dx, %ax\n"
	  "xchg %rax, %rcx\n"
	  "in %dx, %eax\n"
	  "hlt");

TEST_F(io, in)
{
	struct stream s = { 0 };
	struct kvm_regs regs;

	guest_start64(&self->g, self->dev, in_sizes, in_sizes_end);
	memcpy(s.bytes, "\xa1\xb1\xb2\xc1\xc2\xc3\xc4", 7);
	ASSERT_TRUE(serve(&self->g.cpu, &s));
	vcpu_get_regs(&self->g.cpu, &regs);
	EXPECT_EQ(0x11223344556677a1, regs.rbx);
	EXPECT_EQ(0x112233445566b2b1, regs.rcx);
	/* 32 bits clear the upper half. */
	EXPECT_EQ(0xc4c3c2c1, regs.rax);
	EXPECT_EQ(7, s.taken);
}

GUEST_ASM(immediate_ports, 64,
	  "mov $0x55, %al\n"
	  "out %al, $0x00\n"
	  "out %eax, $0xff\n"
	  "mov $0xffff, %edx\n"
	  "out %ax, %dx\n"
	  "hlt");

TEST_F(io, port_numbers)
{
	struct guest *g = &self->g;
	struct kvm_run *run;

	guest_start64(g, self->dev, immediate_ports, immediate_ports_end);
	run = g->cpu.run;
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(0, run->io.port);
	EXPECT_EQ(1, run->io.size);
	EXPECT_EQ(1, run->io.count);
	EXPECT_EQ(KVM_EXIT_IO_OUT, run->io.direction);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(0xff, run->io.port);
	EXPECT_EQ(4, run->io.size);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(0xffff, run->io.port);
	EXPECT_EQ(2, run->io.size);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

GUEST_ASM(rep_outsb, 64, "mov $0x5a0, %edx; rep outsb; hlt");
GUEST_ASM(rep_outsw, 64, "mov $0x5a0, %edx; rep outsw; hlt");
GUEST_ASM(rep_outsl, 64, "mov $0x5a0, %edx; rep outsl; hlt");
GUEST_ASM(std_outsb, 64, "std; mov $0x5a0, %edx; rep outsb; hlt");
GUEST_ASM(std_outsw, 64, "std; mov $0x5a0, %edx; rep outsw; hlt");
GUEST_ASM(std_outsl, 64, "std; mov $0x5a0, %edx; rep outsl; hlt");
GUEST_ASM(rep_insb, 64, "mov $0x5a0, %edx; rep insb; hlt");
GUEST_ASM(rep_insw, 64, "mov $0x5a0, %edx; rep insw; hlt");
GUEST_ASM(rep_insl, 64, "mov $0x5a0, %edx; rep insl; hlt");
GUEST_ASM(std_insb, 64, "std; mov $0x5a0, %edx; rep insb; hlt");
GUEST_ASM(std_insw, 64, "std; mov $0x5a0, %edx; rep insw; hlt");
GUEST_ASM(std_insl, 64, "std; mov $0x5a0, %edx; rep insl; hlt");

struct string_op {
	const uint8_t *start, *end;
	int size;
	bool backward;
};

#define OP(name, size, backward) { name, name##_end, size, backward }

static const struct string_op outs[] = {
	OP(rep_outsb, 1, false), OP(rep_outsw, 2, false),
	OP(rep_outsl, 4, false), OP(std_outsb, 1, true),
	OP(std_outsw, 2, true),	 OP(std_outsl, 4, true),
};

static const struct string_op ins[] = {
	OP(rep_insb, 1, false), OP(rep_insw, 2, false),
	OP(rep_insl, 4, false), OP(std_insb, 1, true),
	OP(std_insw, 2, true),	OP(std_insl, 4, true),
};

/* Around these addresses: within a page, over a page boundary. */
#define BOUNDARY (GUEST_FREE + 2 * GUEST_PAGE)

static void start_string(struct guest *g, const struct string_op *op,
			 uint64_t low, uint64_t count)
{
	uint64_t at = op->backward ? low + (count - 1) * op->size : low;
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rsp = GUEST_STACK,
		.rflags = 2,
		.rcx = count,
		.rsi = at,
		.rdi = at,
	};

	guest_load(g, op->start, op->end);
	vcpu_set_regs(&g->cpu, &regs);
}

static void check_end(struct __test_metadata *_metadata, struct guest *g,
		      const struct string_op *op, uint64_t low, uint64_t count,
		      bool out)
{
	uint64_t end = op->backward ? low - op->size : low + count * op->size;
	struct kvm_regs regs;

	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(end, out ? regs.rsi : regs.rdi);
	EXPECT_EQ(GUEST_CODE + (op->end - op->start), regs.rip);
}

/* The elements in the order in which the instruction goes through them. */
static void in_order(uint8_t *to, const uint8_t *from,
		     const struct string_op *op, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		size_t at = op->backward ? count - 1 - i : i;

		memcpy(to + i * op->size, from + at * op->size, op->size);
	}
}

static void check_outs(struct __test_metadata *_metadata, struct guest *g,
		       const struct string_op *op, uint64_t low, uint64_t count)
{
	static struct stream s;
	uint8_t expected[8192];

	memset(&s, 0, sizeof(s));
	fill(g->mem + low, count * op->size);
	in_order(expected, g->mem + low, op, count);
	start_string(g, op, low, count);
	ASSERT_TRUE(serve(&g->cpu, &s));
	EXPECT_EQ(count * op->size, s.len);
	EXPECT_EQ(0, memcmp(expected, s.bytes, s.len));
	if (count) {
		EXPECT_EQ(op->size, s.size);
	}
	check_end(_metadata, g, op, low, count, true);
}

static void check_ins(struct __test_metadata *_metadata, struct guest *g,
		      const struct string_op *op, uint64_t low, uint64_t count)
{
	static struct stream s;
	const size_t bytes = count * op->size;
	uint8_t expected[8192];

	memset(&s, 0, sizeof(s));
	fill(s.bytes, bytes);
	in_order(expected, s.bytes, op, count);
	memset(g->mem + low - 8, 0xee, bytes + 16);
	start_string(g, op, low, count);
	ASSERT_TRUE(serve(&g->cpu, &s));
	EXPECT_EQ(bytes, s.taken);
	EXPECT_EQ(0, memcmp(expected, g->mem + low, bytes));
	/* Not a byte beside them. */
	EXPECT_EQ(0xee, g->mem[low - 1]);
	EXPECT_EQ(0xee, g->mem[low + bytes]);
	check_end(_metadata, g, op, low, count, false);
}

static const struct {
	int64_t offset; /* from BOUNDARY */
	uint64_t count;
} places[] = {
	{ 16, 1 }, { 16, 5 }, { 16, 300 }, { -8, 8 }, { -7, 9 },
	{ -1, 1 }, { -1, 4 }, { -100, 200 },
};

TEST_F_TIMEOUT(io, rep_outs, 120)
{
	size_t i, j;

	guest_start64(&self->g, self->dev, rep_outsb, rep_outsb_end);
	for (i = 0; i < ARRAY_SIZE(outs); i++)
		for (j = 0; j < ARRAY_SIZE(places); j++)
			check_outs(_metadata, &self->g, &outs[i],
				   BOUNDARY + places[j].offset,
				   places[j].count);
}

TEST_F_TIMEOUT(io, rep_ins, 120)
{
	size_t i, j;

	guest_start64(&self->g, self->dev, rep_insb, rep_insb_end);
	for (i = 0; i < ARRAY_SIZE(ins); i++)
		for (j = 0; j < ARRAY_SIZE(places); j++)
			check_ins(_metadata, &self->g, &ins[i],
				  BOUNDARY + places[j].offset,
				  places[j].count);
}

/* Between a port and a device's memory: more than a device is asked for at once. */
TEST_F(io, strings_of_a_device)
{
	uint8_t expected[sizeof(device)];
	const struct string_op *op;
	static struct stream s;
	size_t i, bytes;

	guest_start64(&self->g, self->dev, rep_insb, rep_insb_end);
	for (i = 0; i < ARRAY_SIZE(ins); i++) {
		op = &outs[i];
		bytes = 100 * op->size;
		memset(&s, 0, sizeof(s));
		fill(device, bytes);
		start_string(&self->g, op, DEVICE_GPA, 100);
		ASSERT_TRUE(serve(&self->g.cpu, &s));
		EXPECT_EQ(bytes, s.len);
		in_order(expected, device, op, 100);
		EXPECT_EQ(0, memcmp(expected, s.bytes, bytes));
		check_end(_metadata, &self->g, op, DEVICE_GPA, 100, true);

		/* KVM asks the port anew after each element that went to a device. */
		if (!device_is_xvm(self->dev))
			continue;
		op = &ins[i];
		memset(&s, 0, sizeof(s));
		memset(device, 0xee, sizeof(device));
		fill(s.bytes, bytes);
		start_string(&self->g, op, DEVICE_GPA, 100);
		ASSERT_TRUE(serve(&self->g.cpu, &s));
		EXPECT_EQ(bytes, s.taken);
		in_order(expected, s.bytes, op, 100);
		EXPECT_EQ(0, memcmp(expected, device, bytes));
		check_end(_metadata, &self->g, op, DEVICE_GPA, 100, false);
	}
}

/* No element: no exit, and nothing moves. */
TEST_F(io, rep_of_nothing)
{
	struct stream s = { 0 };
	struct kvm_regs regs;
	size_t i;

	guest_start64(&self->g, self->dev, rep_outsb, rep_outsb_end);
	for (i = 0; i < ARRAY_SIZE(outs); i++) {
		start_string(&self->g, i % 2 ? &outs[i] : &ins[i], BOUNDARY, 0);
		vcpu_get_regs(&self->g.cpu, &regs);
		regs.rsi = BOUNDARY;
		regs.rdi = BOUNDARY;
		vcpu_set_regs(&self->g.cpu, &regs);
		ASSERT_TRUE(serve(&self->g.cpu, &s));
		EXPECT_EQ(0, s.exits);
		vcpu_get_regs(&self->g.cpu, &regs);
		EXPECT_EQ(BOUNDARY, regs.rsi);
		EXPECT_EQ(BOUNDARY, regs.rdi);
	}
}

/*
 * The string crosses a boundary behind which the next page is elsewhere in
 * physical memory: 6 MiB maps the bottom, below it is the top.
 */
TEST_F(io, strings_over_discontiguous_pages)
{
	const uint64_t edge = 6ul << 20;
	struct guest *g = &self->g;
	uint64_t *pd;
	uint8_t expected[16];
	struct stream s = { 0 };

	guest_start64(g, self->dev, rep_outsw, rep_outsw_end);
	pd = (uint64_t *)(g->mem + GUEST_TABLES + 2 * GUEST_PAGE);
	pd[2] = 2ul << 20 | PTE_P | PTE_W | PTE_PS;
	pd[3] = PTE_P | PTE_W | PTE_PS;

	fill(expected, sizeof(expected));
	memcpy(g->mem + GUEST_SIZE - 7, expected, 7);
	memcpy(g->mem, expected + 7, 9);
	start_string(g, &outs[1], edge - 7, 8);
	ASSERT_TRUE(serve(&g->cpu, &s));
	EXPECT_EQ(16, s.len);
	EXPECT_EQ(0, memcmp(expected, s.bytes, 16));

	memset(g->mem + GUEST_SIZE - 8, 0xee, 8);
	memset(g->mem, 0xee, 16);
	start_string(g, &ins[1], edge - 7, 8);
	ASSERT_TRUE(serve(&g->cpu, &s));
	EXPECT_EQ(0xee, g->mem[GUEST_SIZE - 8]);
	EXPECT_EQ(0, memcmp(g->mem + GUEST_SIZE - 7, expected, 7));
	EXPECT_EQ(0, memcmp(g->mem, expected + 7, 9));
	EXPECT_EQ(0xee, g->mem[9]);
}

GUEST_ASM(real_outs, 16,
	  "mov $0x5a0, %dx\n"
	  "mov $0x2000, %ax\n"
	  "mov %ax, %ds\n"
	  "mov $0x10, %si\n"
	  "mov $4, %cx\n"
	  "cld\n"
	  "rep outsb\n"
	  "std\n"
	  "mov $2, %cx\n"
	  "rep outsw\n"
	  "hlt");

GUEST_ASM(real_ins, 16,
	  "mov $0x5a0, %dx\n"
	  "mov $0x2000, %ax\n"
	  "mov %ax, %es\n"
	  "mov $0x10, %di\n"
	  "mov $4, %cx\n"
	  "cld\n"
	  "rep insb\n"
	  "std\n"
	  "mov $2, %cx\n"
	  "rep insw\n"
	  "hlt");

static void start_real(struct guest *g, int dev, const uint8_t *start,
		       const uint8_t *end)
{
	guest_create(g, dev, GUEST_SIZE);
	guest_load(g, start, end);
	vcpu_real_mode(&g->cpu, 0);
}

TEST_F(io, real_mode_outs)
{
	struct guest *g = &self->g;
	struct stream s = { 0 };
	struct kvm_regs regs;

	start_real(g, self->dev, real_outs, real_outs_end);
	memcpy(g->mem + 0x2000c, "0123456789", 10);
	ASSERT_TRUE(serve(&g->cpu, &s));
	ASSERT_EQ(8, s.len);
	/* Forward from 0x10, then words back from 0x14. */
	EXPECT_EQ(0, memcmp(s.bytes, "45678967", 8));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x10, regs.rsi);
	EXPECT_EQ(0, regs.rcx);
}

TEST_F(io, real_mode_ins)
{
	struct guest *g = &self->g;
	struct stream s = { 0 };
	struct kvm_regs regs;

	start_real(g, self->dev, real_ins, real_ins_end);
	memcpy(s.bytes, "abcdWWXX", 8);
	ASSERT_TRUE(serve(&g->cpu, &s));
	EXPECT_EQ(8, s.taken);
	/* The second word lands on the last two bytes of the first four. */
	EXPECT_EQ(0, memcmp(g->mem + 0x20010, "abXXWW", 6));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x10, regs.rdi);
}

GUEST_ASM(override, 64,
	  "mov $0x5a0, %edx\n"
	  "mov $0x10, %esi\n"
	  "mov $3, %ecx\n"
	  "rep outsb %gs:(%rsi), %dx\n"
	  "mov $0x100000010, %rsi\n"
	  "outsb %gs:(%esi), %dx\n"
	  "hlt");

TEST_F(io, segment_and_address_size)
{
	struct guest *g = &self->g;
	struct stream s = { 0 };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_start64(g, self->dev, override, override_end);
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.gs.base = GUEST_FREE;
	vcpu_set_sregs(&g->cpu, &sregs);
	memcpy(g->mem + GUEST_FREE + 0x10, "xyz", 3);
	ASSERT_TRUE(serve(&g->cpu, &s));
	ASSERT_EQ(4, s.len);
	EXPECT_EQ(0, memcmp(s.bytes, "xyzx", 4));
	vcpu_get_regs(&g->cpu, &regs);
	/* A 32-bit register is written: the upper half goes. */
	EXPECT_EQ(0x11, regs.rsi);
}

/* A port that user mode may not use: #GP in the guest, no exit. */
GUEST_ASM(user_out, 64, "mov $0x5a0, %edx; out %al, %dx; hlt");

TEST_F(io, refused_to_user_mode)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs;

	guest_start64(g, self->dev, user_out, user_out_end);
	vcpu_get_sregs(&g->cpu, &sregs);
	sregs.cs.dpl = 3;
	sregs.cs.selector |= 3;
	sregs.ss.dpl = 3;
	sregs.ss.selector |= 3;
	vcpu_set_sregs(&g->cpu, &sregs);
	/* No IDT: the #GP becomes a triple fault. */
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(&g->cpu));
}

TEST_HARNESS_MAIN
