// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables that two vCPUs and the host edit at random while the vCPUs walk them,
 * against an oracle that walks the same tables in memory by the manual's rules.
 *
 * Each vCPU has tables of its own: there it edits entries of any level, flushes as
 * the architecture demands, makes an access, and what comes of that is what the
 * oracle says.  A third set of tables all edit at once: there an access may come
 * to anything but other memory; whenever all stand still, the oracle is right again.
 * Meanwhile the host takes pages away (fork) and has its memory back (drop_caches).
 *
 * XVM_TORTURE_SECONDS says how long it takes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "probe.h"
#include "test.h"
#include "unrest.h"
#include "x86.h"

DEVICE_FIXTURE(shadow_torture);

#define USER_BASE 0x1000000ul	/* the first 2M once more, for user mode */
#define SYSCALL_VECTOR 0x80

#define VCPUS 2
#define MEMORY (8ul << 20)

/* Of vCPU i: pages for stack and record, then its own tables. */
#define OWN_PAGES(i) (0x80000ul + (i) * 0x10000ul)
#define OWN_TABLES(i) (0xa0000ul + (i) * 0x10000ul)
#define PML4(i) OWN_TABLES(i)
#define FIRST_PRIVATE 0x1d	/* pages at these addresses are a vCPU's own */
#define NR_PRIVATE 4

/* Tables to be edited: two, three and four of the levels 3, 2 and 1. */
#define POOL(p) (0x100000ul + (p) * 0x10000ul)
#define POOL_PAGES 9
#define SHARED 2
static const int first_of_level[] = { 0, 5, 2, 0 }, nr_of_level[] = { 0, 4, 3, 2 };

#define DATA 0x400000ul
#define DATA_PAGES 16
#define NO_MEMORY 0x40000000ul

/* In each page that may be mapped; as entries of a table these are never walked. */
#define RET_AT 0x700
#define ID_AT 0x7f8
#define WORD_AT(cpu) (0x800 + 8 * (cpu))

#define ADDRESS 0xffffffffff000ul
#define TOO_HIGH (1ul << 51)

/*
 * If r11: CR0 and CR4 from r12, r13.  Edits (rdi, r8), (rsi, r9); r10: INVLPG of rbx, or
 * CR3 from r15.  In user mode if eax, with flags rdx: r14, an access to rbx of rbp.
 */
GUEST_ASM(step, 64,
	  "test %r11, %r11\n jz 0f\n mov %r12, %cr0\n mov %r13, %cr4\n"
	  "0: test %rdi, %rdi\n jz 1f\n mov %r8, (%rdi)\n"
	  "1: test %rsi, %rsi\n jz 2f\n mov %r9, (%rsi)\n"
	  "2: cmp $1, %r10d\n jne 3f\n invlpg (%rbx)\n"
	  "3: cmp $2, %r10d\n jne 4f\n mov %r15, %cr3\n"
	  "4: test %eax, %eax\n jz 5f\n"
	  "lea 5f(%rip), %rcx\n add $" GUEST_STR(0x1000000) ", %rcx\n"
	  "push $" GUEST_STR(GUEST_USER_DS) "\n push $0x101e000\n push %rdx\n"
	  "push $" GUEST_STR(GUEST_USER_CS) "\n push %rcx\n iretq\n"
	  "5: cmp $1, %r14d\n jne 6f\n mov (%rbx), %rbp\n"
	  "6: cmp $2, %r14d\n jne 7f\n mov %rbp, (%rbx)\n"
	  "7: cmp $3, %r14d\n jne 8f\n call *%rbx\n"
	  "8: int $0x80\n");

/* In place of the handlers' common part: write down what it was, and end the run. */
GUEST_ASM(ended, 64,
	  "mov $" GUEST_STR(IDT_RECORD) ", %ecx\n"
	  "pop %rax\n mov %rax, " GUEST_STR(RECORD_VECTOR) "(%rcx)\n"
	  "pop %rax\n mov %rax, " GUEST_STR(RECORD_ERROR) "(%rcx)\n"
	  "mov %cr2, %rax\n mov %rax, " GUEST_STR(RECORD_CR2) "(%rcx)\n"
	  "out %al, $0x10\n");

