// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs shows of a VM to others: its slots, its leaves, the checker's
 * answer; also while the VM runs, dies, or is gone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "load.h"
#include "pass.h"
#include "test.h"
#include "text.h"

#define DEBUGFS "/sys/kernel/debug/xvm"
#define MIB2 (2ul << 20)
#define FAR_GPA 0x1000000ul
#define PAGES 64ul
#define SIZE (PAGES * GUEST_PAGE)

DEVICE_FIXTURE(observe);

#define NEEDS_DEBUGFS(dev)						\
	do {								\
		if (!device_is_xvm(dev))				\
			SKIP(return, "xvm's own");			\
		if (access(DEBUGFS, R_OK | X_OK))			\
			SKIP(return, "no debugfs");			\
	} while (0)

static void read_file(const char *name, char *text, size_t size)
{
	int fd = open_vm_file(DEBUGFS, getpid(), name);

	if (fd < 0 || read_text(fd, text, size) < 0)
		die("%s: %m", name);
	close(fd);
}

TEST_F(observe, slots)
{
	char text[4096], want[4096];
	uint8_t *mem = mem_alloc(SIZE);

	NEEDS_DEBUGFS(self->dev);
	pass_start(&self->g, self->dev);
	/* In order of gfn; then the other address space. */
	guest_add_slot(&self->g, 7, KVM_MEM_READONLY, 2 * FAR_GPA, SIZE, mem);
	guest_add_slot(&self->g, 9, 0, FAR_GPA, SIZE, mem);
	guest_add_slot(&self->g, 1 << 16 | 3, 0, 0, GUEST_PAGE, mem);
	snprintf(want, sizeof(want),
		 "0 0 0x0 0x400 0x%lx 0x0\n0 9 0x1000 0x1040 0x%lx 0x0\n"
		 "0 7 0x2000 0x2040 0x%lx 0x2\n1 3 0x0 0x1 0x%lx 0x0\n",
		 (long)self->g.mem, (long)mem, (long)mem, (long)mem);
	read_file("slots", text, sizeof(text));
	EXPECT_STREQ(want, text);
}

TEST_F(observe, many_slots)
{
	const int nr = 5000, size = 1 << 20;
	uint8_t *mem = mem_alloc(nr * GUEST_PAGE);
	char *text = mem_alloc(size), *line;
	int i;

	NEEDS_DEBUGFS(self->dev);
	guest_create_bare(&self->g, self->dev);
	for (i = 0; i < nr; i++)
		guest_add_slot(&self->g, nr - i, 0, 2 * i * GUEST_PAGE,
			       GUEST_PAGE, mem + i * GUEST_PAGE);
	read_file("slots", text, size);
	line = strtok(text, "\n");
	for (i = 0; i < nr && line; i++, line = strtok(NULL, "\n")) {
		unsigned int as_id, id;
		uint64_t first;

		int found = sscanf(line, "%u %u %lx", &as_id, &id, &first);

		ASSERT_EQ(3, found);
		ASSERT_EQ(nr - i, id);
		ASSERT_EQ(2 * i, first);
	}
	EXPECT_EQ(nr, i);
	EXPECT_EQ(NULL, line);
}

TEST_F(observe, map)
{
	uint8_t *small = mem_alloc(SIZE), *large = mem_alloc(4 * MIB2);
	char text[4096];
	uint64_t wrong;

	NEEDS_DEBUGFS(self->dev);
	if (!device_has_npt(self->dev))
		SKIP(return, "shadow tables are not by frame");
	large += -(uintptr_t)large & (MIB2 - 1);
	if (madvise(large, 2 * MIB2, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	memset(large, 0, 2 * MIB2);
	memset(small, 0, SIZE);
	pass_start(&self->g, self->dev);
	read_file("map", text, sizeof(text));
	EXPECT_STREQ("", text);

	guest_add_slot(&self->g, 1, 0, FAR_GPA, SIZE, small);
	guest_add_slot(&self->g, 2, 0, 2 * FAR_GPA, 2 * MIB2, large);
	guest_add_slot(&self->g, 3, KVM_MEM_READONLY, 4 * FAR_GPA, SIZE, small);
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, FAR_GPA, PAGES, 1, true, &wrong));
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, 2 * FAR_GPA,
					 2 * MIB2 / GUEST_PAGE, 1, true, &wrong));
	ASSERT_EQ(KVM_EXIT_HLT, run_pass(&self->g, 4 * FAR_GPA, PAGES, 1, false,
					 &wrong));
	read_file("map", text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "\n0x1000 0x1040 4K rw\n"));
	EXPECT_NE(NULL, strstr(text, "\n0x2000 0x2400 2M rw\n"));
	EXPECT_NE(NULL, strstr(text, "\n0x4000 0x4040 4K r\n"));
	ASSERT_EQ(0, mprotect(small + 8 * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	read_file("map", text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "\n0x1000 0x1008 4K rw\n"
				     "0x1009 0x1040 4K rw\n"));
}

