// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers that the hardware does not switch by itself: the guest sees its own
 * through any number of exits, another vCPU does not see them, and the host
 * finds its own again.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <x86intrin.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "idt.h"
#include "stats.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(isolation);

static void set_cr4(struct vcpu *v, uint64_t bits)
{
	struct kvm_sregs s;

	vcpu_get_sregs(v, &s);
	s.cr4 |= bits;
	vcpu_set_sregs(v, &s);
}

/* Loads vector registers and x87 with what rdi says, then exits for ever. */
GUEST_ASM(vectors, 64,
	  "xor %ecx, %ecx\n"
	  "mov $7, %eax\n"
	  "xor %edx, %edx\n"
	  "xsetbv\n"
	  "vmovq %rdi, %xmm0\n"
	  "vpbroadcastq %xmm0, %ymm0\n"
	  "vpaddq %ymm0, %ymm0, %ymm7\n"
	  "vpaddq %ymm7, %ymm7, %ymm15\n"
	  "fninit\n"
	  "push %rdi\n"
	  "fildll (%rsp)\n"
	  "1: hlt\n"
	  "vmovdqu %ymm0, 0x40000\n"
	  "vmovdqu %ymm7, 0x40020\n"
	  "vmovdqu %ymm15, 0x40040\n"
	  "fistpll 0x40060\n"
	  "fildll 0x40060\n"
	  "jmp 1b");

static void start_vectors(struct guest *g, struct vcpu *v, uint64_t seed)
{
	struct kvm_regs regs;

	guest_long_mode(g, v, GUEST_CODE);
	set_cr4(v, CR4_OSXSAVE);
	vcpu_get_regs(v, &regs);
	regs.rdi = seed;
	/* Each its own stack. */
	regs.rsp = GUEST_STACK - (seed & 0xff) * 64;
	vcpu_set_regs(v, &regs);
}

static void check_vectors(struct __test_metadata *_metadata, struct guest *g,
			  struct vcpu *v, uint64_t seed)
{
	uint64_t *seen = (uint64_t *)(g->mem + GUEST_FREE);
	int i;

	memset(seen, 0, 0x68);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(v));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(seed, seen[i]);
		EXPECT_EQ(2 * seed, seen[4 + i]);
		EXPECT_EQ(4 * seed, seen[8 + i]);
	}
	EXPECT_EQ(seed, seen[12]);
}

static bool host_has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

TEST_F(isolation, guest_vectors)
{
	struct guest *g = &self->g;
	struct vcpu second;
	int i;

	if (!host_has_avx2())
		SKIP(return, "no AVX2");
	guest_start64(g, self->dev, vectors, vectors_end);
	vcpu_create(g, &second, 1);
	start_vectors(g, &g->cpu, 0x0101010101010101);
	start_vectors(g, &second, 0x0203040506070802);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&second));
	for (i = 0; i < 50; i++) {
		/* The host uses them in between, as do the two each other's. */
		memset(g->mem + GUEST_FREE + GUEST_PAGE, i, GUEST_PAGE);
		check_vectors(_metadata, g, &g->cpu, 0x0101010101010101);
		check_vectors(_metadata, g, &second, 0x0203040506070802);
	}
	vcpu_destroy(&second);
}

/* A new vCPU must not find what another left in the registers. */
GUEST_ASM(store_fresh, 64,
	  "xor %ecx, %ecx\n"
	  "mov $7, %eax\n"
	  "xor %edx, %edx\n"
	  "xsetbv\n"
	  "vmovdqu %ymm0, 0x40000\n"
	  "vmovdqu %ymm7, 0x40020\n"
	  "vmovdqu %ymm15, 0x40040\n"
	  "hlt");

TEST_F(isolation, fresh_vcpu_has_no_leftovers)
{
	struct guest *g = &self->g;
	struct vcpu second;
	uint64_t *seen;
	int i;

	if (!host_has_avx2())
		SKIP(return, "no AVX2");
	guest_start64(g, self->dev, vectors, vectors_end);
	start_vectors(g, &g->cpu, 0x1111111111111111);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_create(g, &second, 1);
	guest_load(g, store_fresh, store_fresh_end);
	start_vectors(g, &second, 0);
	seen = (uint64_t *)(g->mem + GUEST_FREE);
	memset(seen, 0xff, 0x60);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&second));
	for (i = 0; i < 12; i++)
		EXPECT_EQ(0, seen[i]);
	vcpu_destroy(&second);
}

