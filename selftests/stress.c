// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, for a while: on each device two VMs whose guests check
 * their memory, while slots change, the host takes the memory away and gives it
 * back, processes fork, VMs come and go, a CPU goes offline and online and all are
 * frozen.  At the end the kernel has to have its memory back.
 */
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "load.h"

#define VMS_PER_DEVICE 2

static const char *const devices[] = { "/dev/kvm", XVM_DEVICE_PATH };

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * One change of the host's memory behind a page; of those that keep what is in
 * it, if the guest writes there.
 */
static void storm(struct load *l, uint64_t *state, bool writes)
{
	int page = rnd(state) % LOAD_PAGES;
	uint64_t *at = load_word(l, page), *fresh;

	switch (writes ? 3 : rnd(state) % 4) {
	case 0:
		load_begin(l, page);
		madvise(at, GUEST_PAGE, MADV_DONTNEED);
		load_rewrite(l, page);
		break;
	case 1:
		load_begin(l, page);
		if (mmap(at, GUEST_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
			die("mmap: %m");
		load_rewrite(l, page);
		break;
	case 2:
		fresh = mem_alloc(GUEST_PAGE);
		*fresh = load_next(l);
		load_begin(l, page);
		if (mremap(fresh, GUEST_PAGE, GUEST_PAGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
			die("mremap: %m");
		load_end(l, page, *at);
		break;
	case 3:
		mprotect(at, GUEST_PAGE, PROT_READ);
		mprotect(at, GUEST_PAGE, PROT_READ | PROT_WRITE);
		break;
	}
}

/* One change of slots beside those in use, or of their flags. */
static void change_slots(struct load *l, uint64_t *state)
{
	const uint32_t slot = 2 + rnd(state) % 64;
	const uint64_t gpa = (2 + rnd(state) % 128) * LOAD_GPA;

	switch (rnd(state) % 4) {
	case 0:
	case 1:
		/* Creates, moves, or overlaps another. */
		guest_slot(l->g, slot, 0, gpa, LOAD_SIZE, l->pages);
		break;
	case 2:
		guest_slot(l->g, slot, 0, 0, 0, NULL);
		break;
	case 3:
		guest_slot(l->g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOAD_GPA,
			   LOAD_SIZE, l->pages);
		guest_slot(l->g, 1, 0, LOAD_GPA, LOAD_SIZE, l->pages);
		break;
	}
}

static void fork_once(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* A process of its own: one VM after the other, until time is up. */
static int stress_vm(const char *path, uint64_t state, uint64_t end)
{
	int dev = open(path, O_RDWR | O_CLOEXEC);
	uint64_t vms = 0, changes = 0;

	if (dev < 0)
		die("%s: %m", path);
	while (now() < end) {
		uint64_t vm_end = now() + 1 + rnd(&state) % 10;
		uint8_t *pages = mem_alloc(LOAD_SIZE);
		bool writes = rnd(&state) % 2;
		struct guest g;
		struct load l;

		load_start(&l, &g, dev, pages, writes);
		while (now() < vm_end && now() < end && load_running(&l)) {
			storm(&l, &state, writes);
			change_slots(&l, &state);
			if (rnd(&state) % 64 == 0)
				fork_once();
			if (rnd(&state) % 256 == 0)
				guest_verify(&g);
			changes++;
		}
		if (load_stop(&l))
			return 1;
		guest_destroy(&g);
		munmap(pages, LOAD_SIZE);
		vms++;
	}
	printf("# %s: %lu VMs, %lu changes\n", path, vms, changes);
	return 0;
}

static bool write_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, word, strlen(word)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/*
 * All processes are frozen and thawed, as for a suspend; that devices, the lab's
 * root among them, are suspended too is not asked for.  Breaks if a vCPU's thread
 * stays in KVM_RUN: leave_for_work() isn't asked in xvm_arch_vcpu_run().
 */
static bool freeze_all(void)
{
	const char *delay = "/sys/module/suspend/parameters/pm_test_delay";
	bool ok = write_word(delay, "1") && write_word("/sys/power/pm_test", "freezer") &&
		  write_word("/sys/power/state", "freeze");

	/* The kernel's own seconds again, and a suspend to come is to be a real one. */
	return write_word(delay, "5") && write_word("/sys/power/pm_test", "none") && ok;
}

/*
 * What a suspend asks of vCPUs, of the CPUs: the last one goes and comes, and now
 * and then all processes are frozen.  Of a CPU that goes there is no line to break: the
 * module is not told, and needs SVM there from xvm_svm_begin() to xvm_svm_end() alone.
 */
static int stress_cpus(uint64_t end)
{
	char path[64];
	int fd, cpu = sysconf(_SC_NPROCESSORS_CONF) - 1, rounds = 0;
	int freezes = 0, ret = 0;
	bool can_freeze = !access("/sys/power/pm_test", W_OK);

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (cpu < 1 || fd < 0) {
		printf("# no CPU that could go offline\n");
		return 0;
	}
	while (now() < end) {
		if (pwrite(fd, "0", 1, 0) == 1)
			rounds++;
		usleep(700000);
		while (pwrite(fd, "1", 1, 0) != 1)
			usleep(100000);
		usleep(1500000);
		if (!can_freeze || rounds % 4)
			continue;
		if (!freeze_all()) {
			printf("# processes could not be frozen: %m\n");
			ret = 1;
		}
		freezes++;
	}
	close(fd);
	printf("# cpu%d was offline %d times, all processes frozen %d times\n",
	       cpu, rounds, freezes);
	return ret;
}

static long meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) &&
		    line[strlen(name)] == ':')
			kib = atol(line + strlen(name) + 1);
	if (f)
		fclose(f);
	return kib;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0)
		return;
	if (write(fd, "3", 1) != 1)
		printf("# drop_caches: %m\n");
	close(fd);
}

/* What the kernel has in use, in KiB. */
struct usage {
	long tables; /* page tables of VMs */
	long slab; /* that cannot be reclaimed */
	long total; /* of all memory */
};

static struct usage usage(void)
{
	drop_caches();
	return (struct usage){
		.tables = meminfo("SecPageTables"),
		.slab = meminfo("SUnreclaim"),
		.total = meminfo("MemTotal") - meminfo("MemFree") -
			 meminfo("Cached") - meminfo("Buffers"),
	};
}

/* What caches per CPU and the like may hold back. */
#define SLAB_SLACK 4096
#define TOTAL_SLACK 32768

/*
 * Breaks, in a run that is long enough, without put_page() in xvm_hostmap_put(): pages
 * that the host takes away stay in use.
 *
 * Where kmemleak looks for leaks, its own objects and what KASAN holds back after it
 * was freed are in the way: page tables alone count then.
 */
static bool leaked(const struct usage *before)
{
	bool others = access("/sys/kernel/debug/kmemleak", F_OK);
	struct usage after;
	int i;

	/* Some of it is freed after a grace period, or by a worker. */
	for (i = 0; i < 20; i++) {
		after = usage();
		if (after.tables <= before->tables &&
		    (!others || (after.slab <= before->slab + SLAB_SLACK &&
				 after.total <= before->total + TOTAL_SLACK)))
			break;
		sleep(1);
	}
	printf("# KiB before and after: VM page tables %ld %ld,", before->tables,
	       after.tables);
	printf(" slab %ld %ld, in use %ld %ld\n", before->slab, after.slab,
	       before->total, after.total);
	if (!others)
		printf("# slab and memory in use are left to kmemleak\n");
	return i == 20;
}

static pid_t spawn(const char *path, uint64_t state, uint64_t end)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		int ret = path ? stress_vm(path, state, end) : stress_cpus(end);

		fflush(stdout);
		_exit(ret);
	}
	return pid;
}

