// SPDX-License-Identifier: GPL-2.0-only
/* Has system_unbound_wq its new name? */
#include <linux/workqueue.h>

struct workqueue_struct *probe(void)
{
	return system_dfl_wq;
}
