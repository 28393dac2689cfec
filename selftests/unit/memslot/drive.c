// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations chosen by bytes, from a random generator or a fuzzer. Values come from small pools, so
 * that slots meet, and from the edges of every range.
 */
#include "world.h"

struct input {
	const unsigned char *data;
	size_t left;
};

static unsigned int byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static u32 pick_id(struct input *in)
{
	static const u32 edges[] = { 65535, 65534, 32768, 256, 65536, ~0U };
	unsigned int b = byte(in);

	return b < 240 ? b % 12 : edges[b % 6];
}

static u32 pick_as(struct input *in)
{
	unsigned int b = byte(in);

	return b < 250 ? b & 1 : b - 248;
}

static u64 pick_gpa(struct input *in)
{
	static const u64 edges[] = {
		((1ULL << 40) - 1) << 12, ((1ULL << 40) - 4) << 12, 1ULL << 52,
		-4096ULL, -0x8000ULL, (1ULL << 43) + 1,
	};
	unsigned int b = byte(in);

	return b < 240 ? (u64)(b % 32) << 12 : edges[b % 6];
}

static u64 pick_size(struct input *in)
{
	static const u64 edges[] = {
		0x7fffffffULL << 12, 0x80000000ULL << 12, -4096ULL, 1, 0x1800, 1ULL << 51,
	};
	unsigned int b = byte(in);

	return b < 240 ? (u64)(b % 9) << 12 : edges[b % 6];
}

static u64 pick_hva(struct input *in)
{
	static const u64 edges[] = { 0, -4096ULL, -0x5000ULL, 0x123, 1ULL << 47, ~0ULL };
	unsigned int b = byte(in);

	return b < 240 ? 0x7f0000000000ULL + ((u64)(b % 16) << 12) : edges[b % 6];
}

static u32 pick_flags(struct input *in)
{
	unsigned int b = byte(in);

	return b < 240 ? b & 3 : 1U << (b & 31);
}

static struct memslot_change of_slot(const struct model_slot *slot)
{
	return (struct memslot_change){
		.as_id = slot->as_id,
		.id = slot->id,
		.flags = slot->flags,
		.gpa = slot->gfn << 12,
		.size = slot->npages << 12,
		.hva = slot->hva,
	};
}

static const struct model_slot *pick_slot(struct input *in, const struct world *world)
{
	return &world->model.slots[byte(in) % world->model.nr];
}

/* From something like an existing slot to anything at all. */
static struct memslot_change pick_change(struct input *in, const struct world *world)
{
	struct memslot_change change;
	unsigned int how = byte(in);

	if (!world->model.nr || how < 96)
		return (struct memslot_change){
			.as_id = pick_as(in),
			.id = pick_id(in),
			.flags = pick_flags(in),
			.gpa = pick_gpa(in),
			.size = pick_size(in),
			.hva = pick_hva(in),
		};

	change = of_slot(pick_slot(in, world));
	if (how & 1)
		change.gpa = pick_gpa(in);
	if (how & 2)
		change.flags ^= KVM_MEM_LOG_DIRTY_PAGES;
	if ((how & 12) == 12)
		change.size = 0;
	if ((how & 48) == 48)
		change.hva = pick_hva(in);
	if (how > 248)
		change.flags = pick_flags(in);
	return change;
}

static void update_any(struct input *in, struct world *world, unsigned int nr)
{
	struct memslot_change changes[MAX_BATCH];
	unsigned int i;

	for (i = 0; i < nr; i++)
		changes[i] = pick_change(in, world);
	world_update(world, changes, nr);
}

/* Two slots change places: valid if they are of one size. */
static void update_swap(struct input *in, struct world *world)
{
	struct memslot_change a = of_slot(pick_slot(in, world)), b = of_slot(pick_slot(in, world));
	u64 gpa = a.gpa;

	a.gpa = b.gpa;
	b.gpa = gpa;
	world_update(world, (struct memslot_change[]){ a, b }, 2);
}

/* Another size, hva, flags, by delete and create in any order. */
static void update_replace(struct input *in, struct world *world)
{
	struct memslot_change set = of_slot(pick_slot(in, world)), delete = set;
	unsigned int how = byte(in);

	delete.size = 0;
	set.size = pick_size(in);
	if (how & 1)
		set.hva = pick_hva(in);
	if (how & 2)
		set.flags = pick_flags(in);
	if (how & 4)
		world_update(world, (struct memslot_change[]){ delete, set }, 2);
	else
		world_update(world, (struct memslot_change[]){ set, delete }, 2);
}

static void update_split(struct input *in, struct world *world)
{
	struct memslot_change whole = of_slot(pick_slot(in, world)), low = whole, high = whole;

	if (whole.size <= 4096)
		return;
	low.size = 4096;
	high.size -= 4096;
	high.gpa += 4096;
	high.hva += 4096;
	high.id = pick_id(in);
	whole.size = 0;
	world_update(world, (struct memslot_change[]){ high, low, whole }, 3);
}

static void look(struct input *in, struct world *world)
{
	unsigned int vcpu = byte(in) % NR_VCPUS;
	u64 gfn = pick_gpa(in) >> 12;
	unsigned long hva = pick_hva(in);

	world_lookup(world, vcpu, byte(in) & 1, gfn, byte(in) % 20, hva,
		     hva + (byte(in) * 257UL > ~hva ? ~hva : byte(in) * 257UL));
}

static void toggle_vcpu(struct input *in, struct world *world)
{
	unsigned int vcpu = byte(in) % NR_VCPUS;

	if (world->vcpus[vcpu].inside)
		world_leave(world, vcpu);
	else
		world_enter(world, vcpu);
}

static void step(struct input *in, struct world *world)
{
	unsigned int op = byte(in) % 15;

	/* Those that need a slot do something else while there is none. */
	if (op >= 12 && !world->model.nr)
		op = 0;

	switch (op) {
	case 5 ... 6:
		update_any(in, world, byte(in) % MAX_BATCH);
		break;
	case 7:
		toggle_vcpu(in, world);
		break;
	case 8:
		if (world->shared.inside)
			world_leave_shared(world);
		else
			world_enter_shared(world);
		break;
	case 9:
		look(in, world);
		break;
	case 10:
		shim_fail_alloc = byte(in) % 8;
		update_any(in, world, 1 + byte(in) % 4);
		break;
	case 11:
		world->fail_prepare = byte(in) % 4;
		update_any(in, world, 1 + byte(in) % 4);
		break;
	case 4:
		world->enter_in = 1 + byte(in) % 12;
		update_any(in, world, 1 + byte(in) % 4);
		break;
	case 12:
		update_swap(in, world);
		break;
	case 13:
		update_replace(in, world);
		break;
	case 14:
		update_split(in, world);
		break;
	default:
		update_any(in, world, 1);
	}
}

void drive(const unsigned char *data, size_t size)
{
	struct input in = { data, size };
	struct world world;

	world_init(&world, MEMSLOT_MAX_SPACES);
	while (in.left)
		step(&in, &world);
	world_destroy(&world);
}
