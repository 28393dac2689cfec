// SPDX-License-Identifier: GPL-2.0-only
/* libxvm, through the shared library: what each group of functions promises. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "libxvm.h"

#define MEMORY_SIZE 0x10000
#define CODE_GPA 0x8000
#define MSR_STAR 0xc0000081
#define MSR_NONE 0x12345678

FIXTURE(library) {
	int device;
	int vm;
	char *memory;
};

FIXTURE_VARIANT(library) {
	const char *path;
	bool xvm;
};

FIXTURE_VARIANT_ADD(library, kvm) {
	.path = "/dev/kvm",
};

FIXTURE_VARIANT_ADD(library, xvm) {
	.path = XVM_DEVICE_PATH,
	.xvm = true,
};

FIXTURE_SETUP(library)
{
	self->device = xvm_open(variant->path);
	ASSERT_GE(self->device, 0);
	self->vm = xvm_create_vm(self->device, 0);
	ASSERT_GE(self->vm, 0);
	self->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
}

FIXTURE_TEARDOWN(library)
{
	munmap(self->memory, MEMORY_SIZE);
	EXPECT_EQ(0, xvm_close(self->vm));
	EXPECT_EQ(0, xvm_close(self->device));
}

TEST_F(library, open)
{
	EXPECT_EQ(-ENOENT, xvm_open("/dev/no-such-device"));
	EXPECT_EQ(-ENOTTY, xvm_open("/dev/null"));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->device, F_GETFD));
	EXPECT_EQ(-EBADF, xvm_close(-1));
	EXPECT_EQ(-EBADF, xvm_check(-1, KVM_CAP_USER_MEMORY));
}

TEST_F(library, check)
{
	EXPECT_EQ(1, xvm_check(self->device, KVM_CAP_USER_MEMORY));
	EXPECT_EQ(1, xvm_check(self->vm, KVM_CAP_USER_MEMORY));
	EXPECT_EQ(0, xvm_check(self->device, 0xffff));
	EXPECT_EQ(variant->xvm ? XVM_API_VERSION : 0,
		  xvm_check(self->device, XVM_CAP_VERSION));
}

TEST_F(library, memory)
{
	EXPECT_EQ(0, xvm_set_memory(self->vm, 0, 0, 0x4000, self->memory, 0));
	EXPECT_EQ(0, xvm_set_memory(self->vm, 0, 0x4000, 0x4000, self->memory, 0));
	EXPECT_EQ(-EEXIST,
		  xvm_set_memory(self->vm, 1, 0x7000, 0x1000, self->memory, 0));
	EXPECT_EQ(-EINVAL,
		  xvm_set_memory(self->vm, 0, 0x4000, 0x8000, self->memory, 0));
	EXPECT_EQ(0, xvm_delete_memory(self->vm, 0));
	EXPECT_EQ(-EINVAL, xvm_delete_memory(self->vm, 0));
}

/* Where there are no batches, committing one says so and changes nothing. */
TEST_F(library, batch_without_support)
{
	struct xvm_batch *batch = xvm_batch_new();
	uint32_t failed = 0;
	uint32_t i;

	ASSERT_NE(NULL, batch);
	if (xvm_check(self->vm, XVM_CAP_MEMSLOT_BATCH) > 0) {
		xvm_batch_free(batch);
		SKIP(return, "the device has batches");
	}
	for (i = 0; i < 100; i++)
		EXPECT_EQ(0, xvm_batch_set(batch, i, i * 0x1000, 0x1000,
					   self->memory, 0));
	EXPECT_EQ(0, xvm_batch_delete(batch, 100));
	EXPECT_EQ(-ENOTTY, xvm_batch_commit(batch, self->vm, &failed));
	EXPECT_EQ(101, failed);
	xvm_batch_reset(batch);
	EXPECT_EQ(-ENOTTY, xvm_batch_commit(batch, self->vm, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(-EINVAL, xvm_delete_memory(self->vm, 0));
	xvm_batch_free(batch);
	xvm_batch_free(NULL);
}

TEST_F(library, run_in_real_mode)
{
	/* mov $42,%al; out %al,$0x10; hlt */
	static const char code[] = { 0xb0, 42, 0xe6, 0x10, 0xf4 };
	struct kvm_run *run;
	struct kvm_regs regs;
	int vcpu;

	memcpy(self->memory + CODE_GPA, code, sizeof(code));
	ASSERT_EQ(0, xvm_set_memory(self->vm, 0, 0, MEMORY_SIZE, self->memory, 0));
	vcpu = xvm_create_vcpu(self->device, self->vm, 0, &run);
	ASSERT_GE(vcpu, 0);
	EXPECT_EQ(-EEXIST, xvm_create_vcpu(self->device, self->vm, 0, &run));
	ASSERT_EQ(0, xvm_x86_set_cpuid(self->device, vcpu));
	ASSERT_EQ(0, xvm_x86_real_mode(vcpu, CODE_GPA >> 4, 0));
	ASSERT_EQ(0, xvm_run(vcpu));
	ASSERT_EQ(KVM_EXIT_IO, run->exit_reason);
	EXPECT_EQ(0x10, run->io.port);
	EXPECT_EQ(42, *((char *)run + run->io.data_offset));
	ASSERT_EQ(0, xvm_run(vcpu));
	EXPECT_EQ(KVM_EXIT_HLT, run->exit_reason);
	EXPECT_EQ(0, xvm_get_regs(vcpu, &regs));
	EXPECT_EQ(sizeof(code), regs.rip);
	EXPECT_EQ(0, xvm_close_vcpu(self->device, vcpu, run));
}

TEST_F(library, run_in_long_mode)
{
	/* mov $0x123456789,%rax; mov %rax,(%rdi); hlt */
	static const unsigned char code[] = {
		0x48, 0xb8, 0x89, 0x67, 0x45, 0x23, 0x01, 0,
		0,    0,    0x48, 0x89, 0x07, 0xf4,
	};
	uint64_t *target = (uint64_t *)(self->memory + 0xf000);
	struct kvm_regs regs;
	struct kvm_run *run;
	int vcpu;

	memcpy(self->memory + CODE_GPA, code, sizeof(code));
	ASSERT_EQ(0, xvm_set_memory(self->vm, 0, 0, MEMORY_SIZE, self->memory, 0));
	vcpu = xvm_create_vcpu(self->device, self->vm, 0, &run);
	ASSERT_GE(vcpu, 0);
	ASSERT_EQ(0, xvm_x86_set_cpuid(self->device, vcpu));
	EXPECT_EQ(-EINVAL, xvm_x86_long_mode(vcpu, self->memory, 0x1001, 0, 0));
	ASSERT_EQ(0, xvm_x86_long_mode(vcpu, self->memory + 0x1000, 0x1000,
				       CODE_GPA, MEMORY_SIZE));
	ASSERT_EQ(0, xvm_get_regs(vcpu, &regs));
	EXPECT_EQ(MEMORY_SIZE, regs.rsp);
	regs.rdi = 0xf000;
	ASSERT_EQ(0, xvm_set_regs(vcpu, &regs));
	ASSERT_EQ(0, xvm_run(vcpu));
	EXPECT_EQ(KVM_EXIT_HLT, run->exit_reason);
	EXPECT_EQ(0x123456789, *target);
	run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, xvm_run(vcpu));
	EXPECT_EQ(0, xvm_close_vcpu(self->device, vcpu, run));
}

TEST_F(library, vcpu_state)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state state;
	struct kvm_run *run;
	struct kvm_fpu fpu;
	uint64_t value;
	int vcpu;

	vcpu = xvm_create_vcpu(self->device, self->vm, 3, &run);
	ASSERT_GE(vcpu, 0);
	ASSERT_EQ(0, xvm_x86_set_cpuid(self->device, vcpu));
	EXPECT_EQ(0, xvm_get_fpu(vcpu, &fpu));
	fpu.fcw = 0x27f;
	EXPECT_EQ(0, xvm_set_fpu(vcpu, &fpu));
	fpu.fcw = 0;
	EXPECT_EQ(0, xvm_get_fpu(vcpu, &fpu));
	EXPECT_EQ(0x27f, fpu.fcw);
	EXPECT_EQ(0, xvm_get_events(vcpu, &events));
	EXPECT_EQ(0, xvm_set_events(vcpu, &events));
	EXPECT_EQ(0, xvm_get_mp_state(vcpu, &state));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	EXPECT_EQ(0, xvm_set_mp_state(vcpu, &state));
	EXPECT_EQ(0, xvm_set_msr(vcpu, MSR_STAR, 0x23001000000000));
	EXPECT_EQ(0, xvm_get_msr(vcpu, MSR_STAR, &value));
	EXPECT_EQ(0x23001000000000, value);
	EXPECT_EQ(-EINVAL, xvm_get_msr(vcpu, MSR_NONE, &value));
	EXPECT_EQ(-EINVAL, xvm_set_msr(vcpu, MSR_NONE, 1));
	EXPECT_EQ(0, xvm_close_vcpu(self->device, vcpu, run));
}

