// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every errno of KVM_SET_USER_MEMORY_REGION and ...REGION2, and that a call that
 * failed has changed nothing: the guest still reads its memory, and the slots
 * are what they were.
 */
#include <cpuid.h>
#include <string.h>

#include "test.h"

DEVICE_FIXTURE(slots);

#define MIB 0x100000ul

/* The slot under test, and a second one behind a gap. */
#define SLOT 1
#define SLOT_GPA (16 * MIB)
#define SLOT_SIZE (1 * MIB)
#define OTHER 2
#define OTHER_GPA (32 * MIB)
#define UNUSED 9

#define FIRST_WORD 0x1122334455667788ul

/* Reads the word at the start of the slot, again and again. */
GUEST_ASM(read_slot, 64,
	  "1: mov $0x1000000, %rbx\n"
	  "mov (%rbx), %rax\n"
	  "hlt\n"
	  "jmp 1b");

static uint8_t *slot_mem;

static void setup(struct guest *g, int dev)
{
	guest_start64(g, dev, read_slot, read_slot_end);
	slot_mem = mem_alloc(3 * SLOT_SIZE);
	*(uint64_t *)slot_mem = FIRST_WORD;
	guest_add_slot(g, SLOT, 0, SLOT_GPA, SLOT_SIZE, slot_mem);
	guest_add_slot(g, OTHER, 0, OTHER_GPA, SLOT_SIZE, slot_mem + SLOT_SIZE);
}

static void check_unchanged(struct __test_metadata *_metadata, struct guest *g)
{
	struct kvm_regs regs;

	/* Setting a slot to what it is succeeds only if that is what it is. */
	EXPECT_EQ(0, guest_slot(g, SLOT, 0, SLOT_GPA, SLOT_SIZE, slot_mem));
	EXPECT_EQ(0, guest_slot(g, OTHER, 0, OTHER_GPA, SLOT_SIZE,
				slot_mem + SLOT_SIZE));
	EXPECT_EQ(-EINVAL, guest_slot(g, UNUSED, 0, 0, 0, NULL));
	EXPECT_EQ(-EEXIST, guest_slot(g, UNUSED, 0, SLOT_GPA, GUEST_PAGE,
				      slot_mem));

	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&g->cpu));
	vcpu_get_regs(&g->cpu, &regs);
	EXPECT_EQ(FIRST_WORD, regs.rax);
}

struct bad_call {
	const char *what;
	int err;
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	/* Relative to slot_mem, unless it is absolute. */
	uint64_t hva;
	bool absolute;
};

