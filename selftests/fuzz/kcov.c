// SPDX-License-Identifier: GPL-2.0-only
#include "kcov.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of <linux/kcov.h>, which not every Debian kernel's headers have. */
#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE _IO('c', 100)
#define KCOV_TRACE_PC 0

uint64_t module_text(void)
{
	FILE *file = fopen("/sys/module/xvm/sections/.text", "r");
	unsigned long text = 0;

	if (file) {
		if (fscanf(file, "%lx", &text) != 1)
			text = 0;
		fclose(file);
	}
	return text;
}

bool kcov_open(struct kcov *kcov)
{
	kcov->fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (kcov->fd < 0 || ioctl(kcov->fd, KCOV_INIT_TRACE, (unsigned long)KCOV_TRACE))
		return false;
	kcov->trace = mmap(NULL, KCOV_TRACE * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
			   kcov->fd, 0);
	return kcov->trace != MAP_FAILED;
}

void kcov_enable(struct kcov *kcov)
{
	kcov->trace[0] = 0;
	if (ioctl(kcov->fd, KCOV_ENABLE, KCOV_TRACE_PC))
		perror("KCOV_ENABLE");
}
