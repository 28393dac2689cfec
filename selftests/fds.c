// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors: closed in any order, inherited, passed on, used by the wrong
 * process; and what can be mapped from them.
 */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runner.h"
#include "test.h"

DEVICE_FIXTURE(fds);

GUEST_ASM(halts, 64, "1: incq %rax; hlt; jmp 1b");
GUEST_ASM(spin, 64, "1: incq 0x40000; jmp 1b");

TEST_F(fds, run_without_the_vm_descriptor)
{
	struct guest *g = &self->g;
	int i;

	guest_start64(g, self->dev, halts, halts_end);
	close(g->vm);
	close(self->dev);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	/* Guest memory is still the process's own. */
	ASSERT_EQ(0, madvise(g->mem, g->mem_size, MADV_DONTNEED));
	vcpu_destroy(&g->cpu);
	munmap(g->mem, g->mem_size);
	g->vm = -1;
}

/* Breaks, on the kernel `debug`, without xvm_get() in xvm_create_vcpu(): the VM goes, too. */
TEST_F(fds, vcpu_descriptor_first)
{
	struct guest *g = &self->g;

	guest_start64(g, self->dev, halts, halts_end);
	vcpu_destroy(&g->cpu);
	/* The vCPU lives on with its VM: its id stays taken. */
	EXPECT_EQ(-EEXIST, kioctl(g->vm, KVM_CREATE_VCPU, 0ul));
	vcpu_create(g, &g->cpu, 1);
	guest_long_mode(g, &g->cpu, GUEST_CODE);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

TEST_F(fds, duplicates)
{
	struct guest *g = &self->g;
	int vm, cpu;

	guest_start64(g, self->dev, halts, halts_end);
	vm = fcntl(g->vm, F_DUPFD_CLOEXEC, 0);
	cpu = fcntl(g->cpu.fd, F_DUPFD_CLOEXEC, 0);
	ASSERT_GE(vm, 0);
	ASSERT_GE(cpu, 0);
	close(g->vm);
	close(g->cpu.fd);
	g->vm = vm;
	g->cpu.fd = cpu;
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(0, guest_slot(g, 1, 0, 16ul << 20, GUEST_PAGE, g->mem));
}

/* A VM belongs to its creator's address space, a child has another. */
TEST_F(fds, child_gets_eio)
{
	struct guest *g = &self->g;
	struct kvm_regs regs;
	int status;
	pid_t pid;

	guest_start64(g, self->dev, halts, halts_end);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		EXPECT_EQ(-EIO, vcpu_run(&g->cpu));
		EXPECT_EQ(-EIO, kioctl(g->cpu.fd, KVM_GET_REGS, &regs));
		EXPECT_EQ(-EIO, kioctl(g->cpu.fd, 0xdead, 0ul));
		EXPECT_EQ(-EIO, kioctl(g->vm, KVM_CREATE_VCPU, 1ul));
		EXPECT_EQ(-EIO, guest_slot(g, 1, 0, 1ul << 30, 4096, g->mem));
		EXPECT_EQ(-EIO, kioctl(g->vm, KVM_CHECK_EXTENSION,
				       KVM_CAP_NR_VCPUS));
		/* The device serves all; this VM is the child's own. */
		EXPECT_EQ(12, kioctl(self->dev, KVM_GET_API_VERSION, 0ul));
		guest_start64(g, self->dev, halts, halts_end);
		EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
}

/* The child outlives the parent's use of all descriptors. */
TEST_F(fds, child_holds_the_last_reference)
{
	struct guest *g = &self->g;
	int go[2], status;
	char byte = 0;
	pid_t pid;

	guest_start64(g, self->dev, halts, halts_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		EXPECT_EQ(1, read(go[0], &byte, 1));
		EXPECT_EQ(-EIO, vcpu_run(&g->cpu));
		_exit(0);
	}
	guest_destroy(g);
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static void send_fds(int socket, const int *fds, int nr)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	if (sendmsg(socket, &msg, 0) != 1)
		die("sendmsg: %m");
}

static void receive_fds(int socket, int *fds, int nr)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		die("recvmsg: %m");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), nr * sizeof(int));
}

/* The VM's address space is gone; its descriptors are not. */
TEST_F(fds, passed_on_by_a_dead_process)
{
	int sockets[2], fds[2], status;
	struct guest *g = &self->g;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		guest_start64(g, self->dev, halts, halts_end);
		EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
		fds[0] = g->vm;
		fds[1] = g->cpu.fd;
		send_fds(sockets[1], fds, 2);
		_exit(0);
	}
	receive_fds(sockets[0], fds, 2);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-EIO, kioctl(fds[1], KVM_RUN, 0ul));
	EXPECT_EQ(-EIO, kioctl(fds[0], KVM_CREATE_VCPU, 5ul));
	close(fds[0]);
	EXPECT_EQ(-EIO, kioctl(fds[1], KVM_RUN, 0ul));
	close(fds[1]);
}

