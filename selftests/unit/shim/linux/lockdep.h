/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_LOCKDEP_H
#define SHIM_LINUX_LOCKDEP_H

#include <stdlib.h>

#define lockdep_is_held(m)	((m)->held && pthread_equal((m)->owner, pthread_self()))
#define lockdep_assert_held(m)	((void)(lockdep_is_held(m) ? 0 : (abort(), 0)))

#endif
