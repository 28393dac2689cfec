/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SUITES_H
#define SUITES_H

/* Native execution is possible: 0. */
int diff_init(void);
/* @bits: of the code segment. */
void diff_suite(unsigned int bits, unsigned int cases);
void vector_suite(void);
void gpt_suite(unsigned int tables);

#endif