static const struct bad_call bad_calls[] = {
	{ "size not in pages", EINVAL, UNUSED, 0, 64 * MIB, 100, 0, 0 },
	{ "size of a page and a byte", EINVAL, UNUSED, 0, 64 * MIB, 4097, 0, 0 },
	{ "gpa not aligned", EINVAL, UNUSED, 0, 64 * MIB + 8, 4096, 0, 0 },
	{ "hva not aligned", EINVAL, UNUSED, 0, 64 * MIB, 4096, 1, 0 },
	{ "gpa and size wrap", EINVAL, UNUSED, 0, -4096ul, 8192, 0, 0 },
	{ "hva of the kernel", EINVAL, UNUSED, 0, 64 * MIB, 4096,
	  0xffff888000000000, 1 },
	{ "hva not canonical", EINVAL, UNUSED, 0, 64 * MIB, 4096,
	  0x8000000000000000, 1 },
	{ "hva and size wrap", EINVAL, UNUSED, 0, 64 * MIB, 8192, -4096ul, 1 },
	{ "hva runs into the kernel", EINVAL, UNUSED, 0, 64 * MIB,
	  1ul << 40, (1ul << 63) - 4096, 1 },
	{ "address space out of range", EINVAL, 2 << 16 | UNUSED, 0, 64 * MIB,
	  4096, 0, 0 },
	{ "last address space", EINVAL, 0xffff0000 | UNUSED, 0, 64 * MIB, 4096,
	  0, 0 },
	{ "2^31 pages", EINVAL, UNUSED, 0, 1ul << 45, 1ul << 43, 0, 0 },
	{ "flag unknown", EINVAL, UNUSED, 1u << 31, 64 * MIB, 4096, 0, 0 },
	{ "guest_memfd flag", EINVAL, UNUSED, 1u << 2, 64 * MIB, 4096, 0, 0 },
	{ "all flags", EINVAL, UNUSED, ~0u, 64 * MIB, 4096, 0, 0 },
	{ "deletion of an absent slot", EINVAL, UNUSED, 0, 0, 0, 0, 0 },
	{ "deletion with a bad flag", EINVAL, SLOT, 1u << 31, 0, 0, 0, 0 },
	{ "deletion with an unaligned gpa", EINVAL, SLOT, 0, 1, 0, 0, 0 },
	{ "deletion with an unaligned hva", EINVAL, SLOT, 0, 0, 0, 1, 0 },

	{ "overlap, same range", EEXIST, UNUSED, 0, SLOT_GPA, SLOT_SIZE, 0, 0 },
	{ "overlap, first page", EEXIST, UNUSED, 0, SLOT_GPA - 4096, 8192, 0, 0 },
	{ "overlap, last page", EEXIST, UNUSED, 0, SLOT_GPA + SLOT_SIZE - 4096,
	  8192, 0, 0 },
	{ "overlap, inside", EEXIST, UNUSED, 0, SLOT_GPA + 4096, 4096, 0, 0 },
	{ "overlap, around", EEXIST, UNUSED, 0, SLOT_GPA - 4096,
	  SLOT_SIZE + 8192, 0, 0 },
	{ "overlap of two slots", EEXIST, UNUSED, 0, SLOT_GPA, 17 * MIB, 0, 0 },
	{ "overlap by a move", EEXIST, SLOT, 0, OTHER_GPA, SLOT_SIZE, 0, 0 },
	{ "overlap by a move, one page", EEXIST, SLOT, 0,
	  OTHER_GPA - SLOT_SIZE + 4096, SLOT_SIZE, 0, 0 },

	{ "larger", EINVAL, SLOT, 0, SLOT_GPA, SLOT_SIZE + 4096, 0, 0 },
	{ "smaller", EINVAL, SLOT, 0, SLOT_GPA, SLOT_SIZE - 4096, 0, 0 },
	{ "other hva", EINVAL, SLOT, 0, SLOT_GPA, SLOT_SIZE, 4096, 0 },
	{ "read-only on", EINVAL, SLOT, KVM_MEM_READONLY, SLOT_GPA, SLOT_SIZE,
	  0, 0 },
	{ "read-only on, with a move", EINVAL, SLOT, KVM_MEM_READONLY,
	  64 * MIB, SLOT_SIZE, 0, 0 },
	{ "larger, with a move", EINVAL, SLOT, 0, 64 * MIB, SLOT_SIZE + 4096,
	  0, 0 },
	{ "bad flag on a slot", EINVAL, SLOT, 1u << 7, SLOT_GPA, SLOT_SIZE, 0,
	  0 },
};

static void check_bad_calls(struct __test_metadata *_metadata, struct guest *g,
			    int (*set)(struct guest *g, uint32_t slot,
				       uint32_t flags, uint64_t gpa,
				       uint64_t size, void *hva))
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad_calls); i++) {
		const struct bad_call *c = &bad_calls[i];
		uint64_t hva = c->hva;

		if (!c->absolute)
			hva += (uintptr_t)slot_mem;
		EXPECT_EQ(-c->err, set(g, c->slot, c->flags, c->gpa, c->size,
				       (void *)hva)) {
			TH_LOG("%s", c->what);
		}
		check_unchanged(_metadata, g);
	}
}

/* The lab loads both modules with one setting. */
static bool npt_enabled(void)
{
	char value = 'Y';
	int fd = open("/sys/module/kvm_amd/parameters/npt", O_RDONLY);

	if (fd < 0)
		return true;
	if (read(fd, &value, 1) != 1)
		value = 'Y';
	close(fd);
	return value == 'Y';
}

