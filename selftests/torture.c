// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs that read and write a region all the time, while batches split, merge,
 * resize, move and replace the slots that it is made of.  No access may leave
 * the guest, and each must reach the page that is mapped there at that time.
 *
 * XVM_TORTURE_SECONDS says how long each case takes, XVM_TORTURE_BATCHES how many
 * batches it makes at least; a few seconds if neither is set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "runner.h"
#include "test.h"
#include "unrest.h"

DEVICE_FIXTURE(torture);

#define SECONDS_DEFAULT 4

#define VCPUS 2
#define PAGES 64
#define REGION_GPA 0x1000000ul
/* Where vCPU i writes in each page. */
#define WORD(i) (64 * ((i) + 1))

/*
 * The guest's table, an entry for each page of the region: what the page may
 * read as.  While a batch changes that, there are two such values.
 */
#define TABLE_GPA GUEST_FREE
#define ROUNDS_GPA (GUEST_FREE + GUEST_PAGE) /* a counter for each vCPU */
#define MAY_READ(before, after) ((uint64_t)(before) << 32 | (after))

/* To the next page, and after the last, count a round and begin at 1; 4 is where it stops. */
#define WRITE_AND_GO_ON							\
	"mov %rax, (%rbx, %r12)\n"					\
	"add $0x1000, %rbx\n"						\
	"inc %rcx\n"							\
	"cmp %r10, %rcx\n"						\
	"jb 2b\n"							\
	"incq (%r14)\n"							\
	"jmp 1b\n"							\
	"4: hlt"

/*
 * r8 region, r9 table, r10 number of pages, r12 where to write in a page, r14
 * where to count rounds.  Only what the table says both before and after the access to
 * the page counts.  HLT: page rcx has eax, but should have half of rdx.
 */
GUEST_ASM(reader, 64,
	  "1: xor %ecx, %ecx\n"
	  "mov %r8, %rbx\n"
	  "2: mov (%r9, %rcx, 8), %rdx\n"
	  "mov (%rbx), %eax\n"
	  "cmp (%r9, %rcx, 8), %rdx\n"
	  "jne 2b\n"
	  "cmp %eax, %edx\n"
	  "je 3f\n"
	  "mov %rdx, %rsi\n"
	  "shr $32, %rsi\n"
	  "cmp %eax, %esi\n"
	  "jne 4f\n"
	  "3: " WRITE_AND_GO_ON);

/*
 * The same registers.  All pages have the same value, which only ever grows.
 * HLT: page rcx has eax, but another has had edx already.
 */
GUEST_ASM(follower, 64,
	  "xor %edx, %edx\n"
	  "1: xor %ecx, %ecx\n"
	  "mov %r8, %rbx\n"
	  "2: mov (%rbx), %eax\n"
	  "cmp %edx, %eax\n"
	  "jb 4f\n"
	  "mov %eax, %edx\n"
	  WRITE_AND_GO_ON);

/*
 * A slot: the frames [frame, frame + pages), of one of two sides.  Each frame has
 * a page on either side, and exactly one of the two is in the region.
 */
struct piece {
	uint32_t id;
	int pages;
	int frame;
	int side;
};

/* Pieces in the order of guest addresses, without gaps. */
struct layout {
	struct piece pieces[PAGES];
	int nr;
};

/* What a batch does to the slots. */
enum kind { SPLIT, MERGE, RESIZE, MOVE, REPLACE, CUT, KINDS };

static const char *const kind_names[KINDS] = {
	"split", "merged", "resized", "moved", "with other memory", "cut anew",
};

struct region {
	struct guest *g;
	struct vcpu cpus[VCPUS];
	struct runner runners[VCPUS];
	uint8_t *sides[2];
	struct layout now;
	uint32_t generation;
	uint64_t state; /* of the random numbers */
	uint64_t batches;
	uint64_t kinds[KINDS]; /* how many did what */
};

static int rnd(struct region *r, int below)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state % below;
}

static uint8_t *host_page(struct region *r, int side, int frame)
{
	return r->sides[side] + frame * GUEST_PAGE;
}

static _Atomic uint32_t *host_word(struct region *r, int side, int frame, int at)
{
	return (_Atomic uint32_t *)(host_page(r, side, frame) + at);
}

