// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host asks which pages a guest has used: the kernel's LRU lists do, and
 * page_idle, by which each page is marked idle; that clears the accessed bits of
 * all that maps it.  Most kernels lack one of the two: then there is no such figure.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_area.h"
#include "bench_lru.h"
#include "cmd.h"

#define PAGEMAP_PFN ((1ull << 55) - 1)
#define PAGEMAP_PRESENT (1ull << 63)

static const struct bench_figure idle_figure = { "aging pass, page_idle",
						 "page", NULL, BENCH_NS };

enum { LISTS, ALONE, SHARE };

static const struct bench_figure lru_figures[] = {
	[LISTS] = { "aging pass, LRU lists", "page", NULL, BENCH_NS },
	[ALONE] = { "the same without a VM", "page", NULL, BENCH_NS },
	[SHARE] = { "what the VM adds to it", "page", NULL, BENCH_NS },
};

struct aged {
	struct area area;
	struct lru lru;
	int idle; /* the bitmap of all pages of the machine, a bit each */
	uint64_t *pfns;
};

static int read_pfns(struct aged *aged)
{
	uint64_t i, size = aged->area.pages * sizeof(*aged->pfns);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	aged->pfns = malloc(size);
	if (fd >= 0 && aged->pfns)
		got = pread(fd, aged->pfns, size,
			    (uintptr_t)aged->area.memory / AREA_PAGE *
				    sizeof(*aged->pfns));
	if (fd >= 0)
		close(fd);
	if (got != (ssize_t)size)
		return bench_fail("read /proc/self/pagemap", -EIO);
	for (i = 0; i < aged->area.pages; i++) {
		if (!(aged->pfns[i] & PAGEMAP_PRESENT))
			return bench_fail("find the slot's pages", -EAGAIN);
		aged->pfns[i] &= PAGEMAP_PFN;
	}
	return 0;
}

/* Neighbours of one word of the bitmap are marked by one write. */
static int mark_idle(struct area *area)
{
	struct aged *aged = (struct aged *)area;
	uint64_t i = 0, word, bits;

	while (i < area->pages) {
		word = aged->pfns[i] / 64;
		bits = 0;
		while (i < area->pages && aged->pfns[i] / 64 == word)
			bits |= 1ull << aged->pfns[i++] % 64;
		if (pwrite(aged->idle, &bits, sizeof(bits), word * 8) !=
		    sizeof(bits))
			return bench_fail("mark pages idle", -errno);
	}
	return 0;
}

/* The area's pages are there, and the guest has used them all. */
static int use(struct area *area)
{
	int ret = area_populate(area);

	return ret ? ret : area_touch(area, 1);
}

static int measure_idle(struct aged *aged, struct bench_sample *sample)
{
	int ret = use(&aged->area);

	if (!ret)
		ret = read_pfns(aged);
	if (!ret)
		ret = area_time(&aged->area, &idle_figure, sample,
				aged->area.pages, mark_idle);
	free(aged->pfns);
	return ret;
}

static int sample_idle(const struct bench *bench, const char *device,
		       uint64_t pages, struct bench_sample *sample)
{
	struct aged aged = { 0 };
	int ret;

	(void)bench;
	aged.idle = open("/sys/kernel/mm/page_idle/bitmap", O_WRONLY | O_CLOEXEC);
	if (aged.idle < 0)
		return 0;
	ret = area_open(&aged.area, device, pages, false);
	if (!ret) {
		ret = measure_idle(&aged, sample);
		area_close(&aged.area);
	}
	close(aged.idle);
	return ret;
}

const struct bench bench_aging_idle =
	BENCH_ONE(idle_figure, AREA_PAGES, AREA_PAGES_QUICK, sample_idle);

static int age_lists(struct area *area)
{
	struct aged *aged = (struct aged *)area;

	return lru_age(&aged->lru);
}

static int measure_lru(struct aged *aged, const struct bench_figure *figure,
		       struct bench_sample *sample)
{
	int ret = lru_prepare(&aged->lru);

	return ret ? ret : area_time(&aged->area, figure, sample,
				     aged->area.pages, age_lists);
}

static int age_guest(struct aged *aged, const char *device, uint64_t pages,
		     struct bench_sample *sample)
{
	int ret = area_open(&aged->area, device, pages, false);

	if (ret)
		return ret;
	ret = use(&aged->area);
	if (!ret)
		ret = measure_lru(aged, &lru_figures[LISTS], sample);
	area_close(&aged->area);
	return ret;
}

static int age_alone(struct aged *aged, uint64_t pages,
		     struct bench_sample *sample)
{
	int ret = area_open_alone(&aged->area, pages, false);

	if (ret)
		return ret;
	ret = area_populate(&aged->area);
	if (!ret)
		ret = measure_lru(aged, &lru_figures[ALONE], sample);
	area_close_alone(&aged->area);
	return ret;
}

static int sample_lru(const struct bench *bench, const char *device,
		      uint64_t pages, struct bench_sample *samples)
{
	struct aged aged = { 0 };
	int ret;

	(void)bench;
	if (!lru_enter(&aged.lru))
		return 0;
	ret = age_guest(&aged, device, pages, &samples[LISTS]);
	if (!ret)
		ret = age_alone(&aged, pages, &samples[ALONE]);
	bench_beyond(&samples[SHARE], &samples[LISTS], &samples[ALONE]);
	lru_leave(&aged.lru);
	return ret;
}

const struct bench bench_aging_lru =
	BENCH_FIGURES(lru_figures, ARRAY_SIZE(lru_figures), AREA_PAGES,
		      AREA_PAGES_QUICK, sample_lru);