/*
 * KVM_RUN by a bare SYSCALL, between loading the host's vector registers and
 * storing them: no C code may come in between.
 */
__attribute__((target("avx2"), noinline)) static long
run_with_vectors(int fd, const uint8_t in[64], uint8_t out[64],
		 uint32_t *mxcsr, uint16_t *fcw)
{
	long ret = SYS_ioctl;

	asm volatile("vmovdqu (%[in]), %%ymm1\n\t"
		     "vmovdqu 32(%[in]), %%ymm14\n\t"
		     "ldmxcsr (%[mxcsr])\n\t"
		     "fldcw (%[fcw])\n\t"
		     "syscall\n\t"
		     "vmovdqu %%ymm1, (%[out])\n\t"
		     "vmovdqu %%ymm14, 32(%[out])\n\t"
		     "stmxcsr (%[mxcsr])\n\t"
		     "fnstcw (%[fcw])\n\t"
		     : "+a"(ret)
		     : "D"((long)fd), "S"(KVM_RUN), "d"(0l), [in] "r"(in),
		       [out] "r"(out), [mxcsr] "r"(mxcsr), [fcw] "r"(fcw)
		     : "rcx", "r11", "memory", "xmm1", "xmm14");
	return ret;
}

static uint64_t host_xcr0(void)
{
	uint32_t eax, edx;

	asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return (uint64_t)edx << 32 | eax;
}

/* A guest that changes all of it: registers, rounding, control words, XCR0. */
GUEST_ASM(spoil, 64,
	  "xor %ecx, %ecx\n"
	  "mov $7, %eax\n"
	  "xor %edx, %edx\n"
	  "xsetbv\n"
	  "vpcmpeqd %ymm1, %ymm1, %ymm1\n"
	  "vpcmpeqd %ymm14, %ymm14, %ymm14\n"
	  "movl $0x7fa0, -8(%rsp)\n"
	  "ldmxcsr -8(%rsp)\n"
	  "movw $0xf7f, -8(%rsp)\n"
	  "fldcw -8(%rsp)\n"
	  "mov $1, %eax\n"
	  "xsetbv\n"
	  "hlt");

TEST_F(isolation, host_vectors)
{
	struct guest *g = &self->g;
	uint8_t in[64], out[64];
	uint32_t mxcsr_before, mxcsr;
	uint16_t fcw_before, fcw;
	uint64_t xcr0;
	int i;

	if (!host_has_avx2())
		SKIP(return, "no AVX2");
	guest_start64(g, self->dev, spoil, spoil_end);
	set_cr4(&g->cpu, CR4_OSXSAVE);
	for (i = 0; i < 64; i++)
		in[i] = 0x40 + i;
	xcr0 = host_xcr0();
	for (i = 0; i < 20; i++) {
		/* Round up; the guest rounds to zero. */
		mxcsr = 0x5f80;
		mxcsr_before = mxcsr;
		fcw = 0xb7f;
		fcw_before = fcw;
		vcpu_set_rip(&g->cpu, GUEST_CODE);
		ASSERT_EQ(0, run_with_vectors(g->cpu.fd, in, out, &mxcsr,
					      &fcw));
		ASSERT_EQ(KVM_EXIT_HLT, g->cpu.run->exit_reason);
		EXPECT_EQ(0, memcmp(in, out, 64));
		EXPECT_EQ(mxcsr_before, mxcsr);
		EXPECT_EQ(fcw_before, fcw);
		EXPECT_EQ(xcr0, host_xcr0());
	}
}

static uint64_t rdtscp_aux(void)
{
	unsigned int aux;

	__rdtscp(&aux);
	return aux;
}

/* The kernel keeps the CPU's number there, for getcpu() without a call. */
GUEST_ASM(tsc_aux, 64,
	  "rdtscp\n"
	  "mov %rcx, %rdi\n"
	  "mov $0xc0000103, %ecx\n"
	  "mov $0x77777777, %eax\n"
	  "xor %edx, %edx\n"
	  "wrmsr\n"
	  "rdtscp\n"
	  "hlt\n"
	  "rdtscp\n"
	  "hlt");

static void pin_to_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity: %m");
}

