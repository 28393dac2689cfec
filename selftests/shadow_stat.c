// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu_rmaps_stat, the file in a VM's debugfs folder that tells how many frames are
 * mapped by how many shadow entries; and the statistics beside it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "load.h"
#include "stats.h"
#include "test.h"
#include "text.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_stat);

#define COLUMNS 11
#define LEVELS 3

/* Guest memory: tables for the addresses from VA on, pages that they map. */
#define TABLES 0x200000ul
#define NR_TABLES 2ul
#define PAGE(n) (0x300000ul + (n) * GUEST_PAGE)
#define VA 0x40000000ul

/* Reads rcx words, the first at rbx, a page apart. */
GUEST_ASM(sweep, 64,
	  "1: mov (%rbx), %rax\n add $0x1000, %rbx\n dec %rcx\n jnz 1b\n"
	  "out %al, $0x10\n");

struct histogram {
	uint64_t frames[LEVELS][COLUMNS];
};

/* The file of the VM that some process has; -1: there is none. */
static int open_stat(int dev, pid_t pid)
{
	return open_vm_file(device_is_xvm(dev) ? "/sys/kernel/debug/xvm" :
						 "/sys/kernel/debug/kvm",
			    pid, "mmu_rmaps_stat");
}

static void read_stat_file(int dev, char *text, size_t size)
{
	int fd = open_stat(dev, getpid());

	if (fd < 0 || read_text(fd, text, size) < 0)
		die("mmu_rmaps_stat: %m");
	close(fd);
}

static const char head[] =
	"Rmap_Count:\t0\t1\t2-3\t4-7\t8-15\t16-31\t32-63\t64-127\t128-255\t256-511\t512-1023\t\n";

static bool parse(const char *text, struct histogram *h)
{
	static const char *const names[LEVELS] = { "Level=4K:\t", "Level=2M:\t", "Level=1G:\t" };
	int level, i;
	char *end;

	if (strncmp(text, head, strlen(head)))
		return false;
	text += strlen(head);
	for (level = 0; level < LEVELS; level++) {
		if (strncmp(text, names[level], strlen(names[level])))
			return false;
		text += strlen(names[level]);
		for (i = 0; i < COLUMNS; i++) {
			h->frames[level][i] = strtoull(text, &end, 10);
			if (end == text || *end != '\t')
				return false;
			text = end + 1;
		}
		if (*text++ != '\n')
			return false;
	}
	return !*text;
}

static void read_histogram(int dev, struct histogram *h)
{
	char text[4096];

	read_stat_file(dev, text, sizeof(text));
	if (!parse(text, h))
		die("mmu_rmaps_stat: %s", text);
}

static uint64_t sum(const uint64_t *frames)
{
	uint64_t all = 0;
	int i;

	for (i = 0; i < COLUMNS; i++)
		all += frames[i];
	return all;
}

