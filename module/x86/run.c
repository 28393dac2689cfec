// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: in and out of the guest until user space is needed.
 *
 * A section is a stretch with preemption off and the guest's FPU state loaded.
 * It lasts over all exits that need no sleep.
 *
 * A vCPU is loaded on a CPU from its first section there until its thread is
 * scheduled out or KVM_RUN returns: a preempt notifier tells.  The notifiers'
 * static key is switched on once, when the module is loaded, not with every
 * first and last VM.
 */
#include <linux/interrupt.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>

#include "../observe/trace.h"
#include "x86.h"

/* Newer headers hide the name from kernel code, as user space may change it at any time. */
static bool immediate_exit(const struct kvm_run *run)
{
	return READ_ONCE(((const u8 *)run)[offsetof(struct kvm_run, request_interrupt_window) + 1]);
}

/* Must the thread do something else than run the guest?  IRQs off: it stays so until entry. */
static bool must_leave(void)
{
	if (signal_pending(current) || need_resched() || task_work_pending(current))
		return true;
	/* Where a section keeps softirqs off, they wait for its end. */
	return softirq_count() && local_softirq_pending();
}

/* Would an interrupt be delivered at the next entry? */
static bool interrupt_allowed(struct xvm_vcpu *vcpu)
{
	const struct xvm_events *ev = &vcpu->arch.events;

	return (vcpu->arch.rflags & X86_EFLAGS_IF) && !ev->interrupt.injected &&
	       !ev->exception.pending && !ev->exception.injected && !ev->nmi.injected &&
	       !xvm_vendor->get_interrupt_shadow(vcpu);
}

static bool window_open(struct xvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->request_interrupt_window) && !vcpu->arch.lapic &&
	       interrupt_allowed(vcpu);
}

/* IRQs off.  Pairs with tlb.c: they see us in the guest, or we see what they did. */
static bool publish_entry(struct xvm_vcpu *vcpu)
{
	u64 gen;

	WRITE_ONCE(vcpu->cpu, smp_processor_id());
	/* Pairs with the increment of tlb_gen. */
	smp_store_mb(vcpu->mode, XVM_IN_GUEST);
	gen = atomic64_read(&vcpu->xvm->mmu.tlb_gen);
	if (gen == vcpu->arch.tlb_gen)
		return false;
	vcpu->arch.tlb_gen = gen;
	return true;
}

static struct xvm_vcpu *notifier_vcpu(struct preempt_notifier *notifier)
{
	return container_of(notifier, struct xvm_vcpu, arch.preempt_notifier);
}

static void load(struct xvm_vcpu *vcpu)
{
	if (vcpu->arch.loaded)
		return;
	vcpu->arch.loaded = true;
	xvm_vendor->load(vcpu);
}

static void put(struct xvm_vcpu *vcpu)
{
	if (!vcpu->arch.loaded)
		return;
	vcpu->arch.loaded = false;
	xvm_vendor->put(vcpu);
}

/* The next section loads it again, wherever that is. */
static void sched_in(struct preempt_notifier *notifier, int cpu)
{
}

static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	put(notifier_vcpu(notifier));
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

static void run_begin(struct xvm_vcpu *vcpu)
{
	preempt_notifier_init(&vcpu->arch.preempt_notifier, &preempt_ops);
	preempt_disable();
	preempt_notifier_register(&vcpu->arch.preempt_notifier);
	preempt_enable();
}

static void run_end(struct xvm_vcpu *vcpu)
{
	preempt_disable();
	put(vcpu);
	preempt_notifier_unregister(&vcpu->arch.preempt_notifier);
	preempt_enable();
}

static enum xvm_exit_result run_section(struct xvm_vcpu *vcpu)
{
	enum xvm_exit_result result = XVM_EXIT_RESUME;

	xvm_fpu_section_enter(vcpu);
	load(vcpu);
	vcpu->stat.sections++;

	do {
		bool flush;

		if (vcpu->arch.events.triple_fault || window_open(vcpu) ||
		    xvm_dirty_ring_full(vcpu))
			break;
		local_irq_disable();
		flush = publish_entry(vcpu);
		if (must_leave() || (vcpu->shadow && !xvm_shadow_ready(vcpu))) {
			/* What it said it had flushed, it has not. */
			if (flush)
				vcpu->arch.tlb_gen = 0;
			WRITE_ONCE(vcpu->mode, XVM_OUTSIDE_GUEST);
			local_irq_enable();
			break;
		}
		vcpu->stat.tlb_flush += flush;
		/* The guest may run for long: it is a quiescent state for RCU. */
		rcu_note_context_switch(false);
		trace_xvm_entry(vcpu, vcpu->arch.rip);
		xvm_vendor->enter(vcpu, flush);
		/* Pairs with the acquire in tlb.c. */
		smp_store_release(&vcpu->mode, XVM_OUTSIDE_GUEST);
		vcpu->stat.exits++;
		/* What interrupted the guest is taken here. */
		local_irq_enable();
		result = xvm_vendor->handle_exit(vcpu);
	} while (result == XVM_EXIT_RESUME);

