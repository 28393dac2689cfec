// SPDX-License-Identifier: GPL-2.0-only
#include "program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t *rnd, uint64_t n)
{
	return (next_random(rnd) >> 16) % n;
}

static bool one_in(uint64_t *rnd, unsigned int n)
{
	return !below(rnd, n);
}

static uint64_t any_value(uint64_t *rnd)
{
	static const uint64_t edges[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, 1ul << 39, 1ul << 47, 1ul << 51, 1ul << 52,
		~0ul >> 1, 1ul << 63, -0x1000ul, ~0ul,
	};

	switch (below(rnd, 4)) {
	case 0:
		return below(rnd, 256);
	case 1:
		return 1ul << below(rnd, 64);
	case 2:
		return next_random(rnd);
	default:
		return edges[below(rnd, sizeof(edges) / sizeof(edges[0]))];
	}
}

static uint64_t page_address(uint64_t *rnd, uint64_t base)
{
	switch (below(rnd, 16)) {
	case 0:
		return base + any_value(rnd);
	case 1:
		return any_value(rnd) & -0x1000ul;
	case 2 ... 5:
		/* A large page. */
		return base + (below(rnd, 8) << 21);
	case 6 ... 9:
		return base + (below(rnd, 4) * REGION_PAGES << 12);
	default:
		return base + (below(rnd, ARENA_PAGES) << 12);
	}
}

static uint64_t size_value(uint64_t *rnd)
{
	switch (below(rnd, 16)) {
	case 0:
		return any_value(rnd);
	case 1 ... 3:
		return 0;
	case 4 ... 7:
		return 1ul << (12 + below(rnd, 12));
	case 8 ... 10:
		return 0x200000ul * (1 + below(rnd, 4));
	default:
		return (1 + below(rnd, 64)) << 12;
	}
}

static uint64_t capability(uint64_t *rnd)
{
	static const uint64_t known[] = {
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_EXIT_ON_EMULATION_FAILURE,
		KVM_CAP_MAX_VCPU_ID, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT,
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_DIRTY_LOG_RING,
		KVM_CAP_HALT_POLL, KVM_CAP_X86_USER_SPACE_MSR, XVM_CAP_MEMSLOT_BATCH,
	};

	if (one_in(rnd, 4))
		return one_in(rnd, 2) ? below(rnd, 300) : XVM_CAP_BASE + below(rnd, 16);
	return known[below(rnd, sizeof(known) / sizeof(known[0]))];
}

static uint64_t msr_index(uint64_t *rnd)
{
	static const uint32_t bases[] = {
		0, 0x10, 0x1b, 0x174, 0x179, 0x1a0, 0x1d9, 0x200, 0x250, 0x268, 0x277, 0x2ff,
		0x400, 0x800, 0x40000000, 0x4b564d00, 0xc0000080, 0xc0000100, 0xc0010000,
		0xc0010110, 0xc0010200, 0xc0011020,
	};

	if (one_in(rnd, 8))
		return any_value(rnd);
	return bases[below(rnd, sizeof(bases) / sizeof(bases[0]))] + below(rnd, 12);
}

static uint64_t advice(uint64_t *rnd)
{
	/* All that move pages or change how they are mapped. */
	static const uint8_t known[] = { 4, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25 };

	return one_in(rnd, 16) ? below(rnd, 32) : known[below(rnd, sizeof(known))];
}

