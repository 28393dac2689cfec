// SPDX-License-Identifier: GPL-2.0-only
#include "ops.h"

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "failnth.h"
#include "x86.h"

#define ALL_OBJECTS (1 + NR_VMS + NR_VCPUS)

static __thread sigjmp_buf escape;
static __thread bool may_escape;

static void give_up(int sig)
{
	if (may_escape)
		siglongjmp(escape, 1);
	signal(sig, SIG_DFL);
}

static void no_op(int sig)
{
	(void)sig;
}

/* The library's way to say that a call has failed. */
void test_die(const char *file, int line, const char *fmt, ...)
{
	(void)file;
	(void)line;
	(void)fmt;
	if (may_escape)
		siglongjmp(escape, 1);
	_exit(1);
}

void fill(void *to, size_t size, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
	uint8_t *bytes = to;
	size_t i;

	for (i = 0; i < size; i++) {
		uint64_t r = next_random(&state) >> 32;

		bytes[i] = r & 3 ? 0 : r & 4 ? 0xff : r >> 8;
	}
}

/* A few bits and words of a structure become something else. */
static void spoil(void *what, size_t size, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
	unsigned int times = seed % 5;
	uint8_t *bytes = what;

	while (times--) {
		uint64_t r = next_random(&state);
		size_t at = (r >> 8) % size;

		switch (r & 3) {
		case 0:
			bytes[at] ^= 1 << (r >> 56 & 7);
			break;
		case 1:
			bytes[at] = r >> 56;
			break;
		default:
			at &= -8ul;
			if (at + 8 <= size)
				fill(bytes + at, 8, r);
		}
	}
}

/*
 * scripts/check-api looks for these, and object(), in each function here: the ioctls
 * that it names are tried on what they give.
 */
static int dev(struct thread *t, uint64_t i)
{
	(void)i;
	return t->arena->dev;
}

static int vm(struct thread *t, uint64_t i)
{
	return t->arena->vms[i % NR_VMS];
}

static int vcpu(struct thread *t, uint64_t i)
{
	return t->arena->vcpus[i % NR_VCPUS];
}

static int object(struct thread *t, uint64_t i)
{
	i %= ALL_OBJECTS;
	if (!i)
		return t->arena->dev;
	return i <= NR_VMS ? vm(t, i - 1) : vcpu(t, i - 1 - NR_VMS);
}

static void *page(uint64_t i)
{
	return (void *)(ARENA + i % ARENA_PAGES * GUEST_PAGE);
}

static void replace(_Atomic int *fd, int by)
{
	int old = atomic_exchange(fd, by);

	if (old >= 0)
		close(old);
}

static long do_vm(struct thread *t, const uint64_t *a)
{
	long fd = kioctl(dev(t, 0), KVM_CREATE_VM, a[1]);

	if (fd >= 0)
		replace(&t->arena->vms[a[0] % NR_VMS], fd);
	return fd;
}

static long do_close(struct thread *t, const uint64_t *a)
{
	uint64_t i = a[0] % (NR_VMS + NR_VCPUS);

	replace(i < NR_VMS ? &t->arena->vms[i] : &t->arena->vcpus[i - NR_VMS], -1);
	return 0;
}

static long do_vcpu(struct thread *t, const uint64_t *a)
{
	unsigned int i = a[0] % NR_VCPUS;
	long fd = kioctl(vm(t, a[1]), KVM_CREATE_VCPU, a[2]);
	struct kvm_cpuid2 *cpuid;
	void *run;

	if (fd < 0)
		return fd;
	run = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED) {
		close(fd);
		return -errno;
	}
	cpuid = calloc(1, 0x4000);
	cpuid->nent = 256;
	if (!ioctl(dev(t, 0), KVM_GET_SUPPORTED_CPUID, cpuid))
		ioctl(fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	/* What was there before stays mapped: somebody may be at it. */
	t->arena->runs[i] = run;
	replace(&t->arena->vcpus[i], fd);
	return fd;
}