/* Nobody has this page.  The guest's writes to it have to be over. */
#define NOBODYS 0xdeadbeef

static void take_away(struct region *r, int side, int frame)
{
	int i;

	*host_word(r, side, frame, 0) = NOBODYS;
	for (i = 0; i < VCPUS; i++)
		*host_word(r, side, frame, WORD(i)) = NOBODYS;
}

/* The page is about to be mapped: nobody has written to it in between. */
static void give_back(struct region *r, int side, int frame, uint32_t value)
{
	int i;

	for (i = 0; i < VCPUS; i++)
		if (*host_word(r, side, frame, WORD(i)) != NOBODYS)
			die("write to a page that was taken away: frame %d, vCPU %d",
			    frame, i);
	*host_word(r, side, frame, 0) = value;
}

static _Atomic uint64_t *table_entry(struct region *r, int page)
{
	return (_Atomic uint64_t *)(r->g->mem + TABLE_GPA) + page;
}

static _Atomic uint64_t *rounds(struct region *r, int vcpu)
{
	return (_Atomic uint64_t *)(r->g->mem + ROUNDS_GPA) + vcpu;
}

/* What the pages of the region read as with this layout. */
static void values_of(struct region *r, const struct layout *layout,
		      uint32_t *values)
{
	const struct piece *piece;
	int i, j;

	for (i = 0; i < layout->nr; i++) {
		piece = &layout->pieces[i];
		for (j = 0; j < piece->pages; j++)
			*values++ = *host_word(r, piece->side, piece->frame + j,
					       0);
	}
}

static void sides_of(const struct layout *layout, int *sides)
{
	const struct piece *piece;
	int i, j;

	for (i = 0; i < layout->nr; i++) {
		piece = &layout->pieces[i];
		for (j = 0; j < piece->pages; j++)
			sides[piece->frame + j] = piece->side;
	}
}

static const struct piece *by_id(const struct layout *layout, uint32_t id)
{
	int i;

	for (i = 0; i < layout->nr; i++)
		if (layout->pieces[i].id == id)
			return &layout->pieces[i];
	return NULL;
}

static bool same_memory(const struct piece *a, const struct piece *b)
{
	return a && b && a->pages == b->pages && a->frame == b->frame &&
	       a->side == b->side;
}

/*
 * From one layout to the other, by one batch.  A slot with other memory is
 * deleted and set; one with the same is set, which moves it if it has to.
 */
static int changes_to(struct region *r, const struct layout *from,
		      const struct layout *to,
		      struct xvm_memory_change *changes)
{
	uint64_t gpa = REGION_GPA;
	const struct piece *piece;
	int i, n = 0;

	for (i = 0; i < from->nr; i++) {
		piece = &from->pieces[i];
		if (!same_memory(piece, by_id(to, piece->id)))
			changes[n++] = change_delete(piece->id);
	}
	for (i = 0; i < to->nr; i++) {
		piece = &to->pieces[i];
		changes[n++] = change_set(piece->id, gpa,
					  piece->pages * GUEST_PAGE,
					  host_page(r, piece->side,
						    piece->frame));
		gpa += piece->pages * GUEST_PAGE;
	}
	return n;
}

/* Frames that change sides get a new value: each its own, or all the same. */
static void change_layout(struct region *r, const struct layout *to, bool same)
{
	struct xvm_memory_change changes[2 * PAGES];
	uint32_t before[PAGES], after[PAGES], failed;
	int old_sides[PAGES], sides[PAGES];
	int i, nr, ret;

	sides_of(&r->now, old_sides);
	sides_of(to, sides);
	values_of(r, &r->now, before);
	for (i = 0; i < PAGES; i++) {
		if (sides[i] != old_sides[i])
			give_back(r, sides[i], i,
				  same && i ? r->generation : ++r->generation);
	}
	values_of(r, to, after);
	for (i = 0; i < PAGES; i++)
		*table_entry(r, i) = MAY_READ(before[i], after[i]);

	nr = changes_to(r, &r->now, to, changes);
	ret = apply(r->g, changes, nr, &failed);
	if (ret)
		die("batch of %d: %s, change %u", nr, strerror(-ret), failed);

	for (i = 0; i < PAGES; i++)
		*table_entry(r, i) = MAY_READ(after[i], after[i]);
	for (i = 0; i < PAGES; i++)
		if (sides[i] != old_sides[i])
			take_away(r, old_sides[i], i);
	r->now = *to;
	if (!(++r->batches % 1024))
		guest_verify(r->g);
}

