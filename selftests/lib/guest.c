// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

/* Weak: a program that isn't a test goes on in its own way. */
void __attribute__((weak)) test_die(const char *file, int line, const char *fmt, ...)
{
	int saved_errno = errno;
	va_list ap;

	fprintf(stderr, "# %s:%d: ", file, line);
	errno = saved_errno;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	fflush(stderr);
	/* The harness sees the status; stdio of the parent is not ours. */
	_exit(KSFT_FAIL);
}

bool device_has_npt(int dev)
{
	const char *path = device_is_xvm(dev) ? "/sys/module/xvm/parameters/npt" :
						"/sys/module/kvm_amd/parameters/npt";
	char c = 'Y';
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = 'Y';
	close(fd);
	return c == 'Y' || c == '1';
}

void *mem_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes: %m", size);
	return p;
}

void guest_create_bare(struct guest *g, int dev)
{
	memset(g, 0, sizeof(*g));
	g->dev = dev;
	g->cpu.fd = -1;
	/* A signal may interrupt it. */
	do {
		g->vm = kioctl(dev, KVM_CREATE_VM, 0ul);
	} while (g->vm == -EINTR);
	if (g->vm < 0)
		die("KVM_CREATE_VM: %s", strerror(-g->vm));
}

void guest_create(struct guest *g, int dev, size_t mem_size)
{
	guest_create_bare(g, dev);
	g->mem = mem_alloc(mem_size);
	g->mem_size = mem_size;
	guest_add_slot(g, 0, 0, 0, mem_size, g->mem);
	vcpu_create(g, &g->cpu, 0);
}

/* The checker's answer: 0, or -errno. */
static int verify_vm(struct guest *g, struct xvm_verify *verify)
{
	sigset_t all, old;
	int ret, tries;

	/* A test's own signals must not end the walk. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (tries = 0; tries < 20; tries++) {
		ret = kioctl(g->vm, XVM_VERIFY, verify);
		if (ret != -EAGAIN)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void await_change(const volatile uint64_t *word)
{
	uint64_t first = *word;
	int tries;

	for (tries = 0; *word == first; tries++) {
		if (tries == 10000)
			die("the guest gets nowhere");
		usleep(1000);
	}
}

static void check_answer(int ret, const struct xvm_verify *verify)
{
	/* Stock KVM has no such call; a test may have closed the VM. */
	if (ret == -ENOTTY || ret == -EBADF)
		return;
	if (ret)
		die("XVM_VERIFY: %s", strerror(-ret));
	if (verify->violations)
		die("%llu violations: %s", verify->violations, verify->message);
}

void guest_verify(struct guest *g)
{
	struct xvm_verify verify;

	if (g->vm >= 0)
		check_answer(verify_vm(g, &verify), &verify);
}

void guest_destroy(struct guest *g)
{
	struct xvm_verify verify;
	int ret;

	if (g->vm < 0)
		return;
	ret = verify_vm(g, &verify);
	/* A child may only close what its parent made. */
	if (ret != -EIO)
		check_answer(ret, &verify);
	vcpu_destroy(&g->cpu);
	close(g->vm);
	if (g->mem)
		munmap(g->mem, g->mem_size);
	memset(g, 0, sizeof(*g));
	g->vm = -1;
	g->cpu.fd = -1;
}

int guest_slot(struct guest *g, uint32_t slot, uint32_t flags, uint64_t gpa,
	       uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return kioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

int guest_slot2(struct guest *g, uint32_t slot, uint32_t flags, uint64_t gpa,
		uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return kioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

void guest_add_slot(struct guest *g, uint32_t slot, uint32_t flags,
		    uint64_t gpa, uint64_t size, void *hva)
{
	int ret = guest_slot(g, slot, flags, gpa, size, hva);

	if (ret)
		die("slot %u at %#lx: %s", slot, (unsigned long)gpa,
		    strerror(-ret));
}

void guest_load(struct guest *g, const uint8_t *start, const uint8_t *end)
{
	if (GUEST_CODE + (end - start) > (ssize_t)g->mem_size)
		die("guest code does not fit");
	memcpy(g->mem + GUEST_CODE, start, end - start);
}

static struct kvm_cpuid2 *supported_cpuid(int dev)
{
	const int max = 256;
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	if (!cpuid)
		die("calloc: %m");
	cpuid->nent = max;
	xioctl(dev, KVM_GET_SUPPORTED_CPUID, cpuid);
	return cpuid;
}

uint32_t device_cpuid(int dev, uint32_t leaf, uint32_t index,
		      enum cpuid_reg reg)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(dev);
	uint32_t value = 0, i;

	for (i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function != leaf)
			continue;
		if ((e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) &&
		    e->index != index)
			continue;
		value = reg == 0 ? e->eax : reg == 1 ? e->ebx : reg == 2 ? e->ecx : e->edx;
		break;
	}
	free(cpuid);
	return value;
}

void vcpu_create_bare(struct guest *g, struct vcpu *v, unsigned long id)
{
	v->run_size = xioctl(g->dev, KVM_GET_VCPU_MMAP_SIZE, 0ul);
	v->fd = xioctl(g->vm, KVM_CREATE_VCPU, id);
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      v->fd, 0);
	if (v->run == MAP_FAILED)
		die("mmap of kvm_run: %m");
}

void vcpu_create(struct guest *g, struct vcpu *v, unsigned long id)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(g->dev);

	vcpu_create_bare(g, v, id);
	xioctl(v->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->fd < 0)
		return;
	munmap(v->run, v->run_size);
	close(v->fd);
	v->fd = -1;
}

int vcpu_run(struct vcpu *v)
{
	int ret = kioctl(v->fd, KVM_RUN, 0ul);

	return ret < 0 ? ret : (int)v->run->exit_reason;
}

const char *exit_name(int reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
		[KVM_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	};

	if (reason < 0)
		return strerror(-reason);
	if ((size_t)reason >= sizeof(names) / sizeof(names[0]) || !names[reason])
		return "other";
	return names[reason];
}
