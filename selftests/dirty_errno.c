// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls on a dirty log that can't be answered: what they return, and that no
 * write which the log knew of is lost by them.
 */
#include <string.h>

#include "pass.h"
#include "test.h"

DEVICE_FIXTURE(dirty_errno);

#define LOG_GPA		0x1000000ul
#define LOG_PAGES	200ul /* the bitmap's last word is not full */
#define LOG_SIZE	(LOG_PAGES * GUEST_PAGE)
#define WORDS		((LOG_PAGES + 63) / 64)

#define ABSENT		9

static long get_log(struct guest *g, uint32_t slot, void *bits)
{
	struct kvm_dirty_log get = { .slot = slot, .dirty_bitmap = bits };

	return kioctl(g->vm, KVM_GET_DIRTY_LOG, &get);
}

static long clear_log(struct guest *g, uint32_t slot, uint64_t first, void *bits)
{
	struct kvm_clear_dirty_log clear = {
		.slot = slot,
		.first_page = first,
		.num_pages = LOG_PAGES - first,
		.dirty_bitmap = bits,
	};

	return kioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear);
}

/* A guest with a log of slot 1; manual: that only KVM_CLEAR_DIRTY_LOG clears. */
static uint8_t *start(struct guest *g, int dev, bool manual)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { manual ? KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE : 0 },
	};
	uint8_t *mem = mem_alloc(LOG_SIZE);

	pass_start(g, dev);
	xioctl(g->vm, KVM_ENABLE_CAP, &cap);
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, mem);
	return mem;
}

#define WRITE_PAGES(first, pages)					\
	EXPECT_PASS(LOG_GPA + (first) * GUEST_PAGE, pages, 1, true)

/* Pages of which a log says something else than that [first, end) was written. */
static unsigned int wrong_pages(const uint64_t *bits, uint64_t first, uint64_t end)
{
	unsigned int wrong = 0;
	uint64_t page;

	for (page = 0; page < LOG_PAGES; page++)
		wrong += (page >= first && page < end) != (bits[page / 64] >> (page % 64) & 1);
	return wrong;
}

#define EXPECT_LOG(first, end)						\
	do {								\
		uint64_t bits_[WORDS] = {};				\
									\
		ASSERT_EQ(0, get_log(&self->g, 1, bits_));		\
		EXPECT_EQ(0, wrong_pages(bits_, first, end));		\
	} while (0)

/* Where a bitmap can't be, or not to its end. */
enum { NOWHERE, UNMAPPED, FORBIDDEN, READ_ONLY, NO_LAST_WORD, ONE_WORD, NR_BAD };

static void *bad_bitmap(int kind)
{
	uint8_t *p = mem_alloc(2 * GUEST_PAGE);

	memset(p, 0xff, GUEST_PAGE);
	munmap(p + GUEST_PAGE, GUEST_PAGE);
	switch (kind) {
	case NOWHERE:
		return NULL;
	case UNMAPPED:
		return p + GUEST_PAGE;
	case FORBIDDEN:
		mprotect(p, GUEST_PAGE, PROT_NONE);
		return p;
	case READ_ONLY:
		mprotect(p, GUEST_PAGE, PROT_READ);
		return p;
	case NO_LAST_WORD:
		return p + GUEST_PAGE - (WORDS - 1) * 8;
	default:
		return p + GUEST_PAGE - 8;
	}
}

/*
 * KVM has cleared by then what it can't tell.  Breaks if copy_log() doesn't give back
 * what it took.
 */
TEST_F(dirty_errno, get_to_nowhere)
{
	bool xvm = device_is_xvm(self->dev);
	int kind;

	start(&self->g, self->dev, false);
	for (kind = 0; kind < NR_BAD; kind++) {
		WRITE_PAGES(60, 100);
		EXPECT_EQ(-EFAULT, get_log(&self->g, 1, bad_bitmap(kind)));
		if (xvm) {
			EXPECT_EQ(-EFAULT, get_log(&self->g, 1, bad_bitmap(kind)));
			EXPECT_LOG(60, 160);
			EXPECT_LOG(0, 0);
		}
		/* What is written next is logged, whatever became of that. */
		WRITE_PAGES(0, LOG_PAGES);
		EXPECT_LOG(0, LOG_PAGES);
	}
}

/* Here nothing is cleared by looking.  Breaks if peek_log() takes the bits. */
TEST_F(dirty_errno, peek_to_nowhere)
{
	int kind;

	start(&self->g, self->dev, true);
	WRITE_PAGES(60, 100);
	for (kind = 0; kind < NR_BAD; kind++) {
		EXPECT_EQ(-EFAULT, get_log(&self->g, 1, bad_bitmap(kind)));
		EXPECT_LOG(60, 160);
	}
}

