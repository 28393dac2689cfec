// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <linux/smp.h>
#include <string.h>

struct world world;
int shim_cpu;

void world_start(bool takes_ranges)
{
	unsigned int i;

	memset(&world, 0, sizeof(world));
	world.takes_ranges = takes_ranges;
	world.mapped = ~0ULL;
	atomic64_set(&world.xvm.mmu.tlb_gen, 1);
	world.xvm.mmu.lock.held = true;
	world.xvm.mmu.lock.owner = pthread_self();
	for (i = 0; i < VCPUS; i++) {
		world.vcpus[i].xvm = &world.xvm;
		world.vcpus[i].index = i;
		world.vcpus[i].cpu = -1;
		world.xvm.vcpus.entries[i] = &world.vcpus[i];
	}
	world.xvm.nr_vcpus = VCPUS;
	shim_cpu = 0;
	CHECK(!xvm_tlb_init());
}

void world_forget(void)
{
	world.hook_calls = 0;
	world.traces = 0;
	world.kicked = 0;
	world.point = 0;
}

void meanwhile(void)
{
	void (*others)(unsigned int point) = world.others;

	if (!others)
		return;
	/* What they do is not interrupted in turn. */
	world.others = NULL;
	others(world.point++);
	world.others = others;
}

u64 frames(u64 start_gfn, u64 end_gfn)
{
	u64 set = 0, gfn;

	for (gfn = start_gfn; gfn < end_gfn && gfn < GFNS; gfn++)
		set |= 1ULL << gfn;
	return set;
}

bool inside(unsigned int vcpu)
{
	return world.vcpus[vcpu].mode == XVM_IN_GUEST;
}

static void drop(unsigned int i, u64 start_gfn, u64 end_gfn)
{
	u64 keep = ~frames(start_gfn, end_gfn);
	struct tlb *tlb = &world.tlbs[i];

	tlb->held &= keep;
	tlb->stale &= keep;
	tlb->promised &= keep;
	if (world.dropped)
		world.dropped(i, start_gfn, end_gfn);
}

/* In the order of run.c. */
void enter(unsigned int i, int cpu)
{
	struct xvm_vcpu *vcpu = &world.vcpus[i];
	unsigned int other;
	u64 gen;

	for (other = 0; other < VCPUS; other++)
		if (inside(other) && world.vcpus[other].cpu == cpu)
			return;
	if (inside(i) || cpu == shim_cpu)
		return;
	vcpu->cpu = cpu;
	vcpu->mode = XVM_IN_GUEST;
	gen = atomic64_read(&world.xvm.mmu.tlb_gen);
	if (gen != vcpu->arch.tlb_gen)
		drop(i, 0, XVM_GFN_END);
	vcpu->arch.tlb_gen = gen;
	CHECK(!world.tlbs[i].promised);
}

void leave(unsigned int i)
{
	world.vcpus[i].mode = XVM_OUTSIDE_GUEST;
}

void touch(unsigned int i, u64 gfn)
{
	if (inside(i))
		world.tlbs[i].held |= world.mapped & frames(gfn, gfn + 1);
}

void map(u64 set)
{
	world.mapped |= set;
}

void zap(u64 set)
{
	unsigned int i;

	world.mapped &= ~set;
	for (i = 0; i < VCPUS; i++)
		world.tlbs[i].stale |= world.tlbs[i].held & set;
}

void will_flush(u64 set)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		world.tlbs[i].promised |= world.tlbs[i].stale & set;
}

void flushed(u64 set)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		CHECK(!inside(i) || !(world.tlbs[i].stale & set));
	will_flush(set);
	CHECK(!world.pinned);
}

struct counts counts(void)
{
	const struct xvm_vm_stat *stat = &world.xvm.stat;

	return (struct counts) {
		.requests = atomic64_read(&stat->remote_tlb_flush_requests),
		.flushes = atomic64_read(&stat->remote_tlb_flush),
		.ranged = atomic64_read(&stat->remote_tlb_flush_ranged),
		.merged = atomic64_read(&stat->remote_tlb_flush_merged),
		.skipped = atomic64_read(&stat->remote_tlb_flush_skipped),
		.ipis = atomic64_read(&stat->remote_tlb_flush_ipis),
	};
}

void check_counts(const struct counts *before, struct counts growth)
{
	struct counts now = counts();

	CHECK(now.requests - before->requests == growth.requests);
	CHECK(now.flushes - before->flushes == growth.flushes);
	CHECK(now.ranged - before->ranged == growth.ranged);
	CHECK(now.merged - before->merged == growth.merged);
	CHECK(now.skipped - before->skipped == growth.skipped);
	CHECK(now.ipis - before->ipis == growth.ipis);
}

/* The rest of the module, and of the kernel. */

int xvm_arch_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn)
{
	unsigned int i;

	CHECK(xvm == &world.xvm && start_gfn < end_gfn);
	world.hook_calls++;
	world.hook_start = start_gfn;
	world.hook_end = end_gfn;
	if (!world.takes_ranges)
		return -EOPNOTSUPP;
	for (i = 0; i < VCPUS; i++)
		drop(i, start_gfn, end_gfn);
	return 0;
}

void trace_xvm_flush(u64 start_gfn, u64 end_gfn, bool ranged, unsigned int ipis)
{
	world.traces++;
	world.trace_start = start_gfn;
	world.trace_end = end_gfn;
	world.trace_ranged = ranged;
	world.trace_ipis = ipis;
}

int get_cpu(void)
{
	CHECK(!world.pinned);
	world.pinned = true;
	return shim_cpu;
}

void put_cpu(void)
{
	CHECK(world.pinned);
	world.pinned = false;
}

void smp_call_function_many(const struct cpumask *mask, void (*func)(void *info), void *info,
			    bool wait)
{
	unsigned int i;

	/* Who doesn't wait returns while the guest still uses what was removed. */
	CHECK(world.pinned && wait && mask->bits);
	meanwhile();
	for (i = 0; i < VCPUS; i++)
		if (inside(i) && mask->bits >> world.vcpus[i].cpu & 1) {
			leave(i);
			func(info);
		}
	world.kicked |= mask->bits;
	meanwhile();
}