static long set_slot(int vm, const uint64_t *a, unsigned long request)
{
	/* It begins as the other form. */
	struct kvm_userspace_memory_region2 region = {
		.slot = a[1],
		.flags = a[2],
		.guest_phys_addr = a[3],
		.memory_size = a[4],
		.userspace_addr = a[5],
	};

	return kioctl(vm, request, &region);
}

static long do_slot(struct thread *t, const uint64_t *a)
{
	return set_slot(vm(t, a[0]), a, KVM_SET_USER_MEMORY_REGION);
}

static long do_slot2(struct thread *t, const uint64_t *a)
{
	return set_slot(vm(t, a[0]), a, KVM_SET_USER_MEMORY_REGION2);
}

/* One more for the thread's next batch. */
static long do_change(struct thread *t, const uint64_t *a)
{
	struct xvm_memory_change *change;

	if (t->nr_changes == MAX_CHANGES)
		return -1;
	change = &t->changes[t->nr_changes++];
	*change = (struct xvm_memory_change){
		.op = a[4] ? XVM_MEMORY_SET : XVM_MEMORY_DELETE,
		.region.slot = a[0],
	};
	if (a[4]) {
		change->region.flags = a[1];
		change->region.guest_phys_addr = a[2];
		change->region.userspace_addr = a[3];
		change->region.memory_size = a[4];
	}
	change->op += a[5] >> 20;
	return t->nr_changes;
}

static long do_batch(struct thread *t, const uint64_t *a)
{
	struct xvm_memory_regions regions = {
		.nr = a[1] < MAX_CHANGES ? t->nr_changes : a[1],
		.flags = a[2] >> 20,
		.regions = a[3] & 15 ? (uintptr_t)t->changes : a[3],
	};

	t->nr_changes = 0;
	return kioctl(vm(t, a[0]), XVM_SET_USER_MEMORY_REGIONS, &regions);
}

static long do_get_log(struct thread *t, const uint64_t *a)
{
	struct kvm_dirty_log log = { .slot = a[1], .dirty_bitmap = page(a[2]) };

	return kioctl(vm(t, a[0]), KVM_GET_DIRTY_LOG, &log);
}

static long do_clear_log(struct thread *t, const uint64_t *a)
{
	struct kvm_clear_dirty_log log = {
		.slot = a[1],
		.first_page = a[2] & 1 ? a[2] : a[2] << 6,
		.num_pages = a[3] & 1 ? a[3] : a[3] << 6,
		.dirty_bitmap = page(a[4]),
	};

	return kioctl(vm(t, a[0]), KVM_CLEAR_DIRTY_LOG, &log);
}

static long do_cap(struct thread *t, const uint64_t *a)
{
	struct kvm_enable_cap cap = { .cap = a[1], .flags = a[3] >> 8, .args = { a[2] } };

	ioctl(object(t, a[0]), KVM_CHECK_EXTENSION, a[1]);
	return kioctl(object(t, a[0]), KVM_ENABLE_CAP, &cap);
}

static long do_prefault(struct thread *t, const uint64_t *a)
{
	struct kvm_pre_fault_memory range = { .gpa = a[1], .size = a[2], .flags = a[3] >> 8 };

	return kioctl(vcpu(t, a[0]), KVM_PRE_FAULT_MEMORY, &range);
}

static long do_verify(struct thread *t, const uint64_t *a)
{
	struct xvm_verify verify = {};
	long ret = kioctl(vm(t, a[0]), XVM_VERIFY, &verify);

	if (!ret && verify.violations) {
		fprintf(stderr, "violated: %s\n", verify.message);
		_exit(EXIT_VIOLATED);
	}
	return ret;
}

static long do_stats(struct thread *t, const uint64_t *a)
{
	int fd = ioctl(object(t, a[0]), KVM_GET_STATS_FD, 0ul);
	char buf[4096];
	long ret = -1;

	if (fd >= 0) {
		ret = pread(fd, buf, a[2] % sizeof(buf), a[1]);
		close(fd);
	}
	return ret;
}

