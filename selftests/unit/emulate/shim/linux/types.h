/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's integer types, for the emulator built in user space. */
#ifndef XVM_SHIM_TYPES_H
#define XVM_SHIM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;

#endif