TEST_F(observe, verify)
{
	uint64_t slots, leaves, tables, violations, wrong;
	struct xvm_verify verify;
	char text[512];
	int found;

	NEEDS_DEBUGFS(self->dev);
	pass_start(&self->g, self->dev);
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, GUEST_FREE, 10, 1, true, &wrong));
	xioctl(self->g.vm, XVM_VERIFY, &verify);
	read_file("verify", text, sizeof(text));
	found = sscanf(text,
		       "slots %lu\nleaves %lu\ntable_pages %lu\nviolations %lu\n",
		       &slots, &leaves, &tables, &violations);
	ASSERT_EQ(4, found);
	EXPECT_EQ(verify.slots, slots);
	EXPECT_EQ(verify.leaves, leaves);
	EXPECT_EQ(verify.table_pages, tables);
	EXPECT_EQ(0, violations);
}

static const char *const files[] = { "slots", "map", "verify" };

#define NR_FILES (sizeof(files) / sizeof(files[0]))

/* A file that is open holds the VM, not the memory of who made it. */
TEST_F(observe, closed_vm)
{
	char text[65536];
	int fds[NR_FILES];
	uint64_t wrong;
	size_t i;

	NEEDS_DEBUGFS(self->dev);
	pass_start(&self->g, self->dev);
	ASSERT_EQ(KVM_EXIT_HLT,
		  run_pass(&self->g, GUEST_FREE, 10, 1, true, &wrong));
	for (i = 0; i < NR_FILES; i++) {
		fds[i] = open_vm_file(DEBUGFS, getpid(), files[i]);
		ASSERT_GE(fds[i], 0);
	}
	guest_destroy(&self->g);
	for (i = 0; i < NR_FILES; i++) {
		EXPECT_GE(read_text(fds[i], text, sizeof(text)), 0) {
			TH_LOG("%s", files[i]);
		}
		/* The slot is still there, its memory is not. */
		EXPECT_EQ(!strcmp(files[i], "map"), !text[0]);
		close(fds[i]);
	}
	EXPECT_EQ(-1, open_vm_file(DEBUGFS, getpid(), "verify"));
}

/* Load on two vCPUs, looked at from a process that has none of its memory. */
static void run_load(int dev, int ready)
{
	struct load l;
	struct guest g;
	int page;

	load_start(&l, &g, dev, mem_alloc(LOAD_SIZE), true);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (page = 0;; page = (page + 1) % LOAD_PAGES) {
		guest_add_slot(&g, 2, 0, 2 * LOAD_GPA, LOAD_SIZE, l.pages);
		if (mprotect(load_word(&l, page), GUEST_PAGE, PROT_READ) ||
		    mprotect(load_word(&l, page), GUEST_PAGE,
			     PROT_READ | PROT_WRITE))
			_exit(1);
		guest_add_slot(&g, 2, 0, 0, 0, NULL);
	}
}

/*
 * The process is killed while its VM is read.  Breaks if a file is opened
 * without a reference, or the checker walks an address space that is going.
 */
TEST_F_TIMEOUT(observe, killed, 120)
{
	int rounds, ready[2], looks, status, checked = 0;
	char text[65536], c;
	size_t i;
	pid_t pid;

	NEEDS_DEBUGFS(self->dev);
	for (rounds = 0; rounds < 8; rounds++) {
		int fds[NR_FILES];

		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			run_load(self->dev, ready[1]);
		ASSERT_EQ(1, read(ready[0], &c, 1));
		for (i = 0; i < NR_FILES; i++) {
			fds[i] = open_vm_file(DEBUGFS, pid, files[i]);
			ASSERT_GE(fds[i], 0);
		}
		for (looks = 0; looks < 12; looks++) {
			if (looks == rounds)
				ASSERT_EQ(0, kill(pid, SIGKILL));
			for (i = 0; i < NR_FILES; i++) {
				ssize_t got = read_text(fds[i], text,
						       sizeof(text));

				if (got == -EAGAIN && !strcmp(files[i], "verify"))
					continue;
				ASSERT_GE(got, 0);
				if (!strcmp(files[i], "verify")) {
					EXPECT_NE(NULL, strstr(text, "violations 0\n")) {
						TH_LOG("%s", text);
					}
					checked++;
				}
			}
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		for (i = 0; i < NR_FILES; i++)
			close(fds[i]);
		close(ready[0]);
		close(ready[1]);
	}
	EXPECT_GT(checked, 0);
}

TEST_HARNESS_MAIN
