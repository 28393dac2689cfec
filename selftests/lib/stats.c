// SPDX-License-Identifier: GPL-2.0-only
#include "stats.h"

#include <string.h>
#include <unistd.h>

#include "guest.h"

uint64_t read_stat(int fd, const char *name)
{
	int stats = xioctl(fd, KVM_GET_STATS_FD, 0ul);
	struct kvm_stats_header header;
	uint64_t value;
	uint32_t i;

	if (pread(stats, &header, sizeof(header), 0) != sizeof(header))
		die("statistics: %m");
	for (i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(struct kvm_stats_desc) + header.name_size;
		char buf[size];
		const struct kvm_stats_desc *desc = (void *)buf;

		if (pread(stats, buf, size, header.desc_offset + i * size) !=
		    (ssize_t)size)
			die("statistics: %m");
		if (strcmp(buf + sizeof(*desc), name))
			continue;
		if (pread(stats, &value, 8, header.data_offset + desc->offset) != 8)
			die("statistics: %m");
		close(stats);
		return value;
	}
	die("no statistic %s", name);
}
