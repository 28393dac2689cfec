// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grace periods that a run of creates waits for.  Stock KVM does not count them,
 * so the same instrument serves both devices: a kprobe where the kernel waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_slots.h"
#include "bench_whole.h"
#include "cmd.h"

#define TRACEFS "/sys/kernel/tracing/"
#define EVENTS TRACEFS "kprobe_events"
#define ADD "p:xvm_bench/waits synchronize_srcu_expedited"
#define REMOVE "-:xvm_bench/waits"
#define ENABLE TRACEFS "events/xvm_bench/waits/enable"

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

static void stop_probe(void)
{
	write_file(ENABLE, "0");
	write_file(EVENTS, REMOVE);
}

static bool start_probe(void)
{
	if (!write_file(EVENTS, ADD))
		return false;
	if (write_file(ENABLE, "1"))
		return true;
	stop_probe();
	return false;
}

static int read_hits(uint64_t *hits)
{
	FILE *file = fopen(TRACEFS "kprobe_profile", "re");
	unsigned long long value;
	int ret = -ENOENT;
	char name[128];

	if (!file)
		return -errno;
	while (fscanf(file, "%127s %llu %*u", name, &value) == 2) {
		if (!strcmp(name, "waits")) {
			*hits = value;
			ret = 0;
		}
	}
	fclose(file);
	return ret;
}

static int sample_grace(const struct bench *bench, const char *device,
			uint64_t slots, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t before, after;
	struct slot_map map;
	int ret;

	/* No right to probe, or no kprobes: no such figure. */
	if (!start_probe())
		return 0;
	ret = slots_open(&map, device, slots);
	if (ret)
		goto out;
	bench_start(&timer, map.guest.vm, bench->figures);
	ret = read_hits(&before);
	if (!ret)
		ret = slots_fill(&map);
	if (!ret)
		ret = read_hits(&after);
	if (!ret) {
		/* The count of the statistic; the time is none of this figure. */
		bench_stop(&timer, sample, slots - 1);
		sample->amount = after - before;
	}
	slots_close(&map);
out:
	stop_probe();
	return ret;
}

static const struct bench_figure figure = {
	"grace periods waited for", "create", "memslot_grace_waited", BENCH_EVENTS
};

const struct bench bench_grace = BENCH_ONE(figure, 32764, 512, sample_grace);
