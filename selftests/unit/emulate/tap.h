/* SPDX-License-Identifier: GPL-2.0-only */
/* TAP lines, and the seeded random numbers that every test here draws from. */
#ifndef TAP_H
#define TAP_H

#include <linux/types.h>

/* Prints "ok" or "not ok" for a test of this name. */
void tap_result(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that explains a failure. */
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The number of failures so far; prints the plan and the totals. */
int tap_end(void);

extern u64 rnd_state;
u64 rnd(void);
/* Below @n. */
u64 rnd_below(u64 n);
/* True in @percent of all calls. */
bool rnd_chance(unsigned int percent);
/* Numbers on which arithmetic tends to go wrong, among plain random ones. */
u64 rnd_value(void);

#endif
