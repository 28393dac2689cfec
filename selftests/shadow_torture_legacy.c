// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_torture's manner for the page tables of 32-bit systems, with 1024 entries
 * and PAE's: a vCPU edits entries at random, flushes as the architecture demands, and
 * makes an access; an oracle that walks the tables by the manual's rules says what has
 * to come of it.  Meanwhile the host takes pages away (fork) and has its memory back.
 *
 * XVM_TORTURE_SECONDS says how long each format takes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "legacy.h"
#include "test.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_torture_legacy);

#define CR0_BASE (CR0_PE | CR0_ET | CR0_NE | CR0_PG)
#define NR_TABLES 4
#define TABLE(i) (LEGACY_TABLE + (i) * GUEST_PAGE)
#define DATA LEGACY_LARGE
#define DATA_SIZE (4ul << 20)
#define NO_MEMORY 0x40000000u
#define TOO_HIGH (1ul << 51)

/* In each page; as entries of a table these are never walked. */
#define RET_AT 0x700
#define ID_AT 0x7f8
#define WORD_AT 0x800

/* In three quarters of a directory, and both halves of a table, where these have 1024 entries. */
#define NR_REGIONS 4
#define NR_PAGES 4
static const uint32_t regions[NR_REGIONS] = { 0x40000000, 0x7fc00000, 0x80000000, 0xffc00000 };
static const uint32_t pages[][NR_PAGES] = { { 0, 3, 600, 1023 }, { 0, 3, 300, 511 } };
#define NR_ENTRIES (NR_REGIONS + NR_TABLES * NR_PAGES)

struct torture {
	struct legacy l;
	bool xvm;
	uint64_t seed;
	uint32_t cr0, cr4, cr4_bits;
	bool pending; /* edits that no load of CR3 came after */
	atomic_bool stop, failed;
	unsigned long runs, allowed, faults, mmio;
};

struct step {
	struct legacy_probe probe;
	bool mmio;
	uint64_t mmio_gpa;
	uint32_t mmio_word; /* what it has read or written */
	/* The entries that the access leads through; 0: none. */
	uint32_t pde_at, pte_at;
	/* All that are edited, as they are when it begins. */
	uint32_t at[NR_ENTRIES];
	uint64_t said[NR_ENTRIES];
};

static uint64_t pick_entry(struct torture *t, bool directory)
{
	uint64_t *seed = &t->seed;
	uint64_t entry = pick(seed, 16) ? PTE_P : 0;

	entry |= pick(seed, 8) ? PTE_W : 0;
	entry |= pick(seed, 4) ? PTE_U : 0;
	entry |= pick(seed, 4) ? 0 : PTE_A;
	entry |= pick(seed, 4) ? 0 : PTE_D;
	if (t->l.pae) {
		entry |= pick(seed, 12) ? 0 : PTE_NX;
		entry |= pick(seed, 80) ? 0 : TOO_HIGH;
	}
	/* Large pages of data, of nothing, or where none can begin. */
	if (directory && !pick(seed, 4))
		return entry | PTE_PS | (pick(seed, 4) ? DATA : NO_MEMORY) |
		       (pick(seed, 8) ? 0 : 0x200000 >> t->l.pae);
	if (!directory && pick(seed, 16))
		return entry | (pick(seed, 16) ? DATA + pick(seed, 16) * GUEST_PAGE :
						 NO_MEMORY + pick(seed, 4) * GUEST_PAGE);
	return entry | TABLE(pick(seed, NR_TABLES));
}

static uint32_t pick_address(struct torture *t)
{
	return regions[pick(&t->seed, NR_REGIONS)] +
	       pages[t->l.pae][pick(&t->seed, NR_PAGES)] * GUEST_PAGE;
}

static void pick_edit(struct torture *t, struct legacy_probe *p, int i)
{
	bool directory = !pick(&t->seed, 3);
	uint32_t va = pick_address(t);

	p->edit[i].at = directory ? legacy_pde(&t->l, va) :
				    legacy_pte(&t->l, TABLE(pick(&t->seed, NR_TABLES)), va);
	p->edit[i].value = pick_entry(t, directory);
	p->edit[i].store = !t->l.pae ? STORE_4 : pick(&t->seed, 2) ? STORE_8 : STORE_4_4;
}