TEST_F(library, stats)
{
	/* 1: out %al,$0x10; jmp 1b */
	static const char code[] = { 0xe6, 0x10, 0xeb, 0xfc };
	struct xvm_stats *stats;
	struct kvm_run *run;
	uint64_t before;
	int exits, i, vcpu;

	memcpy(self->memory + CODE_GPA, code, sizeof(code));
	ASSERT_EQ(0, xvm_set_memory(self->vm, 0, 0, MEMORY_SIZE, self->memory, 0));
	vcpu = xvm_create_vcpu(self->device, self->vm, 0, &run);
	ASSERT_GE(vcpu, 0);
	ASSERT_EQ(0, xvm_x86_real_mode(vcpu, CODE_GPA >> 4, 0));
	ASSERT_EQ(0, xvm_stats_open(vcpu, &stats));
	exits = xvm_stats_find(stats, "exits");
	ASSERT_GE(exits, 0);
	EXPECT_STREQ("exits", xvm_stats_name(stats, exits));
	EXPECT_EQ(-ENOENT, xvm_stats_find(stats, "exit"));
	EXPECT_EQ(NULL, xvm_stats_name(stats, -1));
	EXPECT_EQ(NULL, xvm_stats_name(stats, xvm_stats_count(stats)));
	EXPECT_EQ(0, xvm_stats_value(stats, xvm_stats_count(stats)));
	before = xvm_stats_value(stats, exits);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(0, xvm_run(vcpu));
	EXPECT_EQ(before, xvm_stats_value(stats, exits));
	EXPECT_EQ(0, xvm_stats_read(stats));
	EXPECT_LE(before + 10, xvm_stats_value(stats, exits));
	xvm_stats_close(stats);
	ASSERT_EQ(0, xvm_stats_open(self->vm, &stats));
	EXPECT_LT(0, xvm_stats_count(stats));
	xvm_stats_close(stats);
	xvm_stats_close(NULL);
	EXPECT_EQ(0, xvm_close_vcpu(self->device, vcpu, run));
}

TEST_HARNESS_MAIN