/* All of it for that many seconds: the number of processes that failed. */
static int round_of(long seconds, uint64_t state, const char *only)
{
	uint64_t end = now() + seconds;
	int failed = 0, status, children = 0;
	size_t i, j;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (only ? strcmp(only, devices[i] + strlen("/dev/")) :
			   access(devices[i], F_OK))
			continue;
		for (j = 0; j < VMS_PER_DEVICE; j++, children++)
			spawn(devices[i], state + 16 * i + j + 1, end);
	}
	if (!children)
		die("no device");
	spawn(NULL, 0, end);
	for (children++; children; children--) {
		if (wait(&status) < 0 || status)
			failed++;
	}
	return failed;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "minutes", required_argument, NULL, 'm' },
		{ "seconds", required_argument, NULL, 's' },
		{ "device", required_argument, NULL, 'd' },
		{ "seed", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *only = NULL;
	struct usage before;
	uint64_t seed = 88172645463325252;
	long seconds = 60;
	int opt, failed;
	bool leak;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (opt) {
		case 'm':
			seconds = 60 * atol(optarg);
			break;
		case 's':
			seconds = atol(optarg);
			break;
		case 'd':
			only = optarg;
			break;
		case 'r':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fputs("Usage: stress [--minutes N | --seconds N] [--device kvm|xvm]\n"
			      "              [--seed N]\n", stderr);
			return 2;
		}
	}

	/* A first short round fills what stays filled: caches, per-CPU lists. */
	failed = round_of(10, seed, only);
	before = usage();
	failed += round_of(seconds, seed + 1000, only);
	leak = leaked(&before);
	printf("%sok - stress, %d processes failed, %s\n",
	       failed || leak ? "not " : "", failed,
	       leak ? "memory was lost" : "no memory was lost");
	return failed || leak;
}
