/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the guest of the modes test puts things, and its stations. */
#ifndef SELFTESTS_MODES_H
#define SELFTESTS_MODES_H

#define MODES_PORT 0x10
#define MODES_BASE 0x10000
#define MODES_STACK 0x20000
#define MODES_TABLES 0x40000 /* PDPT or page directory; four PDs behind it */
#define MODES_PML4 0x46000

#define MODES_CS32 0x08
#define MODES_DS 0x10
#define MODES_CS64 0x18
#define MODES_CS16 0x20
#define MODES_DS16 0x28
#define MODES_TR 0x30

#define MODES_REAL 1
#define MODES_PROTECTED 2
#define MODES_LEGACY_PAGING 3
#define MODES_PAE 4
#define MODES_COMPATIBILITY 5
#define MODES_LONG 6
#define MODES_PROTECTED_16 7
#define MODES_REAL_AGAIN 8

#endif
