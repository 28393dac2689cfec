// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each tracepoint tells what a guest and its host have done, in an instance of
 * tracefs of the test's own.
 *
 * A test breaks if the call of its trace_xvm_*() goes, or tells another range.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "huge.h"
#include "lru_gen.h"
#include "test.h"
#include "text.h"
#include "x86.h"

#define TRACEFS "/sys/kernel/tracing"
#define INSTANCE TRACEFS "/instances/xvm-selftest"
#define EVENTS INSTANCE "/events/xvm"
#define AROUND_PAGES "/sys/module/xvm/parameters/fault_around_pages"

#define FAR_GPA 0x10000000ul
#define FAR_GFN (FAR_GPA / GUEST_PAGE)
#define PAGES 64ul
#define SIZE (PAGES * GUEST_PAGE)
#define HUGE_GFN (HUGE_GPA / GUEST_PAGE)

/* Those that a test here looks at. */
static const char *const known[] = {
	"xvm_entry", "xvm_exit", "xvm_fault", "xvm_map", "xvm_around", "xvm_zap",
	"xvm_split", "xvm_collapse", "xvm_flush", "xvm_memslot", "xvm_age",
};

FIXTURE(tracepoints) {
	int dev;
	struct guest g;
	char *text;	/* what was traced */
	size_t size;
	char *next;
};

FIXTURE_VARIANT(tracepoints) {
	const char *path;
};

FIXTURE_VARIANT_ADD(tracepoints, kvm) {
	.path = "/dev/kvm",
};

FIXTURE_VARIANT_ADD(tracepoints, xvm) {
	.path = XVM_DEVICE_PATH,
};

FIXTURE_SETUP(tracepoints)
{
	self->g.vm = -1;
	self->dev = open(variant->path, O_RDWR | O_CLOEXEC);
	if (self->dev < 0)
		SKIP(return, "cannot open %s", variant->path);
	if (!device_is_xvm(self->dev))
		SKIP(return, "xvm's own");
	/* Of a test that did not come to its end. */
	rmdir(INSTANCE);
	if (mkdir(INSTANCE, 0700))
		SKIP(return, "no tracefs to write to");
	self->size = 4 << 20;
	self->text = mem_alloc(self->size);
}

FIXTURE_TEARDOWN(tracepoints)
{
	(void)variant;
	guest_destroy(&self->g);
	close(self->dev);
	rmdir(INSTANCE);
}

static void enable(const char *event, bool on)
{
	char path[200];

	snprintf(path, sizeof(path), EVENTS "/%s/enable", event);
	if (!write_text(path, on ? "1" : "0"))
		die("%s: %m", path);
}

/* From here on, of this process alone. */
static void trace_begin(const char *event)
{
	char pid[20];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!write_text(INSTANCE "/set_event_pid", pid) ||
	    !write_text(INSTANCE "/trace", "\n"))
		die(INSTANCE ": %m");
	enable(event, true);
}

/* A file that is made as it is read knows no offsets. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	ssize_t got, sum = 0;

	while ((got = read(fd, text + sum, size - 1 - sum)) > 0)
		sum += got;
	text[sum] = '\0';
	return got < 0 ? got : sum;
}

#define TRACE_END(event)						\
	do {								\
		int trace_ = open(INSTANCE "/trace", O_RDONLY | O_CLOEXEC); \
									\
		enable(event, false);					\
		if (trace_ < 0 || read_all(trace_, self->text, self->size) <= 0) \
			die(INSTANCE "/trace: %m");			\
		close(trace_);						\
		self->next = self->text;				\
	} while (0)

/* What the next line of an event says, or NULL. */
static char *next_event(char **next, const char *event)
{
	char mark[40], *found, *end;

	snprintf(mark, sizeof(mark), " %s: ", event);
	found = strstr(*next, mark);
	if (!found)
		return NULL;
	found += strlen(mark);
	end = strchr(found, '\n');
	*next = end ? end + 1 : found + strlen(found);
	if (end)
		*end = '\0';
	return found;
}

#define NEXT(event) next_event(&self->next, event)

/* Some line says just that.  Before any is taken apart. */
#define EXPECT_EVENT(event, fmt, ...)					\
	do {								\
		char want_[240];					\
									\
		snprintf(want_, sizeof(want_), " %s: " fmt "\n", event, __VA_ARGS__); \
		EXPECT_NE(NULL, strstr(self->text, want_)) {		\
			TH_LOG("no %s", want_);				\
		}							\
	} while (0)

