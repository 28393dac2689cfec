// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host memory of special kinds behind a slot: poisoned, moved, locked, swapped,
 * truncated huge pages, and physical memory without page references (VM_PFNMAP).
 */
#include <linux/memfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>

#include "pass.h"
#include "stats.h"
#include "test.h"

DEVICE_FIXTURE(hostmem);

#define FAR_GPA 0x1000000ul
#define PAGES 64ul
#define SIZE (PAGES * GUEST_PAGE)
#define MIB2 (2ul << 20)

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static uint8_t *small_pages(uint64_t first)
{
	uint8_t *mem = mem_alloc(SIZE);
	uint64_t i;

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		*(uint64_t *)(mem + i * GUEST_PAGE) = first + i;
	return mem;
}

static void start(struct guest *g, int dev, void *mem, size_t size)
{
	guest_start64(g, dev, pass, pass_end);
	guest_add_slot(g, 1, 0, FAR_GPA, size, mem);
}

static volatile sig_atomic_t bus_errors;
static int bus_code;
static void *bus_address;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	bus_errors++;
	bus_code = info->si_code;
	bus_address = info->si_addr;
}

static void catch_bus_errors(void)
{
	struct sigaction action = {
		.sa_sigaction = on_bus_error,
		.sa_flags = SA_SIGINFO,
	};

	bus_errors = 0;
	sigaction(SIGBUS, &action, NULL);
}

/* As if the process had touched the page itself: SIGBUS, from which it can recover. */
TEST_F(hostmem, poison)
{
	uint8_t *mem = small_pages(100), *bad = mem + 9 * GUEST_PAGE;
	struct kvm_pre_fault_memory range = {
		.gpa = FAR_GPA + 9 * GUEST_PAGE,
		.size = GUEST_PAGE,
	};
	uint64_t wrong;

	start(&self->g, self->dev, mem, SIZE);
	EXPECT_PAGES(0, PAGES, 200, true);
	catch_bus_errors();
	if (madvise(bad, GUEST_PAGE, MADV_HWPOISON))
		SKIP(return, "no MADV_HWPOISON");
	/* It may have told the process at once. */
	bus_errors = 0;
	EXPECT_PAGES(0, 9, 200, false);
	EXPECT_PAGES(10, PAGES - 10, 210, false);
	EXPECT_EQ(0, bus_errors);

	EXPECT_EQ(-EINTR, run_pass(&self->g, FAR_GPA + 9 * GUEST_PAGE, 1, 209,
				   false, &wrong));
	EXPECT_EQ(KVM_EXIT_INTR, self->g.cpu.run->exit_reason);
	EXPECT_EQ(1, bus_errors);
	EXPECT_EQ(BUS_MCEERR_AR, bus_code);
	EXPECT_EQ(bad, bus_address);
	EXPECT_EQ(-EINTR, run_pass(&self->g, FAR_GPA + 9 * GUEST_PAGE, 1, 5,
				   true, &wrong));
	EXPECT_EQ(2, bus_errors);
	if (ioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) > 0) {
		EXPECT_EQ(-EINTR, kioctl(self->g.cpu.fd, KVM_PRE_FAULT_MEMORY,
					 &range));
		EXPECT_EQ(3, bus_errors);
		EXPECT_EQ(GUEST_PAGE, range.size);
	}
	guest_verify(&self->g);

	/* Another page in its place, and the vCPU goes on where it stopped. */
	ASSERT_EQ(bad, mmap(bad, GUEST_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	EXPECT_EQ(5, *(uint64_t *)bad);
	EXPECT_PAGES(9, 1, 5, false);
}

/* Pages that the host takes out of use move with what is in them. */
TEST_F(hostmem, soft_offline)
{
	uint8_t *mem = small_pages(100);
	unsigned int i;

	start(&self->g, self->dev, mem, SIZE);
	EXPECT_PAGES(0, PAGES, 300, true);
	for (i = 3; i < PAGES; i += 20) {
		if (madvise(mem + i * GUEST_PAGE, GUEST_PAGE, MADV_SOFT_OFFLINE))
			SKIP(return, "no MADV_SOFT_OFFLINE");
	}
	EXPECT_PAGES(0, PAGES, 300, false);
	EXPECT_PAGES(0, PAGES, 400, true);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(400 + i, *(uint64_t *)(mem + i * GUEST_PAGE));
}

TEST_F(hostmem, mlock)
{
	uint8_t *mem = mem_alloc(SIZE);

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	start(&self->g, self->dev, mem, SIZE);
	ASSERT_EQ(0, mlock2(mem, SIZE / 2, MLOCK_ONFAULT));
	EXPECT_PAGES(0, PAGES, 100, true);
	ASSERT_EQ(0, mlock(mem, SIZE));
	EXPECT_PAGES(0, PAGES, 100, false);
	EXPECT_PAGES(0, PAGES, 200, true);
	/* Locked pages stay even if the host would rather have them back. */
	EXPECT_EQ(-1, madvise(mem, SIZE, MADV_PAGEOUT));
	ASSERT_EQ(0, munlock(mem, SIZE));
	EXPECT_PAGES(0, PAGES, 200, false);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s: %m", path);
	close(fd);
}

static bool have_swap(void)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[256];
	int lines = 0;

	while (file && fgets(line, sizeof(line), file))
		lines++;
	if (file)
		fclose(file);
	return lines > 1;
}

