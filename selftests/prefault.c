// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: what it refuses, how far it says it came, and that the
 * guest then finds mapped what was asked for, and nothing else.
 *
 * What maps something breaks, on the kernel `debug`, without read_lock() in
 * mapped_level(), whose walk might be of a freed table: xvm_pgt() asks lockdep.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>

#include "pass.h"
#include "stats.h"
#include "test.h"

#define MIB2 (2ul << 20)
#define FAR_GPA 0x1000000ul
#define PAGES 64ul
#define SIZE (PAGES * GUEST_PAGE)

FIXTURE(prefault) {
	int dev;
	struct guest g;
};

FIXTURE_VARIANT(prefault) {
	const char *path;
};

FIXTURE_VARIANT_ADD(prefault, kvm) {
	.path = "/dev/kvm",
};

FIXTURE_VARIANT_ADD(prefault, xvm) {
	.path = XVM_DEVICE_PATH,
};

FIXTURE_SETUP(prefault)
{
	self->g.vm = -1;
	self->dev = open(variant->path, O_RDWR | O_CLOEXEC);
	if (self->dev < 0)
		SKIP(return, "cannot open %s", variant->path);
	if (ioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <= 0) {
		ASSERT_FALSE(device_is_xvm(self->dev) && device_has_npt(self->dev));
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	}
}

FIXTURE_TEARDOWN(prefault)
{
	(void)variant;
	guest_destroy(&self->g);
	close(self->dev);
}

static uint8_t *small_pages(size_t size)
{
	uint8_t *mem = mem_alloc(size);

	madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

/* One call; what it left is in range. */
static long pre_fault(int vcpu, struct kvm_pre_fault_memory *range, uint64_t gpa,
		      uint64_t size)
{
	memset(range, 0, sizeof(*range));
	range->gpa = gpa;
	range->size = size;
	return kioctl(vcpu, KVM_PRE_FAULT_MEMORY, range);
}

static uint64_t leaves(struct guest *g, const char *size)
{
	return read_stat(g->vm, size);
}

static uint64_t fixed(struct guest *g)
{
	return read_stat(g->cpu.fd, "pf_fixed");
}

TEST_F(prefault, refuses)
{
	struct kvm_pre_fault_memory range;
	int cpu;

	pass_start(&self->g, self->dev);
	cpu = self->g.cpu.fd;
	EXPECT_EQ(-EINVAL, pre_fault(cpu, &range, 0, 0));
	EXPECT_EQ(-EINVAL, pre_fault(cpu, &range, 1, GUEST_PAGE));
	EXPECT_EQ(-EINVAL, pre_fault(cpu, &range, 0, GUEST_PAGE + 1));
	EXPECT_EQ(-EINVAL, pre_fault(cpu, &range, -GUEST_PAGE, GUEST_PAGE));
	EXPECT_EQ(-EINVAL, pre_fault(cpu, &range, GUEST_PAGE, -GUEST_PAGE));
	EXPECT_EQ(GUEST_PAGE, range.gpa);
	EXPECT_EQ(-GUEST_PAGE, range.size);

	/* Where no slot is, up to the end of the address space. */
	EXPECT_EQ(-ENOENT, pre_fault(cpu, &range, FAR_GPA, GUEST_PAGE));
	EXPECT_EQ(-ENOENT, pre_fault(cpu, &range, 1ul << 62, GUEST_PAGE));
	EXPECT_EQ(-ENOENT, pre_fault(cpu, &range, -2 * GUEST_PAGE, GUEST_PAGE));
	EXPECT_EQ(-2 * GUEST_PAGE, range.gpa);
	EXPECT_EQ(GUEST_PAGE, range.size);

	memset(&range, 0, sizeof(range));
	range.size = GUEST_PAGE;
	range.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(cpu, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(-EFAULT, kioctl(cpu, KVM_PRE_FAULT_MEMORY, NULL));
	EXPECT_EQ(0, leaves(&self->g, "pages_4k"));
}

/* It stops at the end of a slot, and says why when it is called there again. */
TEST_F(prefault, end_of_slot)
{
	struct kvm_pre_fault_memory range;
	uint8_t *mem = small_pages(SIZE);

	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	EXPECT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA + 2 * GUEST_PAGE,
			       2 * SIZE));
	EXPECT_EQ(FAR_GPA + SIZE, range.gpa);
	EXPECT_EQ(SIZE + 2 * GUEST_PAGE, range.size);
	EXPECT_EQ(-ENOENT, kioctl(self->g.cpu.fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(FAR_GPA + SIZE, range.gpa);
	EXPECT_EQ(PAGES - 2, leaves(&self->g, "pages_4k"));

	/* Where one slot follows another nothing stops. */
	guest_add_slot(&self->g, 2, KVM_MEM_READONLY, FAR_GPA + SIZE, SIZE,
		       small_pages(SIZE));
	EXPECT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, 2 * SIZE));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(2 * PAGES, leaves(&self->g, "pages_4k"));
}