#define NEEDS_NPT							\
	do {								\
		if (!device_has_npt(self->dev))				\
			SKIP(return, "with nested paging alone");	\
	} while (0)

/* How many pages around a fault's are mapped. */
static void set_around(const char *pages)
{
	if (!write_text(AROUND_PAGES, pages))
		die(AROUND_PAGES ": %m");
}

static uint8_t *small_pages(void)
{
	uint8_t *mem = mem_alloc(SIZE);

	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	fill_pages(mem, PAGES, 1000);
	return mem;
}

/* A guest with small pages at FAR_GPA, which it has not touched. */
static uint8_t *start(struct guest *g, int dev)
{
	uint8_t *mem = small_pages();

	pass_start(g, dev);
	guest_add_slot(g, 1, 0, FAR_GPA, SIZE, mem);
	return mem;
}

#define EXPECT_TOUCHED(pages, write)					\
	EXPECT_PASS(FAR_GPA, pages, 1000, write)

/* Breaks if a tracepoint has no test here. */
TEST_F(tracepoints, all_are_known)
{
	unsigned int i, found = 0;
	struct dirent *entry;
	DIR *dir = opendir(EVENTS);

	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "xvm", 3))
			continue;
		for (i = 0; i < ARRAY_SIZE(known); i++)
			if (!strcmp(known[i], entry->d_name))
				break;
		EXPECT_LT(i, ARRAY_SIZE(known)) {
			TH_LOG("%s", entry->d_name);
		}
		found++;
	}
	closedir(dir);
	EXPECT_EQ(ARRAY_SIZE(known), found);
}

/* Breaks if run_section() enters without a word, or the exit comes with another's code. */
TEST_F(tracepoints, entry_and_exit)
{
	unsigned long code = 0, rip = 0, first = 0;
	unsigned int vcpu, entries = 0, exits = 0;
	uint64_t before;
	char *line;

	start(&self->g, self->dev);
	before = read_stat(self->g.cpu.fd, "exits");
	trace_begin("xvm_entry");
	enable("xvm_exit", true);
	EXPECT_TOUCHED(1, true);
	enable("xvm_exit", false);
	TRACE_END("xvm_entry");
	before = read_stat(self->g.cpu.fd, "exits") - before;

	while ((line = NEXT("xvm_entry"))) {
		int fields = sscanf(line, "vcpu %u rip 0x%lx", &vcpu, &rip);

		ASSERT_EQ(2, fields);
		EXPECT_EQ(0, vcpu);
		EXPECT_LE(GUEST_CODE, rip);
		EXPECT_GT(GUEST_CODE + (pass_end - pass), rip);
		if (!entries++)
			first = rip;
	}
	EXPECT_EQ(GUEST_CODE, first);
	EXPECT_EQ(before, entries);

	trace_begin("xvm_exit");
	vcpu_set_rip(&self->g.cpu, GUEST_CODE + (pass_end - pass) - 1);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->g.cpu));
	TRACE_END("xvm_exit");
	while ((line = NEXT("xvm_exit"))) {
		int fields = sscanf(line, "vcpu %u code 0x%lx rip 0x%lx", &vcpu, &code, &rip);

		ASSERT_EQ(3, fields);
		EXPECT_EQ(0, vcpu);
		exits++;
	}
	EXPECT_LE(1, exits);
	/* SVM_EXIT_HLT, at the last byte of the code. */
	EXPECT_EQ(0x78, code);
	EXPECT_EQ(GUEST_CODE + (pass_end - pass) - 1, rip);
}

/* Breaks if xvm_mmu_fault_fast() or xvm_mmu_fault() tells of none, or of another address. */
TEST_F(tracepoints, fault)
{
	uint64_t wrong;

	NEEDS_NPT;
	start(&self->g, self->dev);
	set_around("0");
	trace_begin("xvm_fault");
	EXPECT_TOUCHED(1, true);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, 1, 1001, false);
	/* Behind the slot there is nothing. */
	run_pass(&self->g, FAR_GPA + SIZE, 1, 0, false, &wrong);
	TRACE_END("xvm_fault");
	set_around("16");
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx write: fixed", FAR_GPA);
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx : fixed", FAR_GPA + GUEST_PAGE);
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx : emulate", FAR_GPA + SIZE);
}