/* An entry as it is, or as it is about to be. */
static uint64_t entry_at(const struct torture *t, const struct legacy_probe *p, uint32_t at)
{
	int i;

	for (i = 1; i >= 0; i--)
		if (p->edit[i].at == at)
			return p->edit[i].value;
	return legacy_entry(&t->l, at);
}

static void note_entries(const struct torture *t, struct step *s)
{
	int i;

	for (i = 0; i < NR_ENTRIES; i++) {
		int j = i - NR_REGIONS;

		s->at[i] = j < 0 ? legacy_pde(&t->l, regions[i]) :
				   legacy_pte(&t->l, TABLE(j / NR_PAGES),
					      pages[t->l.pae][j % NR_PAGES] * GUEST_PAGE);
		s->said[i] = entry_at(t, &s->probe, s->at[i]);
	}
}

enum { ALLOWED = -1 };

/* APM vol. 2, 5.2 and 5.6: the fault's error code, or ALLOWED and the address it leads to. */
static int walk(const struct torture *t, struct step *s, uint64_t *gpa)
{
	const struct legacy_probe *p = &s->probe;
	const struct probe_asker asker = {
		.access = p->access, .user = p->user, .ac = p->ac, .wp = t->cr0 & CR0_WP,
		.smep = t->cr4 & CR4_SMEP, .smap = t->cr4 & CR4_SMAP,
	};
	bool write = p->access == ACCESS_WRITE, fetch = p->access == ACCESS_FETCH, large;
	uint64_t low = GUEST_PAGE - 1, all, any, last;
	int error = (write ? PF_W : 0) | (p->user ? PF_U : 0);

	/* Where none can be forbidden, fetches are told as reads. */
	if (fetch && (t->l.pae || t->cr4 & CR4_SMEP))
		error |= PF_FETCH;
	*gpa = 0;
	s->pte_at = 0;
	s->pde_at = legacy_pde(&t->l, p->va);
	last = entry_at(t, p, s->pde_at);
	all = last;
	any = last;
	if (!(last & PTE_P))
		return error;
	large = last & PTE_PS;
	if (large) {
		low = (t->l.pae ? 2ul << 20 : 4ul << 20) - 1;
		/* Bit 12 is part of its memory type; without PAE, 13 to 20 are address bits. */
		if (last & (t->l.pae ? 0x1fe000 | TOO_HIGH : 0x200000))
			return error | PF_RSVD;
	} else {
		if (last & TOO_HIGH && t->l.pae)
			return error | PF_RSVD;
		s->pte_at = legacy_pte(&t->l, last & 0xfffff000, p->va);
		last = entry_at(t, p, s->pte_at);
		if (!(last & PTE_P))
			return error;
		if (last & TOO_HIGH && t->l.pae)
			return error | PF_RSVD;
		all &= last;
		any |= last;
	}
	*gpa = (last & 0xfffff000 & ~low) | (p->va & low);

	return probe_permits(all, any, &asker) ? ALLOWED : error | PF_P;
}

static void execute(struct torture *t, struct step *s)
{
	struct legacy_probe *p = &s->probe;
	struct kvm_run *run = t->l.g->cpu.run;

	legacy_run(&t->l, p);
	while (p->exit == KVM_EXIT_MMIO || p->exit == -EINTR || p->exit == -EAGAIN) {
		if (p->exit == KVM_EXIT_MMIO) {
			s->mmio = true;
			s->mmio_gpa = run->mmio.phys_addr;
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0x5a, sizeof(run->mmio.data));
			memcpy(&s->mmio_word, run->mmio.data, sizeof(s->mmio_word));
		}
		legacy_resume(&t->l, p);
	}
	t->runs++;
	t->mmio += s->mmio;
	t->faults += p->vector == 14;
}