struct torture;

struct cpu {
	struct torture *t;
	struct vcpu *v;
	int i;
	pthread_t thread;
	uint64_t seed;
	uint64_t cr0, cr4;
	bool pending; /* edits that only an INVLPG of another address came after */
	unsigned long runs, checked, faults, mmio;
};

struct torture {
	struct guest *g;
	struct vcpu second;
	struct cpu cpus[VCPUS];
	pthread_rwlock_t lock; /* for writing: all stand still */
	atomic_bool stop, failed;
	bool host_edits;
	uint64_t cr4_bits; /* that there are to play with */
};

struct step {
	uint64_t at[2], value[2];
	enum probe_flush flush;
	enum probe_access access;
	uint64_t va, data;
	bool user, ac;
	/* What came of it. */
	int exit;
	bool mmio;
	uint64_t mmio_gpa, vector, error, cr2;
};

/* The entries that a walk has read, and the address they lead to. */
struct way {
	uint64_t gpa, at[4];
	int nr;
};

#define NR_ENTRIES (4 * POOL_PAGES + 1)
struct entries {
	uint64_t at[NR_ENTRIES], said[NR_ENTRIES];
};

static uint64_t load(struct guest *g, uint64_t gpa)
{
	return __atomic_load_n((uint64_t *)(g->mem + gpa), __ATOMIC_RELAXED);
}

static void store(struct guest *g, uint64_t gpa, uint64_t value)
{
	__atomic_store_n((uint64_t *)(g->mem + gpa), value, __ATOMIC_RELAXED);
}

/* What an entry of a level may be made: mostly sensible, but not always. */
static uint64_t pick_entry(uint64_t *seed, int level, int pool)
{
	uint64_t entry = pick(seed, 16) ? PTE_P : 0;

	entry |= pick(seed, 8) ? PTE_W : 0;
	entry |= pick(seed, 4) ? PTE_U : 0;
	entry |= pick(seed, 12) ? 0 : PTE_NX;
	entry |= pick(seed, 80) ? 0 : TOO_HIGH;
	entry |= pick(seed, 4) ? 0 : PTE_A;
	entry |= pick(seed, 4) ? 0 : PTE_D;
	if (level == 4)
		entry |= pick(seed, 80) ? 0 : PTE_PS;
	/* A large page: of data, of nothing, or where none can begin. */
	if (level == 2 && !pick(seed, 4))
		return entry | PTE_PS | (pick(seed, 4) ? DATA : NO_MEMORY) |
		       (pick(seed, 8) ? 0 : 0x2000);
	if (level == 3 && !pick(seed, 16))
		return entry | PTE_PS | NO_MEMORY | (pick(seed, 2) ? 0 : 0x2000);
	if (level == 1 && pick(seed, 16))
		return entry | (pick(seed, 16) ? DATA + pick(seed, DATA_PAGES) * GUEST_PAGE :
						 NO_MEMORY + pick(seed, 4) * GUEST_PAGE);
	/* Any of the tables, for any purpose; or one of the next level. */
	if (level == 1 || !pick(seed, 16))
		return entry | (POOL(pool) + pick(seed, POOL_PAGES) * GUEST_PAGE);
	level--;
	return entry | (POOL(pool) +
			(first_of_level[level] + pick(seed, nr_of_level[level])) * GUEST_PAGE);
}

/* One of the entries that addresses lead through, and a value for it. */
static uint64_t pick_edit(uint64_t *seed, int cpu, int pool, uint64_t *value)
{
	int level = pick(seed, 2) ? 1 : pick(seed, 2) ? 2 : 3;
	uint64_t page;

	/* The entry of the shared ones is each vCPU's own, and stays. */
	if (pool != SHARED && !pick(seed, 16)) {
		*value = pick_entry(seed, 4, pool);
		return PML4(cpu) + 8;
	}
	page = first_of_level[level] + pick(seed, nr_of_level[level]);
	*value = pick_entry(seed, level, pool);
	return POOL(pool) + page * GUEST_PAGE + 8 * pick(seed, 4);
}

