// SPDX-License-Identifier: GPL-2.0-only
/* Random operations, crowded into a few places of the address space so that they meet. */
#include "world.h"

/* splitmix64, or the next bytes and then zeros. */
u32 pick(struct source *source, u32 below)
{
	u64 z;

	if (source->data) {
		u32 value = 0, room;

		for (room = below - 1; room && source->size; room >>= 8, source->size--)
			value = value << 8 | *source->data++;
		return value % below;
	}
	z = source->seed += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % below;
}

bool picked_all(const struct source *source)
{
	return source->data && !source->size;
}

static u64 end_of_space(const struct world *world)
{
	return xvm_level_pages(world->pgt.levels + 1);
}

static u64 pick_gfn(struct world *world)
{
	static const u64 in_2m[] = { 0, 1, 2, 255, 510, 511 };
	const u64 bases[] = {
		0,
		xvm_level_pages(4) - xvm_level_pages(3),	/* over the edge of 512G */
		end_of_space(world) - 2 * xvm_level_pages(3),
	};
	struct source *source = world->source;

	return bases[pick(source, 3)] + pick(source, 2) * xvm_level_pages(3) +
	       in_2m[pick(source, 6)] * xvm_level_pages(2) + in_2m[pick(source, 6)];
}

static u64 pick_pte(struct world *world, unsigned int level)
{
	u64 pte = XVM_PTE_PRESENT | XVM_PTE_USER | (level > 1 ? XVM_PTE_HUGE : 0);
	u32 bits = pick(world->source, 32);

	/* Few pages, so that the same is often mapped again; up to the highest address. */
	pte |= (u64)(bits & 1 ? 5 : 0x3ff) << 42 & XVM_PTE_ADDR;
	pte |= bits & 2 ? XVM_PTE_WRITE : 0;
	pte |= bits & 4 ? XVM_PTE_ACCESSED : 0;
	pte |= bits & 8 ? XVM_PTE_DIRTY : 0;
	pte |= bits & 16 ? XVM_PTE_MAY_WRITE : 0;
	return pte;
}

static unsigned int pick_level(struct world *world)
{
	u32 n = pick(world->source, 8);

	return n < 4 ? 1 : n < 6 ? 2 : 3;
}

/* Sometimes, where smaller leaves are in the way, in their place. */
static void map(struct world *world, u64 gfn)
{
	unsigned int level = pick_level(world);
	u64 pte = pick_pte(world, level);
	struct cache cache = {
		.world = world,
		.budget = pick(world->source, 4) ? 4 : pick(world->source, 4),
	};

	gfn &= ~(xvm_level_pages(level) - 1);
	if (world_map(world, gfn, level, pte, &cache) != XVM_MAP_BLOCKED || world->competitor ||
	    pick(world->source, 2))
		return;
	world_unmap(world, gfn, gfn + xvm_level_pages(level));
	CHECK(world_map(world, gfn, level, pte, &cache) == XVM_MAP_NEW);
}

/* A CPU marks what it uses. */
static void mark_used(struct world *world, u64 *ptep, u64 gfn, unsigned int level)
{
	struct model_leaf *leaf = model_leaf_at(&world->model, gfn, level);

	if (!leaf || pick(world->source, 2))
		return;
	CHECK(*ptep == leaf->pte);
	leaf->pte |= XVM_PTE_ACCESSED | (leaf->pte & XVM_PTE_WRITE ? XVM_PTE_DIRTY : 0);
	*ptep = leaf->pte;
}

/* In the middle of a map, another vCPU's fault: at the same place, or anywhere. */
static void break_in(struct world *world, u64 *ptep, unsigned int level)
{
	u64 gfn = world->map_gfn & ~(xvm_level_pages(level) - 1);

	switch (pick(world->source, 6)) {
	case 0:
		map(world, world->map_gfn);
		break;
	case 1:
		map(world, pick_gfn(world));
		break;
	case 2:
		mark_used(world, ptep, gfn, level);
		break;
	}
}

static u64 pick_end(struct world *world, u64 start)
{
	u64 end;

	switch (pick(world->source, 5)) {
	case 0:
		end = start + 1;
		break;
	case 1:
		end = start + xvm_level_pages(1 + pick(world->source, 4));
		break;
	case 2:
		end = (start | (xvm_level_pages(1 + pick(world->source, 4)) - 1)) + 1;
		break;
	case 3:
		end = pick_gfn(world);
		break;
	default:
		end = end_of_space(world);
	}
	return end > start ? end : start + 1;
}

