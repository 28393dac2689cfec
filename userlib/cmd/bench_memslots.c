// SPDX-License-Identifier: GPL-2.0-only
/* xvm bench memslots: creating and moving slots, and whole VMs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "bench.h"
#include "cmd.h"

#define PAGE_SIZE 4096ull
#define SLOT_PAGES 16ull
#define SLOT_SIZE (SLOT_PAGES * PAGE_SIZE)

/* Slot 0 is the guest's own memory; slot 1 moves; the others fill the map. */
#define MOVING_SLOT 1
#define FILL_SLOT 2
#define MOVING_GPA (256ull << 20)
#define MOVED_GPA (384ull << 20)
#define FILL_GPA (512ull << 20)

/* A rest of the map to move around in; the guest's two slots are not in it. */
#define MOVE_SLOTS 512

static void *allocate(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		bench_fail("allocate memory", -errno);
	return memory;
}

static int fill(int vm, char *memory, uint64_t slots)
{
	uint64_t i;
	int ret;

	for (i = 0; i < slots; i++) {
		ret = xvm_set_memory(vm, FILL_SLOT + i, FILL_GPA + i * SLOT_SIZE,
				     SLOT_SIZE, memory + i * SLOT_SIZE, 0);
		if (ret)
			return bench_fail("set a slot", ret);
	}
	return 0;
}

static int sample_setup(const struct bench *bench, const char *device,
			uint64_t size, struct bench_sample *sample)
{
	void *memory = allocate(size * SLOT_SIZE);
	struct bench_timer timer;
	struct guest guest;
	int ret;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	ret = bench_open(&guest, device, guest_touch, guest_touch_end);
	if (!ret) {
		bench_start(&timer, guest.vm, bench->statistic);
		ret = fill(guest.vm, memory, size);
		bench_stop(&timer, sample, size);
		guest_close(&guest);
	}
	munmap(memory, size * SLOT_SIZE);
	return ret;
}

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

static int move(struct guest *guest, char *memory, uint64_t moves)
{
	uint64_t i;
	int ret;

	for (i = 0; i < moves; i++) {
		ret = xvm_set_memory(guest->vm, MOVING_SLOT,
				     i % 2 ? MOVING_GPA : MOVED_GPA, SLOT_SIZE,
				     memory, 0);
		if (ret)
			return bench_fail("move the slot", ret);
	}
	return 0;
}

/* Move the slot while the guest writes to [gpa, gpa + one slot) all the time. */
static int move_beside(const struct bench *bench, struct guest *guest,
		       char *memory, uint64_t gpa, uint64_t moves,
		       struct bench_sample *sample)
{
	volatile uint32_t *stop = (void *)((char *)guest->memory + BENCH_STOP_WORD);
	volatile uint64_t *seen;
	struct runner runner = { .guest = guest };
	struct bench_timer timer;
	pthread_t thread;
	int ret;

	seen = (void *)(memory + (gpa == MOVING_GPA ? 0 : SLOT_SIZE));
	ret = bench_arguments(guest, gpa, SLOT_PAGES, PAGE_SIZE);
	if (ret)
		return ret;
	ret = -pthread_create(&thread, NULL, run_guest, &runner);
	if (ret)
		return bench_fail("create a thread", ret);
	while (!*seen && !atomic_load(&runner.ended))
		sched_yield();
	bench_start(&timer, guest->vm, bench->statistic);
	ret = move(guest, memory, moves);
	bench_stop(&timer, sample, moves);
	*stop = 1;
	pthread_join(thread, NULL);
	return ret ? ret : atomic_load(&runner.result);
}

static int sample_move(const struct bench *bench, const char *device,
		       uint64_t gpa, uint64_t moves, struct bench_sample *sample)
{
	/* First the moving slot, then the others. */
	uint64_t size = (1 + MOVE_SLOTS) * SLOT_SIZE;
	char *memory = allocate(size);
	struct guest guest;
	int ret;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	ret = bench_open(&guest, device, guest_hammer, guest_hammer_end);
	if (!ret) {
		ret = fill(guest.vm, memory + SLOT_SIZE, MOVE_SLOTS);
		if (!ret) {
			ret = xvm_set_memory(guest.vm, MOVING_SLOT, MOVING_GPA,
					     SLOT_SIZE, memory, 0);
			if (ret)
				bench_fail("set the moving slot", ret);
		}
		if (!ret)
			ret = move_beside(bench, &guest, memory, gpa, moves,
					  sample);
		guest_close(&guest);
	}
	munmap(memory, size);
	return ret;
}

static int sample_move_active(const struct bench *bench, const char *device,
			      uint64_t size, struct bench_sample *sample)
{
	return sample_move(bench, device, MOVING_GPA, size, sample);
}

static int sample_move_inactive(const struct bench *bench, const char *device,
				uint64_t size, struct bench_sample *sample)
{
	return sample_move(bench, device, FILL_GPA, size, sample);
}

static int create_and_destroy(int device, uint64_t vms)
{
	uint64_t i;
	int vm;

	for (i = 0; i < vms; i++) {
		vm = xvm_create_vm(device, 0);
		if (vm < 0)
			return bench_fail("create a VM", vm);
		xvm_close(vm);
	}
	return 0;
}

static int sample_vm(const struct bench *bench, const char *device,
		     uint64_t size, struct bench_sample *sample)
{
	struct bench_timer timer;
	int fd, ret;

	fd = open_device(device);
	if (fd < 0)
		return fd;
	bench_start(&timer, fd, bench->statistic);
	ret = create_and_destroy(fd, size);
	bench_stop(&timer, sample, size);
	xvm_close(fd);
	return ret;
}

static const struct bench benches[] = {
	{
		.name = "create 64 slots",
		.unit = "slot",
		.size = 64,
		.quick_size = 64,
		.sample = sample_setup,
	},
	{
		.name = "create 512 slots",
		.unit = "slot",
		.size = 512,
		.quick_size = 512,
		.sample = sample_setup,
	},
	{
		.name = "move a slot in use",
		.unit = "move",
		.statistic = "remote_tlb_flush_requests",
		.size = 1000,
		.quick_size = 100,
		.sample = sample_move_active,
	},
	{
		.name = "move a slot not in use",
		.unit = "move",
		.statistic = "remote_tlb_flush_requests",
		.size = 1000,
		.quick_size = 100,
		.sample = sample_move_inactive,
	},
	{
		.name = "create and destroy a VM",
		.unit = "VM",
		.size = 50,
		.quick_size = 10,
		.sample = sample_vm,
	},
};

const struct bench_group bench_memslots = {
	"memslots",
	benches,
	ARRAY_SIZE(benches),
};