/* A file of some VM's, which may be on its way out. */
static long do_debugfs(struct thread *t, const uint64_t *a)
{
	static const char *const files[] = {
		"pages_4k", "exits", "memslot_updates", "mmu_rmaps_stat", "slots", "map", "verify",
	};
	char path[512], buf[1024];
	DIR *dir = opendir("/sys/kernel/debug/xvm");
	struct dirent *entry;
	long ret = -1;
	int fd;

	(void)t;
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/xvm/%s/%s", entry->d_name,
			 files[a[0] % (sizeof(files) / sizeof(files[0]))]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ret = read(fd, buf, sizeof(buf));
		close(fd);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* Calls that take a number, or nothing. */
static long do_simple(struct thread *t, const uint64_t *a)
{
	static const struct {
		unsigned long request;
		int (*on)(struct thread *t, uint64_t i);
	} calls[] = {
		{ KVM_CREATE_IRQCHIP, vm }, { KVM_SET_TSS_ADDR, vm }, { KVM_SET_BOOT_CPU_ID, vm },
		{ KVM_SET_NR_MMU_PAGES, vm }, { KVM_GET_NR_MMU_PAGES, vm }, { KVM_SET_TSC_KHZ, vm },
		{ KVM_GET_TSC_KHZ, vm }, { KVM_SET_TSC_KHZ, vcpu }, { KVM_GET_TSC_KHZ, vcpu },
		{ KVM_RESET_DIRTY_RINGS, vm }, { KVM_NMI, vcpu }, { KVM_SMI, vcpu },
		{ KVM_KVMCLOCK_CTRL, vcpu },
		{ KVM_GET_API_VERSION, dev }, { KVM_GET_VCPU_MMAP_SIZE, dev },
	};
	unsigned int i = a[0] % (sizeof(calls) / sizeof(calls[0]));

	return kioctl(calls[i].on(t, a[1]), calls[i].request, a[2]);
}

static long do_irqchip(struct thread *t, const uint64_t *a)
{
	return kioctl(vm(t, a[0]), KVM_CREATE_IRQCHIP, 0ul);
}

static long do_identity(struct thread *t, const uint64_t *a)
{
	uint64_t gpa = a[1];

	return kioctl(vm(t, a[0]), KVM_SET_IDENTITY_MAP_ADDR, &gpa);
}

static void hold_mode(struct thread *t, uint64_t vcpu)
{
	t->holds = &t->arena->modes[vcpu % NR_VCPUS];
	pthread_mutex_lock(t->holds);
}

/* What a call got, with changes, to the call that sets it. */
static long do_state(struct thread *t, const uint64_t *a)
{
	static const struct {
		unsigned long get, set;
		size_t size;
	} calls[] = {
		{ KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) },
		{ KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) },
		{ KVM_GET_SREGS2, KVM_SET_SREGS2, sizeof(struct kvm_sregs2) },
		{ KVM_GET_FPU, KVM_SET_FPU, sizeof(struct kvm_fpu) },
		{ KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
		{ KVM_GET_XSAVE2, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
		{ KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) },
		{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs) },
		{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events) },
		{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) },
		{ KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
		{ KVM_GET_CPUID2, KVM_SET_CPUID2, 256 * sizeof(struct kvm_cpuid_entry2) },
	};
	unsigned int i = a[1] % (sizeof(calls) / sizeof(calls[0]));
	uint64_t buf[2048] = { calls[i].get == KVM_GET_CPUID2 ? 256 : 0 };
	size_t size = calls[i].size;

	if (ioctl(vcpu(t, a[0]), calls[i].get, buf))
		return -errno;
	/* Where the legacy state and the header of XSAVE are, most things happen. */
	if (calls[i].set == KVM_SET_XSAVE && a[2] & 1)
		size = 1024;
	spoil(buf, size, a[2]);
	if (calls[i].set == KVM_SET_SREGS || calls[i].set == KVM_SET_SREGS2)
		hold_mode(t, a[0]);
	return kioctl(vcpu(t, a[0]), calls[i].set, buf);
}