static uint32_t unused_id(const struct layout *layout)
{
	uint32_t id = 1;

	while (by_id(layout, id))
		id++;
	return id;
}

static void insert(struct layout *layout, int at, struct piece piece)
{
	memmove(&layout->pieces[at + 1], &layout->pieces[at],
		(layout->nr++ - at) * sizeof(piece));
	layout->pieces[at] = piece;
}

/* The piece at this index becomes two; its id stays with the first.  False: it can't. */
static bool split(struct region *r, struct layout *layout, int at)
{
	struct piece *first = &layout->pieces[at], rest = *first;

	if (first->pages < 2)
		return false;
	first->pages = 1 + rnd(r, first->pages - 1);
	rest.id = unused_id(layout);
	rest.frame += first->pages;
	rest.pages -= first->pages;
	insert(layout, at + 1, rest);
	return true;
}

static bool contiguous(const struct layout *layout, int at)
{
	const struct piece *piece = &layout->pieces[at];

	return at + 1 < layout->nr && piece[0].side == piece[1].side &&
	       piece[0].frame + piece[0].pages == piece[1].frame;
}

/* This piece and the next become one. */
static bool merge(struct layout *layout, int at)
{
	struct piece *piece = &layout->pieces[at];

	if (!contiguous(layout, at))
		return false;
	piece[0].pages += piece[1].pages;
	memmove(&piece[1], &piece[2], (--layout->nr - at - 1) * sizeof(*piece));
	return true;
}

/* The boundary between this piece and the next goes elsewhere. */
static bool resize(struct region *r, struct layout *layout, int at)
{
	struct piece *piece = &layout->pieces[at];
	int pages, before = piece->pages;

	if (!contiguous(layout, at))
		return false;
	pages = piece[0].pages + piece[1].pages;
	piece[0].pages = 1 + rnd(r, pages - 1);
	piece[1].pages = pages - piece[0].pages;
	piece[1].frame = piece[0].frame + piece[0].pages;
	return piece[0].pages != before;
}

/* Two pieces change places; what is between them gives way. */
static bool move(struct region *r, struct layout *layout, int at)
{
	int other = rnd(r, layout->nr);
	struct piece piece = layout->pieces[at];

	layout->pieces[at] = layout->pieces[other];
	layout->pieces[other] = piece;
	return other != at;
}

/* One slot, or many of any size, on that side. */
static void cut(struct region *r, struct layout *layout, int side, int pieces)
{
	layout->nr = 1;
	layout->pieces[0] = (struct piece){ 1, PAGES, 0, side };
	while (--pieces > 0)
		split(r, layout, rnd(r, layout->nr));
}

/* The kind of change that was made, or KINDS if it came to nothing. */
static enum kind random_layout(struct region *r, struct layout *to)
{
	int at = rnd(r, to->nr);

	switch (rnd(r, 16)) {
	case 0:
		cut(r, to, rnd(r, 2), 1);
		return CUT;
	case 1 ... 2:
		return move(r, to, at) ? MOVE : KINDS;
	case 3 ... 5:
		to->pieces[at].side ^= 1;
		return REPLACE;
	case 6 ... 8:
		return merge(to, at) ? MERGE : KINDS;
	case 9 ... 11:
		return resize(r, to, at) ? RESIZE : KINDS;
	default:
		return split(r, to, at) ? SPLIT : KINDS;
	}
}

static void random_change(struct region *r)
{
	struct layout to = r->now;
	enum kind kind = random_layout(r, &to);

	if (kind == KINDS)
		return;
	r->kinds[kind]++;
	change_layout(r, &to, false);
}

/* All pages are others, in slots that have nothing to do with those before. */
static void change_all(struct region *r)
{
	struct layout to;

	cut(r, &to, !r->now.pieces[0].side, 1 + rnd(r, 24));
	r->kinds[CUT]++;
	change_layout(r, &to, true);
}

