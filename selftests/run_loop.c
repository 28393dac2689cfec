// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN: how it ends, and how to end it. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(run);

GUEST_ASM(spin, 64, "1: pause; jmp 1b");
GUEST_ASM(count, 64, "1: incq %rax; mov %rax, 0x40000; jmp 1b");
GUEST_ASM(halts, 64, "1: incq %rax; hlt; jmp 1b");
GUEST_ASM(out_twice, 64,
	  "mov $0x11, %al; out %al, $0x10\n"
	  "in $0x20, %al; out %al, $0x30\n"
	  "hlt");
GUEST_ASM(triple_fault, 64, "ud2");
GUEST_ASM(read_far, 64, "mov $0x1000000, %rbx; mov (%rbx), %rax; hlt");
GUEST_ASM(write_far, 64, "mov $0x1000000, %rbx; mov %rax, (%rbx); hlt");
GUEST_ASM(jump_far, 64, "mov $0x1000000, %rbx; jmp *%rbx");

#define FAR_GPA 0x1000000

static atomic_int signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void catch_signal(int sig)
{
	struct sigaction action = { .sa_handler = count_signal };

	sigaction(sig, &action, NULL);
}

struct kicker {
	pthread_t thread;
	pthread_t target;
	atomic_bool stop;
};

/* A single signal may come before KVM_RUN starts: send until told to stop. */
static void *kick(void *arg)
{
	const struct timespec delay = { .tv_nsec = 20 * 1000 * 1000 };
	struct kicker *k = arg;

	while (!k->stop) {
		nanosleep(&delay, NULL);
		pthread_kill(k->target, SIGUSR1);
	}
	return NULL;
}

static void kicker_start(struct kicker *k)
{
	catch_signal(SIGUSR1);
	k->target = pthread_self();
	k->stop = false;
	if (pthread_create(&k->thread, NULL, kick, k))
		die("pthread_create");
}

static void kicker_stop(struct kicker *k)
{
	k->stop = true;
	pthread_join(k->thread, NULL);
}

TEST_F(run, immediate_exit)
{
	struct guest *g = &self->g;
	int i;

	guest_start64(g, self->dev, spin, spin_end);
	g->cpu.run->immediate_exit = 1;
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
	/* The guest has not run. */
	EXPECT_EQ(GUEST_CODE, vcpu_rip(&g->cpu));
}

/* With immediate_exit a run completes what the guest began, and no more. */
TEST_F(run, immediate_exit_completes_io)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;

	guest_start64(g, self->dev, out_twice, out_twice_end);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	ASSERT_EQ(0x20, g->cpu.run->io.port);
	*((uint8_t *)g->cpu.run + g->cpu.run->io.data_offset) = 0x77;
	g->cpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(0x77, regs.rax & 0xff);
	EXPECT_EQ(GUEST_CODE + 6, regs.rip);
}

TEST_F(run, signal_ends_a_spinning_guest)
{
	struct guest *g = &self->g;
	struct kvm_regs before, after;
	struct kicker k;

	guest_start64(g, self->dev, count, count_end);
	kicker_start(&k);
	EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
	EXPECT_EQ(KVM_EXIT_INTR, g->cpu.run->exit_reason);
	vcpu_get_regs(&g->cpu, &before);
	/* On a busy machine a signal may come before the guest does. */
	do {
		EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
		vcpu_get_regs(&g->cpu, &after);
	} while (after.rax == before.rax && signals < 100);
	kicker_stop(&k);
	EXPECT_GE(atomic_load(&signals), 1);
	EXPECT_GT(after.rax, before.rax);
}

TEST_F(run, blocked_signal_does_not_count)
{
	struct guest *g = &self->g;
	sigset_t set;

	guest_start64(g, self->dev, halts, halts_end);
	catch_signal(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGUSR1);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(0, atomic_load(&signals));
}

struct signal_mask {
	struct kvm_signal_mask head;
	uint8_t sigset[8];
} __attribute__((packed));