static void complain(struct torture *t, const struct step *s, const char *what, int error,
		     uint64_t gpa)
{
	const struct legacy_probe *p = &s->probe;

	t->failed = true;
	fprintf(stderr, "# %s: va %#x access %d user %d ac %d cr0 %#x cr4 %#x\n", what, p->va,
		p->access, p->user, p->ac, t->cr0, t->cr4);
	fprintf(stderr, "# flush %d, edits %#x=%#lx %#x=%#lx, by way of %#x %#x\n", p->flush,
		p->edit[0].at, p->edit[0].value, p->edit[1].at, p->edit[1].value, s->pde_at,
		s->pte_at);
	fprintf(stderr, "# %d vector %lu error %#lx cr2 %#lx mmio %d %#lx data %#x not %d %#lx\n",
		p->exit, p->vector, p->error, p->cr2, s->mmio, s->mmio_gpa, p->data, error, gpa);
}

/* APM vol. 2, 5.4.2; a denied access may have set A.  Nothing else has changed anywhere. */
static bool bits_are_right(const struct torture *t, const struct step *s, int error)
{
	bool allowed = error == ALLOWED && s->probe.access != ACCESS_NONE;
	uint64_t dirty = allowed && s->probe.access == ACCESS_WRITE ? PTE_D : 0;
	uint32_t leaf = s->pte_at ? s->pte_at : s->pde_at;
	bool right = true;
	int i;

	for (i = 0; i < NR_ENTRIES; i++) {
		uint64_t says = legacy_entry(&t->l, s->at[i]), may = 0;

		if (s->probe.access != ACCESS_NONE && s->said[i] & PTE_P) {
			may |= s->at[i] == s->pde_at || s->at[i] == s->pte_at ? PTE_A : 0;
			may |= s->at[i] == leaf ? dirty : 0;
		}
		right &= !((says ^ s->said[i]) & ~may) && (!allowed || (says & may) == may);
	}
	return right;
}

static void check(struct torture *t, const struct step *s, int error, uint64_t gpa)
{
	const struct legacy_probe *p = &s->probe;
	uint32_t word;

	if (p->exit != KVM_EXIT_IO) {
		complain(t, s, "died", error, gpa);
		return;
	}
	if (p->access == ACCESS_NONE) {
		if (p->vector != LEGACY_DONE)
			complain(t, s, "fails without an access", error, gpa);
	} else if (error >= 0) {
		/* An emulated CPU leaves the present bit out of reserved ones' faults. */
		uint64_t got = p->error & PF_RSVD ? p->error & ~(uint64_t)PF_P : p->error;

		if (p->vector != 14 || got != error || p->cr2 != p->va || s->mmio)
			complain(t, s, "not the fault it should be", error, gpa);
	} else if (p->vector != LEGACY_DONE) {
		complain(t, s, "denied", error, gpa);
	} else if (s->mmio != (gpa >= NO_MEMORY) || (s->mmio && s->mmio_gpa != gpa)) {
		complain(t, s, "memory or not", error, gpa);
	} else if (p->access != ACCESS_FETCH) {
		t->allowed++;
		/* What it has read, or written. */
		if (s->mmio)
			word = s->mmio_word;
		else
			memcpy(&word, t->l.g->mem + gpa, sizeof(word));
		if (p->data != word)
			complain(t, s, "other memory", error, gpa);
	}
	/* KVM remembers what leads to no memory, and then walks no tables. */
	if (!t->failed && (!s->mmio || t->xvm) && !bits_are_right(t, s, error))
		complain(t, s, "accessed and dirty bits", error, gpa);
}