static uint64_t value_of(enum arg arg, uint64_t *rnd)
{
	switch (arg) {
	case ARG_NONE:
		return 0;
	case ARG_VM:
		return one_in(rnd, 8);
	case ARG_VCPU:
		/* Most programs have the first alone. */
		return one_in(rnd, 3) ? below(rnd, NR_VCPUS) : 0;
	case ARG_OBJECT:
		return below(rnd, 1 + NR_VMS + NR_VCPUS);
	case ARG_SLOT:
		if (one_in(rnd, 16))
			return any_value(rnd);
		return below(rnd, 6) | (one_in(rnd, 12) ? 1 << 16 : 0);
	case ARG_GPA:
		return page_address(rnd, 0);
	case ARG_HVA:
		return page_address(rnd, ARENA);
	case ARG_SIZE:
		return size_value(rnd);
	case ARG_FLAGS:
		return one_in(rnd, 16) ? any_value(rnd) : below(rnd, 8) < 3 ? 1 + below(rnd, 3) : 0;
	case ARG_CAP:
		return capability(rnd);
	case ARG_MSR:
		return msr_index(rnd);
	case ARG_GUEST:
		return below(rnd, nr_guests());
	case ARG_MODE:
		return one_in(rnd, 3) ? below(rnd, 4) : 0;
	case ARG_PAGE:
		return below(rnd, 4) ? below(rnd, ARENA_PAGES) : below(rnd, 8) << 9;
	case ARG_PAGES:
		return one_in(rnd, 3) ? 512 * (1 + below(rnd, 8)) : 1 + below(rnd, 16);
	case ARG_PROT:
		return one_in(rnd, 2) ? 3 : below(rnd, 8);
	case ARG_ADVICE:
		return advice(rnd);
	case ARG_SMALL:
		return one_in(rnd, 16) ? any_value(rnd) : below(rnd, 12);
	case ARG_SEED:
		return below(rnd, 1 << 24);
	case ARG_ANY:
		return any_value(rnd);
	}
	return 0;
}

static unsigned int pick_op(uint64_t *rnd)
{
	unsigned int i, total = 0;
	uint64_t at;

	for (i = 0; i < nr_ops; i++)
		total += ops[i].weight;
	at = below(rnd, total);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return i;
}

static struct call random_call(uint64_t *rnd)
{
	struct call call = {
		.thread = one_in(rnd, 3) ? below(rnd, MAX_THREADS) : 0,
		.op = pick_op(rnd),
	};
	int i;

	for (i = 0; i < MAX_ARGS; i++)
		call.args[i] = value_of(ops[call.op].args[i], rnd);
	return call;
}

static unsigned int op_named(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_ops; i++)
		if (!strcmp(ops[i].name, name))
			return i;
	return nr_ops;
}

static void add(struct program *p, const char *name, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
		uint64_t e)
{
	if (p->nr == MAX_CALLS)
		return;
	p->calls[p->nr++] = (struct call){
		.op = op_named(name),
		.args = { a, b, c, d, e },
	};
}

/* Of the first vCPU: collected or forged, by another thread while it runs, or after that. */
static void add_ring(struct program *p, uint64_t patrol, uint64_t *rnd)
{
	p->calls[p->nr++] = (struct call){
		.thread = patrol ? 1 : 0,
		.op = op_named("ring"),
		.args = { 0, 0, patrol | below(rnd, 4), value_of(ARG_SLOT, rnd),
			  value_of(ARG_PAGE, rnd), value_of(ARG_SEED, rnd) },
	};
}

/* Most need a guest that runs: begin with one, and go on at random. */
void program_random(struct program *p, uint64_t *rnd)
{
	const bool rings = one_in(rnd, 4), dirties = rings && !one_in(rnd, 4);
	unsigned int nr = 4 + below(rnd, 24);

	p->nr = 0;
	if (!one_in(rnd, 8)) {
		add(p, "vm", 0, 0, 0, 0, 0);
		if (rings) {
			add(p, "rings", 0, below(rnd, 18), 0, 0, 0);
			if (one_in(rnd, 3))
				add(p, "cap", 1, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3, 0, 0);
			add_ring(p, HARVEST_PATROL, rnd);
		}
		if (one_in(rnd, 8))
			add(p, "irqchip", 0, 0, 0, 0, 0);
		/* id, flags, gpa, size, hva */
		p->calls[p->nr] = (struct call){
			.op = op_named("slot"),
			.args = { 0, 0, rings ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0,
				  ARENA_PAGES / 2 << 12, ARENA },
		};
		p->nr++;
		add(p, "vcpu", 0, 0, 0, 0, 0);
		if (dirties)
			add(p, "guest", 0, 0, GUEST_DIRTIES, (1 + below(rnd, 3)) << 21,
			    value_of(ARG_SEED, rnd));
		else
			add(p, "guest", 0, 0, value_of(ARG_GUEST, rnd), value_of(ARG_GPA, rnd),
			    value_of(ARG_SEED, rnd));
		add(p, "run", 0, dirties ? 7 : 3, value_of(ARG_SEED, rnd), 0, 0);
		if (rings)
			add_ring(p, 0, rnd);
	}
	while (p->nr < nr)
		p->calls[p->nr++] = random_call(rnd);
}