/* Swap in compressed memory; which device it is, or -1: there can be none. */
static int make_swap(void)
{
	char path[64];
	int id = -1;
	FILE *file;

	if (system("modprobe -q zram num_devices=0"))
		return -1;
	file = fopen("/sys/class/zram-control/hot_add", "re");
	if (!file || fscanf(file, "%d", &id) != 1)
		id = -1;
	if (file)
		fclose(file);
	if (id < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", id);
	write_file(path, "16M");
	snprintf(path, sizeof(path), "mkswap /dev/zram%d >/dev/null", id);
	if (system(path))
		die("%s", path);
	snprintf(path, sizeof(path), "/dev/zram%d", id);
	if (swapon(path, 0))
		die("swapon %s: %m", path);
	return id;
}

static void drop_swap(int id)
{
	char path[64];

	if (id < 0)
		return;
	snprintf(path, sizeof(path), "/dev/zram%d", id);
	if (swapoff(path))
		die("swapoff %s: %m", path);
	snprintf(path, sizeof(path), "%d", id);
	write_file("/sys/class/zram-control/hot_remove", path);
}

static unsigned int present(uint8_t *mem)
{
	unsigned char there[PAGES];
	unsigned int i, nr = 0;

	if (mincore(mem, SIZE, there))
		die("mincore: %m");
	for (i = 0; i < PAGES; i++)
		nr += there[i] & 1;
	return nr;
}

/* A page that the guest has just used may stay for a while. */
static unsigned int page_out(uint8_t *mem)
{
	int tries;

	for (tries = 0; tries < 20 && present(mem); tries++) {
		if (madvise(mem, SIZE, MADV_PAGEOUT))
			die("MADV_PAGEOUT: %m");
		usleep(10000);
	}
	return present(mem);
}

TEST_F(hostmem, swap)
{
	uint8_t *mem = small_pages(100);
	int zram = -1;
	unsigned int i;

	if (!have_swap())
		zram = make_swap();
	if (!have_swap())
		SKIP(return, "no swap");
	start(&self->g, self->dev, mem, SIZE);
	EXPECT_PAGES(0, PAGES, 100, false);
	EXPECT_LT(page_out(mem), PAGES);
	guest_verify(&self->g);
	EXPECT_PAGES(0, PAGES, 100, false);
	EXPECT_PAGES(0, PAGES, 500, true);
	/* What the guest has written is written out, and comes back. */
	EXPECT_LT(page_out(mem), PAGES);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(500 + i, *(uint64_t *)(mem + i * GUEST_PAGE));
	EXPECT_LT(page_out(mem), PAGES);
	EXPECT_PAGES(0, PAGES, 900, true);
	EXPECT_PAGES(0, PAGES, 900, false);
	guest_destroy(&self->g);
	munmap(mem, SIZE);
	drop_swap(zram);
}

/* The file behind huge pages ends earlier, has a hole, and is whole again. */
TEST_F(hostmem, hugetlb_truncate)
{
	const uint64_t pages = MIB2 / GUEST_PAGE;
	int fd = memfd_create("selftest", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	uint64_t wrong;
	uint8_t *mem;

	if (fd < 0 || ftruncate(fd, 3 * MIB2))
		SKIP(return, "no hugetlbfs");
	mem = mmap(NULL, 3 * MIB2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no reserved pages of 2 MiB");
	start(&self->g, self->dev, mem, 3 * MIB2);
	EXPECT_PAGES(0, 3 * pages, 100, true);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       MIB2));
	EXPECT_PAGES(5, 1, 0, false);
	EXPECT_PAGES(pages, 2 * pages, 100 + pages, false);

	ASSERT_EQ(0, ftruncate(fd, MIB2));
	EXPECT_EQ(-EFAULT, run_pass(&self->g, FAR_GPA + MIB2, 1, 0, false, &wrong));
	guest_verify(&self->g);
	ASSERT_EQ(0, ftruncate(fd, 3 * MIB2));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	EXPECT_PAGES(2 * pages, 1, 0, false);
	EXPECT_PAGES(0, 3 * pages, 700, true);
	guest_destroy(&self->g);
	munmap(mem, 3 * MIB2);
	close(fd);
}

/* Reads rdi's rcx words into memory from rsi on, and writes the first one back as it is. */
GUEST_ASM(copy_words, 64,
	  "lock addq $0, (%rdi)\n"
	  "1: mov (%rdi), %rax\n"
	  "mov %rax, (%rsi)\n"
	  "add $8, %rdi\n"
	  "add $8, %rsi\n"
	  "dec %rcx\n"
	  "jnz 1b\n"
	  "hlt");

/* Where a PC's firmware has its code since there are PCs; the kernel leaves it alone. */
#define ROM 0xf0000ul

/*
 * Breaks if a page without reference is mapped and not dropped with the host's
 * mapping: zap_hva_range() in invalidate_start().  A reference that was taken after
 * all would show nowhere: such a page is reserved, and never freed.
 */
TEST_F(hostmem, pfnmap)
{
	const uint64_t words = GUEST_PAGE / 8;
	struct guest *g = &self->g;
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rdi = FAR_GPA,
		.rsi = GUEST_FREE,
		.rcx = words,
	};
	int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
	uint8_t *rom = MAP_FAILED;

	if (fd >= 0)
		rom = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, ROM);
	if (rom == MAP_FAILED)
		SKIP(return, "no /dev/mem");
	guest_start64(g, self->dev, copy_words, copy_words_end);
	guest_add_slot(g, 1, 0, FAR_GPA, 2 * GUEST_PAGE, rom);
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(0, memcmp(g->mem + GUEST_FREE, rom, GUEST_PAGE));
	guest_verify(g);

	/* The host's mapping of one page goes: so does the guest's. */
	ASSERT_EQ(0, munmap(rom, GUEST_PAGE));
	vcpu_set_regs(&g->cpu, &regs);
	EXPECT_EQ(-EFAULT, vcpu_run(&g->cpu));
	guest_verify(g);
	regs.rdi += GUEST_PAGE;
	vcpu_set_regs(&g->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	EXPECT_EQ(0, memcmp(g->mem + GUEST_FREE, rom + GUEST_PAGE, GUEST_PAGE));
	guest_destroy(g);
	munmap(rom + GUEST_PAGE, GUEST_PAGE);
	close(fd);
}

TEST_HARNESS_MAIN