static long do_msr(struct thread *t, const uint64_t *a)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[4];
	} msrs = { .head.nmsrs = a[3] > 8 ? a[3] : 1 };
	int i;

	for (i = 0; i < 4; i++) {
		msrs.entries[i].index = a[1] + i;
		msrs.entries[i].data = a[2];
	}
	ioctl(vcpu(t, a[0]), KVM_GET_MSRS, &msrs);
	msrs.entries[0].data = a[2];
	hold_mode(t, a[0]);
	return kioctl(vcpu(t, a[0]), KVM_SET_MSRS, &msrs);
}

static long do_device(struct thread *t, const uint64_t *a)
{
	static const unsigned long calls[] = {
		KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID, KVM_GET_MSR_INDEX_LIST,
		KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_GET_MSRS,
	};
	uint64_t buf[2048] = { a[1] & 1 ? a[1] : 200, a[2] };

	return kioctl(dev(t, 0), calls[a[0] % 5], buf);
}

static long do_interrupt(struct thread *t, const uint64_t *a)
{
	struct kvm_interrupt irq = { a[1] };

	return kioctl(vcpu(t, a[0]), KVM_INTERRUPT, &irq);
}

static long do_translate(struct thread *t, const uint64_t *a)
{
	struct kvm_translation tr = { .linear_address = a[1] };

	return kioctl(vcpu(t, a[0]), KVM_TRANSLATE, &tr);
}

static long do_sigmask(struct thread *t, const uint64_t *a)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = a[1] > 8 ? a[1] : 8 };

	fill(mask.set, 8, a[2]);
	return kioctl(vcpu(t, a[0]), KVM_SET_SIGNAL_MASK, a[1] & 1 ? NULL : &mask);
}

/* Any number at all, on anything. */
static long do_raw(struct thread *t, const uint64_t *a)
{
	uint64_t buf[1024];

	fill(buf, sizeof(buf), a[3]);
	return kioctl(object(t, a[0]), (a[1] & ~0xff00ul) | KVMIO << 8,
		      a[2] & 1 ? a[2] : (uintptr_t)buf);
}

static long do_guest(struct thread *t, const uint64_t *a)
{
	unsigned int i = a[0] % NR_VCPUS;
	struct guest g = { .mem = (uint8_t *)ARENA, .mem_size = GUEST_SIZE };
	struct vcpu v = { .fd = t->arena->vcpus[i], .run = t->arena->runs[i] };

	hold_mode(t, a[0]);
	guest_prepare(&g, &v, a[2], a[1], a[3], a[4]);
	return 0;
}

/*
 * QEMU loses the lab's CPU, with KVM as well, at a #VMEXIT while the guest has set
 * EFER.LME with neither paging nor CR4.PAE: such a vCPU gets CR4.PAE.
 */
static bool spare_emulator(int vcpu)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return false;
	if (!(sregs.efer & EFER_LME) || sregs.cr0 & CR0_PG || sregs.cr4 & CR4_PAE)
		return true;
	sregs.cr4 |= CR4_PAE;
	return !ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

/* Some milliseconds each, then a signal; exits are answered with the seed's bytes. */
static long do_run(struct thread *t, const uint64_t *a)
{
	const struct itimerspec soon = { { 0, 3000000 }, { 0, 3000000 } }, never = {};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = syscall(SYS_gettid),
	};
	struct kvm_run *run = t->arena->runs[a[0] % NR_VCPUS];
	unsigned int times = 1 + a[1] % 8;
	timer_t timer;
	long ret = -1;

	if (!run || timer_create(CLOCK_MONOTONIC, &event, &timer))
		return ret;
	timer_settime(timer, 0, &soon, NULL);
	hold_mode(t, a[0]);
	while (times-- && spare_emulator(vcpu(t, a[0]))) {
		ret = kioctl(vcpu(t, a[0]), KVM_RUN, 0ul);
		if (ret && ret != -EINTR && ret != -EFAULT && ret != -EAGAIN)
			break;
		if (!ret)
			ret = run->exit_reason;
		if (ret == KVM_EXIT_MMIO)
			fill(run->mmio.data, 8, a[2] + times);
		else if (ret == KVM_EXIT_IO)
			fill((uint8_t *)run + GUEST_PAGE, 64, a[2] + times);
	}
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
	return ret;
}