/* All by small pages: huge ones would be of another row. */
static void start(struct guest *g, int dev)
{
	uint64_t i, *pdpt, *pd;

	guest_start64(g, dev, sweep, sweep_end);
	if (madvise(g->mem, g->mem_size, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("MADV_NOHUGEPAGE: %m");
	pdpt = (uint64_t *)(g->mem + GUEST_TABLES + GUEST_PAGE);
	pd = (uint64_t *)(g->mem + (pdpt[VA >> 30] & ~0xffful));
	for (i = 0; i < NR_TABLES; i++)
		pd[i] = (TABLES + i * GUEST_PAGE) | PTE_P | PTE_W;
	memset(g->mem + TABLES, 0, NR_TABLES * GUEST_PAGE);
}

/* nr addresses from the first on lead to a page, and the guest reads by each of them. */
static int alias(struct guest *g, uint64_t first, uint64_t nr, uint64_t page)
{
	const struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.rbx = VA + first * GUEST_PAGE, .rcx = nr,
	};
	uint64_t i, *table = (uint64_t *)(g->mem + TABLES);

	for (i = first; i < first + nr; i++)
		table[i] = page | PTE_P | PTE_W | PTE_A | PTE_D;
	vcpu_set_regs(&g->cpu, &regs);
	return vcpu_run(&g->cpu);
}

#define NEEDS(shadowing)							\
	do {									\
		if (device_has_npt(self->dev) == (shadowing))			\
			SKIP(return, "nested paging is %s", (shadowing) ? "on" : "off");	\
		if (access("/sys/kernel/debug/kvm", R_OK | X_OK) &&		\
		    access("/sys/kernel/debug/xvm", R_OK | X_OK))		\
			SKIP(return, "no debugfs");				\
	} while (0)

TEST_F(shadow_stat, empty_with_nested_paging)
{
	char text[4096];

	NEEDS(false);
	guest_start64(&self->g, self->dev, sweep, sweep_end);
	read_stat_file(self->dev, text, sizeof(text));
	EXPECT_STREQ("", text);
}

TEST_F(shadow_stat, format)
{
	struct histogram h;
	char text[4096];

	NEEDS(true);
	start(&self->g, self->dev);
	read_stat_file(self->dev, text, sizeof(text));
	ASSERT_TRUE(parse(text, &h)) {
		TH_LOG("%s", text);
	}
	/* Nothing has run: the frames of its slot, and nothing that maps them. */
	EXPECT_EQ(GUEST_SIZE / GUEST_PAGE, h.frames[0][0]);
	EXPECT_EQ(GUEST_SIZE >> 21, h.frames[1][0]);
	EXPECT_EQ(1, h.frames[2][0]);
	EXPECT_EQ(h.frames[0][0], sum(h.frames[0]));
	EXPECT_EQ(h.frames[1][0], sum(h.frames[1]));
	EXPECT_EQ(h.frames[2][0], sum(h.frames[2]));
}

/*
 * Each number of aliases is of the column that has it, and each frame is in one.
 * KVM goes by the lowest bit of a number: right for powers of two.
 */
TEST_F(shadow_stat, counts)
{
	static const struct { uint64_t nr; int column; } of[] = {
		{ 2, 2 }, { 4, 3 }, { 8, 4 }, { 16, 5 }, { 64, 7 }, { 256, 9 },
		{ 3, 2 }, { 15, 4 }, { 63, 6 }, { 200, 8 }, { 300, 9 },
	};
	const unsigned int nr = device_is_xvm(self->dev) ? sizeof(of) / sizeof(of[0]) : 6;
	uint64_t expected[COLUMNS] = { 0 }, first = 0;
	struct histogram before, after;
	struct guest *g = &self->g;
	unsigned int i;

	NEEDS(true);
	start(g, self->dev);
	/* The table is what the entries of the first sweep are in: a frame of its own. */
	ASSERT_EQ(KVM_EXIT_IO, alias(g, NR_TABLES * 512 - 1, 1, PAGE(100)));
	read_histogram(self->dev, &before);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(KVM_EXIT_IO, alias(g, first, of[i].nr, PAGE(i)));
		first += of[i].nr;
		expected[of[i].column]++;
	}
	read_histogram(self->dev, &after);
	for (i = 2; i < COLUMNS; i++)
		EXPECT_EQ(before.frames[0][i] + expected[i], after.frames[0][i]);
	EXPECT_EQ(GUEST_SIZE / GUEST_PAGE, sum(after.frames[0]));
	EXPECT_EQ(GUEST_SIZE >> 21, sum(after.frames[1]));
	EXPECT_EQ(1, sum(after.frames[2]));

	/* The host takes the pages: nothing maps them any more. */
	ASSERT_EQ(0, madvise(g->mem + PAGE(0), 16 * GUEST_PAGE, MADV_DONTNEED));
	read_histogram(self->dev, &after);
	for (i = 2; i < COLUMNS; i++)
		EXPECT_EQ(before.frames[0][i], after.frames[0][i]);
}

/* KVM counts what a list had before its last entry came. */
TEST_F(shadow_stat, longest_list)
{
	struct guest *g = &self->g;

	NEEDS(true);
	start(g, self->dev);
	EXPECT_EQ(0, read_stat(g->vm, "max_mmu_rmap_size"));
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 0, 300, PAGE(0)));
	EXPECT_EQ(device_is_xvm(self->dev) ? 300 : 299, read_stat(g->vm, "max_mmu_rmap_size"));
	/* It stays, when the list is gone. */
	ASSERT_EQ(0, madvise(g->mem + PAGE(0), GUEST_PAGE, MADV_DONTNEED));
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 300, 5, PAGE(1)));
	EXPECT_EQ(device_is_xvm(self->dev) ? 300 : 299, read_stat(g->vm, "max_mmu_rmap_size"));
}