static u64 pick_start(struct world *world)
{
	u64 gfn = pick_gfn(world);

	switch (pick(world->source, 4)) {
	case 0:
		return 0;
	case 1:
		return gfn & ~(xvm_level_pages(1 + pick(world->source, 4)) - 1);
	default:
		return gfn;
	}
}

/* From all of a range, or what a bitmap names, with a CPU that marks entries meanwhile. */
static void take(struct world *world)
{
	static const u64 bits[] = { XVM_PTE_WRITE, XVM_PTE_DIRTY, 0 };
	unsigned long only[2 * XVM_PGT_ENTRIES / (8 * sizeof(long))] = {};
	struct xvm_pgtable_take take = { .bits = bits[pick(world->source, 3)] };
	u32 before = 0;
	unsigned int i;

	take.start = pick_start(world);
	if (pick(world->source, 3)) {
		before = pick(world->source, 70);
		if (before > take.start)
			before = 0;
		for (i = pick(world->source, 4); i; i--) {
			u32 bit = pick(world->source, 2 * XVM_PGT_ENTRIES);

			only[bit / (8 * sizeof(long))] |= 1ul << (bit % (8 * sizeof(long)));
		}
		take.end = take.start + 1 + pick(world->source, 2 * XVM_PGT_ENTRIES - before);
		take.only = only;
	} else {
		take.end = pick_end(world, take.start);
	}
	take.base = take.start - before;
	/* What can still be written may become dirty after it was looked at, and rightly so. */
	if (take.bits & XVM_PTE_WRITE)
		world->marker = mark_used;
	world_take(world, &take);
	world->marker = NULL;
}

/* A window around a page, with holes in what there is to map. */
static void fill(struct world *world)
{
	unsigned int i, nr = 1 << pick(world->source, 5);
	u64 gfn = pick_gfn(world) & ~(u64)(nr - 1);
	u64 ptes[16];

	for (i = 0; i < nr; i++)
		ptes[i] = pick(world->source, 3) ? pick_pte(world, 1) : 0;
	world_fill(world, gfn, ptes, nr);
}

/* With a few tables: all of a leaf of 1G would be many leaves. */
static void split(struct world *world)
{
	struct cache cache = { .world = world, .budget = pick(world->source, 4) };
	u64 start = pick_start(world);

	world_split(world, start, pick_end(world, start), &cache);
}

static void step(struct world *world)
{
	struct source *source = world->source;
	u64 start;

	switch (pick(source, 26)) {
	case 25:
		/* A CPU may still write while they go. */
		start = pick_start(world);
		world->marker = mark_used;
		world_unmap_small(world, start, start + 1 + pick(source, 4 * XVM_PGT_ENTRIES));
		world->marker = NULL;
		break;
	case 20:
		split(world);
		break;
	case 21:
	case 22:
		start = pick_start(world);
		world_age(world, start, pick_end(world, start), pick(source, 2));
		break;
	case 24:
		start = pick_start(world);
		world->marker = mark_used;
		world_allow_write(world, start, pick_end(world, start));
		world->marker = NULL;
		break;
	case 23:
		start = pick_start(world);
		world_next(world, start, pick_end(world, start));
		break;
	case 18:
	case 19:
		fill(world);
		break;
	case 16:
	case 17:
		take(world);
		break;
	case 0:
	case 1:
		start = pick_start(world);
		world_unmap(world, start, pick_end(world, start));
		world_free_detached(world, pick(source, 4));
		break;
	case 2:
		start = pick_start(world);
		world_walk(world, start, pick_end(world, start), 1 + pick(source, 3),
			   pick(source, 2) ? 0 : 1 + pick(source, 5),
			   pick(source, 2) ? 0 : 1 + pick(source, 20));
		break;
	case 3:
		world_lookup(world, pick_gfn(world));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		world->competitor = break_in;
		world->marker = mark_used;
		map(world, pick_gfn(world));
		world->competitor = NULL;
		world->marker = NULL;
		break;
	default:
		map(world, pick_gfn(world));
		break;
	}
	/* Now and then a clean slate, before the lists are full. */
	if (world->nr_pages > MAX_TABLES / 2 || world->model.nr_leaves > MAX_LEAVES / 4) {
		world_unmap(world, 0, end_of_space(world));
		world_free_detached(world, 0);
		CHECK(world->nr_pages == 1);
	}
}

void drive(struct world *world, unsigned int steps)
{
	while (steps-- && !picked_all(world->source)) {
		step(world);
		world_check(world);
	}
}
