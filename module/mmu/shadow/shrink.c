// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages under memory pressure: they can all be made again, so the kernel
 * may have the oldest ones back, of each VM in turn.
 *
 * Reclaim comes from any allocation that may sleep.  So nothing is allocated under
 * the lock here, as nothing is under mmu.lock.
 */
#include <linux/mutex.h>

#include "../../compat/shrinker.h"
#include "shadow.h"

#define NAME	"xvm-shadow"

static LIST_HEAD(vms);
static DEFINE_MUTEX(vms_lock);
static struct shrinker *shrinker;

void xvm_shadow_show(struct xvm *xvm)
{
	mutex_lock(&vms_lock);
	list_add_tail(&xvm->mmu.shadow->vms_link, &vms);
	mutex_unlock(&vms_lock);
}

void xvm_shadow_hide(struct xvm *xvm)
{
	mutex_lock(&vms_lock);
	list_del(&xvm->mmu.shadow->vms_link);
	mutex_unlock(&vms_lock);
}

/* A look at something that changes: reclaim asks for no more. */
static unsigned long count_pages(struct shrinker *unused, struct shrink_control *sc)
{
	struct xvm_shadow *shadow;
	unsigned long nr = 0;

	if (!mutex_trylock(&vms_lock))
		return 0;
	list_for_each_entry(shadow, &vms, vms_link)
		nr += READ_ONCE(shadow->nr_pages);
	mutex_unlock(&vms_lock);
	return nr;
}

static unsigned long zap_pages(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned int nr = min_t(unsigned long, sc->nr_to_scan, SHADOW_BATCH), zapped = 0;
	struct xvm_shadow *shadow;

	if (!mutex_trylock(&vms_lock))
		return SHRINK_STOP;
	list_for_each_entry(shadow, &vms, vms_link) {
		write_lock(&shadow->xvm->mmu.lock);
		zapped = shadow_zap_oldest(shadow->xvm, nr);
		shadow_flush(shadow->xvm);
		write_unlock(&shadow->xvm->mmu.lock);
		if (zapped) {
			/* The next one's turn. */
			list_move_tail(&shadow->vms_link, &vms);
			break;
		}
	}
	mutex_unlock(&vms_lock);
	return zapped ? zapped : SHRINK_STOP;
}

int xvm_shadow_init(void)
{
	int err;

	if (xvm_npt)
		return 0;
	shrinker = xvm_shrinker_alloc(NAME);
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_pages;
	shrinker->scan_objects = zap_pages;
	shrinker->batch = SHADOW_BATCH;
	/* Each is made again by many faults. */
	shrinker->seeks = DEFAULT_SEEKS * 10;
	err = xvm_shrinker_register(shrinker, NAME);
	if (err)
		shrinker = NULL;
	return err;
}

void xvm_shadow_exit(void)
{
	if (shrinker)
		xvm_shrinker_free(shrinker);
}