TEST_F(fds, closed_during_a_run)
{
	struct guest *g = &self->g;
	const volatile uint64_t *count;
	struct runner r;
	int vm;

	guest_start64(g, self->dev, spin, spin_end);
	count = (uint64_t *)(g->mem + GUEST_FREE);
	runner_start(&r, &g->cpu, NULL, NULL);
	await_change(count);
	vm = g->vm;
	close(vm);
	await_change(count);
	EXPECT_FALSE(atomic_load(&r.ended));
	/* The run holds its own reference to the vCPU. */
	close(g->cpu.fd);
	await_change(count);
	EXPECT_FALSE(atomic_load(&r.ended));
	EXPECT_EQ(-EINTR, runner_stop(&r));
	g->vm = -1;
}

TEST_F(fds, run_page_unmapped_during_a_run)
{
	struct guest *g = &self->g;
	struct runner r;

	guest_start64(g, self->dev, spin, spin_end);
	runner_start(&r, &g->cpu, NULL, NULL);
	await_change((uint64_t *)(g->mem + GUEST_FREE));
	ASSERT_EQ(0, munmap(g->cpu.run, g->cpu.run_size));
	await_change((uint64_t *)(g->mem + GUEST_FREE));
	EXPECT_FALSE(atomic_load(&r.ended));
	g->cpu.run = mmap(NULL, g->cpu.run_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED, g->cpu.fd, 0);
	ASSERT_NE(MAP_FAILED, g->cpu.run);
	EXPECT_EQ(-EINTR, runner_stop(&r));
	EXPECT_EQ(KVM_EXIT_INTR, g->cpu.run->exit_reason);
}

/* Two mappings show one page, and the descriptor may go before the mapping. */
TEST_F(fds, run_page_mapped_twice)
{
	struct guest *g = &self->g;
	struct kvm_run *run;

	guest_start64(g, self->dev, halts, halts_end);
	run = mmap(NULL, g->cpu.run_size, PROT_READ, MAP_SHARED, g->cpu.fd, 0);
	ASSERT_NE(MAP_FAILED, run);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(KVM_EXIT_HLT, run->exit_reason);
	guest_destroy(g);
	EXPECT_EQ(KVM_EXIT_HLT, run->exit_reason);
	ASSERT_EQ(0, munmap(run, GUEST_PAGE));
}

static sigjmp_buf fault_env;

static void fault_handler(int sig)
{
	siglongjmp(fault_env, sig);
}

/* The signal that reading a byte raises, or 0. */
static int touch(const volatile uint8_t *p)
{
	int sig = sigsetjmp(fault_env, 1);

	if (sig)
		return sig;
	signal(SIGBUS, fault_handler);
	signal(SIGSEGV, fault_handler);
	(void)*p;
	return 0;
}

/* KVM maps any size at any offset; what is not there faults when touched. */
TEST_F(fds, mapping_beyond_the_end)
{
	struct guest *g = &self->g;
	size_t size;
	uint8_t *p;

	guest_create(g, self->dev, GUEST_SIZE);
	size = g->cpu.run_size;
	p = mmap(NULL, size + GUEST_PAGE, PROT_READ, MAP_SHARED, g->cpu.fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, touch(p));
	EXPECT_EQ(0, touch(p + GUEST_PAGE));
	EXPECT_EQ(SIGBUS, touch(p + size));
	p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_SHARED, g->cpu.fd, 1l << 40);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGBUS, touch(p));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, GUEST_PAGE, PROT_READ, MAP_SHARED,
				   g->vm, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(fds, vcpu_ids)
{
	struct guest *g = &self->g;
	long max;

	guest_create(g, self->dev, GUEST_SIZE);
	max = kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);
	ASSERT_GT(max, 0);
	EXPECT_EQ(-EEXIST, kioctl(g->vm, KVM_CREATE_VCPU, 0ul));
	EXPECT_LE(0, kioctl(g->vm, KVM_CREATE_VCPU, max - 1));
	EXPECT_EQ(-EEXIST, kioctl(g->vm, KVM_CREATE_VCPU, max - 1));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_CREATE_VCPU, max));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_CREATE_VCPU, 1ul << 31));
	EXPECT_EQ(-EINVAL, kioctl(g->vm, KVM_CREATE_VCPU, ~0ul));
	/* Older kernels take the lower half for the id. */
	if (device_is_recent(self->dev)) {
		EXPECT_EQ(-EINVAL,
			  kioctl(g->vm, KVM_CREATE_VCPU, 1ul << 32 | 7));
	}
}