	xvm_fpu_section_leave(vcpu);
	return result;
}

bool xvm_arch_vcpu_runnable(struct xvm_vcpu *vcpu)
{
	if (vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE)
		return true;
	return vcpu->arch.mp_state == KVM_MP_STATE_HALTED &&
	       ((vcpu->arch.events.nmi.pending && !vcpu->arch.events.nmi.masked) ||
		vcpu->arch.events.exception.pending);
}

static int exit_for_signal(struct xvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stat.signal_exits++;
	return -EINTR;
}

/* Asleep until there is something to run.  1: there is; -EINTR: a signal came first. */
static int wait_until_runnable(struct xvm_vcpu *vcpu)
{
	if (wait_event_interruptible(vcpu->wait, xvm_arch_vcpu_runnable(vcpu)))
		return exit_for_signal(vcpu);
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu->stat.halt_wakeup++;
	return 1;
}

/*
 * Work that is done on the way to user space.  A signal is user space's to
 * hear of.  Other work is not: the ioctl is restarted after it, unseen, see
 * vcpu_run() in vcpu.c.
 */
static int leave_for_work(struct xvm_vcpu *vcpu)
{
	if (task_sigpending(current))
		return exit_for_signal(vcpu);
	if (signal_pending(current) || task_work_pending(current)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -ERESTARTNOHAND;
	}
	cond_resched();
	return 1;
}

static int run_once(struct xvm_vcpu *vcpu)
{
	int ret;

	if (vcpu->arch.mp_state != KVM_MP_STATE_RUNNABLE)
		return wait_until_runnable(vcpu);
	if (xvm_dirty_ring_full(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return 0;
	}
	if (vcpu->arch.events.triple_fault) {
		vcpu->arch.events.triple_fault = false;
		xvm_vcpu_reset(vcpu, true);
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	if (window_open(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return 0;
	}
	if (vcpu->shadow && !xvm_shadow_ready(vcpu)) {
		ret = xvm_shadow_load(vcpu);
		if (ret)
			return ret;
	}
	switch (run_section(vcpu)) {
	case XVM_EXIT_RESUME:
		return 1;
	case XVM_EXIT_LEAVE:
		break;
	}
	ret = xvm_vendor->handle_exit_slow(vcpu);
	/* An IPI or a timer that the local APIC here can't deliver: better said than lost. */
	if (ret > 0 && vcpu->arch.lapic_unsupported) {
		vcpu->arch.lapic_unsupported = false;
		return xvm_internal_error(vcpu, NULL, 0);
	}
	return ret;
}

static void publish_state(struct xvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->arch.rflags & X86_EFLAGS_IF);
	run->cr8 = xvm_get_cr8(vcpu);
	run->apic_base = vcpu->arch.apic_base;
	run->ready_for_interrupt_injection = vcpu->arch.lapic || interrupt_allowed(vcpu);
	run->flags = 0;
}

int xvm_arch_vcpu_run(struct xvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	vcpu->arch.last_ran = true;
	if (vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED) {
		/* Until it is started there is nothing to run, and user space looks again. */
		if (immediate_exit(run))
			return -EINTR;
		ret = wait_until_runnable(vcpu);
		return ret == -EINTR ? ret : -EAGAIN;
	}
	if (!vcpu->arch.lapic && xvm_guest_set_cr8(vcpu, READ_ONCE(run->cr8)))
		return -EINVAL;

	/*
	 * What is pending is completed first, even if the ring counts as full: one
	 * completion fits in what is kept free.  But it may exit at once for the
	 * next access, and so may each after it.
	 */
	if (xvm_dirty_ring_room(vcpu) <= XVM_DIRTY_RING_RESERVED / 2) {
		if (immediate_exit(run))
			return -EINTR;
		run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		publish_state(vcpu);
		return 0;
	}
	ret = xvm_complete_io(vcpu);
	if (ret > 0 && immediate_exit(run))
		ret = -EINTR;
	if (ret > 0) {
		/* Only now: who completes I/O with immediate_exit still reads what it was. */
		run->exit_reason = KVM_EXIT_UNKNOWN;
		run_begin(vcpu);
		do {
			ret = run_once(vcpu);
			if (ret > 0 && (signal_pending(current) || task_work_pending(current) ||
					need_resched()))
				ret = leave_for_work(vcpu);
		} while (ret > 0);
		run_end(vcpu);
	}
	publish_state(vcpu);
	return ret;
}