/* KVM_SET_SIGNAL_MASK: blocked outside, let in while the guest runs. */
TEST_F(run, signal_mask)
{
	struct guest *g = &self->g;
	struct signal_mask mask = { .head.len = 8 };
	sigset_t set, pending;

	guest_start64(g, self->dev, spin, spin_end);
	catch_signal(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));

	mask.head.len = 4;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SIGNAL_MASK, &mask));
	mask.head.len = 8;
	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_SIGNAL_MASK, &mask));
	raise(SIGUSR1);
	EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
	EXPECT_EQ(KVM_EXIT_INTR, g->cpu.run->exit_reason);
	/* It is still pending: KVM_RUN restored the mask before delivery. */
	EXPECT_EQ(0, atomic_load(&signals));
	ASSERT_EQ(0, sigpending(&pending));
	EXPECT_TRUE(sigismember(&pending, SIGUSR1));

	ASSERT_EQ(0, kioctl(g->cpu.fd, KVM_SET_SIGNAL_MASK, NULL));
	g->cpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run(&g->cpu));
	EXPECT_EQ(0, atomic_load(&signals));
}

TEST_F(run, hlt_without_irqchip_exits)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;
	int i;

	guest_start64(g, self->dev, halts, halts_end);
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(i, regs.rax);
		/* rip is behind the instruction. */
		EXPECT_EQ(GUEST_CODE + 4, regs.rip);
	}
}

/* With an irqchip HLT waits in the kernel; a signal ends the wait. */
TEST_F(run, hlt_with_irqchip_waits)
{
	struct guest *g = &self->g;
	struct kvm_mp_state state;
	struct kvm_regs regs;
	struct kicker k;
	int i;

	guest_create_bare(g, self->dev);
	ASSERT_EQ(0, kioctl(g->vm, KVM_CREATE_IRQCHIP, 0ul));
	EXPECT_EQ(-EEXIST, kioctl(g->vm, KVM_CREATE_IRQCHIP, 0ul));
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	vcpu_create(g, &g->cpu, 0);
	guest_load(g, halts, halts_end);
	guest_long_mode(g, &g->cpu, GUEST_CODE);

	kicker_start(&k);
	for (i = 0; i < 3; i++) {
		/* On a busy machine the first signals may come before it halts. */
		do {
			ASSERT_EQ(-EINTR, vcpu_run(&g->cpu));
			xioctl(g->cpu.fd, KVM_GET_MP_STATE, &state);
		} while (!i && state.mp_state != KVM_MP_STATE_HALTED && signals < 1000);
		vcpu_get_regs(&g->cpu, &regs);
		EXPECT_EQ(1, regs.rax);
		EXPECT_EQ(KVM_MP_STATE_HALTED, state.mp_state);
	}
	kicker_stop(&k);
	EXPECT_GE(atomic_load(&signals), 3);

	/* Made runnable it goes on behind the HLT, to the next one. */
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	xioctl(g->cpu.fd, KVM_SET_MP_STATE, &state);
	kicker_start(&k);
	do {
		ASSERT_EQ(-EINTR, vcpu_run(&g->cpu));
		xioctl(g->cpu.fd, KVM_GET_MP_STATE, &state);
	} while (state.mp_state != KVM_MP_STATE_HALTED && signals < 1000);
	kicker_stop(&k);
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(2, regs.rax);
}

TEST_F(run, irqchip_after_a_vcpu_is_refused)
{
	guest_create(&self->g, self->dev, GUEST_SIZE);
	EXPECT_EQ(-EINVAL, kioctl(self->g.vm, KVM_CREATE_IRQCHIP, 0ul));
}

TEST_F(run, triple_fault_is_shutdown)
{
	struct guest *g = &self->g;

	guest_start64(g, self->dev, triple_fault, triple_fault_end);
	ASSERT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(&g->cpu));
}

