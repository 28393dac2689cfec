/* SPDX-License-Identifier: GPL-2.0-only */
/* A shrinker: made by the kernel, or on older ones by whoever has it. */
#ifndef XVM_COMPAT_SHRINKER_H
#define XVM_COMPAT_SHRINKER_H

#include <linux/shrinker.h>
#include <linux/slab.h>

#include "compat-config.h"

/* Not known to reclaim yet.  NULL: no memory. */
static inline struct shrinker *xvm_shrinker_alloc(const char *name)
{
#ifdef HAVE_SHRINKER_ALLOC
	return shrinker_alloc(0, "%s", name);
#else
	return kzalloc(sizeof(struct shrinker), GFP_KERNEL);
#endif
}

/* Frees it if that fails. */
static inline int xvm_shrinker_register(struct shrinker *shrinker, const char *name)
{
#ifdef HAVE_SHRINKER_ALLOC
	shrinker_register(shrinker);
	return 0;
#else
	int err = register_shrinker(shrinker, "%s", name);

	if (err)
		kfree(shrinker);
	return err;
#endif
}

static inline void xvm_shrinker_free(struct shrinker *shrinker)
{
#ifdef HAVE_SHRINKER_ALLOC
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

#endif