/* The kernel has its memory back, and the guest goes on. */
TEST_F(shadow_stat, reclaim)
{
	struct guest *g = &self->g;
	uint64_t pages;
	int i;

	NEEDS(true);
	if (geteuid())
		SKIP(return, "needs root");
	start(g, self->dev);
	*(uint64_t *)(g->mem + PAGE(0)) = 0x1234;
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 0, 1000, PAGE(0)));
	if (device_is_xvm(self->dev)) {
		pages = read_stat(g->vm, "table_pages");
		ASSERT_LT(6, pages);
		/* One asks for a part of them only. */
		for (i = 0; i < 100 && read_stat(g->vm, "table_pages") >= pages; i++)
			drop_slab();
		EXPECT_GT(pages, read_stat(g->vm, "table_pages"));
		guest_verify(g);
	} else {
		/* Newer ones have no shrinker. */
		for (i = 0; i < 10; i++)
			drop_slab();
	}
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 0, 1000, PAGE(0)));
	if (device_is_xvm(self->dev)) {
		EXPECT_EQ(pages, read_stat(g->vm, "table_pages"));
	}
}

/* While vCPUs run, on pages that the host changes meanwhile. */
TEST_F_TIMEOUT(shadow_stat, reclaim_under_load, 120)
{
	struct load l;
	int i;

	NEEDS(true);
	if (geteuid())
		SKIP(return, "needs root");
	load_start(&l, &self->g, self->dev, mem_alloc(LOAD_SIZE), true);
	for (i = 0; i < 200; i++) {
		load_begin(&l, i % LOAD_PAGES);
		load_rewrite(&l, i % LOAD_PAGES);
		drop_slab();
	}
	EXPECT_EQ(0, load_stop(&l));
}

/* Memory for what is shadowed, and only as long as it is. */
TEST_F(shadow_stat, bytes)
{
	struct guest *g = &self->g;
	uint64_t few, many;

	NEEDS(true);
	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	start(g, self->dev);
	EXPECT_EQ(0, read_stat(g->vm, "rmap_bytes"));
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 0, 1, PAGE(0)));
	few = read_stat(g->vm, "rmap_bytes");
	EXPECT_LT(0, few);
	ASSERT_EQ(KVM_EXIT_IO, alias(g, 0, 512, PAGE(0)));
	many = read_stat(g->vm, "rmap_bytes");
	EXPECT_LE(few + 511 * 8, many);
	guest_add_slot(g, 0, 0, 0, 0, NULL);
	EXPECT_EQ(0, read_stat(g->vm, "rmap_bytes"));
}

TEST_F(shadow_stat, closed_vm)
{
	char text[4096];
	int fd;

	NEEDS(true);
	start(&self->g, self->dev);
	ASSERT_EQ(KVM_EXIT_IO, alias(&self->g, 0, 10, PAGE(0)));
	fd = open_stat(self->dev, getpid());
	ASSERT_GE(fd, 0);
	guest_destroy(&self->g);
	/* The slot is still there, its memory is not. */
	EXPECT_LT(0, read_text(fd, text, sizeof(text)));
	close(fd);
	EXPECT_EQ(-1, open_stat(self->dev, getpid()));
}

/* A process is killed while its VM runs and is looked at. */
TEST_F_TIMEOUT(shadow_stat, killed, 120)
{
	int rounds, ready[2], looks, status, fd;
	char text[4096], c;
	pid_t pid;

	NEEDS(true);
	for (rounds = 0; rounds < 6; rounds++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			struct guest g;
			struct load l;

			load_start(&l, &g, self->dev, mem_alloc(LOAD_SIZE), true);
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		ASSERT_EQ(1, read(ready[0], &c, 1));
		fd = open_stat(self->dev, pid);
		ASSERT_GE(fd, 0);
		for (looks = 0; looks < 12; looks++) {
			struct histogram h;

			if (looks == rounds)
				ASSERT_EQ(0, kill(pid, SIGKILL));
			ASSERT_GE(read_text(fd, text, sizeof(text)), 0);
			ASSERT_TRUE(parse(text, &h)) {
				TH_LOG("%s", text);
			}
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		close(fd);
		close(ready[0]);
		close(ready[1]);
	}
}

TEST_HARNESS_MAIN
