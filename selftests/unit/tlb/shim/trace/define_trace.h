/* SPDX-License-Identifier: GPL-2.0-only */
/* world.h has what trace.h would define. */