static uint64_t pick_address(uint64_t *seed, int pool)
{
	return (pool == SHARED ? 2ul : 1ul) << 39 | pick(seed, 4) << 30 | pick(seed, 4) << 21 |
	       pick(seed, 4) << 12;
}

static uint64_t offset_of(enum probe_access access, int cpu)
{
	return access == ACCESS_READ ? ID_AT : access == ACCESS_FETCH ? RET_AT : WORD_AT(cpu);
}

/* An entry as it is, or as it is about to be. */
static uint64_t entry_at(struct guest *g, const struct step *s, uint64_t gpa, bool edited)
{
	if (edited && s->at[1] == gpa)
		return s->value[1];
	if (edited && s->at[0] == gpa)
		return s->value[0];
	return load(g, gpa);
}

/* No fault; or the walk needs an entry where no memory is, which means nothing. */
enum { ALLOWED = -1, LOST = -2 };

static void note_entries(struct cpu *c, const struct step *s, int pool, struct entries *e)
{
	int i;

	for (i = 0; i < NR_ENTRIES; i++) {
		e->at[i] = POOL(pool) + i / 4 * GUEST_PAGE + 8 * (i % 4);
		if (i == NR_ENTRIES - 1)
			e->at[i] = PML4(c->i) + (pool == SHARED ? 16 : 8);
		e->said[i] = entry_at(c->t->g, s, e->at[i], true);
	}
}

/* APM vol. 2, 5.3 and 5.6: the fault's error code, or ALLOWED and the address it leads to. */
static int walk(struct cpu *c, const struct step *s, bool edited, struct way *way)
{
	const struct probe_asker asker = {
		.access = s->access, .user = s->user, .ac = s->ac, .wp = c->cr0 & CR0_WP,
		.smep = c->cr4 & CR4_SMEP, .smap = c->cr4 & CR4_SMAP,
	};
	bool write = s->access == ACCESS_WRITE, fetch = s->access == ACCESS_FETCH;
	int error = (write ? PF_W : 0) | (fetch ? PF_FETCH : 0) | (s->user ? PF_U : 0);
	uint64_t entry, all = PTE_W | PTE_U, any = 0, table = PML4(c->i), low;
	int level;

	*way = (struct way){ 0 };
	for (level = 4;; level--) {
		int shift = 12 + 9 * (level - 1);
		bool large, misplaced;

		if (table >= MEMORY)
			return LOST;
		way->at[way->nr] = table + 8 * (s->va >> shift & 511);
		entry = entry_at(c->t->g, s, way->at[way->nr++], edited);
		if (!(entry & PTE_P))
			return error;
		low = (1ul << shift) - 1;
		large = level > 1 && entry & PTE_PS;
		/* Bit 12 of a large page is part of its memory type. */
		misplaced = large && (level == 4 || entry & ADDRESS & low & ~0x1000ul);
		if (entry & TOO_HIGH || misplaced)
			return error | PF_RSVD;
		all &= entry;
		any |= entry;
		if (large || level == 1)
			break;
		table = entry & ADDRESS;
	}
	way->gpa = (entry & ADDRESS & ~low) | (s->va & low);

	return probe_permits(all, any, &asker) ? ALLOWED : error | PF_P;
}

static void execute(struct cpu *c, struct step *s, bool controls)
{
	const uint64_t flags = 2 | RFLAGS_IOPL3 | (s->ac ? RFLAGS_AC : 0);
	const struct kvm_regs start = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = flags, .rdx = flags,
		.r11 = controls, .r12 = c->cr0, .r13 = c->cr4,
		.rdi = s->at[0], .r8 = s->value[0], .rsi = s->at[1], .r9 = s->value[1],
		.r10 = s->flush, .r15 = PML4(c->i),
		.rax = s->user, .r14 = s->access, .rbx = s->va, .rbp = s->data,
	};
	struct guest *g = c->t->g;
	const struct idt_record *record;
	struct kvm_regs regs;

	record = (void *)(g->mem + OWN_PAGES(c->i) +
			  ((IDT_RECORD >> 12) - FIRST_PRIVATE) * GUEST_PAGE);
	vcpu_set_regs(c->v, &start);
	do {
		s->exit = vcpu_run(c->v);
		if (s->exit == KVM_EXIT_MMIO) {
			s->mmio = true;
			s->mmio_gpa = c->v->run->mmio.phys_addr;
			memset(c->v->run->mmio.data, 0x5a, 8);
		}
	} while (s->exit == KVM_EXIT_MMIO || s->exit == -EINTR || s->exit == -EAGAIN);
	vcpu_get_regs(c->v, &regs);
	s->data = regs.rbp;
	s->vector = record->vector;
	s->error = record->error;
	s->cr2 = record->cr2;
	c->runs++;
	c->mmio += s->mmio;
	c->faults += s->vector == 14;
}

