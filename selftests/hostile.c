// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bad input, from user space and from the guest: calls fail with an errno, runs
 * end with an exit or a signal, and a second VM does not notice.  The runner
 * fails the test if the kernel says anything about it.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "runner.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(hostile);

GUEST_ASM(halts, 64, "1: incq %rax; hlt; jmp 1b");

/* The same sequence each time: what fails once fails again. */
static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void rnd_fill(void *to, size_t len)
{
	uint8_t *p = to;

	while (len--)
		*p++ = rnd() >> 24;
}

/*
 * Random instructions.  Not among them: MOV from and to segment registers 6 and
 * 7, which do not exist and over which the translator of QEMU 10.0 falls.
 */
static void rnd_code(uint8_t *code, size_t len)
{
	size_t i;

	rnd_fill(code, len);
	for (i = 0; i + 1 < len; i++)
		if ((code[i] == 0x8c || code[i] == 0x8e) &&
		    (code[i + 1] & 0x30) == 0x30)
			code[i + 1] &= ~0x30;
}

static void no_op(int sig)
{
	(void)sig;
}

/* A signal every so often: whatever the guest does, the run ends. */
static void tick(long us)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = us,
		.it_value.tv_usec = us,
	};
	struct sigaction action = { .sa_handler = no_op };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Exits that mean: the guest may go on. */
static bool goes_on(int reason)
{
	return reason == KVM_EXIT_IO || reason == KVM_EXIT_MMIO ||
	       reason == KVM_EXIT_HLT || reason == KVM_EXIT_DEBUG;
}

/* Runs until the guest is stuck or time is up: the last exit. */
static int run_for_a_while(struct vcpu *v, int max_exits)
{
	int reason;

	do {
		reason = vcpu_run(v);
	} while (goes_on(reason) && --max_exits);
	return reason;
}

/* Reasons that user space is told how to understand. */
static bool understood(int reason)
{
	switch (reason) {
	case -EINTR:
	case -EFAULT:
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
	case KVM_EXIT_HLT:
	case KVM_EXIT_DEBUG:
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SYSTEM_EVENT:
		return true;
	}
	return false;
}

/* A guest in good order, to run between the others. */
struct witness {
	struct guest g;
	uint64_t rounds;
};

static void witness_start(struct witness *w, int dev)
{
	guest_start64(&w->g, dev, halts, halts_end);
	w->rounds = 0;
}

static void witness_check(struct __test_metadata *_metadata, struct witness *w)
{
	struct kvm_regs regs;
	int reason;

	do {
		reason = vcpu_run(&w->g.cpu);
	} while (reason == -EINTR);
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	vcpu_get_regs(&w->g.cpu, &regs);
	w->rounds++;
	ASSERT_EQ(w->rounds, regs.rax);
}

