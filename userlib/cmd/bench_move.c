// SPDX-License-Identifier: GPL-2.0-only
/* Moving a slot back and forth while the guest runs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "bench_slots.h"
#include "cmd.h"

#define MOVES 100

/* A vCPU that runs until the guest says that it is done. */
struct runner {
	struct guest *guest;
	atomic_int result;
	atomic_bool ended;
};

static void *run_guest(void *data)
{
	struct runner *runner = data;
	struct guest *guest = runner->guest;
	int ret;

	for (;;) {
		ret = xvm_run(guest->vcpu);
		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		/* While the slot is away, writes to it are MMIO: let them be. */
		if (!ret && guest->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (!ret && guest->run->exit_reason != KVM_EXIT_IO)
			ret = bench_fail("unexpected exit", -EIO);
		else if (ret)
			bench_fail("run the vCPU", ret);
		break;
	}
	atomic_store(&runner->result, ret);
	atomic_store(&runner->ended, true);
	return NULL;
}

static int move(struct slot_map *map)
{
	int i, ret;

	for (i = 0; i < MOVES; i++) {
		ret = xvm_set_memory(map->guest.vm, MOVING_SLOT,
				     i % 2 ? MOVING_GPA : MOVED_GPA,
				     MOVING_SIZE, map->moving, 0);
		if (ret)
			return bench_fail("move the slot", ret);
	}
	return 0;
}

int slots_move(struct slot_map *map, const struct bench_figure *figure,
	       struct bench_sample *sample, bool active)
{
	volatile uint32_t *stop =
		(void *)((char *)map->guest.memory + BENCH_STOP_WORD);
	volatile uint64_t *seen = (void *)(active ? map->moving : map->area);
	struct bench_args args = {
		.rdi = active ? MOVING_GPA : AREA_GPA,
		.rsi = MOVING_SIZE / PAGE_SIZE,
		.rdx = PAGE_SIZE,
		.rcx = MOVING_SIZE,
		.rbx = BENCH_STOP_WORD,
	};
	struct runner runner = { .guest = &map->guest };
	struct bench_timer timer;
	pthread_t thread;
	int ret;

	*stop = 0;
	*seen = 0;
	ret = bench_arguments(&map->guest, args);
	if (ret)
		return ret;
	ret = -pthread_create(&thread, NULL, run_guest, &runner);
	if (ret)
		return bench_fail("create a thread", ret);
	while (!*seen && !atomic_load(&runner.ended))
		sched_yield();
	bench_start(&timer, map->guest.vm, figure);
	ret = move(map);
	bench_stop(&timer, sample, MOVES);
	*stop = 1;
	pthread_join(thread, NULL);
	return ret ? ret : atomic_load(&runner.result);
}