static void complain(struct cpu *c, const struct step *s, const char *what, int error, uint64_t gpa)
{
	c->t->failed = true;
	fprintf(stderr, "# vCPU %d: %s: va %#lx access %d user %d ac %d cr0 %#lx cr4 %#lx\n", c->i,
		what, s->va, s->access, s->user, s->ac, c->cr0, c->cr4);
	fprintf(stderr, "# flush %d, edits %#lx=%#lx %#lx=%#lx\n", s->flush, s->at[0], s->value[0],
		s->at[1], s->value[1]);
	fprintf(stderr, "# %d vector %lu error %#lx cr2 %#lx mmio %d %#lx data %#lx not %d %#lx\n",
		s->exit, s->vector, s->error, s->cr2, s->mmio, s->mmio_gpa, s->data, error, gpa);
}

/* APM vol. 2, 5.4.2; a denied access may have set A.  Breaks if set_accessed_dirty() sets D */
/* for reads, or if choose_rights() lets a clean page be written. */
static bool bits_are_right(struct cpu *c, const struct step *s, const struct way *way, int error,
			   const struct entries *e)
{
	bool write = s->access == ACCESS_WRITE, right = true;
	int i, j;

	for (i = 0; i < NR_ENTRIES; i++) {
		uint64_t says = load(c->t->g, e->at[i]), may = 0, must;

		for (j = 0; j < way->nr; j++)
			may |= way->at[j] == e->at[i] ? PTE_A : 0;
		if (error == ALLOWED && write && way->at[way->nr - 1] == e->at[i])
			may |= PTE_D;
		must = error == ALLOWED ? may : 0;
		right &= !((says ^ e->said[i]) & ~may) && (says & must) == must;
	}
	return right;
}

/* The tables are as the run has left them: nobody else edits them. */
static void check(struct cpu *c, const struct step *s, const struct entries *e)
{
	struct way way;
	int error = walk(c, s, false, &way);
	uint64_t gpa = way.gpa;

	c->checked++;
	if (s->exit != KVM_EXIT_IO) {
		complain(c, s, "died", error, gpa);
	} else if (error >= 0) {
		/* An emulated CPU leaves the present bit out of reserved ones' faults. */
		uint64_t got = s->error & PF_RSVD ? s->error & ~(uint64_t)PF_P : s->error;

		if (s->vector != 14 || got != error || s->cr2 != s->va || s->mmio)
			complain(c, s, "not the fault it should be", error, gpa);
	} else if (s->vector != SYSCALL_VECTOR) {
		complain(c, s, "denied", error, gpa);
	} else if (s->mmio != (gpa >= NO_MEMORY) || (s->mmio && s->mmio_gpa != gpa)) {
		complain(c, s, "memory or not", error, gpa);
	} else if (s->access != ACCESS_FETCH && !s->mmio && s->data != load(c->t->g, gpa)) {
		/* What it has read, or written. */
		complain(c, s, "other memory", error, gpa);
	}
	/* KVM remembers what leads to no memory, and then walks no tables. */
	if (!c->t->failed && !(s->mmio && !c->t->host_edits) &&
	    !bits_are_right(c, s, &way, error, e))
		complain(c, s, "accessed and dirty bits", error, gpa);
}