/* Breaks if trace_fault() tells of nothing, or of another access. */
TEST_F(tracepoints, shadow_fault)
{
	unsigned int found = 0, vcpu;
	unsigned long gpa;
	char *line;

	if (device_has_npt(self->dev))
		SKIP(return, "with shadow paging alone");
	start(&self->g, self->dev);
	trace_begin("xvm_fault");
	EXPECT_TOUCHED(PAGES, true);
	TRACE_END("xvm_fault");
	while ((line = NEXT("xvm_fault"))) {
		int fields = sscanf(line, "vcpu %u gpa 0x%lx", &vcpu, &gpa);

		ASSERT_EQ(2, fields);
		EXPECT_EQ(0, vcpu);
		found += gpa >= FAR_GPA && gpa < FAR_GPA + SIZE && strstr(line, " write: fixed");
	}
	EXPECT_LE(1, found);
}

/* Breaks if map_leaf() tells of an entry without what was asked for. */
TEST_F(tracepoints, map)
{
	unsigned int found = 0, vcpu, level;
	unsigned long gfn, pte;
	char *line;

	NEEDS_NPT;
	start(&self->g, self->dev);
	set_around("0");
	trace_begin("xvm_map");
	EXPECT_TOUCHED(PAGES, true);
	TRACE_END("xvm_map");
	set_around("16");
	while ((line = NEXT("xvm_map"))) {
		int fields = sscanf(line, "vcpu %u gfn 0x%lx level %u pte 0x%lx", &vcpu,
				    &gfn, &level, &pte);

		ASSERT_EQ(4, fields);
		if (gfn < FAR_GFN || gfn >= FAR_GFN + PAGES)
			continue;
		EXPECT_EQ(0, vcpu);
		EXPECT_EQ(FAR_GFN + found, gfn);
		EXPECT_EQ(1, level);
		EXPECT_EQ(PTE_P | PTE_W | PTE_U, pte & (PTE_P | PTE_W | PTE_U | PTE_PS));
		EXPECT_LT(GUEST_PAGE, pte);
		found++;
	}
	EXPECT_EQ(PAGES, found);
}

/* Breaks if map_pages() tells of its own window and not of the pages'. */
TEST_F(tracepoints, around)
{
	NEEDS_NPT;
	start(&self->g, self->dev);
	set_around("16");
	trace_begin("xvm_around");
	EXPECT_PASS(FAR_GPA + 20 * GUEST_PAGE, 1, 1020, false);
	TRACE_END("xvm_around");
	EXPECT_EVENT("xvm_around", "gfn 0x%lx-0x%lx", FAR_GFN + 16, FAR_GFN + 32);
}

/*
 * What the host takes away.  Breaks if invalidate_start() zaps without a word, or a
 * flush tells of another range than what was zapped.
 */
TEST_F(tracepoints, zap_and_flush)
{
	unsigned long first, end;
	unsigned int ipis, found = 0;
	uint8_t *mem = start(&self->g, self->dev);
	bool npt = device_has_npt(self->dev);
	char *line;

	EXPECT_TOUCHED(PAGES, true);
	trace_begin("xvm_zap");
	enable("xvm_flush", true);
	ASSERT_EQ(0, madvise(mem + 8 * GUEST_PAGE, 4 * GUEST_PAGE, MADV_DONTNEED));
	enable("xvm_flush", false);
	TRACE_END("xvm_zap");
	EXPECT_EVENT("xvm_zap", "gfn 0x%lx-0x%lx", FAR_GFN + 8, FAR_GFN + 12);
	while ((line = NEXT("xvm_flush"))) {
		int fields = sscanf(line, "gfn 0x%lx-0x%lx ipis %u", &first, &end, &ipis);

		/* No word between: SVM flushes no ranges. */
		ASSERT_EQ(3, fields);
		EXPECT_GE(FAR_GFN + 8, first);
		EXPECT_LE(FAR_GFN + 12, end);
		if (npt) {
			EXPECT_EQ(FAR_GFN + 8, first);
			EXPECT_EQ(FAR_GFN + 12, end);
		}
		/* The only vCPU is outside. */
		EXPECT_EQ(0, ipis);
		found++;
	}
	EXPECT_EQ(1, found);
}

