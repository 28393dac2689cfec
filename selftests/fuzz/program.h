/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program is a list of calls, each of one of a few threads.  As text it has a
 * line for each: thread, name, arguments in hexadecimal; a line that starts
 * with "#" is a comment, and an empty one ends the program.
 */
#ifndef FUZZ_PROGRAM_H
#define FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_ARGS 6
#define MAX_CALLS 48
#define MAX_THREADS 3

/* What an argument means, and so which values are worth trying. */
enum arg {
	ARG_NONE,
	ARG_VM,
	ARG_VCPU,
	ARG_OBJECT,	/* the device, a VM or a vCPU */
	ARG_SLOT,
	ARG_GPA,
	ARG_SIZE,
	ARG_HVA,
	ARG_FLAGS,	/* of a slot */
	ARG_CAP,
	ARG_MSR,
	ARG_GUEST,	/* guest code */
	ARG_MODE,
	ARG_PAGE,	/* in the arena */
	ARG_PAGES,
	ARG_PROT,
	ARG_ADVICE,
	ARG_SMALL,
	ARG_SEED,
	ARG_ANY,
};

struct call {
	uint8_t thread;
	uint8_t op;
	uint64_t args[MAX_ARGS];
};

struct program {
	unsigned int nr;
	struct call calls[MAX_CALLS];
};

/* A generator that depends on its seed alone. */
uint64_t next_random(uint64_t *state);

void program_random(struct program *p, uint64_t *rnd);
/* other: to take calls from. */
void program_mutate(struct program *p, const struct program *other, uint64_t *rnd);
void program_remove(struct program *p, unsigned int at);

void program_print(const struct program *p, FILE *to);
void call_print(const struct call *call, FILE *to);
/* False: no more.  Ends the process on a line that it can't read. */
bool program_read(struct program *p, FILE *from, const char *name);

#endif