/* Of the shared tables: whatever they say meanwhile, they lead to these pages alone. */
static void check_loosely(struct cpu *c, const struct step *s)
{
	if (s->exit != KVM_EXIT_IO || (s->vector != 14 && s->vector != SYSCALL_VECTOR))
		complain(c, s, "died", -1, 0);
	else if (s->access == ACCESS_READ && s->vector == SYSCALL_VECTOR && !s->mmio &&
		 s->data >> 32 != 0x1dda7a)
		complain(c, s, "read other memory", -1, 0);
}

static void one(struct cpu *c, int pool, bool edits)
{
	struct step s = { .access = 1 + pick(&c->seed, pool == SHARED && edits ? 2 : 3) };
	bool controls = !pick(&c->seed, 8);
	struct entries entries;
	struct way way = { 0 };
	unsigned int i;
	int outcome;

	s.va = pick_address(&c->seed, pool) | offset_of(s.access, c->i);
	s.user = pick(&c->seed, 2);
	s.ac = pick(&c->seed, 2);
	s.data = c->seed;
	for (i = edits ? pick(&c->seed, 3) : 0; i--;)
		s.at[i] = pick_edit(&c->seed, c->i, pool, &s.value[i]);
	if (controls) {
		c->cr0 ^= pick(&c->seed, 2) ? CR0_WP : 0;
		c->cr4 ^= (pick(&c->seed, 2) ? CR4_SMEP : 0) & c->t->cr4_bits;
		c->cr4 ^= (pick(&c->seed, 2) ? CR4_SMAP : 0) & c->t->cr4_bits;
	}
	if (s.at[0] || s.at[1] || c->pending || pick(&c->seed, 2))
		s.flush = pick(&c->seed, 2) ? FLUSH_INVLPG : FLUSH_CR3;
	if (pool != SHARED)
		c->pending = s.flush == FLUSH_INVLPG && (c->pending || s.at[0] || s.at[1]);
	/* Nor is code fetched from where no memory is. */
	outcome = pool == SHARED && edits ? ALLOWED : walk(c, &s, true, &way);
	if (outcome == LOST || (s.access == ACCESS_FETCH && way.gpa >= NO_MEMORY))
		s.access = ACCESS_NONE;
	note_entries(c, &s, pool, &entries);
	execute(c, &s, controls);
	if (pool == SHARED && edits)
		check_loosely(c, &s);
	else if (s.access != ACCESS_NONE)
		check(c, &s, &entries);
}

static void *run(void *arg)
{
	struct cpu *c = arg;
	struct torture *t = c->t;

	while (!t->stop && !t->failed) {
		pthread_rwlock_rdlock(&t->lock);
		one(c, pick(&c->seed, 4) ? c->i : SHARED, true);
		pthread_rwlock_unlock(&t->lock);
	}
	return NULL;
}

/* Stack and record are a vCPU's own; so are the tables, and two of what they lead to. */
static void make_tables(struct guest *g, int cpu)
{
	uint64_t *pml4 = (uint64_t *)(g->mem + PML4(cpu));
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512, *kernel = pd + 512, *user = kernel + 512;
	uint64_t n, page;

	pml4[0] = (PML4(cpu) + 1 * GUEST_PAGE) | PTE_P | PTE_W | PTE_U;
	pdpt[0] = (PML4(cpu) + 2 * GUEST_PAGE) | PTE_P | PTE_W | PTE_U;
	pd[0] = (PML4(cpu) + 3 * GUEST_PAGE) | PTE_P | PTE_W;
	pd[USER_BASE >> 21] = (PML4(cpu) + 4 * GUEST_PAGE) | PTE_P | PTE_W | PTE_U;
	for (n = 0; n < 512; n++) {
		page = n * GUEST_PAGE;
		if (n >= FIRST_PRIVATE && n < FIRST_PRIVATE + NR_PRIVATE)
			page = OWN_PAGES(cpu) + (n - FIRST_PRIVATE) * GUEST_PAGE;
		kernel[n] = page | PTE_P | PTE_W;
		user[n] = page | PTE_P | PTE_W | PTE_U;
	}
	pml4[1] = POOL(cpu) | PTE_P | PTE_W | PTE_U;
	pml4[2] = POOL(SHARED) | PTE_P | PTE_W | PTE_U;
}

