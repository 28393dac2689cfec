// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that moves between the nodes of a machine: on request, under a guest
 * that writes to it, and by NUMA balancing, to where its guest runs.
 */
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "load.h"
#include "test.h"
#include "text.h"

DEVICE_FIXTURE(numa);

#define MAX_NODES 64
#define STORM_MS 1500
#define PATIENCE_MS 60000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool have_node(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	return !access(path, F_OK);
}

/* New pages come from this node; those that are there move if move is set. */
static void bind_to(void *mem, size_t size, int node, bool move)
{
	unsigned long nodes = 1ul << node;

	if (syscall(SYS_mbind, mem, size, MPOL_BIND, &nodes, MAX_NODES + 1,
		    move ? MPOL_MF_MOVE : 0))
		die("mbind to node %d: %m", node);
}

/* How many of the pages are on the node. */
static int pages_on(uint8_t *mem, int node)
{
	void *pages[LOAD_PAGES];
	int nodes[LOAD_PAGES];
	int i, found = 0;

	for (i = 0; i < LOAD_PAGES; i++)
		pages[i] = mem + i * GUEST_PAGE;
	if (syscall(SYS_move_pages, 0, LOAD_PAGES, pages, NULL, nodes, 0))
		die("move_pages: %m");
	for (i = 0; i < LOAD_PAGES; i++)
		found += nodes[i] == node;
	return found;
}

static uint8_t *small_pages(int node)
{
	uint8_t *mem = mem_alloc(LOAD_SIZE);

	madvise(mem, LOAD_SIZE, MADV_NOHUGEPAGE);
	bind_to(mem, LOAD_SIZE, node, false);
	memset(mem, 0, LOAD_SIZE);
	return mem;
}

/* Breaks if invalidate_start() doesn't zap: writes go to the old page. */
TEST_F_TIMEOUT(numa, moved, 60)
{
	int node = 0, arrived = 0;
	uint64_t end_ms;
	struct load l;

	if (!have_node(1))
		SKIP(return, "one NUMA node");
	load_start(&l, &self->g, self->dev, small_pages(node), true);
	end_ms = now_ms() + STORM_MS;
	while (load_running(&l) && now_ms() < end_ms) {
		node = !node;
		bind_to(l.pages, LOAD_SIZE, node, true);
		/* A page that is in use just then may stay. */
		arrived += pages_on(l.pages, node) > LOAD_PAGES / 2;
		usleep(2000);
	}
	EXPECT_GT(arrived, 0);
	EXPECT_EQ(0, load_stop(&l));
}

/* From now on this thread, and those that it starts, run on one CPU; its node, or -1. */
static int stay_on(int cpu)
{
	unsigned int node;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    syscall(SYS_getcpu, NULL, &node, NULL))
		return -1;
	return node;
}

/* A CPU of the node that the test may use, or -1. */
static int cpu_of(int node)
{
	cpu_set_t old;
	int cpu, found = -1;

	sched_getaffinity(0, sizeof(old), &old);
	for (cpu = 0; cpu < CPU_SETSIZE && found < 0; cpu++)
		if (CPU_ISSET(cpu, &old) && stay_on(cpu) == node)
			found = cpu;
	sched_setaffinity(0, sizeof(old), &old);
	return found;
}

static void look_often(void)
{
	static const char *const settings[][2] = {
		{ "scan_delay_ms", "1" },
		{ "scan_period_min_ms", "50" },
		{ "scan_period_max_ms", "100" },
	};
	char path[96];
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path),
			 "/sys/kernel/debug/sched/numa_balancing/%s",
			 settings[i][0]);
		write_text(path, settings[i][1]);
	}
}

/* Reads from each of r9 pages from r8 on, round and round. */
GUEST_ASM(read_on, 64,
	  "1: mov %r8, %rdi\n"
	  "mov %r9, %rcx\n"
	  "2: mov (%rdi), %rax\n"
	  "add $4096, %rdi\n"
	  "dec %rcx\n"
	  "jnz 2b\n"
	  "jmp 1b");

/*
 * Nobody but the guest touches the memory.  Breaks if xvm_hostmap_get() doesn't
 * pass FOLL_HONOR_NUMA_FAULT on kernels that have it.
 */
TEST_F_TIMEOUT(numa, follows_the_guest, 120)
{
	const int far = 1, near = 0;
	int cpu = cpu_of(near);
	struct runner runner;
	uint64_t end_ms;
	uint8_t *mem;

	if (!have_node(far) || cpu < 0)
		SKIP(return, "one NUMA node");
	if (!write_text("/proc/sys/kernel/numa_balancing", "1"))
		SKIP(return, "no NUMA balancing");
	look_often();
	mem = small_pages(far);
	if (syscall(SYS_mbind, mem, LOAD_SIZE, MPOL_DEFAULT, NULL, 0, 0))
		die("mbind: %m");
	ASSERT_EQ(LOAD_PAGES, pages_on(mem, far));

	guest_start64(&self->g, self->dev, read_on, read_on_end);
	guest_add_slot(&self->g, 1, 0, LOAD_GPA, LOAD_SIZE, mem);
	vcpu_set_regs(&self->g.cpu, &(struct kvm_regs) {
		.rip = GUEST_CODE,
		.rflags = 2,
		.r8 = LOAD_GPA,
		.r9 = LOAD_PAGES,
	});
	ASSERT_EQ(near, stay_on(cpu));
	runner_start(&runner, &self->g.cpu, NULL, NULL);
	end_ms = now_ms() + PATIENCE_MS;
	while (pages_on(mem, near) < LOAD_PAGES / 2 && now_ms() < end_ms)
		usleep(20000);
	EXPECT_GE(pages_on(mem, near), LOAD_PAGES / 2);
	EXPECT_EQ(-EINTR, runner_stop(&runner));
	guest_verify(&self->g);
}

TEST_HARNESS_MAIN