TEST_F(prefault, no_host_page)
{
	struct kvm_pre_fault_memory range;
	uint8_t *mem = small_pages(SIZE);

	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	ASSERT_EQ(0, munmap(mem + 10 * GUEST_PAGE, GUEST_PAGE));
	EXPECT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, SIZE));
	EXPECT_EQ(FAR_GPA + 10 * GUEST_PAGE, range.gpa);
	EXPECT_EQ(-EFAULT, kioctl(self->g.cpu.fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(SIZE - 10 * GUEST_PAGE, range.size);
}

/* What is mapped ahead costs the guest no fault; the memory is as it was. */
TEST_F(prefault, saves_faults)
{
	struct kvm_pre_fault_memory range;
	uint64_t before, wrong, i;
	uint8_t *mem = small_pages(SIZE);

	for (i = 0; i < PAGES; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = 500 + i;
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	/* The guest's own pages come first. */
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, 1, 500, false, &wrong));
	ASSERT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, SIZE));
	before = fixed(&self->g);
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, PAGES, 500, false, &wrong));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(before, fixed(&self->g));
	/* Again: nothing to do. */
	ASSERT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, SIZE));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(before, fixed(&self->g));

	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, PAGES, 900, true, &wrong));
	EXPECT_EQ(0, wrong);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(900 + i, *(uint64_t *)(mem + i * GUEST_PAGE));
}

/* Memory that nobody has touched is mapped for reading, and stays untouched. */
TEST_F(prefault, fresh_memory)
{
	struct kvm_pre_fault_memory range;
	uint8_t *mem = small_pages(SIZE);
	uint64_t wrong, i;

	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, mem);
	ASSERT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, SIZE));
	EXPECT_EQ(PAGES, leaves(&self->g, "pages_4k"));
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, PAGES, 700, true, &wrong));
	EXPECT_EQ(0, wrong);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(700 + i, *(uint64_t *)(mem + i * GUEST_PAGE));
}

/* A large leaf counts from where the call began, not from where it starts. */
TEST_F(prefault, large_leaf)
{
	struct kvm_pre_fault_memory range;
	uint8_t *mem = mem_alloc(3 * MIB2);
	uint64_t small;

	mem += -(uintptr_t)mem & (MIB2 - 1);
	if (madvise(mem, 2 * MIB2, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	memset(mem, 1, 2 * MIB2);
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, 2 * MIB2, mem);
	small = leaves(&self->g, "pages_4k");
	EXPECT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA + 3 * GUEST_PAGE,
			       GUEST_PAGE));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(FAR_GPA + 4 * GUEST_PAGE, range.gpa);
	EXPECT_EQ(1, leaves(&self->g, "pages_2m"));
	EXPECT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA + GUEST_PAGE,
			       2 * MIB2));
	EXPECT_EQ(FAR_GPA + 2 * MIB2, range.gpa);
	EXPECT_EQ(GUEST_PAGE, range.size);
	EXPECT_EQ(2, leaves(&self->g, "pages_2m"));
	EXPECT_EQ(small, leaves(&self->g, "pages_4k"));
}

/* Nothing is dirty that was not written.  KVM takes a read of a logged page for a write. */
TEST_F(prefault, dirty_log)
{
	struct kvm_pre_fault_memory range;
	uint64_t bits = 0, wrong;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, FAR_GPA, SIZE,
		       small_pages(SIZE));
	ASSERT_EQ(0, pre_fault(self->g.cpu.fd, &range, FAR_GPA, SIZE));
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_EQ(0, bits);
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, FAR_GPA + 5 * GUEST_PAGE, 2, 1,
					 true, &wrong));
	xioctl(self->g.vm, KVM_GET_DIRTY_LOG, &log);
	EXPECT_EQ(3ul << 5, bits);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void set_alarms(unsigned int us)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = us,
		.it_value.tv_usec = us,
	};
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	if (setitimer(ITIMER_REAL, &timer, NULL))
		die("setitimer: %m");
}

/* Call by call to the end, each going on where the last one stopped. */
TEST_F_TIMEOUT(prefault, signals, 60)
{
	const uint64_t pages = 8192, size = pages * GUEST_PAGE;
	int calls = 0, tries, progress;
	uint64_t before = 0;

	pass_start(&self->g, self->dev);
	/* Until a signal has come in the middle of one. */
	for (tries = 0; tries < 20 && calls < 2; tries++) {
		uint8_t *mem = small_pages(size);
		struct kvm_pre_fault_memory range = { .gpa = FAR_GPA, .size = size };

		guest_add_slot(&self->g, 1, 0, FAR_GPA, size, mem);
		set_alarms(2000);
		for (progress = 0; range.size; progress++) {
			uint64_t left = range.size;
			long ret = kioctl(self->g.cpu.fd, KVM_PRE_FAULT_MEMORY,
					  &range);

			if (ret) {
				ASSERT_EQ(-EINTR, ret);
			} else {
				ASSERT_LT(range.size, left);
			}
			ASSERT_EQ(FAR_GPA + size, range.gpa + range.size);
			calls += range.size && range.size < left;
		}
		set_alarms(0);
		EXPECT_EQ(pages, leaves(&self->g, "pages_4k") - before);
		guest_verify(&self->g);
		guest_add_slot(&self->g, 1, 0, 0, 0, NULL);
		munmap(mem, size);
	}
	EXPECT_GT(calls, 0);
}