/* The pages that a vCPU shares, at any time. */
static long do_shared(struct thread *t, const uint64_t *a)
{
	uint8_t *run = (uint8_t *)t->arena->runs[a[0] % NR_VCPUS];
	size_t at = a[1] & 1 ? a[1] % (2 * GUEST_PAGE - 8) : a[1] % 256;

	if (!run)
		return -1;
	fill(run + at, 1 + a[2] % 8, a[2]);
	return at;
}

/* VMs have it before their first vCPU, or never. */
static long do_rings(struct thread *t, const uint64_t *a)
{
	struct kvm_enable_cap cap = {
		.cap = a[1] / 9 & 1 ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL : KVM_CAP_DIRTY_LOG_RING,
		.args = { GUEST_PAGE << a[1] % 9 },
	};

	return kioctl(vm(t, a[0]), KVM_ENABLE_CAP, &cap);
}

static long do_ring(struct thread *t, const uint64_t *a)
{
	unsigned int rounds = a[2] & HARVEST_PATROL ? 32 : 1;
	long ret;

	for (;;) {
		ret = harvest(vm(t, a[1]), vcpu(t, a[0]), a[2], a[3], a[4], a[5] + rounds);
		if (!--rounds)
			return ret;
		usleep(1000);
	}
}

static long do_map_vcpu(struct thread *t, const uint64_t *a)
{
	volatile uint8_t *at = mmap(NULL, GUEST_PAGE, a[2] & 7, a[3] & 1 ? MAP_PRIVATE : MAP_SHARED,
				    object(t, a[0]), a[1] << 12);
	long ret = -1;

	if (at == MAP_FAILED)
		return -errno;
	if (a[2] & 1)
		ret = *at;
	munmap((void *)at, GUEST_PAGE);
	return ret;
}

static long do_write(struct thread *t, const uint64_t *a)
{
	(void)t;
	fill(page(a[0]), a[1] % 256, a[2]);
	return 0;
}

static size_t bytes(const uint64_t *a)
{
	uint64_t first = a[0] % ARENA_PAGES, nr = a[1];

	return (nr < ARENA_PAGES - first ? nr : ARENA_PAGES - first) * GUEST_PAGE;
}

static long do_unmap(struct thread *t, const uint64_t *a)
{
	(void)t;
	return munmap(page(a[0]), bytes(a));
}

static long do_map(struct thread *t, const uint64_t *a)
{
	int flags = MAP_FIXED | (a[3] & 1 ? MAP_SHARED : MAP_PRIVATE) |
		    (a[3] & 2 ? MAP_POPULATE : 0);
	int file = a[3] & 4 ? t->arena->file : -1;

	return mmap(page(a[0]), bytes(a), a[2] & 7, flags | (file < 0 ? MAP_ANONYMOUS : 0), file,
		    a[0] % ARENA_PAGES * GUEST_PAGE) == MAP_FAILED ? -errno : 0;
}

static long do_protect(struct thread *t, const uint64_t *a)
{
	(void)t;
	return mprotect(page(a[0]), bytes(a), a[2] & 7);
}

static long do_advise(struct thread *t, const uint64_t *a)
{
	(void)t;
	return madvise(page(a[0]), bytes(a), a[2]);
}

static long do_remap(struct thread *t, const uint64_t *a)
{
	const uint64_t to[] = { a[2], a[1] };
	size_t size = bytes(a) < bytes(to) ? bytes(a) : bytes(to);

	(void)t;
	return mremap(page(a[0]), size, size, MREMAP_MAYMOVE | MREMAP_FIXED |
		      (a[3] & 1 ? MREMAP_DONTUNMAP : 0), page(a[2])) == MAP_FAILED ? -errno : 0;
}

static long do_truncate(struct thread *t, const uint64_t *a)
{
	uint64_t pages = a[0] % ARENA_PAGES;

	if (ftruncate(t->arena->file, pages * GUEST_PAGE))
		return -errno;
	return a[1] & 1 ? ftruncate(t->arena->file, ARENA_PAGES * GUEST_PAGE) : 0;
}

