// SPDX-License-Identifier: GPL-2.0-only
/* Memslots that change while a vCPU uses them, and what each kind does. */
#include <string.h>

#include "runner.h"
#include "stats.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(slot_run);

#define MIB 0x100000ul
#define FAR_GPA 0x1000000ul /* 16 MiB, as in the guest code below */
#define ALIAS_GPA 0x2000000ul
#define SLOT_SIZE (64 * GUEST_PAGE)

GUEST_ASM(read_far, 64, "mov $0x1000000, %ebx; mov (%rbx), %rax; hlt");
GUEST_ASM(write_far, 64,
	  "mov $0x1000000, %ebx; movabs $0x1122334455667788, %rax\n"
	  "mov %rax, (%rbx); hlt");

static int run_code(struct guest *g, const uint8_t *start, const uint8_t *end)
{
	guest_load(g, start, end);
	vcpu_set_rip(&g->cpu, GUEST_CODE);
	return vcpu_run(&g->cpu);
}

#define RUN(g, name) run_code(g, name, name##_end)

static uint64_t rax(struct vcpu *v)
{
	struct kvm_regs regs;

	vcpu_get_regs(v, &regs);
	return regs.rax;
}

/* Runs to the end of an instruction that exits with an MMIO read or write. */
static void expect_mmio(struct __test_metadata *_metadata, struct guest *g,
			int reason, bool write)
{
	struct kvm_run *run = g->cpu.run;

	ASSERT_EQ(KVM_EXIT_MMIO, reason);
	EXPECT_EQ(FAR_GPA, run->mmio.phys_addr);
	EXPECT_EQ(8, run->mmio.len);
	EXPECT_EQ(write, run->mmio.is_write);
	if (!write)
		memset(run->mmio.data, 0xab, 8);
	else
		EXPECT_EQ(0, memcmp(run->mmio.data,
				    "\x88\x77\x66\x55\x44\x33\x22\x11", 8));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	if (!write) {
		EXPECT_EQ(0xabababababababab, rax(&g->cpu));
	}
}

TEST_F(slot_run, create_and_delete)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);
	int i;

	guest_start64(g, self->dev, read_far, read_far_end);
	for (i = 1; i <= 50; i++) {
		expect_mmio(_metadata, g, RUN(g, read_far), false);
		mem[0] = i;
		guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
		ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
		ASSERT_EQ(i, rax(&g->cpu));
		guest_add_slot(g, 1, 0, 0, 0, NULL);
	}
}

static uint64_t leaves(struct guest *g)
{
	return read_stat(g->vm, "pages_4k") + read_stat(g->vm, "pages_2m");
}

/* KVM may drop all that the VM has mapped: a quirk, which can be disabled. */
TEST_F(slot_run, delete_keeps_others)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2,
		.args = { KVM_X86_QUIRK_SLOT_ZAP_ALL },
	};
	uint64_t before;
	int ret;

	guest_start64(g, self->dev, read_far, read_far_end);
	ret = kioctl(g->vm, KVM_ENABLE_CAP, &cap);
	if (ret == -EINVAL && !device_is_xvm(self->dev))
		SKIP(return, "an older KVM has this quirk for ever");
	ASSERT_EQ(0, ret);
	expect_mmio(_metadata, g, RUN(g, read_far), false);
	before = leaves(g);
	ASSERT_GT(before, 0);
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_GT(leaves(g), before);
	guest_add_slot(g, 1, 0, 0, 0, NULL);
	EXPECT_EQ(before, leaves(g));
}

TEST_F(slot_run, move)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);
	int i;

	guest_start64(g, self->dev, read_far, read_far_end);
	mem[0] = 77;
	mem[512] = 78;
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, guest_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem));
		ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
		ASSERT_EQ(77, rax(&g->cpu));
		/* By a page, over itself. */
		ASSERT_EQ(0, guest_slot(g, 1, 0, FAR_GPA - GUEST_PAGE,
					SLOT_SIZE, mem));
		ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
		ASSERT_EQ(78, rax(&g->cpu));
		/* Away: nothing stays behind. */
		ASSERT_EQ(0, guest_slot(g, 1, 0, ALIAS_GPA, SLOT_SIZE, mem));
		expect_mmio(_metadata, g, RUN(g, read_far), false);
	}
}

TEST_F(slot_run, read_only)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);

	guest_start64(g, self->dev, read_far, read_far_end);
	mem[0] = 5;
	guest_add_slot(g, 1, KVM_MEM_READONLY, FAR_GPA, SLOT_SIZE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_EQ(5, rax(&g->cpu));
	/* A write goes to user space and not to memory. */
	expect_mmio(_metadata, g, RUN(g, write_far), true);
	EXPECT_EQ(5, mem[0]);
	/* Memory that the host may only read is enough for it. */
	ASSERT_EQ(0, mprotect(mem, SLOT_SIZE, PROT_READ));
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_EQ(5, rax(&g->cpu));
	expect_mmio(_metadata, g, RUN(g, write_far), true);
}