static void one(struct torture *t)
{
	struct step s = { .probe = { .access = 1 + pick(&t->seed, 3) } };
	struct legacy_probe *p = &s.probe;
	uint64_t gpa;
	int i, error;

	p->va = pick_address(t) + (p->access == ACCESS_READ  ? ID_AT :
				   p->access == ACCESS_FETCH ? RET_AT :
							       WORD_AT);
	p->user = pick(&t->seed, 2);
	p->ac = pick(&t->seed, 2);
	p->data = t->seed;
	for (i = pick(&t->seed, 3); i--;)
		pick_edit(t, p, i);
	if (!pick(&t->seed, 8)) {
		t->cr0 ^= pick(&t->seed, 2) ? CR0_WP : 0;
		t->cr4 ^= (pick(&t->seed, 2) ? CR4_SMEP : 0) & t->cr4_bits;
		t->cr4 ^= (pick(&t->seed, 2) ? CR4_SMAP : 0) & t->cr4_bits;
		p->cr0 = t->cr0;
		p->cr4 = t->cr4;
	}
	if (p->edit[0].at || p->edit[1].at || t->pending || pick(&t->seed, 2))
		p->flush = pick(&t->seed, 2) ? FLUSH_INVLPG : FLUSH_CR3;
	t->pending = p->flush == FLUSH_INVLPG &&
		     (t->pending || p->edit[0].at || p->edit[1].at);
	error = walk(t, &s, &gpa);
	/* Code is not fetched from where no memory is. */
	if (p->access == ACCESS_FETCH && error == ALLOWED && gpa >= NO_MEMORY)
		p->access = ACCESS_NONE;
	note_entries(t, &s);
	execute(t, &s);
	check(t, &s, error, gpa);
}

static void *run(void *arg)
{
	struct torture *t = arg;

	while (!t->stop && !t->failed)
		one(t);
	return NULL;
}

static void mark_page(struct guest *g, uint64_t gpa)
{
	const uint32_t id = 0x1d000000 | gpa >> 12;

	memcpy(g->mem + gpa + ID_AT, &id, sizeof(id));
	g->mem[gpa + RET_AT] = 0xc3;
}

static void start(struct torture *t, struct guest *g, int dev, uint32_t cr4)
{
	uint64_t n;

	*t = (struct torture){ .xvm = device_is_xvm(dev), .seed = 1 };
	t->cr0 = CR0_BASE | CR0_WP;
	t->cr4 = cr4;
	t->cr4_bits = probe_cr4_bits(dev);
	/*
	 * An emulated CPU marks PAE's four entries as accessed, and KVM then finds a reserved
	 * bit in them when SMEP changes.
	 */
	if (cr4 & CR4_PAE && device_has_npt(dev) && !t->xvm)
		t->cr4_bits &= ~CR4_SMEP;
	legacy_start(&t->l, g, dev, cr4, cr4 & CR4_PAE);
	for (n = 0; n < DATA_SIZE; n += GUEST_PAGE)
		mark_page(g, DATA + n);
	for (n = 0; n < NR_TABLES; n++)
		mark_page(g, TABLE(n));
}

static void torture(struct __test_metadata *_metadata, struct guest *g, int dev, uint32_t cr4)
{
	uint64_t end = now_seconds() + torture_seconds(), seed = 99;
	struct torture t;
	pthread_t thread;

	start(&t, g, dev, cr4);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, &t));
	while (now_seconds() < end && !t.failed) {
		if (!pick(&seed, 32))
			fork_once();
		if (!pick(&seed, 512))
			drop_slab();
		if (!pick(&seed, 512))
			guest_verify(g);
		usleep(500);
	}
	t.stop = true;
	pthread_join(thread, NULL);
	TH_LOG("%lu runs, %lu reads and writes, %lu faults, %lu of MMIO", t.runs, t.allowed,
	       t.faults, t.mmio);
	EXPECT_LT(0, t.allowed);
	EXPECT_LT(0, t.faults);
	EXPECT_FALSE((bool)t.failed);
}

TEST_F_TIMEOUT(shadow_torture_legacy, tables_32, TORTURE_LIMIT)
{
	torture(_metadata, &self->g, self->dev, CR4_PSE);
}

TEST_F_TIMEOUT(shadow_torture_legacy, tables_pae, TORTURE_LIMIT)
{
	torture(_metadata, &self->g, self->dev, CR4_PAE);
}

TEST_HARNESS_MAIN