/* The child has the same memory, and descriptors that it may not use. */
static long do_fork(struct thread *t, const uint64_t *a)
{
	pid_t pid;

	/* The kernel reports a stack that it can't allocate, as if it were a fault. */
	if (t->fails)
		fail_disarm();
	pid = fork();
	if (!pid) {
		may_escape = false;
		ioctl(object(t, a[1]), KVM_CHECK_EXTENSION, 1ul);
		if (a[0] & 1)
			fill(page(a[2]), 8, a[2]);
		if (a[0] & 2)
			ioctl(vcpu(t, a[1]), KVM_RUN, 0ul);
		_exit(0);
	}
	return pid < 0 ? -errno : waitpid(pid, NULL, 0);
}

static long do_signal(struct thread *t, const uint64_t *a)
{
	/* A thread that has ended is still to be joined. */
	return pthread_kill(t->arena->threads[a[0] % MAX_THREADS], SIGUSR1);
}

static long do_yield(struct thread *t, const uint64_t *a)
{
	(void)t;
	return a[0] & 1 ? sched_yield() : usleep(a[0] & 0xfff);
}

static long do_fail(struct thread *t, const uint64_t *a)
{
	if (!t->can_fail)
		t->can_fail = fail_thread();
	if (!t->can_fail)
		return -ENOENT;
	t->fails = true;
	fail_arm(1 + a[0] % 64);
	return 0;
}

#define OP(name, weight, ...) { #name, { __VA_ARGS__ }, do_##name, weight }

const struct op ops[] = {
	OP(vm, 6, ARG_VM, ARG_SMALL),
	OP(vcpu, 8, ARG_VCPU, ARG_VM, ARG_SMALL),
	OP(close, 3, ARG_OBJECT),
	OP(slot, 24, ARG_VM, ARG_SLOT, ARG_FLAGS, ARG_GPA, ARG_SIZE, ARG_HVA),
	OP(slot2, 4, ARG_VM, ARG_SLOT, ARG_FLAGS, ARG_GPA, ARG_SIZE, ARG_HVA),
	OP(change, 24, ARG_SLOT, ARG_FLAGS, ARG_GPA, ARG_HVA, ARG_SIZE, ARG_SEED),
	OP(batch, 14, ARG_VM, ARG_SMALL, ARG_SEED, ARG_SEED),
	OP(get_log, 8, ARG_VM, ARG_SLOT, ARG_PAGE),
	OP(clear_log, 8, ARG_VM, ARG_SLOT, ARG_SMALL, ARG_SMALL, ARG_PAGE),
	OP(cap, 6, ARG_OBJECT, ARG_CAP, ARG_SMALL, ARG_SMALL),
	OP(prefault, 6, ARG_VCPU, ARG_GPA, ARG_SIZE, ARG_SMALL),
	OP(verify, 4, ARG_VM),
	OP(stats, 3, ARG_OBJECT, ARG_SMALL, ARG_ANY),
	OP(debugfs, 2, ARG_SMALL),
	OP(simple, 8, ARG_SMALL, ARG_OBJECT, ARG_ANY),
	OP(irqchip, 2, ARG_VM),
	OP(state, 20, ARG_VCPU, ARG_SMALL, ARG_SEED),
	OP(msr, 10, ARG_VCPU, ARG_MSR, ARG_ANY, ARG_SMALL),
	OP(device, 2, ARG_SMALL, ARG_ANY, ARG_MSR),
	OP(interrupt, 4, ARG_VCPU, ARG_SMALL),
	OP(translate, 3, ARG_VCPU, ARG_GPA),
	OP(sigmask, 2, ARG_VCPU, ARG_SMALL, ARG_SEED),
	OP(raw, 4, ARG_OBJECT, ARG_ANY, ARG_ANY, ARG_SEED),
	OP(guest, 24, ARG_VCPU, ARG_MODE, ARG_GUEST, ARG_GPA, ARG_SEED),
	OP(run, 40, ARG_VCPU, ARG_SMALL, ARG_SEED),
	OP(shared, 6, ARG_VCPU, ARG_ANY, ARG_SEED),
	OP(map_vcpu, 2, ARG_OBJECT, ARG_SMALL, ARG_PROT, ARG_SMALL),
	OP(write, 8, ARG_PAGE, ARG_SMALL, ARG_SEED),
	OP(unmap, 5, ARG_PAGE, ARG_PAGES),
	OP(map, 8, ARG_PAGE, ARG_PAGES, ARG_PROT, ARG_SMALL),
	OP(protect, 6, ARG_PAGE, ARG_PAGES, ARG_PROT),
	OP(advise, 12, ARG_PAGE, ARG_PAGES, ARG_ADVICE),
	OP(remap, 5, ARG_PAGE, ARG_PAGES, ARG_PAGE, ARG_SMALL),
	OP(truncate, 2, ARG_PAGE, ARG_SMALL),
	OP(fork, 2, ARG_SMALL, ARG_OBJECT, ARG_PAGE),
	OP(signal, 2, ARG_SMALL),
	OP(yield, 2, ARG_SMALL),
	OP(fail, 4, ARG_SEED),
	OP(rings, 3, ARG_VM, ARG_SMALL),
	OP(ring, 14, ARG_VCPU, ARG_VM, ARG_SMALL, ARG_SLOT, ARG_PAGE, ARG_SEED),
	OP(identity, 1, ARG_VM, ARG_GPA),
};

