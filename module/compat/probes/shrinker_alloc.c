// SPDX-License-Identifier: GPL-2.0-only
/* Shrinkers came to be allocated by the kernel. */
#include <linux/shrinker.h>

struct shrinker *probe(void)
{
	return shrinker_alloc(0, "probe");
}
