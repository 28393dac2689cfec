/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SCHED_H
#define SHIM_LINUX_SCHED_H

/* Others have the CPU. */
#define cond_resched()	meanwhile()

#endif
