// SPDX-License-Identifier: LGPL-2.1-or-later
/* A reader of KVM's binary statistics: descriptors once, values on demand. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxvm.h"

struct xvm_stats {
	int fd;
	struct kvm_stats_header header;
	char *descs; /* num_desc records, each with a name of name_size bytes */
	uint64_t *values;
	size_t values_size;
};

static int xvm_read_all(int fd, void *buffer, size_t size, off_t offset)
{
	ssize_t got = pread(fd, buffer, size, offset);

	if (got < 0)
		return -errno;
	return (size_t)got == size ? 0 : -EPROTO;
}

static const struct kvm_stats_desc *xvm_stats_desc(const struct xvm_stats *stats,
						   int index)
{
	size_t size = sizeof(struct kvm_stats_desc) + stats->header.name_size;

	return (const void *)(stats->descs + index * size);
}

int xvm_stats_count(const struct xvm_stats *stats)
{
	return (int)stats->header.num_desc;
}

const char *xvm_stats_name(const struct xvm_stats *stats, int index)
{
	if (index < 0 || index >= xvm_stats_count(stats))
		return NULL;
	return xvm_stats_desc(stats, index)->name;
}

int xvm_stats_find(const struct xvm_stats *stats, const char *name)
{
	int i;

	for (i = 0; i < xvm_stats_count(stats); i++) {
		if (!strncmp(xvm_stats_name(stats, i), name,
			     stats->header.name_size))
			return i;
	}
	return -ENOENT;
}

uint64_t xvm_stats_value(const struct xvm_stats *stats, int index)
{
	if (index < 0 || index >= xvm_stats_count(stats))
		return 0;
	return stats->values[xvm_stats_desc(stats, index)->offset /
			     sizeof(uint64_t)];
}

int xvm_stats_read(struct xvm_stats *stats)
{
	return xvm_read_all(stats->fd, stats->values, stats->values_size,
			    stats->header.data_offset);
}

/* Values may have several elements: the block ends with the farthest one. */
static int xvm_stats_measure(struct xvm_stats *stats)
{
	int i;

	for (i = 0; i < xvm_stats_count(stats); i++) {
		const struct kvm_stats_desc *desc = xvm_stats_desc(stats, i);
		size_t end = desc->offset + desc->size * sizeof(uint64_t);

		if (desc->offset % sizeof(uint64_t) ||
		    !memchr(desc->name, '\0', stats->header.name_size))
			return -EPROTO;
		if (end > stats->values_size)
			stats->values_size = end;
	}
	return 0;
}

static int xvm_stats_load(struct xvm_stats *stats)
{
	size_t size;
	int ret;

	ret = xvm_read_all(stats->fd, &stats->header, sizeof(stats->header), 0);
	if (ret)
		return ret;
	size = stats->header.num_desc *
	       (sizeof(struct kvm_stats_desc) + stats->header.name_size);
	stats->descs = malloc(size + 1);
	if (!stats->descs)
		return -ENOMEM;
	ret = xvm_read_all(stats->fd, stats->descs, size,
			   stats->header.desc_offset);
	if (ret)
		return ret;
	ret = xvm_stats_measure(stats);
	if (ret)
		return ret;
	stats->values = calloc(1, stats->values_size + 1);
	if (!stats->values)
		return -ENOMEM;
	return xvm_stats_read(stats);
}

int xvm_stats_open(int fd, struct xvm_stats **out)
{
	struct xvm_stats *stats;
	int ret;

	stats = calloc(1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	stats->fd = xvm_ioctl(fd, KVM_GET_STATS_FD, NULL);
	if (stats->fd < 0) {
		ret = stats->fd;
		free(stats);
		return ret;
	}
	ret = xvm_stats_load(stats);
	if (ret) {
		xvm_stats_close(stats);
		return ret;
	}
	*out = stats;
	return 0;
}

void xvm_stats_close(struct xvm_stats *stats)
{
	if (!stats)
		return;
	xvm_close(stats->fd);
	free(stats->values);
	free(stats->descs);
	free(stats);
}
