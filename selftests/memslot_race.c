// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memslots changed from everywhere at once: by several threads, in two address
 * spaces, by a process that is killed in the middle.  Guests run meanwhile.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "batch.h"
#include "runner.h"
#include "test.h"

DEVICE_FIXTURE(memslot_race);

#define FIXED_GPA 0x1000000ul /* slot 1, which the guest reads */
#define FIXED_VALUE 0x5a
#define FIXED_SIZE (4 * GUEST_PAGE)

/* Reads the words of four pages for ever, as long as each is what it should be. */
GUEST_ASM(watch, 64,
	  "1: mov $0x1000000, %ebx\n"
	  "2: mov (%rbx), %rcx\n"
	  "cmp $0x5a, %rcx\n"
	  "jne 3f\n"
	  "add $0x1000, %rbx\n"
	  "cmp $0x1004000, %rbx\n"
	  "jb 2b\n"
	  "incq 0x40000\n"
	  "jmp 1b\n"
	  "3: hlt");

static uint64_t rounds(struct guest *g)
{
	return *(volatile uint64_t *)(g->mem + GUEST_FREE);
}

static void start_watch(struct guest *g, int dev, struct runner *r)
{
	uint8_t *fixed = mem_alloc(FIXED_SIZE);
	int i;

	for (i = 0; i < 4; i++)
		*(uint64_t *)(fixed + i * GUEST_PAGE) = FIXED_VALUE;
	guest_start64(g, dev, watch, watch_end);
	guest_add_slot(g, 1, 0, FIXED_GPA, FIXED_SIZE, fixed);
	runner_start(r, &g->cpu, NULL, NULL);
}

/* A thread that changes slots of its own, at guest addresses of its own. */
#define THREADS 3
#define ROUNDS 12
#define OWN_SLOTS 8
#define OWN_GPA(i) (0x10000000ul * (1 + (i)))
#define OWN_SIZE (8 * GUEST_PAGE)

struct changer {
	struct guest *g;
	struct runner *runner;
	pthread_t thread;
	unsigned int index;
	bool batches;
	uint8_t *memory;
	unsigned int wrong;
};

static uint32_t own_slot(const struct changer *c, unsigned int i)
{
	return 10 + c->index * OWN_SLOTS + i;
}

static uint64_t own_gpa(const struct changer *c, unsigned int place)
{
	return OWN_GPA(c->index) + place * 2 * OWN_SIZE;
}

static void expect(struct changer *c, int expected, int ret)
{
	c->wrong += ret != expected;
}

/* Each slot comes, is logged, moves, and goes. */
static void change_one_by_one(struct changer *c)
{
	struct kvm_dirty_log log = { .dirty_bitmap = &(uint64_t){ 0 } };
	struct guest *g = c->g;
	unsigned int i;

	for (i = 0; i < OWN_SLOTS; i++) {
		const uint32_t slot = own_slot(c, i);
		const uint64_t gpa = own_gpa(c, i), to = own_gpa(c, OWN_SLOTS + i);

		log.slot = slot;
		expect(c, 0, guest_slot(g, slot, 0, gpa, OWN_SIZE, c->memory));
		expect(c, -EEXIST, guest_slot(g, slot + 1000, 0, gpa, OWN_SIZE, c->memory));
		expect(c, -ENOENT, kioctl(g->vm, KVM_GET_DIRTY_LOG, &log));
		expect(c, 0, guest_slot(g, slot, KVM_MEM_LOG_DIRTY_PAGES, gpa, OWN_SIZE,
					c->memory));
		expect(c, 0, guest_slot(g, slot, KVM_MEM_LOG_DIRTY_PAGES, to, OWN_SIZE, c->memory));
		expect(c, 0, kioctl(g->vm, KVM_GET_DIRTY_LOG, &log));
		expect(c, 0, guest_slot(g, slot, 0, 0, 0, NULL));
		expect(c, -EINVAL, guest_slot(g, slot, 0, 0, 0, NULL));
	}
}

/* All of them at once. */
static void change_by_batches(struct changer *c)
{
	struct xvm_memory_change changes[2 * OWN_SLOTS];
	unsigned int i;

	for (i = 0; i < OWN_SLOTS; i++)
		changes[i] = change_set(own_slot(c, i), own_gpa(c, i), OWN_SIZE, c->memory);
	expect(c, 0, apply(c->g, changes, OWN_SLOTS, NULL));
	/* The places rotate. */
	for (i = 0; i < OWN_SLOTS; i++)
		changes[i].region.guest_phys_addr = own_gpa(c, (i + 1) % OWN_SLOTS);
	expect(c, 0, apply(c->g, changes, OWN_SLOTS, NULL));
	/* One that would be in the way of a stranger: then none of them. */
	changes[OWN_SLOTS / 2].region.guest_phys_addr = FIXED_GPA;
	expect(c, -EEXIST, apply(c->g, changes, OWN_SLOTS, NULL));
	for (i = 0; i < OWN_SLOTS; i++)
		changes[i] = change_delete(own_slot(c, i));
	expect(c, 0, apply(c->g, changes, OWN_SLOTS, NULL));
}

static void *changer_main(void *arg)
{
	struct changer *c = arg;
	int i;

	/* On a busy machine the guest may come late. */
	for (i = 0; (i < ROUNDS || (!rounds(c->g) && !c->runner->ended)) && !c->wrong; i++) {
		change_one_by_one(c);
		if (c->batches)
			change_by_batches(c);
	}
	return NULL;
}

