// SPDX-License-Identifier: GPL-2.0-only
/* The end of a large VM: no CPU is its own meanwhile. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "guest.h"
#include "test.h"

DEVICE_FIXTURE(destroy);

/* A table of the lowest level for each page that is mapped; all slots have the same memory. */
#define FAR_GPA 0x100000000ul
#define STRIDE 0x200000ul
#define SLOT_TABLES 1024ul
#define SLOT_SIZE (SLOT_TABLES * STRIDE)
#define NR_SLOTS 32
#define ROUNDS 3
#define MAX_CPUS 64

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Wants its CPU each millisecond, before all others. */
struct watcher {
	pthread_t thread;
	atomic_bool ready, stop;
	atomic_ulong longest; /* us that it waited */
};

static void *watch(void *arg)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t last = now_us(), now;
	struct watcher *w = arg;

	while (!w->stop) {
		w->ready = true;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		now = now_us();
		if (now - last > w->longest)
			w->longest = now - last;
		last = now;
	}
	return NULL;
}

static bool watch_start(struct watcher *w, int cpu)
{
	const struct sched_param param = { .sched_priority = 10 };
	pthread_attr_t attr;
	cpu_set_t here;
	int err;

	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(here), &here);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	err = pthread_create(&w->thread, &attr, watch, w);
	pthread_attr_destroy(&attr);
	while (!err && !w->ready)
		usleep(1000);
	return !err;
}

/* How long it waited at most. */
static uint64_t watch_stop(struct watcher *w)
{
	w->stop = true;
	pthread_join(w->thread, NULL);
	return w->longest;
}

/* Maps a page in each 2 MiB. */
static void start(struct guest *g, int dev, uint8_t *mem)
{
	uint64_t i;

	guest_create(g, dev, GUEST_SIZE);
	for (i = 0; i < NR_SLOTS; i++)
		guest_add_slot(g, 1 + i, 0, FAR_GPA + i * SLOT_SIZE, SLOT_SIZE, mem);
	for (i = 0; i < NR_SLOTS * SLOT_TABLES; i++) {
		struct kvm_pre_fault_memory range = {
			.gpa = FAR_GPA + i * STRIDE, .size = GUEST_PAGE,
		};

		xioctl(g->cpu.fd, KVM_PRE_FAULT_MEMORY, &range);
	}
}

/*
 * One that has the CPU for itself lets nobody on it until it is done.  Breaks if
 * free_table() doesn't call cond_resched(), on a kernel that doesn't preempt itself.
 */
TEST_F_TIMEOUT(destroy, gives_way, 300)
{
	uint64_t begin, total, longest, least = 100;
	int round, cpu, nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint8_t *mem;

	if (geteuid())
		SKIP(return, "only root gets real-time priority");
	if (kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <= 0)
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	mem = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, SLOT_SIZE, MADV_NOHUGEPAGE);
	/* What else the machine does may hold it up once. */
	for (round = 0; round < ROUNDS; round++) {
		struct watcher watchers[MAX_CPUS] = {};

		ASSERT_GE(MAX_CPUS, nr_cpus);
		start(&self->g, self->dev, mem);
		guest_verify(&self->g);
		vcpu_destroy(&self->g.cpu);
		for (cpu = 0; cpu < nr_cpus; cpu++)
			ASSERT_TRUE(watch_start(&watchers[cpu], cpu));
		for (cpu = 0; cpu < nr_cpus; cpu++)
			watchers[cpu].longest = 0;
		begin = now_us();
		close(self->g.vm);
		total = now_us() - begin;
		longest = 0;
		for (cpu = 0; cpu < nr_cpus; cpu++) {
			uint64_t waited = watch_stop(&watchers[cpu]);

			longest = waited > longest ? waited : longest;
		}
		self->g.vm = -1;
		munmap(self->g.mem, self->g.mem_size);
		TH_LOG("%lu us, the longest wait %lu us", total, longest);
		if (total && 100 * longest / total < least)
			least = 100 * longest / total;
	}
	EXPECT_GT(30, least) {
		TH_LOG("it had a CPU for %lu %% of its time at once", least);
	}
}

TEST_HARNESS_MAIN
