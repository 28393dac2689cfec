// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>

#include "tap.h"

static int passed, failed;

void tap_result(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		passed++;
	else
		failed++;
	printf("%sok %d - ", ok ? "" : "not ", passed + failed);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void tap_note(const char *fmt, ...)
{
	va_list ap;

	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

int tap_end(void)
{
	printf("1..%d\n", passed + failed);
	printf("%d passed, %d failed\n", passed, failed);
	return failed;
}

u64 rnd_state = 1;

/* splitmix64 */
u64 rnd(void)
{
	u64 z = rnd_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 rnd_below(u64 n)
{
	return rnd() % n;
}

bool rnd_chance(unsigned int percent)
{
	return rnd_below(100) < percent;
}

u64 rnd_value(void)
{
	unsigned int bits = 8 << rnd_below(4);

	switch (rnd_below(6)) {
	case 0:
		return rnd_below(4);
	case 1:
		return -rnd_below(4);
	case 2: /* around a sign bit */
		return (1ULL << (bits - 1)) + rnd_below(3) - 1;
	case 3: /* around an overflow */
		return (bits == 64 ? 0 : 1ULL << bits) + rnd_below(3) - 1;
	default:
		return rnd();
	}
}