/* Breaks if clear_log() clears by a part of the bitmap, or doesn't take one that is read only. */
TEST_F(dirty_errno, clear_from_nowhere)
{
	int kind;

	start(&self->g, self->dev, true);
	WRITE_PAGES(0, LOG_PAGES);
	for (kind = 0; kind < NR_BAD; kind++) {
		if (kind == READ_ONLY)
			continue;
		EXPECT_EQ(-EFAULT, clear_log(&self->g, 1, 0, bad_bitmap(kind)));
		EXPECT_LOG(0, LOG_PAGES);
	}
	/* Its last word is all that is asked for. */
	EXPECT_EQ(0, clear_log(&self->g, 1, 192, bad_bitmap(ONE_WORD)));
	EXPECT_LOG(0, 192);
	EXPECT_EQ(0, clear_log(&self->g, 1, 0, bad_bitmap(READ_ONLY)));
	EXPECT_LOG(0, 0);
	WRITE_PAGES(0, 1);
	EXPECT_LOG(0, 1);
}

/* Breaks if xvm_slot_id_ok() doesn't compare with MEMSLOT_MAX_SPACES. */
TEST_F(dirty_errno, address_space)
{
	uint64_t bits[WORDS];
	uint32_t nr, as;

	start(&self->g, self->dev, true);
	nr = ioctl(self->g.vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);
	ASSERT_GE(2, nr);
	WRITE_PAGES(0, LOG_PAGES);
	memset(bits, 0xff, sizeof(bits));
	for (as = nr ?: 1; as <= 0xffff; as = as < 4 ? as + 1 : as * 2 + 1) {
		EXPECT_EQ(-EINVAL, get_log(&self->g, as << 16 | 1, bits));
		EXPECT_EQ(-EINVAL, clear_log(&self->g, as << 16 | 1, 0, bits));
		/* The bitmap is not looked at. */
		EXPECT_EQ(-EINVAL, get_log(&self->g, as << 16 | 1, NULL));
		EXPECT_EQ(-EINVAL, clear_log(&self->g, as << 16 | ABSENT, 0, NULL));
	}
	EXPECT_LOG(0, LOG_PAGES);
}

#define EXPECT_NO_LOG(slot)						\
	do {								\
		EXPECT_EQ(-ENOENT, get_log(g, slot, bits));		\
		EXPECT_EQ(-ENOENT, get_log(g, slot, NULL));		\
		EXPECT_EQ(-ENOENT, clear_log(g, slot, 0, bits));	\
		EXPECT_EQ(-ENOENT, clear_log(g, slot, 0, NULL));	\
		/* In KVM's order. */					\
		EXPECT_EQ(-EINVAL, clear_log(g, slot, 1, bits));	\
	} while (0)

/* Breaks if logged_slot() finds a slot of that id without a log, or of another address space. */
TEST_F(dirty_errno, no_such_log)
{
	struct guest *g = &self->g;
	uint64_t bits[WORDS];
	uint8_t *mem = start(g, self->dev, true);

	memset(bits, 0xff, sizeof(bits));
	WRITE_PAGES(0, LOG_PAGES);
	EXPECT_NO_LOG(ABSENT);
	/* There, but never logged. */
	EXPECT_NO_LOG(0);
	if (ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) == 2)
		EXPECT_NO_LOG(1 << 16 | 1);
	EXPECT_LOG(0, LOG_PAGES);

	/* Not logged any more; and gone. */
	guest_add_slot(g, 1, 0, LOG_GPA, LOG_SIZE, mem);
	EXPECT_NO_LOG(1);
	guest_add_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_SIZE, mem);
	EXPECT_EQ(0, get_log(g, 1, bits));
	guest_add_slot(g, 1, 0, 0, 0, NULL);
	EXPECT_NO_LOG(1);
}

/* No slot has that id.  Breaks if xvm_slot_id_ok() is not asked. */
TEST_F(dirty_errno, id)
{
	uint64_t bits[WORDS] = {};
	struct guest *g = &self->g;
	int nr;

	start(g, self->dev, true);
	nr = ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	EXPECT_EQ(-EINVAL, guest_slot(g, 0xffff, 0, 2 * LOG_GPA, LOG_SIZE, g->mem));
	EXPECT_EQ(-ENOENT, get_log(g, nr - 1, bits));
	EXPECT_EQ(-ENOENT, clear_log(g, nr - 1, 0, bits));
	EXPECT_EQ(-EINVAL, get_log(g, nr, bits));
	EXPECT_EQ(-EINVAL, clear_log(g, nr, 0, bits));
}

TEST_HARNESS_MAIN
