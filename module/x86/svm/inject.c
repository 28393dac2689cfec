// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events into the guest (APM vol. 2, 15.20), and back out of it when an exit
 * came before their delivery was complete (15.7.2).
 */
#include "svm.h"

#define VEC_DB	1
#define VEC_BP	3
#define VEC_OF	4
#define VEC_DF	8
#define VEC_PF	14
#define VEC_MC	18

#define DR7_GD	BIT(13)

static void inject(struct vmcb *vmcb, u8 vector, u32 type, bool has_error, u32 error)
{
	vmcb->control.event_inj = vector | type | SVM_EVTINJ_VALID |
				  (has_error ? SVM_EVTINJ_VALID_ERR : 0);
	vmcb->control.event_inj_err = error;
}

/* Side effects of an exception that belong to its delivery. */
static void apply_payload(struct xvm_vcpu *vcpu, struct xvm_exception *ex)
{
	if (!ex->has_payload)
		return;
	if (ex->vector == VEC_PF)
		vcpu->arch.cr2 = ex->payload;
	else if (ex->vector == VEC_DB)
		vcpu->arch.dr6 = (vcpu->arch.dr6 & ~0xfULL) | ex->payload;
	ex->has_payload = false;
}

/* Those that restart their instruction: the flags that they push have RF (APM vol. 2, 8.2). */
static bool is_fault(u8 vector)
{
	return vector != VEC_DB && vector != VEC_BP && vector != VEC_OF && vector != VEC_DF &&
	       vector != VEC_MC;
}

static void inject_exception(struct xvm_vcpu *vcpu, struct xvm_exception *ex)
{
	struct vmcb_save_area *save = &to_vmcb(vcpu)->save;

	apply_payload(vcpu, ex);
	save->cr2 = vcpu->arch.cr2;
	save->dr6 = vcpu->arch.dr6;
	if (ex->pending && is_fault(ex->vector))
		save->rflags |= X86_EFLAGS_RF;
	/* So that the handler may use the debug registers (13.1.1.4). */
	if (ex->pending && ex->vector == VEC_DB)
		save->dr7 &= ~(u64)DR7_GD;
	inject(to_vmcb(vcpu), ex->vector, SVM_EVTINJ_TYPE_EXEPT, ex->has_error, ex->error);
	ex->pending = false;
	ex->injected = true;
}

static bool can_take_nmi(struct xvm_vcpu *vcpu)
{
	return !vcpu->arch.events.nmi.masked && !xvm_svm_get_interrupt_shadow(vcpu);
}

static bool can_take_interrupt(struct xvm_vcpu *vcpu)
{
	return (vcpu->arch.rflags & X86_EFLAGS_IF) && !xvm_svm_get_interrupt_shadow(vcpu);
}

static void inject_nmi(struct xvm_vcpu *vcpu)
{
	struct xvm_events *ev = &vcpu->arch.events;

	inject(to_vmcb(vcpu), 2, SVM_EVTINJ_TYPE_NMI, false, 0);
	to_svm(vcpu)->gave_nmi = true;
	/* One that was begun before is repeated: another may be pending besides. */
	if (ev->nmi.injected)
		return;
	ev->nmi.injected = true;
	ev->nmi.pending = false;
	vcpu->stat.nmi_injections++;
}

static void inject_interrupt(struct xvm_vcpu *vcpu)
{
	inject(to_vmcb(vcpu), vcpu->arch.events.interrupt.vector, SVM_EVTINJ_TYPE_INTR, false, 0);
	to_svm(vcpu)->gave_irq = true;
	vcpu->stat.irq_injections++;
}

/* An exit as soon as the guest can take an interrupt (15.21.4), for who waits for that. */
static void interrupt_window(struct vmcb *vmcb, bool open)
{
	if (open) {
		svm_intercept(vmcb, INTERCEPT_VINTR);
		vmcb->control.int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
		vmcb->control.int_vector = 0;
	} else {
		svm_no_intercept(vmcb, INTERCEPT_VINTR);
		vmcb->control.int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	}
}

/* At most one event an entry: what was begun before, then by priority. */
void xvm_svm_inject(struct xvm_vcpu *vcpu)
{
	struct xvm_events *ev = &vcpu->arch.events;
	struct vmcb *vmcb = to_vmcb(vcpu);
	bool window;

	vmcb->control.event_inj = 0;
	to_svm(vcpu)->gave_irq = false;
	to_svm(vcpu)->gave_nmi = false;
	if (ev->exception.injected || ev->exception.pending)
		inject_exception(vcpu, &ev->exception);
	else if (ev->nmi.injected)
		inject_nmi(vcpu);
	else if (ev->interrupt.injected && (!ev->interrupt.waited || can_take_interrupt(vcpu)))
		inject_interrupt(vcpu);
	else if (ev->nmi.pending && can_take_nmi(vcpu))
		inject_nmi(vcpu);

	if (ev->nmi.injected)
		ev->nmi.masked = true;
	/* Also for a state that user space has set. */
	if (ev->nmi.masked && !to_svm(vcpu)->nmi_iret)
		svm_intercept(vmcb, INTERCEPT_IRET);

	/* The handler of what came first decides when. */
	if (ev->interrupt.injected && !to_svm(vcpu)->gave_irq)
		ev->interrupt.waited = true;
	window = ev->interrupt.waited ||
		 (!vcpu->arch.lapic && READ_ONCE(vcpu->run->request_interrupt_window));
	interrupt_window(vmcb, window);
}

void xvm_svm_collect_events(struct xvm_vcpu *vcpu)
{
	struct xvm_events *ev = &vcpu->arch.events;
	struct vmcb *vmcb = to_vmcb(vcpu);
	u32 info = vmcb->control.exit_int_info;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	/* What was handed to the CPU has been delivered, unless it says otherwise below. */
	ev->exception.injected = false;
	/* What had to wait behind another event is still to come; an interrupt when IF allows. */
	if (to_svm(vcpu)->gave_irq) {
		ev->interrupt.injected = false;
		ev->interrupt.waited = false;
	}
	if (to_svm(vcpu)->gave_nmi)
		ev->nmi.injected = false;

	/* NMIs are open again once the guest is past the IRET that was seen. */
	if (to_svm(vcpu)->nmi_iret && vcpu->arch.rip != to_svm(vcpu)->nmi_iret_rip) {
		to_svm(vcpu)->nmi_iret = false;
		ev->nmi.masked = false;
	}

	if (!(info & SVM_EXITINTINFO_VALID))
		return;
	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_INTR:
		ev->interrupt.injected = true;
		ev->interrupt.soft = false;
		ev->interrupt.vector = vector;
		break;
	case SVM_EXITINTINFO_TYPE_NMI:
		ev->nmi.injected = true;
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		/* INT3 and INTO are at RIP still: the guest executes them again. */
		if (vector == VEC_BP || vector == VEC_OF)
			break;
		ev->exception = (struct xvm_exception) {
			.injected = true,
			.vector = vector,
			.has_error = info & SVM_EXITINTINFO_VALID_ERR,
			.error = vmcb->control.exit_int_info_err,
		};
		break;
	default:
		/* INT n: as INT3. */
		break;
	}
}