#define THREADS 4

struct part {
	struct vcpu cpu;
	uint64_t gpa, size;
	pthread_t thread;
	long ret;
	atomic_bool *stop;
	bool moves;	/* the slot: it may be elsewhere just now */
};

/* Newer versions of KVM say EAGAIN of a slot that is going. */
static bool goes_on(const struct part *part, const struct kvm_pre_fault_memory *range)
{
	if (part->moves && (part->ret == -ENOENT || part->ret == -EAGAIN))
		return true;
	return !part->ret && (!range->size || part->moves);
}

static void *fault_part(void *arg)
{
	struct kvm_pre_fault_memory range;
	struct part *part = arg;

	do {
		part->ret = pre_fault(part->cpu.fd, &range, part->gpa, part->size);
	} while (goes_on(part, &range) && part->stop && !*part->stop);
	if (goes_on(part, &range))
		part->ret = 0;
	else if (!part->ret)
		part->ret = -EPROTO;
	return NULL;
}

static void start_parts(struct guest *g, struct part *parts, uint64_t size,
			atomic_bool *stop, bool moves)
{
	int i;

	for (i = 0; i < THREADS; i++) {
		parts[i].gpa = FAR_GPA + i * size;
		parts[i].size = size;
		parts[i].stop = stop;
		parts[i].moves = moves;
		vcpu_create(g, &parts[i].cpu, i + 1);
		if (pthread_create(&parts[i].thread, NULL, fault_part, &parts[i]))
			die("pthread_create");
	}
}

static int join_parts(struct part *parts)
{
	int i, failed = 0;

	for (i = 0; i < THREADS; i++) {
		pthread_join(parts[i].thread, NULL);
		failed += parts[i].ret != 0;
		vcpu_destroy(&parts[i].cpu);
	}
	return failed;
}

TEST_F_TIMEOUT(prefault, threads, 60)
{
	const uint64_t pages = 1024, size = pages * GUEST_PAGE;
	uint8_t *mem = small_pages(THREADS * size);
	struct part parts[THREADS];
	uint64_t wrong, i;

	for (i = 0; i < THREADS * pages; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = i;
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, THREADS * size, mem);
	start_parts(&self->g, parts, size, NULL, false);
	EXPECT_EQ(0, join_parts(parts));
	EXPECT_EQ(THREADS * pages, leaves(&self->g, "pages_4k"));
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, FAR_GPA, THREADS * pages, 0,
					 false, &wrong));
	EXPECT_EQ(0, wrong);
}

/*
 * All threads over the same memory, which the host discards meanwhile.  A fault
 * that installs its leaf without asking xvm_mmu_retry() is seen now and then.
 */
TEST_F_TIMEOUT(prefault, against_discard, 120)
{
	struct part parts[THREADS];
	atomic_bool stop = false;
	uint8_t *mem = small_pages(THREADS * SIZE);
	int i;

	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, THREADS * SIZE, mem);
	start_parts(&self->g, parts, SIZE, &stop, false);
	for (i = 0; i < 150; i++) {
		ASSERT_EQ(0, madvise(mem + i % 5 * SIZE / 2, THREADS * SIZE / 2,
				     MADV_DONTNEED));
		*(uint64_t *)(mem + i * 7 % (THREADS * PAGES) * GUEST_PAGE) = i;
		if (i % 50 == 0)
			guest_verify(&self->g);
	}
	stop = true;
	EXPECT_EQ(0, join_parts(parts));
}

/*
 * The slot moves to and fro meanwhile: neither waits for the other for ever, as
 * they do in KVM 6.12, whose call tries again and again in one read section of
 * the slots.  Breaks with that, and an update that thaws after it has waited.
 */
TEST_F_TIMEOUT(prefault, against_moves, 120)
{
	struct part parts[THREADS];
	atomic_bool stop = false;
	uint8_t *mem;
	int i;

	if (!device_is_xvm(self->dev))
		SKIP(return, "this kernel's KVM may wait for ever");
	mem = small_pages(THREADS * SIZE);
	pass_start(&self->g, self->dev);
	guest_add_slot(&self->g, 1, 0, FAR_GPA, THREADS * SIZE, mem);
	start_parts(&self->g, parts, SIZE, &stop, true);
	for (i = 1; i <= 100; i++) {
		guest_add_slot(&self->g, 1, 0, FAR_GPA + i % 2 * THREADS * SIZE,
			       THREADS * SIZE, mem);
		if (i % 25 == 0)
			guest_verify(&self->g);
		usleep(1000);
	}
	stop = true;
	EXPECT_EQ(0, join_parts(parts));
	EXPECT_PASS(FAR_GPA, THREADS * PAGES, 7, true);
}

TEST_HARNESS_MAIN