TEST_F_TIMEOUT(memslot_race, several_threads, 600)
{
	struct changer changers[THREADS] = {};
	struct guest *g = &self->g;
	struct runner r;
	int i;

	start_watch(g, self->dev, &r);
	for (i = 0; i < THREADS; i++) {
		struct changer *c = &changers[i];

		c->g = g;
		c->runner = &r;
		c->index = i;
		c->batches = device_is_xvm(self->dev);
		c->memory = mem_alloc(OWN_SIZE);
		ASSERT_EQ(0, pthread_create(&c->thread, NULL, changer_main, c));
	}
	guest_verify(g);
	for (i = 0; i < THREADS; i++) {
		pthread_join(changers[i].thread, NULL);
		EXPECT_EQ(0, changers[i].wrong);
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_GT(rounds(g), 0);
	/* None is left: its place is free, and so is its number. */
	for (i = 0; i < THREADS * OWN_SLOTS; i++)
		EXPECT_EQ(-EINVAL, guest_slot(g, 10 + i, 0, 0, 0, NULL));
}

#define SMM(slot) (1 << 16 | (slot))

/*
 * The same numbers and guest addresses, with other memory, which the guest never
 * sees.  Breaks if place_is_taken() looks in the first space alone.
 */
TEST_F_TIMEOUT(memslot_race, two_address_spaces, 300)
{
	struct guest *g = &self->g;
	uint8_t *other = mem_alloc(FIXED_SIZE);
	struct runner r;
	int i;

	if (kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "one address space");
	start_watch(g, self->dev, &r);
	for (i = 0; i < 300 || (rounds(g) < 100 && !r.ended); i++) {
		ASSERT_EQ(0, guest_slot(g, SMM(1), 0, FIXED_GPA, FIXED_SIZE, other));
		ASSERT_EQ(-EEXIST, guest_slot(g, SMM(2), 0, FIXED_GPA, GUEST_PAGE, other));
		ASSERT_EQ(-EEXIST, guest_slot(g, 2, 0, FIXED_GPA, GUEST_PAGE, other));
		ASSERT_EQ(0, guest_slot(g, SMM(1), 0, 2 * FIXED_GPA, FIXED_SIZE, other));
		ASSERT_EQ(0, guest_slot(g, SMM(1), 0, 0, 0, NULL));
		ASSERT_EQ(-EINVAL, guest_slot(g, SMM(1), 0, 0, 0, NULL));
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_GT(rounds(g), 0);
}

TEST_F_TIMEOUT(memslot_race, batches_of_two_address_spaces, 300)
{
	struct guest *g = &self->g;
	uint8_t *other = mem_alloc(FIXED_SIZE);
	struct xvm_verify verify;
	uint32_t failed;
	struct runner r;
	int i;

	NEEDS_BATCH(self->dev);
	start_watch(g, self->dev, &r);
	for (i = 0; i < 300 || (rounds(g) < 100 && !r.ended); i++) {
		struct xvm_memory_change changes[] = {
			change_set(SMM(1), FIXED_GPA, FIXED_SIZE, other),
			change_set(2, 2 * FIXED_GPA, FIXED_SIZE, other),
			change_set(SMM(2), 2 * FIXED_GPA, FIXED_SIZE, other),
			change_set(3, 3 * FIXED_GPA, FIXED_SIZE, other),
		};

		/* What is wrong in one space keeps the other as it is. */
		changes[3].region.guest_phys_addr = FIXED_GPA;
		ASSERT_EQ(-EEXIST, apply(g, changes, 4, &failed));
		ASSERT_EQ(3, failed);
		changes[3].region.guest_phys_addr = 3 * FIXED_GPA;
		ASSERT_EQ(0, apply(g, changes, 4, NULL));
		ASSERT_EQ(0, kioctl(g->vm, XVM_VERIFY, &verify));
		ASSERT_EQ(0, verify.violations);
		ASSERT_EQ(6, verify.slots);
		changes[0] = change_delete(SMM(1));
		changes[1] = change_delete(2);
		changes[2] = change_delete(SMM(2));
		changes[3] = change_delete(3);
		ASSERT_EQ(0, apply(g, changes, 4, NULL));
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
	EXPECT_GT(rounds(g), 0);
}

/* Folders of the process's VMs, which go with them. */
static int vms_of(pid_t pid, const char *device)
{
	char path[64], prefix[16];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", device);
	snprintf(prefix, sizeof(prefix), "%d-", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		nr += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(dir);
	return nr;
}

static void __attribute__((noreturn)) change_until_killed(struct guest *g, int dev, int ready)
{
	struct changer changers[THREADS] = {};
	struct runner r;
	int i;

	start_watch(g, dev, &r);
	for (i = 0; i < THREADS; i++) {
		changers[i].g = g;
		changers[i].runner = &r;
		changers[i].index = i;
		changers[i].memory = mem_alloc(OWN_SIZE);
		changers[i].batches = device_is_xvm(dev);
	}
	for (i = 1; i < THREADS; i++)
		if (pthread_create(&changers[i].thread, NULL, changer_main, &changers[i]))
			die("pthread_create");
	if (write(ready, "", 1) != 1)
		die("write: %m");
	for (;;)
		changer_main(&changers[0]);
}

TEST_F_TIMEOUT(memslot_race, killed_in_the_middle, 300)
{
	const char *device = strrchr(variant->path, '/') + 1;
	int i, status, tries, ready[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	for (i = 0; i < 20; i++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			change_until_killed(&self->g, self->dev, ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		if (vms_of(pid, device) >= 0)
			EXPECT_EQ(1, vms_of(pid, device));
		usleep(i * 3000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		/* The last reference may be on its way. */
		for (tries = 0; tries < 1000 && vms_of(pid, device) > 0; tries++)
			usleep(10000);
		EXPECT_LE(vms_of(pid, device), 0);
	}
}

TEST_HARNESS_MAIN