static void region_start(struct region *r, struct guest *g, int dev,
			 const uint8_t *code, const uint8_t *code_end)
{
	int i;

	memset(r, 0, sizeof(*r));
	r->g = g;
	r->state = 88172645463325252;
	r->generation = 1;
	guest_create_bare(g, dev);
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	guest_load(g, code, code_end);
	r->sides[0] = mem_alloc(PAGES * GUEST_PAGE);
	r->sides[1] = mem_alloc(PAGES * GUEST_PAGE);
	cut(r, &r->now, 0, 1);
	for (i = 0; i < PAGES; i++) {
		take_away(r, 1, i);
		*host_word(r, 0, i, 0) = r->generation;
		*table_entry(r, i) = MAY_READ(r->generation, r->generation);
	}
	guest_add_slot(g, r->now.pieces[0].id, 0, REGION_GPA,
		       PAGES * GUEST_PAGE, r->sides[0]);
	for (i = 0; i < VCPUS; i++) {
		const struct kvm_regs regs = {
			.rip = GUEST_CODE,
			.rflags = 2,
			.r8 = REGION_GPA,
			.r9 = TABLE_GPA,
			.r10 = PAGES,
			.r12 = WORD(i),
			.r14 = ROUNDS_GPA + i * sizeof(uint64_t),
		};

		vcpu_create(g, &r->cpus[i], i);
		guest_long_mode(g, &r->cpus[i], GUEST_CODE);
		vcpu_set_regs(&r->cpus[i], &regs);
	}
	/* Not before: each of the above writes the page tables that they share. */
	for (i = 0; i < VCPUS; i++)
		runner_start(&r->runners[i], &r->cpus[i], NULL, NULL);
}

/* All vCPUs run; each has been around the region a few times if enough is set. */
static bool running(struct region *r, bool *enough)
{
	int i;

	*enough = true;
	for (i = 0; i < VCPUS; i++) {
		if (r->runners[i].ended)
			return false;
		*enough &= *rounds(r, i) >= 4;
	}
	return true;
}

/* The number of vCPUs that left the guest, or saw something wrong. */
static int region_stop(struct region *r)
{
	struct kvm_regs regs;
	int i, wrong = 0;

	printf("# %lu batches:", r->batches);
	for (i = 0; i < KINDS; i++)
		printf(" %lu %s,", r->kinds[i], kind_names[i]);
	printf(" rounds:");
	for (i = 0; i < VCPUS; i++)
		printf(" %lu", *rounds(r, i));
	printf("\n");
	for (i = 0; i < VCPUS; i++) {
		int last = runner_stop(&r->runners[i]);

		vcpu_get_regs(&r->cpus[i], &regs);
		if (last != -EINTR) {
			fprintf(stderr, "# vCPU %d: %s: page %llu has %#llx, not %#llx\n",
				i, exit_name(last), regs.rcx, regs.rax, regs.rdx);
			wrong++;
		}
		vcpu_destroy(&r->cpus[i]);
	}
	guest_verify(r->g);
	munmap(r->sides[0], PAGES * GUEST_PAGE);
	munmap(r->sides[1], PAGES * GUEST_PAGE);
	return wrong;
}

static uint64_t asked(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : 0;
}

/* For as long as is asked for, and on until each vCPU has had its share. */
static int torture(struct guest *g, int dev, const uint8_t *code,
		   const uint8_t *code_end, void (*change)(struct region *r))
{
	uint64_t batches = asked("XVM_TORTURE_BATCHES");
	uint64_t wanted = asked("XVM_TORTURE_SECONDS") ?: batches ? 1 : SECONDS_DEFAULT;
	uint64_t end = now_seconds() + wanted;
	struct region r;
	bool enough;

	region_start(&r, g, dev, code, code_end);
	while (running(&r, &enough) && (!enough || now_seconds() < end || r.batches < batches))
		change(&r);
	return region_stop(&r);
}

TEST_F_TIMEOUT(torture, each_page_is_the_right_one, TORTURE_LIMIT)
{
	NEEDS_BATCH(self->dev);
	EXPECT_EQ(0, torture(&self->g, self->dev, reader, reader_end,
			     random_change));
}

TEST_F_TIMEOUT(torture, all_pages_change_at_once, TORTURE_LIMIT)
{
	NEEDS_BATCH(self->dev);
	EXPECT_EQ(0, torture(&self->g, self->dev, follower, follower_end,
			     change_all));
}

TEST_HARNESS_MAIN
