// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host asks which pages a guest has used: it marks each page idle, which
 * clears the accessed bits of all that maps it.  The interface for that,
 * page_idle, is missing from most kernels: then there is no such figure.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_area.h"
#include "cmd.h"

#define PAGEMAP_PFN ((1ull << 55) - 1)
#define PAGEMAP_PRESENT (1ull << 63)

static const struct bench_figure figure = { "aging pass, 4K leaves", "page",
					    NULL, BENCH_NS };

struct aged {
	struct area area;
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

static int measure(struct aged *aged, struct bench_sample *sample)
{
	int ret;

	ret = area_populate(&aged->area);
	if (!ret)
		ret = area_touch(&aged->area, 1);
	if (!ret)
		ret = read_pfns(aged);
	if (!ret)
		ret = area_time(&aged->area, &figure, sample, aged->area.pages,
				mark_idle);
	free(aged->pfns);
	return ret;
}

static int sample_aging(const struct bench *bench, const char *device,
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
		ret = measure(&aged, sample);
		area_close(&aged.area);
	}
	close(aged.idle);
	return ret;
}

const struct bench bench_aging =
	BENCH_ONE(figure, AREA_PAGES, AREA_PAGES_QUICK, sample_aging);
