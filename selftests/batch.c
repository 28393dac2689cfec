// SPDX-License-Identifier: GPL-2.0-only
/* XVM_SET_USER_MEMORY_REGIONS: all changes or none, and never a hole. */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "runner.h"
#include "test.h"

DEVICE_FIXTURE(batch);

#define MIB 0x100000ul
#define FAR_GPA 0x1000000ul
#define ALIAS_GPA 0x2000000ul
#define SLOT_SIZE (64 * GUEST_PAGE)

/* Reads a word of the slot for ever; one that is neither of two ends it. */
GUEST_ASM(poll, 64,
	  "xor %eax, %eax\n"
	  "mov $0x1000000, %ebx\n"
	  "1: mov (%rbx), %rcx\n"
	  "incq 0x40000\n"
	  "cmp $0x5a, %rcx\n"
	  "je 1b\n"
	  "cmp $0x6b, %rcx\n"
	  "je 1b\n"
	  "hlt");

static uint64_t polls(struct guest *g)
{
	return *(volatile uint64_t *)(g->mem + GUEST_FREE);
}

/* A guest that polls slot 1, which has this memory. */
static void start_polling(struct guest *g, int dev, struct runner *r, uint64_t *a, uint64_t *b)
{
	guest_start64(g, dev, poll, poll_end);
	*a = 0x5a;
	*b = 0x6b;
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, a);
	runner_start(r, &g->cpu, NULL, NULL);
}

static bool polls_on(struct guest *g, struct runner *r, int i)
{
	return (i < 400 || polls(g) < 1000) && !r->ended;
}

TEST_F(batch, only_xvm_has_it)
{
	struct xvm_memory_regions regions = { .nr = 1 };
	struct xvm_verify verify;
	int xvm = device_is_xvm(self->dev);

	EXPECT_EQ(!strcmp(variant->path, XVM_DEVICE_PATH), xvm);
	guest_create(&self->g, self->dev, GUEST_SIZE);
	EXPECT_EQ(xvm, kioctl(self->dev, KVM_CHECK_EXTENSION,
			      XVM_CAP_VERIFY));
	if (xvm) {
		EXPECT_EQ(XVM_API_VERSION,
			  kioctl(self->dev, KVM_CHECK_EXTENSION,
				 XVM_CAP_VERSION));
		EXPECT_GE(kioctl(self->g.vm, KVM_CHECK_EXTENSION,
				 XVM_CAP_MEMSLOT_BATCH), 1024);
		EXPECT_EQ(-EFAULT, kioctl(self->g.vm,
					  XVM_SET_USER_MEMORY_REGIONS,
					  &regions));
		EXPECT_EQ(-EFAULT, kioctl(self->g.vm, XVM_VERIFY, NULL));
	} else {
		EXPECT_EQ(0, kioctl(self->dev, KVM_CHECK_EXTENSION,
				    XVM_CAP_MEMSLOT_BATCH));
		EXPECT_EQ(-ENOTTY, kioctl(self->g.vm,
					  XVM_SET_USER_MEMORY_REGIONS,
					  &regions));
		EXPECT_EQ(-ENOTTY, kioctl(self->g.vm, XVM_VERIFY, &verify));
	}
}

