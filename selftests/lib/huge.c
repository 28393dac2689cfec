// SPDX-License-Identifier: GPL-2.0-only
#include "huge.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

uint64_t *page_word(uint8_t *area, uint64_t page)
{
	return (uint64_t *)(area + page * GUEST_PAGE);
}

void fill_pages(uint8_t *area, uint64_t pages, uint64_t first)
{
	uint64_t i;

	for (i = 0; i < pages; i++)
		*page_word(area, i) = first + i;
}

uint64_t mismatches(uint8_t *area, uint64_t pages, uint64_t first)
{
	uint64_t i, n = 0;

	for (i = 0; i < pages; i++)
		n += *page_word(area, i) != first + i;
	return n;
}

uint8_t *huge_space(size_t size)
{
	uint8_t *p = mem_alloc(size + 2 * MIB2);
	uint8_t *area = (uint8_t *)(((uintptr_t)p + MIB2) & ~(MIB2 - 1));

	madvise(p, size + 2 * MIB2, MADV_NOHUGEPAGE);
	return area;
}

bool huge_collapse(uint8_t *area, size_t size)
{
	int tries;

	madvise(area, size, MADV_HUGEPAGE);
	/* It may find a page busy. */
	for (tries = 0; tries < 100; tries++) {
		if (!madvise(area, size, MADV_COLLAPSE)) {
			/* khugepaged is not to mend what a test takes apart. */
			madvise(area, size, MADV_NOHUGEPAGE);
			return true;
		}
		if (errno != EAGAIN && errno != EBUSY)
			return false;
		usleep(10000);
	}
	return false;
}

uint8_t *huge_area(uint64_t first)
{
	uint8_t *area = huge_space(HUGE_SIZE);

	madvise(area, HUGE_SIZE, MADV_HUGEPAGE);
	fill_pages(area, HUGE_PAGES, first);
	return huge_collapse(area, HUGE_SIZE) ? area : NULL;
}

uint8_t *hugetlb_area(size_t size, int log2_page)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
				  log2_page << MAP_HUGE_SHIFT, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
