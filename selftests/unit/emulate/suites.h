/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SUITES_H
#define SUITES_H

int diff_suite(unsigned int cases);
void vector_suite(void);
void gpt_suite(unsigned int tables);

#endif
