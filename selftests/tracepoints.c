// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each tracepoint tells what a guest and its host have done, in an instance of
 * tracefs of the test's own.
 *
 * A test breaks if the call of its trace_xvm_*() goes, or tells another range.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "huge.h"
#include "lru_gen.h"
#include "test.h"
#include "text.h"
#include "trace.h"
#include "x86.h"

TRACE_FIXTURE(tracepoints);

#define AROUND_PAGES "/sys/module/xvm/parameters/fault_around_pages"

/* Those that a test looks at, here or in tracepoints_flush.c. */
static const char *const known[] = {
	"xvm_entry", "xvm_exit", "xvm_fault", "xvm_map", "xvm_around", "xvm_zap",
	"xvm_split", "xvm_collapse", "xvm_flush", "xvm_memslot", "xvm_age",
};

/* How many pages around a fault's are mapped. */
static void set_around(const char *pages)
{
	if (!write_text(AROUND_PAGES, pages))
		die(AROUND_PAGES ": %m");
}

/* Breaks if a tracepoint has no test. */
TEST_F(tracepoints, all_are_known)
{
	unsigned int i, found = 0;
	struct dirent *entry;
	DIR *dir = opendir(TRACE_EVENTS);

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

	far_start(&self->g, self->dev);
	before = read_stat(self->g.cpu.fd, "exits");
	trace_begin("xvm_entry");
	trace_enable("xvm_exit", true);
	EXPECT_TOUCHED(1, true);
	trace_enable("xvm_exit", false);
	TRACE_END("xvm_entry");
	before = read_stat(self->g.cpu.fd, "exits") - before;

	while ((line = TRACE_NEXT("xvm_entry"))) {
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
	while ((line = TRACE_NEXT("xvm_exit"))) {
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
	far_start(&self->g, self->dev);
	set_around("0");
	trace_begin("xvm_fault");
	EXPECT_TOUCHED(1, true);
	EXPECT_PASS(FAR_GPA + GUEST_PAGE, 1, 1001, false);
	/* Behind the slot there is nothing. */
	run_pass(&self->g, FAR_GPA + FAR_SIZE, 1, 0, false, &wrong);
	TRACE_END("xvm_fault");
	set_around("16");
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx write: fixed", FAR_GPA);
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx : fixed", FAR_GPA + GUEST_PAGE);
	EXPECT_EVENT("xvm_fault", "vcpu 0 gpa 0x%lx : emulate", FAR_GPA + FAR_SIZE);
}

/* Breaks if trace_fault() tells of nothing, or of another access. */
TEST_F(tracepoints, shadow_fault)
{
	unsigned int found = 0, vcpu;
	unsigned long gpa;
	char *line;

	if (device_has_npt(self->dev))
		SKIP(return, "with shadow paging alone");
	far_start(&self->g, self->dev);
	trace_begin("xvm_fault");
	EXPECT_TOUCHED(FAR_PAGES, true);
	TRACE_END("xvm_fault");
	while ((line = TRACE_NEXT("xvm_fault"))) {
		int fields = sscanf(line, "vcpu %u gpa 0x%lx", &vcpu, &gpa);

		ASSERT_EQ(2, fields);
		EXPECT_EQ(0, vcpu);
		found += gpa >= FAR_GPA && gpa < FAR_GPA + FAR_SIZE &&
			 strstr(line, " write: fixed");
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
	far_start(&self->g, self->dev);
	set_around("0");
	trace_begin("xvm_map");
	EXPECT_TOUCHED(FAR_PAGES, true);
	TRACE_END("xvm_map");
	set_around("16");
	while ((line = TRACE_NEXT("xvm_map"))) {
		int fields = sscanf(line, "vcpu %u gfn 0x%lx level %u pte 0x%lx", &vcpu,
				    &gfn, &level, &pte);

		ASSERT_EQ(4, fields);
		if (gfn < FAR_GFN || gfn >= FAR_GFN + FAR_PAGES)
			continue;
		EXPECT_EQ(0, vcpu);
		EXPECT_EQ(FAR_GFN + found, gfn);
		EXPECT_EQ(1, level);
		EXPECT_EQ(PTE_P | PTE_W | PTE_U, pte & (PTE_P | PTE_W | PTE_U | PTE_PS));
		EXPECT_LT(GUEST_PAGE, pte);
		found++;
	}
	EXPECT_EQ(FAR_PAGES, found);
}

/* Breaks if map_pages() tells of its own window and not of the pages'. */
TEST_F(tracepoints, around)
{
	NEEDS_NPT;
	far_start(&self->g, self->dev);
	set_around("16");
	trace_begin("xvm_around");
	EXPECT_PASS(FAR_GPA + 20 * GUEST_PAGE, 1, 1020, false);
	TRACE_END("xvm_around");
	EXPECT_EVENT("xvm_around", "gfn 0x%lx-0x%lx", FAR_GFN + 16, FAR_GFN + 32);
}

/* Breaks if slots_commit() tells of the old slot where there is a new one. */
TEST_F(tracepoints, memslot)
{
	uint8_t *mem = far_pages();
	unsigned long hva = (unsigned long)mem, gfn = 3 * FAR_GFN;
	struct guest *g = &self->g;

	guest_create(g, self->dev, GUEST_SIZE);
	trace_begin("xvm_memslot");
	guest_add_slot(g, 1 << 16 | 7, KVM_MEM_READONLY, FAR_GPA, FAR_SIZE, mem);
	guest_add_slot(g, 5, 0, FAR_GPA, FAR_SIZE, mem);
	guest_add_slot(g, 5, 0, 3 * FAR_GPA, FAR_SIZE, mem);
	guest_add_slot(g, 5, KVM_MEM_LOG_DIRTY_PAGES, 3 * FAR_GPA, FAR_SIZE, mem);
	guest_add_slot(g, 5, 0, 0, 0, NULL);
	TRACE_END("xvm_memslot");
	EXPECT_EVENT("xvm_memslot", "create 1:7 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x2",
		     FAR_GFN, FAR_PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "create 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x0",
		     FAR_GFN, FAR_PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "move 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x0",
		     gfn, FAR_PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "flags 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x1",
		     gfn, FAR_PAGES, hva);
	EXPECT_EVENT("xvm_memslot", "delete 0:5 gfn 0x%lx pages 0x%lx hva 0x%lx flags 0x1",
		     gfn, FAR_PAGES, hva);
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

/* Pages that were just allocated wait in each CPU's own list. */
static void drain_lists(void)
{
	if (!write_text("/proc/sys/vm/drop_caches", "1"))
		die("drop_caches: %m");
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
	mem = far_start(&self->g, self->dev);
	base = (unsigned long)mem;
	drain_lists();
	/* A walk may leave out what it finds busy, or not worth it. */
	for (tries = 0; tries < 20 && !young; tries++) {
		EXPECT_TOUCHED(FAR_PAGES, true);
		fill_pages(mem, FAR_PAGES, 1000);
		trace_begin("xvm_age");
		lru_gen_used(group);
		TRACE_END("xvm_age");
		while ((line = TRACE_NEXT("xvm_age"))) {
			int fields = sscanf(line, "hva 0x%lx-0x%lx %7s", &first, &last, word);

			ASSERT_EQ(3, fields);
			ASSERT_LT(first, last);
			if (first < base || last > base + FAR_SIZE)
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

/*
 * Of the pages that a fault has mapped, the one that it was about is young, its
 * neighbours are old.  Breaks if map_pages() gives them XVM_PTE_ACCESSED.
 */
TEST_F(tracepoints, age_of_neighbours)
{
	unsigned long first, last, base;
	uint64_t page, fixed, seen = 0;
	char group[300], word[8], *line;
	uint8_t *mem;
	int tries;

	NEEDS_NPT;
	if (!lru_gen_enabled() || !own_group(group, sizeof(group)))
		SKIP(return, "no multi-generational LRU lists");
	mem = far_start(&self->g, self->dev);
	base = (unsigned long)mem;
	drain_lists();
	set_around("16");
	for (page = 0; page < FAR_PAGES; page += 16)
		EXPECT_PASS(FAR_GPA + page * GUEST_PAGE, 1, 1000 + page, false);
	/* What a walk leaves out, another asks about; to be asked makes a page old. */
	for (tries = 0; tries < 20 && ~seen; tries++) {
		trace_begin("xvm_age");
		lru_gen_used(group);
		TRACE_END("xvm_age");
		while ((line = TRACE_NEXT("xvm_age"))) {
			int fields = sscanf(line, "hva 0x%lx-0x%lx %7s", &first, &last, word);

			ASSERT_EQ(3, fields);
			if (first < base || last > base + FAR_SIZE)
				continue;
			ASSERT_EQ(GUEST_PAGE, last - first);
			page = (first - base) / GUEST_PAGE;
			if (!(seen >> page & 1))
				EXPECT_STREQ(page % 16 ? "old" : "young", word);
			seen |= 1ul << page;
		}
	}
	EXPECT_EQ(~0ul, seen);

	/* They are all mapped. */
	fixed = read_stat(self->g.cpu.fd, "pf_fixed");
	EXPECT_TOUCHED(FAR_PAGES, false);
	EXPECT_EQ(fixed, read_stat(self->g.cpu.fd, "pf_fixed"));
}

TEST_HARNESS_MAIN
