// SPDX-License-Identifier: GPL-2.0-only
/* Can get_user_pages be told to give up on any signal, not on fatal ones alone? */
#include <linux/mm.h>

unsigned int flag = FOLL_INTERRUPTIBLE;