TEST_F_TIMEOUT(fds, thousand_vcpus, 180)
{
	const struct rlimit limit = { 4096, 4096 };
	struct guest *g = &self->g;
	struct vcpu v;
	int i, fd;

	setrlimit(RLIMIT_NOFILE, &limit);
	guest_start64(g, self->dev, halts, halts_end);
	for (i = 1; i < 1024; i++) {
		fd = kioctl(g->vm, KVM_CREATE_VCPU, i);
		ASSERT_GE(fd, 0);
		if (i < 1023)
			close(fd);
	}
	/* The last one is as good as the first. */
	close(fd);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	guest_destroy(g);

	guest_create(g, self->dev, GUEST_SIZE);
	vcpu_create(g, &v, 1023);
	guest_load(g, halts, halts_end);
	guest_long_mode(g, &v, GUEST_CODE);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
}

static void check_stats(struct __test_metadata *_metadata, int fd)
{
	struct kvm_stats_header header;
	char id[64] = "";
	uint64_t value;

	ASSERT_EQ(sizeof(header), pread(fd, &header, sizeof(header), 0));
	EXPECT_EQ(0, header.flags);
	EXPECT_GT(header.num_desc, 0);
	EXPECT_LE(header.name_size, 256);
	EXPECT_GE(header.data_offset, header.desc_offset);
	EXPECT_LT(0, pread(fd, id, sizeof(id) - 1, header.id_offset));
	EXPECT_EQ(0, strncmp(id, "kvm-", 4)) {
		TH_LOG("id %s", id);
	}
	EXPECT_EQ(8, pread(fd, &value, 8, header.data_offset));
	/* At the end there is nothing. */
	EXPECT_EQ(0, pread(fd, &value, 8, 1 << 24));
	EXPECT_EQ(-1, pwrite(fd, &value, 8, 0));
}

TEST_F(fds, stats_outlive_the_vm)
{
	struct guest *g = &self->g;
	int vm, cpu;

	guest_start64(g, self->dev, halts, halts_end);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vm = kioctl(g->vm, KVM_GET_STATS_FD, 0ul);
	cpu = kioctl(g->cpu.fd, KVM_GET_STATS_FD, 0ul);
	ASSERT_GE(vm, 0);
	ASSERT_GE(cpu, 0);
	check_stats(_metadata, vm);
	check_stats(_metadata, cpu);
	guest_destroy(g);
	check_stats(_metadata, vm);
	check_stats(_metadata, cpu);
	close(vm);
	check_stats(_metadata, cpu);
	close(cpu);
}

/* A killed process takes its VMs with it, also out of a running guest. */
TEST_F(fds, killed_during_a_run)
{
	struct guest *g = &self->g;
	int i, status;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			guest_start64(g, self->dev, spin, spin_end);
			vcpu_run(&g->cpu);
			_exit(1);
		}
		usleep(100000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

TEST_F(fds, many_vms)
{
	const struct rlimit limit = { 4096, 4096 };
	struct guest guests[64];
	size_t i;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < ARRAY_SIZE(guests); i++)
		guest_start64(&guests[i], self->dev, halts, halts_end);
	for (i = 0; i < ARRAY_SIZE(guests); i++)
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&guests[i].cpu));
	for (i = 0; i < ARRAY_SIZE(guests); i += 2)
		guest_destroy(&guests[i]);
	for (i = 1; i < ARRAY_SIZE(guests); i += 2)
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&guests[i].cpu));
	for (i = 1; i < ARRAY_SIZE(guests); i += 2)
		guest_destroy(&guests[i]);
}

/* The module cannot go while somebody has a descriptor of it. */
TEST_F(fds, module_is_held)
{
	const char *module = device_is_xvm(self->dev) ? "xvm" : "kvm_amd";
	struct guest *g = &self->g;
	int ret;

	guest_start64(g, self->dev, halts, halts_end);
	close(self->dev);
	vcpu_destroy(&g->cpu);
	ret = syscall(SYS_delete_module, module, O_NONBLOCK);
	if (ret && (errno == ENOENT || errno == EPERM))
		SKIP(return, "%s is not a module that could be removed", module);
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(EWOULDBLOCK, errno);
}

TEST_HARNESS_MAIN
