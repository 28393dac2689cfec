// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/srcu.h>
#include <errno.h>
#include <sched.h>

unsigned long shim_fail_alloc;
long shim_allocated;

void *shim_alloc(size_t size)
{
	void *p;

	if (shim_fail_alloc && !--shim_fail_alloc)
		return NULL;
	p = calloc(1, size);
	if (p)
		__atomic_add_fetch(&shim_allocated, 1, __ATOMIC_RELAXED);
	return p;
}

void shim_free(void *p)
{
	if (p)
		__atomic_sub_fetch(&shim_allocated, 1, __ATOMIC_RELAXED);
	free(p);
}

static void yield(struct srcu_struct *srcu)
{
	(void)srcu;
	sched_yield();
}

void (*shim_srcu_blocked)(struct srcu_struct *srcu) = yield;

int init_srcu_struct(struct srcu_struct *srcu)
{
	*srcu = (struct srcu_struct){ .lock = PTHREAD_MUTEX_INITIALIZER };
	srcu->readers = shim_alloc(2 * sizeof(*srcu->readers));
	return srcu->readers ? 0 : -ENOMEM;
}

/* As strict as the kernel's, which warns and leaks. */
void cleanup_srcu_struct(struct srcu_struct *srcu)
{
	WARN_ON(srcu->readers[0] || srcu->readers[1]);
	WARN_ON(srcu->done < srcu->wanted);
	shim_free(srcu->readers);
	pthread_mutex_destroy(&srcu->lock);
}

int srcu_read_lock(struct srcu_struct *srcu)
{
	int idx = __atomic_load_n(&srcu->idx, __ATOMIC_RELAXED);

	__atomic_add_fetch(&srcu->readers[idx], 1, __ATOMIC_SEQ_CST);
	/* The section stays behind the count: pairs with those in advance(). */
	smp_mb();
	return idx;
}

/* Stragglers of the idle count first; then flip, and wait for those that were on the other. */
static void advance(struct srcu_struct *srcu)
{
	while (srcu->done < srcu->wanted) {
		if (!srcu->phase)
			srcu->phase = 2;
		if (__atomic_load_n(&srcu->readers[!srcu->idx], __ATOMIC_SEQ_CST))
			return;
		if (--srcu->phase)
			__atomic_store_n(&srcu->idx, !srcu->idx, __ATOMIC_SEQ_CST);
		else
			srcu->done++;
		/* One count is looked at after the other. */
		smp_mb();
	}
}

void srcu_read_unlock(struct srcu_struct *srcu, int idx)
{
	/* ... and before this one. */
	smp_mb();
	__atomic_sub_fetch(&srcu->readers[idx], 1, __ATOMIC_SEQ_CST);

	/* The kernel's advance by themselves: end this one as early as can be. */
	if (!pthread_mutex_trylock(&srcu->lock)) {
		advance(srcu);
		pthread_mutex_unlock(&srcu->lock);
	}
}

unsigned long start_poll_synchronize_srcu(struct srcu_struct *srcu)
{
	unsigned long cookie;

	/* What was published before is seen by readers that come after. */
	smp_mb();
	pthread_mutex_lock(&srcu->lock);
	/* One that runs may have looked at readers before us: it takes the next. */
	cookie = srcu->done + (srcu->phase ? 2 : 1);
	if (srcu->wanted < cookie)
		srcu->wanted = cookie;
	pthread_mutex_unlock(&srcu->lock);
	return cookie;
}

bool poll_state_synchronize_srcu(struct srcu_struct *srcu, unsigned long cookie)
{
	bool over;

	pthread_mutex_lock(&srcu->lock);
	advance(srcu);
	over = srcu->done >= cookie;
	pthread_mutex_unlock(&srcu->lock);
	return over;
}

void synchronize_srcu_expedited(struct srcu_struct *srcu)
{
	unsigned long cookie = start_poll_synchronize_srcu(srcu);

	while (!poll_state_synchronize_srcu(srcu, cookie))
		shim_srcu_blocked(srcu);
}