/* A page that the host does not have: EFAULT, and the guest has not moved. */
static void check_efault(struct __test_metadata *_metadata, struct guest *g,
			 uint64_t rip)
{
	struct xvm_memory_fault *fault = XVM_MEMORY_FAULT(g->cpu.run);
	uint8_t *hole = mem_alloc(GUEST_PAGE);
	int i;

	ASSERT_EQ(0, munmap(hole, GUEST_PAGE));
	guest_add_slot(g, 1, 0, FAR_GPA, GUEST_PAGE, hole);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(-EFAULT, vcpu_run(&g->cpu));
		/* Stock KVM fills this in for some faults, xvm for all. */
		if (device_is_xvm(g->dev)) {
			EXPECT_EQ(KVM_EXIT_MEMORY_FAULT,
				  g->cpu.run->exit_reason);
			EXPECT_EQ(FAR_GPA, fault->gpa);
			EXPECT_EQ(GUEST_PAGE, fault->size);
			EXPECT_EQ(0, fault->flags);
		}
		EXPECT_EQ(rip, vcpu_rip(&g->cpu));
	}

	/* With memory there the instruction runs. */
	ASSERT_EQ(hole, mmap(hole, GUEST_PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(hole, 0xf4, GUEST_PAGE); /* HLT, for the jump */
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_F(run, efault_on_read)
{
	guest_start64(&self->g, self->dev, read_far, read_far_end);
	check_efault(_metadata, &self->g, GUEST_CODE + 7);
}

TEST_F(run, efault_on_write)
{
	guest_start64(&self->g, self->dev, write_far, write_far_end);
	check_efault(_metadata, &self->g, GUEST_CODE + 7);
}

TEST_F(run, efault_on_fetch)
{
	guest_start64(&self->g, self->dev, jump_far, jump_far_end);
	check_efault(_metadata, &self->g, FAR_GPA);
}

/* A guest write to memory that the host may only read. */
TEST_F(run, efault_on_host_read_only)
{
	struct guest *g = &self->g;
	uint8_t *page = mem_alloc(GUEST_PAGE);

	guest_start64(g, self->dev, write_far, write_far_end);
	ASSERT_EQ(0, mprotect(page, GUEST_PAGE, PROT_READ));
	guest_add_slot(g, 1, 0, FAR_GPA, GUEST_PAGE, page);
	EXPECT_EQ(-EFAULT, vcpu_run(&g->cpu));
	EXPECT_EQ(GUEST_CODE + 7, vcpu_rip(&g->cpu));
	ASSERT_EQ(0, mprotect(page, GUEST_PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

/* Nothing there that could be an instruction. */
TEST_F(run, fetch_from_a_hole)
{
	struct guest *g = &self->g;
	struct kvm_run *run;

	guest_start64(g, self->dev, jump_far, jump_far_end);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vcpu_run(&g->cpu));
	run = g->cpu.run;
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
	EXPECT_EQ(FAR_GPA, vcpu_rip(&g->cpu));
}

struct runner {
	struct vcpu *vcpu;
	int ret;
};

static void *run_thread(void *arg)
{
	struct runner *r = arg;

	r->ret = vcpu_run(r->vcpu);
	return NULL;
}

/* One vCPU, each exit in another thread. */
TEST_F(run, changing_threads)
{
	struct guest *g = &self->g;
	struct runner r = { .vcpu = &g->cpu };
	struct kvm_regs regs;
	pthread_t thread;
	int i;

	guest_start64(g, self->dev, halts, halts_end);
	for (i = 1; i <= 20; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, &r));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(KVM_EXIT_HLT, r.ret);
		vcpu_get_regs(&g->cpu, &regs);
		ASSERT_EQ(i, regs.rax);
	}
}

/* A vCPU ioctl waits for the run to end; a signal frees the waiting one too. */
TEST_F(run, other_ioctls_wait)
{
	struct guest *g = &self->g;
	struct runner r = { .vcpu = &g->cpu };
	struct kvm_regs regs;
	pthread_t thread;

	guest_start64(g, self->dev, count, count_end);
	catch_signal(SIGUSR1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, &r));
	await_change((uint64_t *)(g->mem + GUEST_FREE));
	g->cpu.run->immediate_exit = 1;
	ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_GT(regs.rax, 0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EINTR, r.ret);
}

/* State set between an exit and its completion. */
TEST_F(run, registers_set_after_an_out)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;

	guest_start64(g, self->dev, out_twice, out_twice_end);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	/* rip moves on when the next run completes the instruction ... */
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);
	/* ... unless user space has moved it. */
	regs.rip = GUEST_CODE;
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&g->cpu));
	EXPECT_EQ(0x10, g->cpu.run->io.port);
	EXPECT_EQ(KVM_EXIT_IO_OUT, g->cpu.run->io.direction);
}

/* An invalid state is told apart from a guest that runs. */
TEST_F(run, invalid_state)
{
	struct guest *g = &self->g;
	struct kvm_sregs sregs, bad;

	guest_start64(g, self->dev, halts, halts_end);
	vcpu_get_sregs(&g->cpu, &sregs);

	bad = sregs;
	bad.cr0 &= ~(uint64_t)CR0_PE;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));
	bad = sregs;
	bad.cr4 &= ~(uint64_t)CR4_PAE;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));
	bad = sregs;
	bad.efer &= ~(uint64_t)EFER_LMA;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));
	bad = sregs;
	bad.cr3 |= 1ul << 60;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));
	bad = sregs;
	bad.cr4 |= CR4_VMXE;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));
	bad = sregs;
	bad.cr0 |= 1ul << 32;
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_SET_SREGS, &bad));

	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_HARNESS_MAIN
