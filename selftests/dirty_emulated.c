// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel writes in the guest's stead is logged like the guest's own writes:
 * strings from a port or a device, an operand across a device's edge, bits in the
 * guest's page tables.  The CPU itself never writes to the slot here.
 */
#include <string.h>

#include "pass.h"
#include "ring.h"
#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(dirty_emulated);

#define LOG_GPA 0x1000000ul
#define LOG_PAGES 600ul
#define LOG_SIZE (LOG_PAGES * GUEST_PAGE)
/* No memory, up to where the slot begins. */
#define DEVICE_GPA (LOG_GPA - GUEST_PAGE)

/* Addresses that a table in the slot maps, which the CPU itself doesn't use. */
#define WINDOW 0x80000000ul
#define TABLE_PAGE 599l
#define NO_TABLE (-1l)

#define RING_SIZE GUEST_PAGE
#define ENTRIES (RING_SIZE / sizeof(struct kvm_dirty_gfn))

GUEST_ASM(rep_insb, 64, "rep insb; hlt");
GUEST_ASM(rep_movsb, 64, "rep movsb; hlt");
GUEST_ASM(rep_movsq, 64, "rep movsq; hlt");
GUEST_ASM(add_long, 64, "addl $0x10001, (%rdi); hlt");
GUEST_ASM(compare, 64, "lea 4096(%rdi), %rsi; cmpsb; hlt");

/* The same eight bytes of the device to each of rcx pages. */
GUEST_ASM(movsq_pages, 64,
	  "1: movsq\n"
	  "sub $8, %rsi\n"
	  "add $4088, %rdi\n"
	  "dec %rcx\n"
	  "jnz 1b\n"
	  "hlt");

enum kind { BITMAP, MANUAL, RING };

struct traffic {
	struct guest *g;
	enum kind kind;
	struct ring ring;
	uint8_t *mem;	/* of the slot */
	uint64_t fed;	/* bytes that port and device have given, and had when it began */
	uint64_t first;
};

static void start(struct traffic *t, struct guest *g, int dev, enum kind kind)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};

	memset(t, 0, sizeof(*t));
	t->g = g;
	t->kind = kind;
	if (kind == RING)
		ring_start(g, dev, RING_SIZE, &t->ring);
	else
		pass_start(g, dev);
	if (kind == MANUAL)
		xioctl(g->vm, KVM_ENABLE_CAP, &cap);
	t->ring.pages = LOG_PAGES;
	t->mem = mem_alloc(LOG_SIZE);
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, t->mem);
}

/* The window's entries, for each page of the slot but the last. */
static volatile uint64_t *map_window(struct traffic *t)
{
	uint64_t *pd = (uint64_t *)(t->g->mem + GUEST_TABLES + 2 * GUEST_PAGE);
	uint64_t *table = (uint64_t *)(t->mem + TABLE_PAGE * GUEST_PAGE);
	int i;

	for (i = 0; i < 512; i++)
		table[i] = (LOG_GPA + i * GUEST_PAGE) | PTE_P | PTE_W;
	pd[WINDOW >> 21] = (LOG_GPA + TABLE_PAGE * GUEST_PAGE) | PTE_P | PTE_W;
	return table;
}

static void begin(struct traffic *t, const uint8_t *code, const uint8_t *end, uint64_t rdi,
		  uint64_t rcx)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rdx = 0x5a0,
		.rsi = DEVICE_GPA,
		.rdi = rdi,
		.rcx = rcx,
	};

	guest_load(t->g, code, end);
	vcpu_set_regs(&t->g->cpu, &regs);
	t->first = t->fed;
}

/* What the n-th byte of all is. */
static uint8_t nth_byte(uint64_t n)
{
	return n % 251;
}

static void feed(struct traffic *t, uint8_t *data, size_t len)
{
	while (len--)
		*data++ = nth_byte(t->fed++);
}

/* Runs to an exit that is not for port or device. */
static int serve(struct traffic *t)
{
	struct kvm_run *run = t->g->cpu.run;

	for (;;) {
		int reason = vcpu_run(&t->g->cpu);

		if (reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
			feed(t, (uint8_t *)run + run->io.data_offset,
			     (size_t)run->io.size * run->io.count);
		else if (reason == KVM_EXIT_MMIO && !run->mmio.is_write)
			feed(t, run->mmio.data, run->mmio.len);
		else if (reason != KVM_EXIT_MMIO)
			return reason;
	}
}

/* Of what came in since it began, from the byte at on: how many of len bytes are not in place. */
static unsigned int wrong_bytes(const struct traffic *t, uint64_t at, uint64_t len, uint64_t from)
{
	unsigned int wrong = 0;
	uint64_t i;

	for (i = 0; i < len; i++)
		wrong += t->mem[at + i] != nth_byte(t->first + from + i);
	return wrong;
}

static unsigned int take(struct ring *ring, bool *seen)
{
	unsigned int n = 0;
	long page;

	for (; (page = ring_take(ring)) >= 0; n++)
		seen[page] = true;
	return n;
}

/* What the log has, which it hasn't afterwards. */
static void collect(struct traffic *t, bool *seen)
{
	uint64_t bits[LOG_PAGES / 64 + 1] = {}, page;
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.num_pages = LOG_PAGES,
		.dirty_bitmap = bits,
	};

	if (t->kind == RING) {
		if (take(&t->ring, seen) != ring_reset(t->g))
			die("not all that was taken was taken back");
		return;
	}
	xioctl(t->g->vm, KVM_GET_DIRTY_LOG, &get);
	if (t->kind == MANUAL)
		xioctl(t->g->vm, KVM_CLEAR_DIRTY_LOG, &clear);
	for (page = 0; page < LOG_PAGES; page++)
		seen[page] = bits[page / 64] >> (page % 64) & 1;
}