/* First written, then read-only: the writable translation must be gone. */
TEST_F(slot_run, writable_then_read_only)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);

	guest_start64(g, self->dev, write_far, write_far_end);
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, write_far));
	EXPECT_EQ(0x1122334455667788, mem[0]);
	mem[0] = 9;
	guest_add_slot(g, 1, 0, 0, 0, NULL);
	guest_add_slot(g, 1, KVM_MEM_READONLY, FAR_GPA, SLOT_SIZE, mem);
	expect_mmio(_metadata, g, RUN(g, write_far), true);
	EXPECT_EQ(9, mem[0]);
	guest_add_slot(g, 1, KVM_MEM_READONLY, 0, 0, NULL);
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, write_far));
	EXPECT_EQ(0x1122334455667788, mem[0]);
}

/* One host range under two guest addresses; deleting one leaves the other. */
TEST_F(slot_run, two_slots_on_one_hva)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(2 * SLOT_SIZE);

	guest_start64(g, self->dev, read_far, read_far_end);
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	guest_add_slot(g, 2, 0, ALIAS_GPA, SLOT_SIZE + GUEST_PAGE,
		       (uint8_t *)mem);
	guest_add_slot(g, 3, KVM_MEM_READONLY, 3 * FAR_GPA, SLOT_SIZE,
		       (uint8_t *)mem + GUEST_PAGE);
	mem[0] = 31;
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_EQ(31, rax(&g->cpu));
	/* What the host drops is dropped under both addresses. */
	ASSERT_EQ(0, madvise(mem, SLOT_SIZE, MADV_DONTNEED));
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_EQ(0, rax(&g->cpu));
	guest_add_slot(g, 1, 0, 0, 0, NULL);
	expect_mmio(_metadata, g, RUN(g, read_far), false);
	mem[0] = 32;
	guest_add_slot(g, 2, 0, FAR_GPA, SLOT_SIZE + GUEST_PAGE,
		       (uint8_t *)mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_far));
	EXPECT_EQ(32, rax(&g->cpu));
}

GUEST_ASM(read_two, 64,
	  "mov $0x1000ffc, %ebx; mov (%rbx), %rax; hlt");

/* Neighbours in guest memory need not be neighbours in the host's. */
TEST_F(slot_run, read_over_two_slots)
{
	struct guest *g = &self->g;
	uint8_t *mem = mem_alloc(4 * GUEST_PAGE);

	guest_start64(g, self->dev, read_two, read_two_end);
	memset(mem, 0x11, GUEST_PAGE);
	memset(mem + 2 * GUEST_PAGE, 0x22, GUEST_PAGE);
	guest_add_slot(g, 1, 0, FAR_GPA, GUEST_PAGE, mem + 2 * GUEST_PAGE);
	guest_add_slot(g, 2, 0, FAR_GPA + GUEST_PAGE, GUEST_PAGE, mem);
	ASSERT_EQ(KVM_EXIT_HLT, RUN(g, read_two));
	EXPECT_EQ(0x1111111122222222, rax(&g->cpu));
}

/*
 * Counts its rounds in rax, while it reads and writes the slot and checks that
 * it reads what it wrote; a difference ends in HLT.
 */
GUEST_ASM(work, 64,
	  "xor %eax, %eax\n"
	  "1: mov $0x1000000, %ebx\n"
	  "mov $64, %ecx\n"
	  "2: mov %rax, 8(%rbx)\n"
	  "cmp %rax, 8(%rbx)\n"
	  "jne 3f\n"
	  "cmpq $0x5a, (%rbx)\n"
	  "jne 3f\n"
	  "add $0x1000, %rbx\n"
	  "loop 2b\n"
	  "inc %rax\n"
	  "jmp 1b\n"
	  "3: hlt");

#define DEVICE_VALUE 0x6b

/* Answers reads as a device; anything else ends the run. */
static bool answer(struct vcpu *v, int reason, void *arg)
{
	const uint64_t value = DEVICE_VALUE;

	(void)arg;
	if (reason != KVM_EXIT_MMIO || v->run->mmio.is_write)
		return false;
	memcpy(v->run->mmio.data, &value, sizeof(value));
	return true;
}

/* The guest's rounds so far, which it writes into each page. */
static uint64_t rounds(const uint8_t *mem)
{
	return *(const volatile uint64_t *)(mem + 8);
}

#define MIN_ROUNDS 20

TEST_F_TIMEOUT(slot_run, flags_while_running, 60)
{
	struct guest *g = &self->g;
	uint8_t *mem = mem_alloc(SLOT_SIZE);
	struct runner r;
	size_t i;

	guest_start64(g, self->dev, work, work_end);
	for (i = 0; i < SLOT_SIZE; i += GUEST_PAGE)
		*(uint64_t *)(mem + i) = 0x5a;
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	runner_start(&r, &g->cpu, answer, NULL);
	for (i = 0; (i < 300 || rounds(mem) < MIN_ROUNDS) && !r.ended; i++) {
		ASSERT_EQ(0, guest_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA,
					SLOT_SIZE, mem));
		usleep(500);
		ASSERT_EQ(0, guest_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem));
		usleep(500);
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_EQ(0, atomic_load(&r.exits));
	EXPECT_GE(rax(&g->cpu), MIN_ROUNDS);
}

