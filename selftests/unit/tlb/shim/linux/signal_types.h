/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SIGNAL_TYPES_H
#define SHIM_LINUX_SIGNAL_TYPES_H

#include <signal.h>

#endif