#define NEEDS_REGION2(dev)						\
	do {								\
		if (!device_is_recent(dev))				\
			SKIP(return, "no SET_USER_MEMORY_REGION2");	\
	} while (0)

TEST_F(slots, region)
{
	setup(&self->g, self->dev);
	check_unchanged(_metadata, &self->g);
	check_bad_calls(_metadata, &self->g, guest_slot);
	EXPECT_EQ(-EFAULT, kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION,
				  NULL));
	EXPECT_EQ(-EFAULT, kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION,
				  ~0xfful));
}

TEST_F(slots, region2)
{
	NEEDS_REGION2(self->dev);
	setup(&self->g, self->dev);
	check_bad_calls(_metadata, &self->g, guest_slot2);
	EXPECT_EQ(-EFAULT, kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION2,
				  NULL));
}

/* A structure that ends where readable memory ends, and one that goes beyond. */
TEST_F(slots, region_at_the_end_of_memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = UNUSED,
		.guest_phys_addr = 64 * MIB,
		.memory_size = GUEST_PAGE,
	};
	uint8_t *pages = mem_alloc(2 * GUEST_PAGE);
	uint8_t *at = pages + GUEST_PAGE - sizeof(region);

	NEEDS_REGION2(self->dev);
	setup(&self->g, self->dev);
	ASSERT_EQ(0, munmap(pages + GUEST_PAGE, GUEST_PAGE));
	region.userspace_addr = (uintptr_t)slot_mem;
	memcpy(at, &region, sizeof(region));
	EXPECT_EQ(-EFAULT,
		  kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION2, at));
	check_unchanged(_metadata, &self->g);
	EXPECT_EQ(-EFAULT,
		  kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION, at + 8));
	check_unchanged(_metadata, &self->g);
	EXPECT_EQ(0, kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION, at));
}

/* Padding of the second structure is not looked at, as in KVM. */
TEST_F(slots, region2_padding)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = UNUSED,
		.guest_phys_addr = 64 * MIB,
		.memory_size = GUEST_PAGE,
		.guest_memfd = 77,
		.guest_memfd_offset = 5,
		.pad1 = 1,
	};

	NEEDS_REGION2(self->dev);
	setup(&self->g, self->dev);
	memset(region.pad2, 0xff, sizeof(region.pad2));
	region.userspace_addr = (uintptr_t)slot_mem;
	EXPECT_EQ(0, kioctl(self->g.vm, KVM_SET_USER_MEMORY_REGION2, &region));
}

TEST_F(slots, id_limit)
{
	long nr = kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	struct guest *g = &self->g;

	setup(g, self->dev);
	ASSERT_GT(nr, 0);
	EXPECT_EQ(nr, kioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS));
	EXPECT_EQ(0, guest_slot(g, nr - 1, 0, 64 * MIB, 4096, slot_mem));
	EXPECT_EQ(0, guest_slot(g, nr - 1, 0, 0, 0, NULL));
	/* An id is 16 bits: a device may offer all, and then none is too large. */
	if (nr < 65536) {
		EXPECT_EQ(-EINVAL, guest_slot(g, nr, 0, 64 * MIB, 4096,
					      slot_mem));
		EXPECT_EQ(-EINVAL, guest_slot(g, 0xffff, 0, 64 * MIB, 4096,
					      slot_mem));
		EXPECT_EQ(-EINVAL, guest_slot(g, 0xffff, 0, 0, 0, NULL));
	}
	EXPECT_LE(nr, 65536);
	check_unchanged(_metadata, g);
}