/* Breaks if a log that begins does not split, or one that ends does not collapse. */
TEST_F(tracepoints, split_and_collapse)
{
	uint8_t *area;
	uint64_t i;

	NEEDS_NPT;
	START_HUGE(area);
	EXPECT_WRITES(2000);
	trace_begin("xvm_split");
	guest_add_slot(&self->g, 1, KVM_MEM_LOG_DIRTY_PAGES, HUGE_GPA, HUGE_SIZE, area);
	TRACE_END("xvm_split");
	for (i = 0; i < HUGE_PAGES; i += MIB2 / GUEST_PAGE)
		EXPECT_EVENT("xvm_split", "gfn 0x%lx-0x%lx", HUGE_GFN + i,
			     HUGE_GFN + i + MIB2 / GUEST_PAGE);
	EXPECT_LEAVES(0);

	trace_begin("xvm_collapse");
	guest_add_slot(&self->g, 1, 0, HUGE_GPA, HUGE_SIZE, area);
	TRACE_END("xvm_collapse");
	for (i = 0; i < HUGE_PAGES; i += MIB2 / GUEST_PAGE)
		EXPECT_EVENT("xvm_collapse", "gfn 0x%lx-0x%lx", HUGE_GFN + i,
			     HUGE_GFN + i + MIB2 / GUEST_PAGE);
	EXPECT_LEAVES(4);
}

/* Breaks if slots_commit() tells of the old slot where there is a new one. */
TEST_F(tracepoints, memslot)
{
	uint8_t *mem = small_pages();
	unsigned long hva = (unsigned long)mem, gfn = 3 * FAR_GFN;
	struct guest *g = &self->g;

	guest_create(g, self->dev, GUEST_SIZE);
	trace_begin("xvm_memslot");
	guest_add_slot(g, 1 << 16 | 7, KVM_MEM_READONLY, FAR_GPA, SIZE, mem);
	guest_add_slot(g, 5, 0, FAR_GPA, SIZE, mem);
	guest_add_slot(g, 5, 0, 3 * FAR_GPA, SIZE, mem);
	guest_add_slot(g, 5, KVM_MEM_LOG_DIRTY_PAGES, 3 * FAR_GPA, SIZE, mem);
	guest_add_slot(g, 5, 0, 0, 0, NULL);
	TRACE_END("xvm_memslot");
	EXPECT_EVENT("xvm_memslot", "create 1:7 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x2",
		     FAR_GFN, PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "create 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x0",
		     FAR_GFN, PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "move 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x0",
		     gfn, PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "flags 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x1",
		     gfn, PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "delete 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x1",
		     gfn, PAGES, hva);
}

/* The memory cgroup that the process is in. */
static bool own_group(char *path, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "r");
	char line[300];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3))
			continue;
		snprintf(path, size, "%s", line + 3);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* Breaks if age() tells of other addresses, or finds all old. */
TEST_F(tracepoints, age)
{
	unsigned long first, last, base;
	unsigned int young = 0, old = 0;
	char group[300], word[8], *line;
	uint8_t *mem;
	int tries;

	if (!lru_gen_enabled() || !own_group(group, sizeof(group)))
		SKIP(return, "no multi-generational LRU lists");
	mem = start(&self->g, self->dev);
	base = (unsigned long)mem;
	if (!write_text("/proc/sys/vm/drop_caches", "1"))
		die("drop_caches: %m");
	/* A walk may leave out what it finds busy, or not worth it. */
	for (tries = 0; tries < 20 && !young; tries++) {
		EXPECT_TOUCHED(PAGES, true);
		fill_pages(mem, PAGES, 1000);
		trace_begin("xvm_age");
		lru_gen_used(group);
		TRACE_END("xvm_age");
		while ((line = NEXT("xvm_age"))) {
			int fields = sscanf(line, "hva 0x%lx-0x%lx %7s", &first, &last, word);

			ASSERT_EQ(3, fields);
			ASSERT_LT(first, last);
			if (first < base || last > base + SIZE)
				continue;
			EXPECT_EQ(0, first % GUEST_PAGE);
			if (!strcmp(word, "young"))
				young++;
			else
				old++;
			EXPECT_TRUE(!strcmp(word, "young") || !strcmp(word, "old"));
		}
	}
	EXPECT_LT(0, young) {
		TH_LOG("%u times old", old);
	}
}

TEST_HARNESS_MAIN