/* Pages of which the log says something else than that [first, end) were written, and the table. */
static unsigned int wrong_pages(struct traffic *t, long first, long end, long table)
{
	bool seen[LOG_PAGES] = {};
	unsigned int wrong = 0;
	long page;

	collect(t, seen);
	for (page = 0; page < LOG_PAGES; page++)
		wrong += seen[page] != ((page >= first && page < end) || page == table);
	return wrong;
}

/* And then no more. */
#define EXPECT_LOG(t, first, end, table)				\
	do {								\
		EXPECT_EQ(0, wrong_pages(t, first, end, table));		\
		EXPECT_EQ(0, wrong_pages(t, 0, 0, NO_TABLE));		\
		guest_verify((t)->g);					\
	} while (0)

/* One test for each kind of log. */
#define LOG_TESTS(name)							\
	TEST_F(dirty_emulated, name)					\
	{								\
		name(_metadata, self, BITMAP);				\
	}								\
	TEST_F(dirty_emulated, name##_manual)				\
	{								\
		name(_metadata, self, MANUAL);				\
	}								\
	TEST_F(dirty_emulated, name##_ring)				\
	{								\
		name(_metadata, self, RING);				\
	}

/* Breaks without xvm_dirty_mark() in write_page(), of access.c. */
static void strings(struct __test_metadata *_metadata, FIXTURE_DATA(dirty_emulated) * self,
		    enum kind kind)
{
	/* Pages 20 to 23; 30 and 31, by an element in both as well. */
	const uint64_t in = 20 * GUEST_PAGE + 100, in_len = 3 * GUEST_PAGE;
	const uint64_t moved = 31 * GUEST_PAGE - 12, moved_len = 24;
	struct traffic t;
	int round;

	start(&t, &self->g, self->dev, kind);
	EXPECT_LOG(&t, 0, 0, NO_TABLE);
	for (round = 0; round < 3; round++) {
		begin(&t, rep_insb, rep_insb_end, LOG_GPA + in, in_len);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&t));
		EXPECT_EQ(0, wrong_bytes(&t, in, in_len, 0));
		EXPECT_LOG(&t, 20, 24, NO_TABLE);

		begin(&t, rep_movsq, rep_movsq_end, LOG_GPA + moved, moved_len / 8);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&t));
		EXPECT_EQ(0, wrong_bytes(&t, moved, moved_len, 0));
		EXPECT_LOG(&t, 30, 32, NO_TABLE);
	}
}

LOG_TESTS(strings)

/* Half of an operand that is read and written is the device's.  Breaks as the strings do. */
static void edge_of_a_device(struct __test_metadata *_metadata,
			     FIXTURE_DATA(dirty_emulated) * self, enum kind kind)
{
	struct traffic t;
	int round;

	start(&t, &self->g, self->dev, kind);
	for (round = 0; round < 3; round++) {
		begin(&t, add_long, add_long_end, LOG_GPA - 2, 0);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&t));
		EXPECT_EQ(round + 1, *(uint16_t *)t.mem);
		EXPECT_LOG(&t, 0, 1, NO_TABLE);
	}
}

LOG_TESTS(edge_of_a_device)

/*
 * Accessed and dirty bits, by a string that the CPU never looks up.  Breaks without
 * xvm_dirty_mark() in xvm_cmpxchg_gpa().
 */
static void page_table(struct __test_metadata *_metadata, FIXTURE_DATA(dirty_emulated) * self,
		       enum kind kind)
{
	const uint64_t in = 11 * GUEST_PAGE - 100, in_len = 200;
	volatile uint64_t *table;
	struct traffic t;
	int round;

	start(&t, &self->g, self->dev, kind);
	table = map_window(&t);
	for (round = 0; round < 4; round++) {
		begin(&t, rep_insb, rep_insb_end, WINDOW + in, in_len);
		ASSERT_EQ(KVM_EXIT_HLT, serve(&t));
		EXPECT_EQ(0, wrong_bytes(&t, in, in_len, 0));
		EXPECT_EQ(PTE_A | PTE_D, table[10] & table[11] & (PTE_A | PTE_D));
		/* In the odd rounds they are set. */
		EXPECT_LOG(&t, 10, 12, round % 2 ? NO_TABLE : TABLE_PAGE);
		if (round % 2) {
			table[10] &= ~(uint64_t)(PTE_A | PTE_D);
			table[11] &= ~(uint64_t)(PTE_A | PTE_D);
		}
	}
}