static void mark_page(struct guest *g, uint64_t gpa)
{
	store(g, gpa + ID_AT, 0x1dda7aul << 32 | gpa);
	g->mem[gpa + RET_AT] = 0xc3;
}

static void start_cpu(struct torture *t, int i, struct vcpu *v)
{
	struct cpu *c = &t->cpus[i];
	struct kvm_sregs s;

	*c = (struct cpu){ .t = t, .v = v, .i = i, .seed = i + 1 };
	guest_long_mode(t->g, v, GUEST_CODE);
	guest_set_idt(t->g, v);
	memcpy(t->g->mem + IDT_COMMON, ended, ended_end - ended);
	make_tables(t->g, i);
	vcpu_get_sregs(v, &s);
	s.cr3 = PML4(i);
	c->cr0 = s.cr0;
	c->cr4 = s.cr4;
	vcpu_set_sregs(v, &s);
}

static void start(struct torture *t, struct guest *g, int dev)
{
	pthread_rwlockattr_t attr;
	uint64_t n, pool;

	*t = (struct torture){ .g = g, .host_edits = device_is_xvm(dev) };
	t->cr4_bits = probe_cr4_bits(dev);
	guest_create(g, dev, MEMORY);
	vcpu_create(g, &t->second, 1);
	guest_load(g, step, step_end);
	for (n = 0; n < DATA_PAGES; n++)
		mark_page(g, DATA + n * GUEST_PAGE);
	for (pool = 0; pool <= SHARED; pool++)
		for (n = 0; n < POOL_PAGES; n++)
			mark_page(g, POOL(pool) + n * GUEST_PAGE);
	start_cpu(t, 0, &g->cpu);
	start_cpu(t, 1, &t->second);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&t->lock, &attr);
}

/*
 * All stand still, and what the shared tables say is what counts.  Stock KVM isn't
 * asked: it has let a kernel write a user page that is a table, by both vCPUs', with
 * WP clear and SMAP set, once in many runs.
 */
static void check_shared(struct torture *t)
{
	struct kvm_sregs s;
	int i;

	pthread_rwlock_wrlock(&t->lock);
	for (i = 0; i < VCPUS; i++) {
		vcpu_get_sregs(t->cpus[i].v, &s);
		vcpu_set_sregs(t->cpus[i].v, &s);
	}
	for (i = 0; i < 64 && !t->failed; i++)
		one(&t->cpus[i % VCPUS], SHARED, false);
	pthread_rwlock_unlock(&t->lock);
}

static void disturb(struct torture *t, uint64_t *seed)
{
	uint64_t value, at, i;

	for (i = pick(seed, 8); i-- && t->host_edits;) {
		at = pick_edit(seed, 0, SHARED, &value);
		store(t->g, at, value);
	}
	if (!pick(seed, 32))
		fork_once();
	if (!pick(seed, 512))
		drop_slab();
	if (t->host_edits && !pick(seed, 128))
		check_shared(t);
	if (!pick(seed, 512))
		guest_verify(t->g);
	usleep(500);
}

TEST_F_TIMEOUT(shadow_torture, tables, TORTURE_LIMIT)
{
	uint64_t end = now_seconds() + torture_seconds();
	uint64_t seed = 99;
	struct torture t;
	int i;

	start(&t, &self->g, self->dev);
	for (i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&t.cpus[i].thread, NULL, run, &t.cpus[i]));
	while (now_seconds() < end && !t.failed)
		disturb(&t, &seed);
	t.stop = true;
	for (i = 0; i < VCPUS; i++) {
		pthread_join(t.cpus[i].thread, NULL);
		TH_LOG("vCPU %d: %lu runs, %lu checked, %lu faults, %lu of MMIO", i,
		       t.cpus[i].runs, t.cpus[i].checked, t.cpus[i].faults, t.cpus[i].mmio);
		EXPECT_LT(0, t.cpus[i].checked);
	}
	EXPECT_FALSE((bool)t.failed);
	vcpu_destroy(&t.second);
}

TEST_HARNESS_MAIN