/* Slots around the one in use come, move and go: it must not be disturbed. */
TEST_F_TIMEOUT(slot_run, neighbours_while_running, 60)
{
	struct guest *g = &self->g;
	uint8_t *mem = mem_alloc(SLOT_SIZE), *other = mem_alloc(SLOT_SIZE);
	struct runner r;
	size_t i;

	guest_start64(g, self->dev, work, work_end);
	for (i = 0; i < SLOT_SIZE; i += GUEST_PAGE)
		*(uint64_t *)(mem + i) = 0x5a;
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	runner_start(&r, &g->cpu, answer, NULL);
	for (i = 0; (i < 200 || rounds(mem) < MIN_ROUNDS) && !r.ended; i++) {
		guest_add_slot(g, 2, 0, FAR_GPA - SLOT_SIZE, SLOT_SIZE, other);
		guest_add_slot(g, 3, 0, FAR_GPA + SLOT_SIZE, SLOT_SIZE, other);
		guest_add_slot(g, 3, 0, FAR_GPA + 2 * SLOT_SIZE, SLOT_SIZE,
			       other);
		guest_add_slot(g, 4, 0, ALIAS_GPA, SLOT_SIZE, mem);
		guest_add_slot(g, 2, 0, 0, 0, NULL);
		guest_add_slot(g, 4, 0, 0, 0, NULL);
		guest_add_slot(g, 3, 0, 0, 0, NULL);
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_EQ(0, atomic_load(&r.exits));
	EXPECT_GE(rax(&g->cpu), MIN_ROUNDS);
}

/* Reads only; either of two values is right: memory's or the device's. */
GUEST_ASM(poll, 64,
	  "xor %eax, %eax\n"
	  "mov $0x1000000, %ebx\n"
	  "1: mov (%rbx), %rcx\n"
	  "inc %rax\n"
	  "cmp $0x5a, %rcx\n"
	  "je 1b\n"
	  "cmp $0x6b, %rcx\n"
	  "je 1b\n"
	  "hlt");

/* Breaks if slots_zap() zaps nothing. */
TEST_F_TIMEOUT(slot_run, delete_while_running, 60)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);
	struct runner r;
	int i;

	guest_start64(g, self->dev, poll, poll_end);
	mem[0] = 0x5a;
	runner_start(&r, &g->cpu, answer, NULL);
	for (i = 0; (i < 300 || r.exits < 20) && !r.ended; i++) {
		guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
		usleep(300);
		guest_add_slot(g, 1, 0, 0, 0, NULL);
		/* Deleted means deleted: no write below can be seen. */
		mem[0] = 0xbad;
		usleep(300);
		mem[0] = 0x5a;
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_GT(atomic_load(&r.exits), 10);
	EXPECT_GT(rax(&g->cpu), atomic_load(&r.exits));
}

/* The slot moves away and back while the guest reads from it. */
TEST_F_TIMEOUT(slot_run, move_while_running, 60)
{
	struct guest *g = &self->g;
	uint64_t *mem = mem_alloc(SLOT_SIZE);
	struct runner r;
	int i;

	guest_start64(g, self->dev, poll, poll_end);
	mem[0] = 0x5a;
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem);
	runner_start(&r, &g->cpu, answer, NULL);
	for (i = 0; i < 300 && !r.ended; i++) {
		ASSERT_EQ(0, guest_slot(g, 1, 0, ALIAS_GPA, SLOT_SIZE, mem));
		mem[0] = 0xbad;
		usleep(300);
		mem[0] = 0x5a;
		ASSERT_EQ(0, guest_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, mem));
		usleep(300);
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_GT(rax(&g->cpu), atomic_load(&r.exits));
}

/* All ids at once, each found by the guest's address, then gone. */
GUEST_ASM(read_rbx, 64, "mov (%rbx), %rax; hlt");

TEST_F_TIMEOUT(slot_run, many, 120)
{
	const int nr = 5000;
	struct guest *g = &self->g;
	uint8_t *mem = mem_alloc(nr * GUEST_PAGE);
	struct kvm_regs regs;
	int i;

	guest_start64(g, self->dev, read_rbx, read_rbx_end);
	/* Every other page, from the last to the first. */
	for (i = nr - 1; i >= 0; i--) {
		*(uint64_t *)(mem + i * GUEST_PAGE) = i;
		ASSERT_EQ(0, guest_slot(g, 1 + i, 0,
					FAR_GPA + 2 * i * GUEST_PAGE,
					GUEST_PAGE, mem + i * GUEST_PAGE));
	}
	for (i = 0; i < nr; i += 37) {
		vcpu_get_regs(&g->cpu, &regs);
		regs.rip = GUEST_CODE;
		regs.rbx = FAR_GPA + 2 * i * GUEST_PAGE;
		vcpu_set_regs(&g->cpu, &regs);
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		ASSERT_EQ(i, rax(&g->cpu));
	}
	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, guest_slot(g, 1 + i, 0, 0, 0, NULL));
	guest_add_slot(g, 1, 0, FAR_GPA, nr * GUEST_PAGE, mem);
}

TEST_HARNESS_MAIN
