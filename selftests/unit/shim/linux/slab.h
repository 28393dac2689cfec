/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SLAB_H
#define SHIM_LINUX_SLAB_H

/* Allocations that can be made to fail, and are counted. */
#include <linux/types.h>
#include <stdlib.h>

#define GFP_KERNEL_ACCOUNT	0
#define __GFP_NOWARN		0
#define SLAB_ACCOUNT		0

/* 0: none fails. n: the n-th from now on does, and that alone. */
extern unsigned long shim_fail_alloc;
/* Allocations that were not freed. */
extern long shim_allocated;

void *shim_alloc(size_t size);
void shim_free(void *p);

#define kzalloc(size, gfp)	shim_alloc(size)
#define kfree(p)		shim_free(p)
#define kvcalloc(n, size, gfp)	shim_alloc((n) * (size))
#define kvfree(p)		shim_free(p)

struct kmem_cache {
	size_t size;
};

#define kmem_cache_create(name, size, align, flags, ctor)	shim_cache_create(size)
#define kmem_cache_zalloc(cache, gfp)	shim_alloc((cache)->size)
#define kmem_cache_free(cache, p)	((void)(cache), shim_free(p))
#define kmem_cache_destroy(cache)	shim_free(cache)

struct kmem_cache *shim_cache_create(size_t size);

#endif