/* Each structure, at an address where there is none. */
TEST_F(hostile, bad_pointers)
{
	static const unsigned long of_device[] = {
		KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID,
		KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST,
		KVM_GET_MSRS,
	};
	static const unsigned long of_vm[] = {
		KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
		KVM_ENABLE_CAP,
	};
	static const unsigned long of_vcpu[] = {
		KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_SREGS2, KVM_SET_SREGS2, KVM_GET_FPU, KVM_SET_FPU,
		KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS,
		KVM_GET_MSRS, KVM_SET_MSRS, KVM_GET_DEBUGREGS,
		KVM_SET_DEBUGREGS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
		KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_SET_CPUID2,
		KVM_GET_CPUID2, KVM_TRANSLATE,
	};
	uint8_t *hole = mem_alloc(GUEST_PAGE);
	struct guest *g = &self->g;
	struct kvm_regs before, after;
	unsigned long pointers[4];
	size_t i, j;

	guest_start64(g, self->dev, halts, halts_end);
	ASSERT_EQ(0, munmap(hole, GUEST_PAGE));
	pointers[0] = 0;
	pointers[1] = (unsigned long)hole;
	pointers[2] = 0xffff888000000000;
	pointers[3] = 0x8000000000000000;
	vcpu_get_regs(&g->cpu, &before);
	for (j = 0; j < ARRAY_SIZE(pointers); j++) {
		for (i = 0; i < ARRAY_SIZE(of_device); i++) {
			EXPECT_EQ(-EFAULT,
				  kioctl(self->dev, of_device[i], pointers[j]))
				TH_LOG("device %#lx", of_device[i]);
		}
		for (i = 0; i < ARRAY_SIZE(of_vm); i++) {
			if (of_vm[i] == KVM_SET_USER_MEMORY_REGION2 &&
			    !device_is_recent(self->dev))
				continue;
			EXPECT_EQ(-EFAULT, kioctl(g->vm, of_vm[i], pointers[j]))
				TH_LOG("VM %#lx", of_vm[i]);
		}
		for (i = 0; i < ARRAY_SIZE(of_vcpu); i++) {
			EXPECT_EQ(-EFAULT,
				  kioctl(g->cpu.fd, of_vcpu[i], pointers[j]))
				TH_LOG("vCPU %#lx", of_vcpu[i]);
		}
	}
	vcpu_get_regs(&g->cpu, &after);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

/* Calls that would end or hang the test itself, or the machine. */
static bool left_out(unsigned int nr)
{
	switch (nr) {
	case _IOC_NR(KVM_SET_SIGNAL_MASK): /* could block the timer */
		return true;
	}
	return false;
}

static unsigned long rnd_argument(uint8_t *buffer, size_t len)
{
	switch (rnd() % 8) {
	case 0:
		return 0;
	case 1:
		return rnd();
	case 2:
		return 0xffff888000000000 + (rnd() & 0xfffff);
	case 3:
		return rnd() % 300;
	case 4:
		/* Close to the end of what is mapped. */
		return (unsigned long)buffer + len - rnd() % 64;
	default:
		return (unsigned long)buffer;
	}
}

/* Numbers of the size and direction that KVM's calls have, and others. */
static unsigned long rnd_request(void)
{
	static const unsigned long known[] = {
		KVM_CREATE_VM, KVM_CHECK_EXTENSION, KVM_CREATE_VCPU,
		KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
		KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR,
		KVM_SET_NR_MMU_PAGES, KVM_ENABLE_CAP, KVM_SET_BOOT_CPU_ID,
		KVM_RUN, KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_SREGS2,
		KVM_SET_FPU, KVM_SET_XSAVE, KVM_SET_XCRS, KVM_SET_MSRS,
		KVM_SET_DEBUGREGS, KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE,
		KVM_SET_CPUID2, KVM_SET_LAPIC, KVM_TRANSLATE,
		KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG, KVM_INTERRUPT, KVM_NMI,
		KVM_SMI, KVM_SET_GUEST_DEBUG, KVM_SET_TSC_KHZ,
		KVM_GET_STATS_FD, KVM_PRE_FAULT_MEMORY, KVM_KVMCLOCK_CTRL,
		KVM_CREATE_IRQCHIP, KVM_IOEVENTFD, KVM_IRQFD, KVM_IRQ_LINE,
		KVM_CREATE_DEVICE, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI,
		XVM_VERIFY, XVM_SET_USER_MEMORY_REGIONS,
	};

	if (rnd() % 4)
		return known[rnd() % ARRAY_SIZE(known)];
	return _IOC(rnd() % 4, rnd() % 8 ? KVMIO : rnd() % 256, rnd() % 256,
		    rnd() % 4096);
}

/* Descriptors that a call has made. */
static void close_new(int from)
{
	struct rlimit limit;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (fd = from; fd < from + 16 && fd < (int)limit.rlim_cur; fd++)
		close(fd);
}

TEST_F_TIMEOUT(hostile, random_calls, 180)
{
	uint8_t *buffer = mem_alloc(3 * GUEST_PAGE);
	const size_t len = 2 * GUEST_PAGE;
	struct guest *g = &self->g;
	struct witness witness;
	int round, i, first_free;

	ASSERT_EQ(0, munmap(buffer + len, GUEST_PAGE));
	witness_start(&witness, self->dev);
	tick(2000);
	for (round = 0; round < 40; round++) {
		guest_start64(g, self->dev, halts, halts_end);
		first_free = dup(0);
		close(first_free);
		for (i = 0; i < 300; i++) {
			const int fds[] = { self->dev, g->vm, g->cpu.fd };
			const unsigned long request = rnd_request();
			unsigned long arg = rnd_argument(buffer, len);
			int fd = fds[rnd() % 3];

			if (left_out(_IOC_NR(request)))
				continue;
			rnd_fill(buffer, 512);
			/* Half of the numbers in it are small. */
			if (rnd() % 2)
				memset(buffer + rnd() % 256, 0, 200);
			if (_IOC_NR(request) == _IOC_NR(KVM_RUN))
				arg = 0;
			ioctl(fd, request, arg);
			close_new(first_free);
		}
		witness_check(_metadata, &witness);
		guest_destroy(g);
	}
}

/* Registers of any value that KVM_SET_SREGS takes, and then KVM_RUN. */
TEST_F_TIMEOUT(hostile, random_state, 120)
{
	struct guest *g = &self->g;
	struct witness witness;
	struct kvm_sregs good, s;
	struct kvm_regs regs;
	int i, taken = 0;

	witness_start(&witness, self->dev);
	guest_start64(g, self->dev, halts, halts_end);
	vcpu_get_sregs(&g->cpu, &good);
	tick(5000);
	for (i = 0; i < 1000; i++) {
		struct kvm_segment *segments[] = { &s.cs, &s.ds, &s.es, &s.fs,
						   &s.gs, &s.ss, &s.tr,
						   &s.ldt };
		int reason;

		s = good;
		if (rnd() % 2)
			rnd_fill(segments[rnd() % 8], sizeof(s.cs));
		if (rnd() % 4 == 0)
			s.cr0 ^= 1ull << rnd() % 32;
		if (rnd() % 4 == 0)
			s.cr4 ^= 1ull << rnd() % 24;
		if (rnd() % 4 == 0)
			s.efer ^= 1ull << rnd() % 16;
		if (rnd() % 4 == 0)
			s.cr3 = rnd() >> rnd() % 64;
		if (rnd() % 8 == 0)
			rnd_fill(&s.gdt, sizeof(s.gdt));
		if (rnd() % 8 == 0)
			rnd_fill(&s.idt, sizeof(s.idt));
		if (kioctl(g->cpu.fd, KVM_SET_SREGS, &s))
			continue;
		taken++;
		rnd_fill(&regs, sizeof(regs));
		if (rnd() % 2)
			regs.rip = GUEST_CODE;
		vcpu_set_regs(&g->cpu, &regs);
		reason = run_for_a_while(&g->cpu, 10);
		EXPECT_TRUE(understood(reason)) {
			TH_LOG("exit %d: %s", reason, exit_name(reason));
		}
		if (i % 50 == 0)
			witness_check(_metadata, &witness);
	}
	EXPECT_GT(taken, 100);
}

enum mode { REAL, PROTECTED, LONG };

static void start_mode(struct guest *g, enum mode mode)
{
	/* What may have been left by the last one. */
	struct kvm_vcpu_events events = { 0 };

	kioctl(g->cpu.fd, KVM_SET_VCPU_EVENTS, &events);
	if (mode == LONG)
		guest_long_mode(g, &g->cpu, GUEST_CODE);
	else if (mode == PROTECTED)
		guest_protected_mode(g, &g->cpu, GUEST_CODE);
	else
		vcpu_real_mode(&g->cpu, 0);
}

static void run_random_code(struct __test_metadata *_metadata,
			    struct guest *g, int dev, enum mode mode,
			    int iterations)
{
	/* Each needs a VM of its own, which takes some kernels most of a second: a few will do. */
	time_t end = time(NULL) + 8;
	struct witness witness;
	struct kvm_regs regs;
	int i;

	witness_start(&witness, dev);
	tick(5000);
	for (i = 0; i < iterations && (i < 20 || time(NULL) < end); i++) {
		int reason;

		/* A vCPU may come to a state from which nothing leads back. */
		guest_create(g, dev, GUEST_SIZE);
		/* HLT wherever it jumps to, also by an exception. */
		memset(g->mem, 0xf4, GUEST_SIZE);
		rnd_code(g->mem + GUEST_CODE, 0x1000);
		start_mode(g, mode);
		vcpu_get_regs(&g->cpu, &regs);
		regs.rax = rnd();
		regs.rbx = rnd() % GUEST_SIZE;
		regs.rcx = rnd() % 100;
		regs.rdx = rnd();
		regs.rsi = rnd() % GUEST_SIZE;
		regs.rdi = rnd() % (2 * GUEST_SIZE);
		vcpu_set_regs(&g->cpu, &regs);
		reason = run_for_a_while(&g->cpu, 50);
		EXPECT_TRUE(understood(reason)) {
			TH_LOG("exit %d: %s", reason, exit_name(reason));
		}
		guest_destroy(g);
		if (i % 20 == 0)
			witness_check(_metadata, &witness);
	}
}

TEST_F_TIMEOUT(hostile, random_code_real, 400)
{
	run_random_code(_metadata, &self->g, self->dev, REAL, 300);
}

TEST_F_TIMEOUT(hostile, random_code_protected, 400)
{
	run_random_code(_metadata, &self->g, self->dev, PROTECTED, 300);
}

TEST_F_TIMEOUT(hostile, random_code_long, 400)
{
	run_random_code(_metadata, &self->g, self->dev, LONG, 300);
}

/* Instructions that act on MMIO, from all that begin with these bytes. */
TEST_F_TIMEOUT(hostile, random_mmio_instructions, 400)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e,
					    0x36, 0x3e, 0x64, 0x65, 0x48, 0x4c,
					    0x41, 0x0f, 0x0f, 0x0f };
	struct guest *g = &self->g;
	struct witness witness;
	struct kvm_regs regs;
	enum mode mode;
	int i, reason;

	witness_start(&witness, self->dev);
	guest_create(g, self->dev, GUEST_SIZE);
	tick(5000);
	for (i = 0; i < 3000; i++) {
		uint8_t *code = g->mem + GUEST_CODE;
		int n = rnd() % 4;

		/* In real mode the registers reach nothing but memory. */
		mode = rnd() % 2 ? LONG : PROTECTED;
		start_mode(g, mode);
		while (n--)
			*code++ = prefixes[rnd() % sizeof(prefixes)];
		rnd_code(code, 16);
		/* No memory at any of the registers. */
		rnd_fill(&regs, sizeof(regs));
		regs.rax = 0x10000000 + rnd() % 0x10000;
		regs.rbx = regs.rax;
		regs.rsi = regs.rax;
		regs.rdi = regs.rax;
		regs.rbp = regs.rax;
		regs.rcx = rnd() % 8;
		regs.rip = GUEST_CODE;
		regs.rsp = GUEST_STACK;
		regs.rflags = 2;
		vcpu_set_regs(&g->cpu, &regs);
		reason = run_for_a_while(&g->cpu, 10);
		EXPECT_TRUE(understood(reason)) {
			TH_LOG("exit %d: %s", reason, exit_name(reason));
		}
		if (i % 100 == 0)
			witness_check(_metadata, &witness);
	}
}

