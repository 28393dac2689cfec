// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	drive(data, size);
	return 0;
}
