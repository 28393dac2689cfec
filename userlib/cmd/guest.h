/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM with one vCPU and memory from address 0, for `run` and `bench`. */
#ifndef XVM_CMD_GUEST_H
#define XVM_CMD_GUEST_H

#include <stdint.h>

#include "libxvm.h"

/* Low memory of every guest: page tables, then a stack that grows down. */
#define GUEST_TABLES 0x1000ull
#define GUEST_STACK 0x10000ull
/* Where flat images start, in real mode as GUEST_FLAT >> 4 : 0. */
#define GUEST_FLAT 0x10000ull

#define GUEST_MEMORY_SLOT 0

struct guest {
	int device;
	int vm;
	int vcpu;
	struct kvm_run *run;
	void *memory;
	uint64_t size;
};

/* Both print what went wrong and return 0 or -errno. */
int guest_open(struct guest *guest, const char *device, uint64_t size);
int guest_load(struct guest *guest, const char *path);

void guest_close(struct guest *guest);

/* The name of an exit reason, for messages. */
const char *guest_exit_name(uint32_t reason);

#endif