TEST_F(slots, address_spaces)
{
	struct guest *g = &self->g;
	long nr, as;

	setup(g, self->dev);
	nr = kioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);
	ASSERT_GE(nr, 0);
	if (!nr)
		nr = 1;
	/* Each has its own ids and its own addresses. */
	for (as = 1; as < nr; as++) {
		EXPECT_EQ(0, guest_slot(g, as << 16 | SLOT, 0, SLOT_GPA,
					SLOT_SIZE, slot_mem));
		EXPECT_EQ(-EEXIST, guest_slot(g, as << 16 | UNUSED, 0, SLOT_GPA,
					      4096, slot_mem));
		EXPECT_EQ(0, guest_slot(g, as << 16 | SLOT, 0, 0, 0, NULL));
		EXPECT_EQ(-EINVAL, guest_slot(g, as << 16 | SLOT, 0, 0, 0,
					      NULL));
	}
	EXPECT_EQ(-EINVAL, guest_slot(g, nr << 16 | SLOT, 0, SLOT_GPA,
				      SLOT_SIZE, slot_mem));
	check_unchanged(_metadata, g);
}

/*
 * Guest physical addresses end where those of the host's CPU end.  Breaks if
 * plan_places() doesn't compare with max_gfn.
 */
TEST_F(slots, end_of_the_address_space)
{
	const uint64_t size = 64ul << 30;
	struct guest *g = &self->g;
	uint32_t eax, ebx, ecx, edx;
	uint64_t limit;
	uint8_t *hva;

	setup(g, self->dev);
	__cpuid(0x80000008, eax, ebx, ecx, edx);
	limit = 1ul << (eax & 0xff);
	hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, hva);
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, limit - size, size, hva));
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 0, 0, NULL));
	/* Shadow paging takes what the architecture allows, 52 bits. */
	EXPECT_EQ(-EINVAL, guest_slot(g, UNUSED, 0, (1ul << 52) - 4096, 8192,
				      hva));
	EXPECT_EQ(-EINVAL, guest_slot(g, UNUSED, 0, 1ul << 52, 4096, hva));
	if (!npt_enabled())
		return;
	EXPECT_EQ(-EINVAL, guest_slot(g, UNUSED, 0, limit - size + 4096, size,
				      hva));
	EXPECT_EQ(-EINVAL, guest_slot(g, UNUSED, 0, limit, 4096, hva));
	check_unchanged(_metadata, g);
}

/* An hva that nothing backs is not an error: it may get memory later. */
TEST_F(slots, hva_without_memory)
{
	uint8_t *hole = mem_alloc(GUEST_PAGE);
	struct guest *g = &self->g;

	setup(g, self->dev);
	ASSERT_EQ(0, munmap(hole, GUEST_PAGE));
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 64 * MIB, GUEST_PAGE, hole));
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 0, 0, NULL));
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 64 * MIB, GUEST_PAGE, NULL));
}

TEST_F(slots, read_only_toggle)
{
	struct guest *g = &self->g;

	setup(g, self->dev);
	ASSERT_EQ(0, guest_slot(g, UNUSED, KVM_MEM_READONLY, 64 * MIB,
				GUEST_PAGE, slot_mem));
	EXPECT_EQ(-EINVAL,
		  guest_slot(g, UNUSED, 0, 64 * MIB, GUEST_PAGE, slot_mem));
	EXPECT_EQ(-EINVAL,
		  guest_slot(g, UNUSED, 0, 65 * MIB, GUEST_PAGE, slot_mem));
	EXPECT_EQ(0, guest_slot(g, UNUSED, KVM_MEM_READONLY, 65 * MIB,
				GUEST_PAGE, slot_mem));
	/* Deleted and created anew it may be anything. */
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 0, 0, NULL));
	EXPECT_EQ(0, guest_slot(g, UNUSED, 0, 64 * MIB, GUEST_PAGE, slot_mem));
}

/* Deletion looks at the id alone, as far as the rest is well-formed. */
TEST_F(slots, deletion_ignores_the_rest)
{
	struct guest *g = &self->g;

	setup(g, self->dev);
	EXPECT_EQ(0, guest_slot(g, SLOT, KVM_MEM_READONLY, OTHER_GPA, 0,
				slot_mem + 4096));
	EXPECT_EQ(-EINVAL, guest_slot(g, SLOT, 0, SLOT_GPA, 0, slot_mem));
	EXPECT_EQ(0, guest_slot(g, SLOT, 0, SLOT_GPA, SLOT_SIZE, slot_mem));
	check_unchanged(_metadata, g);
}

TEST_HARNESS_MAIN
