/* SPDX-License-Identifier: GPL-2.0-only */
/* What the calls of a program do: the API of the device, and memory around it. */
#ifndef FUZZ_OPS_H
#define FUZZ_OPS_H

#include <pthread.h>
#include <stdatomic.h>

#include "guest.h"
#include "program.h"

#define NR_VMS 2
#define NR_VCPUS 4

/* User memory of guests, always at this place: by regions of different kinds. */
#define ARENA 0x200000000000ul
#define ARENA_PAGES 4096
#define REGION_PAGES 1024 /* anonymous, of large pages, shared, a private file */

#define MAX_CHANGES 16

/* Of a child that found a VM violated, and said so on standard error. */
#define EXIT_VIOLATED 77

/* What the calls of a program share.  Threads race for it, and may see anything. */
struct arena {
	int dev;
	int file;
	atomic_int vms[NR_VMS];
	atomic_int vcpus[NR_VCPUS];
	struct kvm_run *_Atomic runs[NR_VCPUS];
	pthread_t threads[MAX_THREADS];
	pthread_mutex_t modes[NR_VCPUS]; /* who runs it, or sets what spare_emulator() looks at */
};

/* One thread's. */
struct thread {
	struct arena *arena;
	unsigned int index;
	struct xvm_memory_change changes[MAX_CHANGES];
	unsigned int nr_changes;
	bool can_fail;	/* it has what it takes to make its calls fail */
	bool fails;	/* one is armed for the next call */
	pthread_mutex_t *holds; /* until the call's end */
};

struct op {
	const char *name;
	enum arg args[MAX_ARGS];
	long (*run)(struct thread *t, const uint64_t *a);
	unsigned int weight;
};

extern const struct op ops[];
extern const unsigned int nr_ops;

/* Guest code, of guests.c, that fills dirty rings. */
#define GUEST_DIRTIES 15

/* How much guest code there is to choose from: guests.c */
unsigned int nr_guests(void);
/* Put guest code of one kind into memory and have the vCPU start there. */
void guest_prepare(struct guest *g, struct vcpu *v, unsigned int kind, unsigned int mode,
		   uint64_t gpa, uint64_t seed);

/* Bytes that depend on the seed alone; often zeros and other favourites. */
void fill(void *to, size_t size, uint64_t seed);

/* What harvest() is to do. */
enum harvest {
	HARVEST_FORGE = 1,	/* other entries than the vCPU's */
	HARVEST_SOME = 2,	/* the first of them */
	HARVEST_PATROL = 4,	/* again and again, for some 30 ms; for the caller to do */
	HARVEST_NO_RESET = 8,
};

/* harvest.c: how many entries of rings were reset, or marked if that is all, or -errno. */
long harvest(int vm, int vcpu, uint64_t how, uint32_t slot, uint64_t page, uint64_t seed);

/* The call's result; -EFAULT also when it touched memory that is not there. */
long run_call(struct thread *t, const struct call *call);
/* Map the arena, for all threads to come. */
void arena_create(struct arena *arena, int dev);
/* Close what is open; false, and a message, if a VM is not what it should be. */
bool arena_check(struct arena *arena);
void arena_close(struct arena *arena);

#endif