/* Reads at many addresses; tables, and where CR3 points, are noise. */
GUEST_ASM(wander, 64,
	  "1: mov (%rbx), %rax\n"
	  "add %rdi, %rbx\n"
	  "mov %rax, (%rbx)\n"
	  "loop 1b\n"
	  "hlt");

TEST_F_TIMEOUT(hostile, random_page_tables, 120)
{
	struct guest *g = &self->g;
	struct witness witness;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int i, j, reason;

	witness_start(&witness, self->dev);
	guest_create(g, self->dev, GUEST_SIZE);
	tick(5000);
	for (i = 0; i < 1000; i++) {
		uint64_t *tables;

		guest_load(g, wander, wander_end);
		guest_long_mode(g, &g->cpu, GUEST_CODE);
		tables = (uint64_t *)(g->mem + GUEST_TABLES);
		/* The code itself stays mapped: entry 0 of each level. */
		for (j = 1; j < 6 * 512; j++) {
			if (j % 512 == 0 || rnd() % 3)
				continue;
			tables[j] = rnd() >> rnd() % 40;
			if (rnd() % 2)
				tables[j] = (rnd() % GUEST_SIZE & ~0xfffull) |
					    (rnd() & 0xff) | PTE_P;
		}
		vcpu_get_sregs(&g->cpu, &sregs);
		if (rnd() % 8 == 0)
			sregs.cr3 = rnd() % (1ull << 36) & ~0xfffull;
		if (rnd() % 8 == 0)
			sregs.cr3 = rnd() % GUEST_SIZE & ~0xfffull;
		if (kioctl(g->cpu.fd, KVM_SET_SREGS, &sregs))
			continue;
		vcpu_get_regs(&g->cpu, &regs);
		regs.rbx = (int64_t)rnd() >> (16 + rnd() % 30);
		regs.rdi = rnd() % (1ull << 31);
		regs.rcx = 20;
		vcpu_set_regs(&g->cpu, &regs);
		reason = run_for_a_while(&g->cpu, 50);
		EXPECT_TRUE(understood(reason)) {
			TH_LOG("exit %d: %s", reason, exit_name(reason));
		}
		if (i % 50 == 0)
			witness_check(_metadata, &witness);
	}
}

