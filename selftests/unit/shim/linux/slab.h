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

struct kmem_cache {
	size_t size;
};

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return shim_alloc(size);
}

static inline void kfree(void *p)
{
	shim_free(p);
}

static inline void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return shim_alloc(n * size);
}

static inline void kvfree(void *p)
{
	shim_free(p);
}

static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
						   unsigned int flags, void (*ctor)(void *p))
{
	struct kmem_cache *cache = shim_alloc(sizeof(*cache));

	if (cache)
		cache->size = size;
	return cache;
}

static inline void kmem_cache_destroy(struct kmem_cache *cache)
{
	shim_free(cache);
}

static inline void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	return shim_alloc(cache->size);
}

static inline void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	shim_free(p);
}

#endif
