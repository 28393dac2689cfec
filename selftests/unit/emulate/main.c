// SPDX-License-Identifier: GPL-2.0-only
/* emulate-test [CASES [SEED]]: CASES instances of each form, random numbers from SEED. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "tap.h"

int main(int argc, char **argv)
{
	unsigned int cases = 3000;

	if (argc > 1)
		cases = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		rnd_state = strtoull(argv[2], NULL, 0);
	tap_note("%u instances of each form, seed %llu", cases, rnd_state);
	if (diff_init()) {
		perror("cannot set up native execution");
		return 1;
	}
	diff_suite(64, cases);
	diff_suite(32, cases);
	diff_suite(16, cases);
	vector_suite();
	gpt_suite(cases / 20);
	return tap_end() ? 1 : 0;
}
