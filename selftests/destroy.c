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
/* What else the machine does may hold a CPU up, so the best one counts. */
#define ROUNDS 10
#define MAX_CPUS 64
/* Of the time that the end takes. */
#define PERCENT_AT_ONCE 30

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

static int watch_start(struct watcher *w, int cpu)
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
	return err;
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

/* Ends the VM.  How long it had a CPU at most for itself, in percent of the time; or -errno. */
static int time_the_end(struct __test_metadata *_metadata, struct guest *g)
{
	struct watcher watchers[MAX_CPUS] = {};
	uint64_t begin, total, waited, longest = 0;
	int cpu, err = 0;

	for (cpu = 0; cpu < MAX_CPUS && err != EPERM; cpu++) {
		/* EINVAL: there is no such CPU, or it isn't this process's. */
		err = watch_start(&watchers[cpu], cpu);
		watchers[cpu].stop = err;
	}
	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		watchers[cpu].longest = 0;
	begin = now_us();
	close(g->vm);
	total = now_us() - begin;
	g->vm = -1;
	for (cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (!watchers[cpu].ready)
			continue;
		waited = watch_stop(&watchers[cpu]);
		longest = waited > longest ? waited : longest;
	}
	TH_LOG("%lu us, the longest wait %lu us", total, longest);
	return err == EPERM ? -EPERM : 100 * longest / (total + 1);
}

/*
 * One that has the CPU for itself lets nobody on it until it is done.  Breaks if
 * free_table() doesn't call cond_resched(), on a kernel that doesn't preempt itself.
 */
TEST_F_TIMEOUT(destroy, gives_way, 600)
{
	int round, percent = 100;
	uint8_t *mem;

	if (!device_is_xvm(self->dev) || !device_has_npt(self->dev))
		SKIP(return, "xvm's own promise, with nested paging");
	mem = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, SLOT_SIZE, MADV_NOHUGEPAGE);
	for (round = 0; round < ROUNDS && percent >= PERCENT_AT_ONCE; round++) {
		start(&self->g, self->dev, mem);
		guest_verify(&self->g);
		vcpu_destroy(&self->g.cpu);
		percent = time_the_end(_metadata, &self->g);
		munmap(self->g.mem, self->g.mem_size);
	}
	if (percent == -EPERM)
		SKIP(return, "no right to real-time priority");
	EXPECT_GT(PERCENT_AT_ONCE, percent);
}

TEST_HARNESS_MAIN
