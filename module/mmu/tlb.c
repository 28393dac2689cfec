// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest TLB invalidation: of a VM, of a range of guest frames, of a memslot.
 *
 * A range is offered to the architecture, which flushes it or says that it
 * can't.  Then, and for a VM, a flush is a new generation of the VM's tables:
 * a vCPU that last flushed for an older one flushes when it enters.  Only a
 * vCPU that is in the guest right now has to be brought out of it, by an IPI
 * whose handler runs when it has left.  Either the flusher sees it IN_GUEST, or
 * it sees the new generation: both sides write, then a full barrier, then read.
 */
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include "../observe/trace.h"
#include "../xvm.h"

static DEFINE_PER_CPU(cpumask_var_t, flush_mask);

static void ack_flush(void *unused)
{
	/* That this runs is all: the IPI ended the guest's run. */
}

/* Returns how many vCPUs had to be interrupted. */
static unsigned int flush_by_generation(struct xvm *xvm)
{
	unsigned int ipis = 0;
	struct cpumask *mask;
	struct xvm_vcpu *vcpu;
	unsigned long i;
	int me, cpu;

	/* Full barrier, before the modes are read. */
	atomic64_inc_return(&xvm->mmu.tlb_gen);

	me = get_cpu();
	mask = this_cpu_cpumask_var_ptr(flush_mask);
	cpumask_clear(mask);
	xvm_for_each_vcpu(i, vcpu, xvm) {
		/* Pairs with the release after an exit: that vCPU uses no translation any more. */
		if (smp_load_acquire(&vcpu->mode) != XVM_IN_GUEST)
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != me && cpu >= 0) {
			cpumask_set_cpu(cpu, mask);
			ipis++;
		}
	}
	if (ipis) {
		atomic64_add(ipis, &xvm->stat.remote_tlb_flush_ipis);
		atomic64_inc(&xvm->stat.remote_tlb_flush);
		smp_call_function_many(mask, ack_flush, NULL, true);
	}
	put_cpu();
	return ipis;
}

void xvm_tlb_flush_vm(struct xvm *xvm)
{
	unsigned int ipis = flush_by_generation(xvm);

	atomic64_inc(&xvm->stat.remote_tlb_flush_requests);
	trace_xvm_flush(0, ~0ULL, false, ipis);
}

void xvm_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn)
{
	bool ranged = !xvm_arch_tlb_flush_range(xvm, start_gfn, end_gfn);
	unsigned int ipis = 0;

	atomic64_inc(&xvm->stat.remote_tlb_flush_requests);
	if (ranged)
		atomic64_inc(&xvm->stat.remote_tlb_flush_ranged);
	else
		ipis = flush_by_generation(xvm);
	trace_xvm_flush(start_gfn, end_gfn, ranged, ipis);
}

void xvm_tlb_flush_later(struct xvm *xvm)
{
	atomic64_inc(&xvm->mmu.tlb_gen);
}

void xvm_tlb_flush_memslot(struct xvm *xvm, const struct memslot *slot)
{
	xvm_tlb_flush_range(xvm, slot->base_gfn, memslot_end_gfn(slot));
}

void xvm_tlb_defer(struct xvm *xvm, u64 start_gfn, u64 end_gfn)
{
	struct xvm_mmu *mmu = &xvm->mmu;

	lockdep_assert_held_write(&mmu->lock);
	if (!mmu->flush_end) {
		mmu->flush_start = start_gfn;
		mmu->flush_end = end_gfn;
		return;
	}
	/* What lies between is flushed too: fewer flushes are worth more than narrow ones. */
	mmu->flush_start = min(mmu->flush_start, start_gfn);
	mmu->flush_end = max(mmu->flush_end, end_gfn);
	atomic64_inc(&xvm->stat.remote_tlb_flush_merged);
}

bool xvm_tlb_flush_deferred(struct xvm *xvm)
{
	struct xvm_mmu *mmu = &xvm->mmu;
	u64 end = mmu->flush_end;

	lockdep_assert_held_write(&mmu->lock);
	if (!end) {
		atomic64_inc(&xvm->stat.remote_tlb_flush_skipped);
		return false;
	}
	mmu->flush_end = 0;
	xvm_tlb_flush_range(xvm, mmu->flush_start, end);
	return true;
}

int xvm_tlb_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		if (!zalloc_cpumask_var_node(per_cpu_ptr(&flush_mask, cpu), GFP_KERNEL,
					     cpu_to_node(cpu))) {
			xvm_tlb_exit();
			return -ENOMEM;
		}
	return 0;
}

void xvm_tlb_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_cpumask_var(per_cpu(flush_mask, cpu));
}
