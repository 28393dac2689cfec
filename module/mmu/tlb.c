// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest TLB invalidation.
 *
 * A flush is a new generation of the VM's tables: a vCPU that last flushed for
 * an older one flushes when it enters.  Only a vCPU that is in the guest right
 * now has to be brought out of it, by an IPI whose handler runs when it has
 * left.  Either the flusher sees it IN_GUEST, or it sees the new generation:
 * both sides write, then a full barrier, then read.
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

void xvm_tlb_flush_vm(struct xvm *xvm)
{
	struct cpumask *mask;
	struct xvm_vcpu *vcpu;
	unsigned long i;
	bool ipi = false;
	int me, cpu;

	trace_xvm_flush(0, ~0ULL);
	atomic64_inc(&xvm->stat.remote_tlb_flush_requests);
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
			atomic64_inc(&xvm->stat.remote_tlb_flush_ipis);
			ipi = true;
		}
	}
	if (ipi) {
		atomic64_inc(&xvm->stat.remote_tlb_flush);
		smp_call_function_many(mask, ack_flush, NULL, true);
	}
	put_cpu();
}

/* AMD has no flush of one ASID's range that every CPU knows: the whole VM is the fallback. */
void xvm_tlb_flush_range(struct xvm *xvm, u64 start_gfn, u64 end_gfn)
{
	xvm_tlb_flush_vm(xvm);
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