/* Shutdown is no end: the same vCPU, set up anew, runs. */
TEST_F(hostile, life_after_shutdown)
{
	struct guest *g = &self->g;
	int i;

	guest_create(g, self->dev, GUEST_SIZE);
	for (i = 0; i < 100; i++) {
		memset(g->mem + GUEST_CODE, 0x0f, 16); /* #UD, no IDT */
		guest_long_mode(g, &g->cpu, GUEST_CODE);
		ASSERT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(&g->cpu));
		guest_load(g, halts, halts_end);
		guest_long_mode(g, &g->cpu, GUEST_CODE);
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	}
}

/* kvm_run is the user's to scribble on, also while the guest runs. */
GUEST_ASM(exits, 64,
	  "mov $0x10000000, %ebx\n"
	  "mov $0x10, %edx\n"
	  "mov $0x40000, %edi\n"
	  "1: out %al, %dx\n"
	  "in %dx, %eax\n"
	  "mov (%rbx), %rcx\n"
	  "mov %rcx, 8(%rbx)\n"
	  "mov $3, %ecx\n"
	  "mov $0x40000, %edi\n"
	  "rep insb\n"
	  "jmp 1b");

static void *scribble(void *arg)
{
	struct vcpu *v = arg;
	uint64_t x = 88172645463325252ull;
	volatile uint8_t *run = (uint8_t *)v->run;

	/* Not on immediate_exit, else nothing would run. */
	while (!v->run->padding1[5]) {
		size_t at;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = x % v->run_size;
		if (at > offsetof(struct kvm_run, padding1) + 5)
			run[at] = x >> 32;
	}
	return NULL;
}

TEST_F_TIMEOUT(hostile, scribbled_run_page, 60)
{
	struct guest *g = &self->g;
	struct witness witness;
	pthread_t thread;
	int i, ret;

	witness_start(&witness, self->dev);
	guest_start64(g, self->dev, exits, exits_end);
	tick(5000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &g->cpu));
	for (i = 0; i < 5000; i++) {
		/* The exit's reason may be scribbled on, and flags be bad. */
		ret = kioctl(g->cpu.fd, KVM_RUN, 0ul);
		EXPECT_TRUE(ret == 0 || ret == -EINTR || ret == -EINVAL) {
			TH_LOG("%s", strerror(-ret));
		}
	}
	g->cpu.run->padding1[5] = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	witness_check(_metadata, &witness);
}

TEST_HARNESS_MAIN