LOG_TESTS(page_table)

/* Goes on until the guest has done; nr: entries of a full ring, or 0 if that may vary. */
static void overfill(struct __test_metadata *_metadata, struct traffic *t, unsigned int nr,
		     long pages)
{
	bool seen[LOG_PAGES] = {};
	unsigned int n, exits = 0;
	int reason;
	long page;

	while ((reason = serve(t)) == KVM_EXIT_DIRTY_RING_FULL) {
		/* However often it is asked. */
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, vcpu_run(&t->g->cpu));
		n = take(&t->ring, seen);
		EXPECT_LE(nr ?: ENTRIES - RING_RESERVED, n);
		EXPECT_GE(nr ?: ENTRIES - 1, n);
		ASSERT_EQ(n, ring_reset(t->g));
		exits++;
	}
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	EXPECT_LE(3, exits);
	take(&t->ring, seen);
	for (page = 0; page < LOG_PAGES; page++)
		EXPECT_EQ(page < pages, seen[page]);
}

/*
 * A ring that is filled by strings, which go on where there is room again.  KVM has
 * more than one entry for a page.  Breaks as the strings do.
 */
TEST_F_TIMEOUT(dirty_emulated, port_fills_ring, 120)
{
	struct traffic t;

	start(&t, &self->g, self->dev, RING);
	begin(&t, rep_insb, rep_insb_end, LOG_GPA, LOG_SIZE);
	overfill(_metadata, &t, 0, LOG_PAGES);
	EXPECT_EQ(0, wrong_bytes(&t, 0, LOG_SIZE, 0));
}

TEST_F_TIMEOUT(dirty_emulated, device_fills_ring, 120)
{
	struct traffic t;
	long page;

	start(&t, &self->g, self->dev, RING);
	begin(&t, movsq_pages, movsq_pages_end, LOG_GPA, LOG_PAGES);
	overfill(_metadata, &t, 0, LOG_PAGES);
	for (page = 0; page < LOG_PAGES; page++)
		EXPECT_EQ(0, wrong_bytes(&t, page * GUEST_PAGE, 8, page * 8));
}

/*
 * One instruction with an entry for each element, which never enters the guest in
 * between.  Breaks if execute() doesn't ask xvm_dirty_ring_full(): xvm_arch_vcpu_run()
 * stops it then, at twice as much of what is kept free.
 */
TEST_F(dirty_emulated, long_string)
{
	const uint64_t at = GUEST_PAGE - 500, len = 1000;
	struct traffic t;

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM's ring overflows, with a warning");
	start(&t, &self->g, self->dev, RING);
	begin(&t, rep_movsb, rep_movsb_end, LOG_GPA + at, len);
	overfill(_metadata, &t, ENTRIES - RING_RESERVED, 2);
	EXPECT_EQ(0, wrong_bytes(&t, at, len, 0));
}

/*
 * An instruction that gets nowhere: once its second operand has been read, the first is
 * elsewhere.  Each look into the table marks it, each answer is followed by the next
 * question.  Breaks if xvm_arch_vcpu_run() doesn't ask for room before it completes what
 * is pending: it is gpt_cmpxchg() that ends it then.
 */
TEST_F(dirty_emulated, table_that_changes)
{
	/* So many that none has come back when it is asked for again. */
	const uint64_t places = 3;
	bool seen[LOG_PAGES] = {};
	volatile uint64_t *table;
	struct kvm_run *run;
	struct traffic t;
	int reason;
	unsigned int i;

	if (!device_is_xvm(self->dev))
		SKIP(return, "KVM doesn't look where it reads again");
	start(&t, &self->g, self->dev, RING);
	table = map_window(&t);
	begin(&t, compare, compare_end, WINDOW, 0);
	run = self->g.cpu.run;
	for (i = 0; i < 2 * ENTRIES; i++) {
		table[0] = (DEVICE_GPA - (i % places) * GUEST_PAGE) | PTE_P | PTE_W;
		table[1] = table[0];
		reason = vcpu_run(&self->g.cpu);
		if (reason != KVM_EXIT_MMIO)
			break;
		feed(&t, run->mmio.data, run->mmio.len);
	}
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, reason);
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, vcpu_run(&self->g.cpu));
	EXPECT_EQ(ENTRIES - RING_RESERVED / 2, take(&t.ring, seen));
	EXPECT_TRUE(seen[TABLE_PAGE]);
	EXPECT_EQ(ENTRIES - RING_RESERVED / 2, ring_reset(&self->g));
	/* What stays where it is can be compared. */
	EXPECT_EQ(KVM_EXIT_HLT, serve(&t));
}

TEST_HARNESS_MAIN
