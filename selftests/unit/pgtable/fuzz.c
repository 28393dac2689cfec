// SPDX-License-Identifier: GPL-2.0-only
/* Operations from a fuzzer's bytes; the first one tells how many levels. */
#include "world.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct source source = { .data = data, .size = size };
	struct world *world;

	if (!size)
		return 0;
	world = world_new(4 + pick(&source, 2), &source);
	drive(world, 1000);
	world_end(world);
	return 0;
}