TEST_F(isolation, tsc_aux)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;
	uint64_t before;

	if (!(device_cpuid(self->dev, 0x80000001, 0, CPUID_EDX) & 1u << 27))
		SKIP(return, "no RDTSCP");
	pin_to_this_cpu();
	guest_start64(g, self->dev, tsc_aux, tsc_aux_end);
	ASSERT_EQ(1, vcpu_set_msr(&g->cpu, MSR_TSC_AUX, 0x55555555));
	before = rdtscp_aux();
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(before, rdtscp_aux());
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x55555555, regs.rdi);
	EXPECT_EQ(0x77777777, regs.rcx);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x77777777, regs.rcx);
	EXPECT_EQ(0x77777777, vcpu_msr(&g->cpu, MSR_TSC_AUX));
	EXPECT_EQ(before, rdtscp_aux());
}

static uint32_t host_pkru(void)
{
	uint32_t eax, edx;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

GUEST_ASM(protection_keys, 64,
	  "xor %ecx, %ecx\n"
	  "xor %edx, %edx\n"
	  "mov $0xaaaaaaa8, %eax\n"
	  ".byte 0x0f, 0x01, 0xef\n" /* WRPKRU */
	  "1: xor %eax, %eax\n"
	  ".byte 0x0f, 0x01, 0xee\n" /* RDPKRU */
	  "mov %eax, %edi\n"
	  "hlt\n"
	  "jmp 1b");

TEST_F(isolation, pkru)
{
	struct guest *g = &self->g;
	uint32_t eax, ebx, ecx, edx, before;
	struct kvm_regs regs;
	int i;

	__cpuid_count(7, 0, eax, ebx, ecx, edx);
	if (!(ecx & 1u << 4) ||
	    !(device_cpuid(self->dev, 7, 0, CPUID_ECX) & 1u << 3))
		SKIP(return, "no protection keys");
	guest_start64(g, self->dev, protection_keys, protection_keys_end);
	set_cr4(&g->cpu, 1u << 22);
	before = host_pkru();
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		EXPECT_EQ(before, host_pkru());
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(0xaaaaaaa8, regs.rdi);
	}
}

/* What the guest writes with WRMSR, user space reads, and the other way round. */
GUEST_ASM(msr_swap, 64,
	  "1: mov %edi, %ecx\n"
	  "rdmsr\n"
	  "mov %eax, %r8d\n"
	  "mov %edx, %r9d\n"
	  "mov %esi, %eax\n"
	  "mov %ebp, %edx\n"
	  "wrmsr\n"
	  "hlt\n"
	  "jmp 1b");

TEST_F(isolation, guest_msrs)
{
	static const uint32_t indices[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE,
		MSR_GS_BASE,
	};
	struct guest *g = &self->g;
	struct kvm_regs regs;
	size_t i;

	guest_start64(g, self->dev, msr_swap, msr_swap_end);
	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		vcpu_get_regs(&g->cpu, &regs);
		regs.rip = GUEST_CODE;
		regs.rdi = indices[i];
		regs.rsi = 0x3000 + i;
		regs.rbp = 0xffff8000;
		vcpu_set_regs(&g->cpu, &regs);
		ASSERT_EQ(1, vcpu_set_msr(&g->cpu, indices[i],
					  0x00007abc00001000 + i));
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(0x1000 + i, regs.r8);
		EXPECT_EQ(0x7abc, regs.r9);
		EXPECT_EQ(0xffff800000003000 + i,
			  vcpu_msr(&g->cpu, indices[i]));
	}
	/* PAT has a form of its own. */
	vcpu_get_regs(&g->cpu, &regs);
	regs.rip = GUEST_CODE;
	regs.rdi = MSR_PAT;
	regs.rsi = 0x00070106;
	regs.rbp = 0x00070406;
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x00070406, regs.r8);
	EXPECT_EQ(0x00070406, regs.r9);
	EXPECT_EQ(0x0007040600070106, vcpu_msr(&g->cpu, MSR_PAT));
}

GUEST_ASM(spec_ctrl, 64,
	  "mov $0x48, %ecx\n"
	  "mov $1, %eax\n"
	  "xor %edx, %edx\n"
	  "wrmsr\n"
	  "hlt\n"
	  "xor %eax, %eax\n"
	  "rdmsr\n"
	  "hlt");

TEST_F(isolation, spec_ctrl)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;

	if (!(device_cpuid(self->dev, 0x80000008, 0, CPUID_EBX) & 1u << 14))
		SKIP(return, "no IBRS");
	guest_start64(g, self->dev, spec_ctrl, spec_ctrl_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(1, vcpu_msr(&g->cpu, MSR_SPEC_CTRL));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(1, regs.rax & 0xffffffff);
}