/* Two slots change places, which one after the other they could not. */
TEST_F_TIMEOUT(batch, swap_while_running, 60)
{
	uint64_t *a = mem_alloc(SLOT_SIZE), *b = mem_alloc(SLOT_SIZE);
	struct guest *g = &self->g;
	struct runner r;
	int i;

	NEEDS_BATCH(self->dev);
	start_polling(g, self->dev, &r, a, b);
	guest_add_slot(g, 2, 0, ALIAS_GPA, SLOT_SIZE, b);
	for (i = 0; polls_on(g, &r, i); i++) {
		const struct xvm_memory_change changes[] = {
			change_set(1, i % 2 ? FAR_GPA : ALIAS_GPA, SLOT_SIZE,
				   a),
			change_set(2, i % 2 ? ALIAS_GPA : FAR_GPA, SLOT_SIZE,
				   b),
		};

		ASSERT_EQ(0, apply(g, changes, 2, NULL));
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
}

/* Another size and another hva under the same id: no exit in between. */
TEST_F_TIMEOUT(batch, replace_while_running, 60)
{
	uint64_t *a = mem_alloc(SLOT_SIZE), *b = mem_alloc(SLOT_SIZE);
	struct guest *g = &self->g;
	struct runner r;
	int i;

	NEEDS_BATCH(self->dev);
	start_polling(g, self->dev, &r, a, b);
	for (i = 0; polls_on(g, &r, i); i++) {
		const struct xvm_memory_change changes[] = {
			change_set(1, FAR_GPA,
				   i % 2 ? SLOT_SIZE : 7 * GUEST_PAGE,
				   i % 2 ? a : b),
			change_delete(1),
		};

		ASSERT_EQ(0, apply(g, changes, 2, NULL));
		/* What is not mapped any more is not read any more. */
		*(i % 2 ? b : a) = 0xbad;
		*(i % 2 ? a : b) = i % 2 ? 0x5a : 0x6b;
		usleep(200);
		*a = 0x5a;
		*b = 0x6b;
	}
	EXPECT_EQ(-EINTR, runner_stop(&r)) {
		TH_LOG("%s", exit_name(r.last));
	}
}

static uint8_t *slot_mem;

/* Slots 1 and 2 are what they were, and there is no other. */
static void check_unchanged(struct __test_metadata *_metadata, struct guest *g)
{
	EXPECT_EQ(0, guest_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, slot_mem));
	EXPECT_EQ(0, guest_slot(g, 2, 0, ALIAS_GPA, SLOT_SIZE, slot_mem));
	EXPECT_EQ(-EINVAL, guest_slot(g, 3, 0, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, guest_slot(g, 4, 0, 0, 0, NULL));
	guest_verify(g);
}

TEST_F(batch, errors)
{
	struct guest *g = &self->g;
	struct xvm_memory_regions regions = { .nr = 1 };
	struct xvm_memory_change good, bad, two[2];
	uint32_t failed;
	long max;

	NEEDS_BATCH(self->dev);
	guest_create(g, self->dev, GUEST_SIZE);
	slot_mem = mem_alloc(SLOT_SIZE);
	guest_add_slot(g, 1, 0, FAR_GPA, SLOT_SIZE, slot_mem);
	guest_add_slot(g, 2, 0, ALIAS_GPA, SLOT_SIZE, slot_mem);
	good = change_set(3, 3 * FAR_GPA, SLOT_SIZE, slot_mem);

#define CHECK(err, change)						\
	do {								\
		bad = change;						\
		two[0] = good;						\
		two[1] = bad;						\
		EXPECT_EQ(-(err), apply(g, two, 2, &failed));		\
		EXPECT_EQ(1, failed);					\
		two[0] = bad;						\
		two[1] = good;						\
		EXPECT_EQ(-(err), apply(g, two, 2, &failed));		\
		EXPECT_EQ(0, failed);					\
		check_unchanged(_metadata, g);				\
	} while (0)

	CHECK(EINVAL, change_set(4, 4 * FAR_GPA + 1, SLOT_SIZE, slot_mem));
	CHECK(EINVAL, change_set(4, 4 * FAR_GPA, SLOT_SIZE + 1, slot_mem));
	CHECK(EINVAL, change_set(4, 4 * FAR_GPA, SLOT_SIZE, slot_mem + 1));
	CHECK(EINVAL, change_set(4, 4 * FAR_GPA, 0, slot_mem));
	CHECK(EINVAL, change_set(4, -GUEST_PAGE, SLOT_SIZE, slot_mem));
	CHECK(EINVAL, change_set(2 << 16 | 4, 4 * FAR_GPA, SLOT_SIZE, slot_mem));
	CHECK(EINVAL, change_set(2, ALIAS_GPA, SLOT_SIZE / 2, slot_mem));
	CHECK(EEXIST, change_set(4, ALIAS_GPA, GUEST_PAGE, slot_mem));
	CHECK(EINVAL, change_delete(4));
	bad = change_delete(2);
	bad.region.guest_phys_addr = ALIAS_GPA;
	CHECK(EINVAL, bad);
	bad = change_set(4, 4 * FAR_GPA, SLOT_SIZE, slot_mem);
	bad.op = 3;
	CHECK(EINVAL, bad);
	bad.op = XVM_MEMORY_SET;
	bad.pad = 1;
	CHECK(EINVAL, bad);
	bad.pad = 0;
	bad.region.flags = 1u << 31;
	CHECK(EINVAL, bad);
#undef CHECK

	/* Twice one id; two new slots over each other. */
	two[0] = good;
	two[1] = good;
	EXPECT_EQ(-EINVAL, apply(g, two, 2, NULL));
	two[1] = change_set(4, 3 * FAR_GPA, GUEST_PAGE, slot_mem);
	EXPECT_EQ(-EEXIST, apply(g, two, 2, NULL));
	two[0] = change_delete(1);
	two[1] = change_delete(1);
	EXPECT_EQ(-EINVAL, apply(g, two, 2, NULL));
	check_unchanged(_metadata, g);

	EXPECT_EQ(-EINVAL, apply(g, two, 0, NULL));
	max = kioctl(g->vm, KVM_CHECK_EXTENSION, XVM_CAP_MEMSLOT_BATCH);
	EXPECT_EQ(-E2BIG, apply(g, two, max + 1, NULL));
	regions.regions = (uintptr_t)&good;
	regions.flags = 1;
	EXPECT_EQ(-EINVAL,
		  kioctl(g->vm, XVM_SET_USER_MEMORY_REGIONS, &regions));
	regions.flags = 0;
	regions.pad = 1;
	EXPECT_EQ(-EINVAL,
		  kioctl(g->vm, XVM_SET_USER_MEMORY_REGIONS, &regions));
	EXPECT_EQ(-EFAULT, kioctl(g->vm, XVM_SET_USER_MEMORY_REGIONS, NULL));
	check_unchanged(_metadata, g);
}

TEST_F(batch, many)
{
	const int nr = 4000;
	struct xvm_memory_change *changes = calloc(nr, sizeof(*changes));
	uint8_t *mem = mem_alloc(nr * GUEST_PAGE);
	struct guest *g = &self->g;
	struct xvm_verify verify;
	int i;

	NEEDS_BATCH(self->dev);
	ASSERT_NE(NULL, changes);
	guest_create(g, self->dev, GUEST_SIZE);
	for (i = 0; i < nr; i++)
		changes[i] = change_set(1 + i, FAR_GPA + 2 * i * GUEST_PAGE,
					GUEST_PAGE, mem + i * GUEST_PAGE);
	ASSERT_EQ(0, apply(g, changes, nr, NULL));
	ASSERT_EQ(0, kioctl(g->vm, XVM_VERIFY, &verify));
	EXPECT_EQ(nr + 1, verify.slots);
	EXPECT_EQ(0, verify.violations);
	/* Each one moves to where its neighbour was. */
	for (i = 0; i < nr; i++)
		changes[i].region.guest_phys_addr =
			FAR_GPA + 2 * ((i + 1) % nr) * GUEST_PAGE;
	ASSERT_EQ(0, apply(g, changes, nr, NULL));
	guest_verify(g);
	for (i = 0; i < nr; i++)
		changes[i] = change_delete(1 + i);
	ASSERT_EQ(0, apply(g, changes, nr, NULL));
	ASSERT_EQ(0, kioctl(g->vm, XVM_VERIFY, &verify));
	EXPECT_EQ(1, verify.slots);
	free(changes);
}

TEST_HARNESS_MAIN