void program_remove(struct program *p, unsigned int at)
{
	memmove(&p->calls[at], &p->calls[at + 1], (--p->nr - at) * sizeof(p->calls[0]));
}

static void insert(struct program *p, unsigned int at, struct call call)
{
	if (p->nr == MAX_CALLS)
		return;
	memmove(&p->calls[at + 1], &p->calls[at], (p->nr++ - at) * sizeof(call));
	p->calls[at] = call;
}

static void change_arg(struct call *call, uint64_t *rnd)
{
	unsigned int i = below(rnd, MAX_ARGS);

	while (i && ops[call->op].args[i] == ARG_NONE)
		i--;
	switch (below(rnd, 8)) {
	case 0:
		call->args[i] += 1 - 2 * below(rnd, 2);
		break;
	case 1:
		call->args[i] ^= 1ul << below(rnd, 64);
		break;
	case 2:
		call->args[i] += 0x1000 - 0x2000 * below(rnd, 2);
		break;
	default:
		call->args[i] = value_of(ops[call->op].args[i], rnd);
	}
}

static void mutate_once(struct program *p, const struct program *other, uint64_t *rnd)
{
	unsigned int at = p->nr ? below(rnd, p->nr) : 0, from, nr;

	switch (p->nr ? below(rnd, 16) : 0) {
	case 0 ... 5:
		insert(p, below(rnd, p->nr + 1), random_call(rnd));
		break;
	case 6 ... 10:
		change_arg(&p->calls[at], rnd);
		break;
	case 11:
		program_remove(p, at);
		break;
	case 12:
		insert(p, below(rnd, p->nr + 1), p->calls[at]);
		break;
	case 13:
		p->calls[at].thread = below(rnd, MAX_THREADS);
		break;
	default:
		/* Some calls of another, in a row. */
		if (!other->nr)
			break;
		from = below(rnd, other->nr);
		for (nr = 1 + below(rnd, 8); nr && from < other->nr; nr--)
			insert(p, at++, other->calls[from++]);
	}
}

void program_mutate(struct program *p, const struct program *other, uint64_t *rnd)
{
	unsigned int times = 1 + below(rnd, 5);

	while (times--)
		mutate_once(p, other, rnd);
}

void call_print(const struct call *call, FILE *to)
{
	const struct op *op = &ops[call->op];
	int i;

	fprintf(to, "%u %s", call->thread, op->name);
	for (i = 0; i < MAX_ARGS && op->args[i] != ARG_NONE; i++)
		fprintf(to, " %lx", call->args[i]);
}

void program_print(const struct program *p, FILE *to)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		call_print(&p->calls[i], to);
		fputc('\n', to);
	}
	fputc('\n', to);
}

#define BLANKS "\n "

static bool call_parse(struct call *call, char *line)
{
	const char *name;
	char *word, *end;
	int i;

	memset(call, 0, sizeof(*call));
	call->thread = strtoul(strtok(line, BLANKS), NULL, 10);
	name = strtok(NULL, BLANKS);
	call->op = name ? op_named(name) : nr_ops;
	if (call->op == nr_ops || call->thread >= MAX_THREADS)
		return false;
	for (i = 0; i < MAX_ARGS && ops[call->op].args[i] != ARG_NONE; i++) {
		word = strtok(NULL, BLANKS);
		if (!word)
			return false;
		call->args[i] = strtoul(word, &end, 16);
		if (*end)
			return false;
	}
	return true;
}

bool program_read(struct program *p, FILE *from, const char *name)
{
	char line[256];

	p->nr = 0;
	while (fgets(line, sizeof(line), from)) {
		if (line[0] == '#')
			continue;
		if (line[0] == '\n') {
			if (p->nr)
				return true;
			continue;
		}
		if (p->nr == MAX_CALLS || !call_parse(&p->calls[p->nr], line)) {
			fprintf(stderr, "%s: not a call: %s\n", name, line);
			exit(2);
		}
		p->nr++;
	}
	return p->nr;
}