/* Debug registers by the guest: written, read back over exits, read by user. */
GUEST_ASM(debug_registers, 64,
	  "mov $0x123000, %eax\n"
	  "mov %rax, %dr0\n"
	  "mov $0x456000, %eax\n"
	  "mov %rax, %dr3\n"
	  "hlt\n"
	  "mov %dr0, %rsi\n"
	  "mov %dr3, %rdi\n"
	  "mov %dr7, %rbp\n"
	  "hlt");

TEST_F(isolation, debug_registers)
{
	struct guest *g = &self->g;
	struct kvm_debugregs d;
	struct kvm_regs regs;

	guest_start64(g, self->dev, debug_registers, debug_registers_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	xioctl(g->cpu.fd, KVM_GET_DEBUGREGS, &d);
	EXPECT_EQ(0x123000, d.db[0]);
	EXPECT_EQ(0x456000, d.db[3]);
	EXPECT_EQ(0x400, d.dr7);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x123000, regs.rsi);
	EXPECT_EQ(0x456000, regs.rdi);
	EXPECT_EQ(0x400, regs.rbp);
}

/* A breakpoint on an instruction: #DB before it runs, DR6 says which. */
GUEST_ASM(breakpoint, 64,
	  "lea 1f(%rip), %rax\n"
	  "mov %rax, %dr1\n"
	  "mov $0x40c, %eax\n"
	  "mov %rax, %dr7\n"
	  "lea 2f(%rip), %rax\n"
	  "mov %rax, 0x20048\n" /* the handler goes on behind it */
	  "xor %esi, %esi\n"
	  "1: mov $1, %esi\n"
	  "2: hlt");

TEST_F(isolation, breakpoint)
{
	struct guest *g = &self->g;
	struct idt_record *record;
	struct kvm_regs regs;

	guest_start64(g, self->dev, breakpoint, breakpoint_end);
	guest_set_idt(g, &g->cpu);
	record = guest_record(g);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(1, record->count);
	EXPECT_EQ(1, record->vector);
	EXPECT_EQ(2, record->dr6 & 0xf);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0, regs.rsi);
}

/* CR8 of the guest is in kvm_run at each exit; CPUID is what user space set. */
GUEST_ASM(cr8_and_cpuid, 64,
	  "mov $5, %eax\n"
	  "mov %rax, %cr8\n"
	  "mov $0x40000000, %eax\n"
	  "xor %ecx, %ecx\n"
	  "cpuid\n"
	  "hlt");

TEST_F(isolation, cr8_and_cpuid)
{
	struct guest *g = &self->g;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[2];
	} cpuid = {
		.head.nent = 2,
		.entries = {
			{ .function = 0, .eax = 0xd },
			{ .function = 0x40000000, .eax = 0x40000001,
			  .ebx = 0x61626364, .ecx = 0x65666768,
			  .edx = 0x696a6b6c },
		},
	};
	struct kvm_regs regs;

	guest_start64(g, self->dev, cr8_and_cpuid, cr8_and_cpuid_end);
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_CPUID2, &cpuid));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(5, g->cpu.run->cr8);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x40000001, regs.rax);
	EXPECT_EQ(0x61626364, regs.rbx);
	EXPECT_EQ(0x65666768, regs.rcx);
	EXPECT_EQ(0x696a6b6c, regs.rdx);
}

/* Time goes forward over exits, and starts near what the MSR says. */
GUEST_ASM(time_stamps, 64,
	  "rdtsc\n"
	  "shl $32, %rdx\n"
	  "or %rdx, %rax\n"
	  "mov %rax, %rsi\n"
	  "hlt\n"
	  "rdtsc\n"
	  "shl $32, %rdx\n"
	  "or %rdx, %rax\n"
	  "mov %rax, %rdi\n"
	  "hlt");

TEST_F(isolation, tsc)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;
	uint64_t first;

	guest_start64(g, self->dev, time_stamps, time_stamps_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	first = regs.rsi;
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_GT(regs.rdi, first);
	EXPECT_GE(vcpu_msr(&g->cpu, MSR_TSC), regs.rdi);

	ASSERT_EQ(1, vcpu_set_msr(&g->cpu, MSR_TSC, 1ull << 50));
	vcpu_set_rip(&g->cpu, GUEST_CODE);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_GE(regs.rsi, 1ull << 50);
	EXPECT_LT(regs.rsi, (1ull << 50) + (1ull << 44));
}