const unsigned int nr_ops = sizeof(ops) / sizeof(ops[0]);

long run_call(struct thread *t, const struct call *call)
{
	const bool fails = t->fails;
	volatile long ret = -EFAULT;

	if (!sigsetjmp(escape, 0)) {
		may_escape = true;
		ret = ops[call->op].run(t, call->args);
	}
	may_escape = false;
	if (t->holds) {
		pthread_mutex_unlock(t->holds);
		t->holds = NULL;
	}
	if (fails) {
		fail_disarm();
		t->fails = false;
	}
	return ret;
}

void arena_create(struct arena *arena, int dev)
{
	const struct sigaction fault = { .sa_handler = give_up, .sa_flags = SA_NODEFER };
	const struct sigaction nothing = { .sa_handler = no_op };
	const size_t size = REGION_PAGES * GUEST_PAGE;
	const int flags = MAP_FIXED | MAP_NORESERVE, rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	uint8_t *at = (uint8_t *)ARENA;
	int i;

	memset(arena, 0, sizeof(*arena));
	arena->dev = dev;
	for (i = 0; i < NR_VMS; i++)
		arena->vms[i] = -1;
	for (i = 0; i < NR_VCPUS; i++) {
		arena->vcpus[i] = -1;
		pthread_mutex_init(&arena->modes[i], NULL);
	}
	arena->file = memfd_create("arena", MFD_CLOEXEC);
	if (arena->file < 0 || ftruncate(arena->file, ARENA_PAGES * GUEST_PAGE) ||
	    mmap(at, 2 * size, rwx, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
	    mmap(at + 2 * size, size, rwx, flags | MAP_SHARED, arena->file, 0) == MAP_FAILED ||
	    mmap(at + 3 * size, size, rwx, flags | MAP_PRIVATE, arena->file, 0) == MAP_FAILED) {
		perror("arena");
		exit(2);
	}
	madvise(at, size, MADV_NOHUGEPAGE);
	madvise(at + size, size, MADV_HUGEPAGE);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &nothing, NULL);
}

bool arena_check(struct arena *arena)
{
	struct xvm_verify verify;
	int i, tries;

	for (i = 0; i < NR_VMS; i++) {
		for (tries = 0; tries < 10; tries++) {
			memset(&verify, 0, sizeof(verify));
			if (!ioctl(arena->vms[i], XVM_VERIFY, &verify) || errno != EAGAIN)
				break;
		}
		if (verify.violations) {
			fprintf(stderr, "violated: %s\n", verify.message);
			return false;
		}
	}
	return true;
}

void arena_close(struct arena *arena)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		replace(&arena->vcpus[i], -1);
	for (i = 0; i < NR_VMS; i++)
		replace(&arena->vms[i], -1);
}
