// SPDX-License-Identifier: GPL-2.0-only
/* Must get_user_pages be asked to let NUMA balancing see an access? */
#include <linux/mm.h>

unsigned int flag = FOLL_HONOR_NUMA_FAULT;