/* Adds up the first words of 64 pages, for ever. */
GUEST_ASM(sum_pages, 64,
	  "1: mov $0x40000, %ebx\n"
	  "xor %edi, %edi\n"
	  "2: add (%rbx), %rdi\n"
	  "add $0x1000, %ebx\n"
	  "cmp $0x80000, %ebx\n"
	  "jb 2b\n"
	  "hlt\n"
	  "jmp 1b");

static void start_sum(struct guest *g, int dev, uint64_t word)
{
	uint64_t gpa;

	guest_start64(g, dev, sum_pages, sum_pages_end);
	for (gpa = 0x40000; gpa < 0x80000; gpa += GUEST_PAGE)
		*(uint64_t *)(g->mem + gpa) = word;
}

static uint64_t run_sum(struct guest *g)
{
	struct kvm_regs regs;

	if (vcpu_run(&g->cpu) != KVM_EXIT_HLT)
		return 0;
	vcpu_get_regs(&g->cpu, &regs);
	return regs.rdi;
}

/* KVM's guest and xvm's take turns on a CPU, at the same addresses: each sees its own memory. */
TEST_F(isolation, guests_of_both_devices)
{
	bool xvm = device_is_xvm(self->dev);
	int dev = open(xvm ? "/dev/kvm" : "/dev/xvm", O_RDWR | O_CLOEXEC);
	struct guest other = {};
	int i;

	if (dev < 0)
		SKIP(return, "the other device is not there");
	pin_to_this_cpu();
	start_sum(&self->g, self->dev, 3);
	start_sum(&other, dev, 5);
	for (i = 0; i < 200; i++) {
		EXPECT_EQ(3 * 64, run_sum(&self->g));
		EXPECT_EQ(5 * 64, run_sum(&other));
	}
	guest_destroy(&other);
	close(dev);
}

/*
 * What a vCPU left in the TLB serves it again, unless a guest, be it KVM's, came between.
 * Breaks without scrub() in kvm_enters(): the vCPU doesn't learn of KVM's guest.
 */
TEST_F(isolation, tlb_is_flushed_for_others_only)
{
	struct guest other = {};
	uint64_t before;
	int i, dev;

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM doesn't tell");
	dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		SKIP(return, "no KVM to come between");
	pin_to_this_cpu();
	start_sum(&self->g, self->dev, 3);
	EXPECT_EQ(3 * 64, run_sum(&self->g));
	before = read_stat(self->g.cpu.fd, "asid_flush");
	for (i = 0; i < 100; i++)
		EXPECT_EQ(3 * 64, run_sum(&self->g));
	/* A guest of another program's may come between, seldom. */
	EXPECT_LT(read_stat(self->g.cpu.fd, "asid_flush") - before, 50);

	start_sum(&other, dev, 5);
	before = read_stat(self->g.cpu.fd, "asid_flush");
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(5 * 64, run_sum(&other));
		EXPECT_EQ(3 * 64, run_sum(&self->g));
	}
	EXPECT_GE(read_stat(self->g.cpu.fd, "asid_flush") - before, 100);
	guest_destroy(&other);
	close(dev);
}

/*
 * An entry that VMRUN refuses, for vector 31 is no exception, need not have
 * flushed: the next one asks again.  Breaks if enter.c takes it for a flush.
 */
TEST_F(isolation, refused_entry_flushes_again)
{
	struct kvm_vcpu_events events;
	uint64_t before;
	int i;

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM doesn't tell");
	pin_to_this_cpu();
	start_sum(&self->g, self->dev, 3);
	EXPECT_EQ(3 * 64, run_sum(&self->g));
	xioctl(self->g.cpu.fd, KVM_GET_VCPU_EVENTS, &events);
	before = read_stat(self->g.cpu.fd, "tlb_flush");
	for (i = 1; i <= 20; i++) {
		events.exception.injected = 1;
		events.exception.nr = 31;
		xioctl(self->g.cpu.fd, KVM_SET_VCPU_EVENTS, &events);
		ASSERT_EQ(KVM_EXIT_FAIL_ENTRY, vcpu_run(&self->g.cpu));
	}
	/* The first need not have had to; each of the others follows a refused one. */
	EXPECT_GE(read_stat(self->g.cpu.fd, "tlb_flush") - before, 19);
}

TEST_HARNESS_MAIN
