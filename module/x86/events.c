// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, interrupts and NMIs that wait for delivery to the guest.
 */
#include <linux/string.h>

#include "x86.h"

#define VEC_DE	0
#define VEC_DB	1
#define VEC_DF	8
#define VEC_TS	10
#define VEC_NP	11
#define VEC_SS	12
#define VEC_GP	13
#define VEC_PF	14

static bool contributory(u8 vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

/* Two exceptions at once: APM vol. 2, table 8-3 (double-fault conditions). */
static bool makes_double_fault(u8 first, u8 second)
{
	if (contributory(first))
		return contributory(second);
	return first == VEC_PF && (second == VEC_PF || contributory(second));
}

static void queue(struct xvm_vcpu *vcpu, u8 vector, bool has_error, u32 error, bool has_payload,
		  u64 payload)
{
	struct xvm_exception *ex = &vcpu->arch.events.exception;

	if (ex->pending || ex->injected) {
		if (ex->vector == VEC_DF) {
			memset(ex, 0, sizeof(*ex));
			vcpu->arch.events.triple_fault = true;
			return;
		}
		if (makes_double_fault(ex->vector, vector)) {
			vector = VEC_DF;
			has_error = true;
			error = 0;
			has_payload = false;
		}
		/* Else the newer one replaces the older: its instruction will raise that again. */
	}
	/* Real mode pushes no error codes. */
	if (!(xvm_vendor->get_cr0(vcpu) & X86_CR0_PE))
		has_error = false;

	*ex = (struct xvm_exception) {
		.pending = true,
		.vector = vector,
		.has_error = has_error,
		.error = error,
		.has_payload = has_payload,
		.payload = payload,
	};
}

void xvm_queue_exception(struct xvm_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	queue(vcpu, vector, has_error, error, false, 0);
}

void xvm_queue_page_fault(struct xvm_vcpu *vcpu, u64 addr, u32 error)
{
	queue(vcpu, VEC_PF, true, error, true, addr);
}

int xvm_queue_interrupt(struct xvm_vcpu *vcpu, u32 vector)
{
	struct xvm_events *ev = &vcpu->arch.events;

	if (vector >= 256)
		return -EINVAL;
	/* An in-kernel controller takes its interrupts elsewhere. */
	if (vcpu->arch.lapic)
		return -ENXIO;
	ev->interrupt.injected = true;
	ev->interrupt.waited = false;
	ev->interrupt.soft = false;
	ev->interrupt.vector = vector;
	return 0;
}

int xvm_queue_nmi(struct xvm_vcpu *vcpu)
{
	vcpu->arch.events.nmi.pending = true;
	return 0;
}

void xvm_settle_payload(struct xvm_vcpu *vcpu)
{
	struct xvm_exception *ex = &vcpu->arch.events.exception;

	if (vcpu->xvm->arch.exception_payload || !ex->pending || !ex->has_payload)
		return;
	if (ex->vector == VEC_PF) {
		vcpu->arch.cr2 = ex->payload;
		ex->has_payload = false;
	}
}

void xvm_get_vcpu_events(struct xvm_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	const struct xvm_events *ev = &vcpu->arch.events;
	const struct xvm_exception *ex = &ev->exception;

	xvm_settle_payload(vcpu);
	memset(out, 0, sizeof(*out));
	/* Without payloads user space knows one state alone: to be delivered. */
	out->exception.injected = ex->injected ||
				  (ex->pending && !vcpu->xvm->arch.exception_payload);
	out->exception.pending = ex->pending && vcpu->xvm->arch.exception_payload;
	out->exception.nr = ex->vector;
	out->exception.has_error_code = ex->has_error;
	out->exception.error_code = ex->error;
	out->exception_has_payload = ex->has_payload && vcpu->xvm->arch.exception_payload;
	out->exception_payload = ex->payload;

	out->interrupt.injected = ev->interrupt.injected && !ev->interrupt.soft;
	out->interrupt.nr = ev->interrupt.vector;
	out->interrupt.shadow = xvm_vendor->get_interrupt_shadow(vcpu);

	out->nmi.injected = ev->nmi.injected;
	out->nmi.pending = ev->nmi.pending;
	out->nmi.masked = ev->nmi.masked;

	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		     KVM_VCPUEVENT_VALID_SMM;
	if (vcpu->xvm->arch.exception_payload)
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->xvm->arch.triple_fault_event) {
		out->triple_fault.pending = ev->triple_fault;
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

int xvm_set_vcpu_events(struct xvm_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	const struct xvm_arch *vm = &vcpu->xvm->arch;
	struct xvm_events *ev = &vcpu->arch.events;
	bool pending, has_payload;

	if (in->flags & ~(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			  KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
			  KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT))
		return -EINVAL;
	pending = false;
	has_payload = false;
	if (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
		if (!vm->exception_payload || (in->exception.pending && in->exception.injected))
			return -EINVAL;
		pending = in->exception.pending;
		has_payload = in->exception_has_payload;
	}
	if ((in->exception.injected || pending) &&
	    (in->exception.nr > 31 || in->exception.nr == 2))
		return -EINVAL;
	/* It goes to DR6, whose upper half is reserved. */
	if (has_payload && in->exception.nr == VEC_DB && in->exception_payload >> 32)
		return -EINVAL;
	/* There is no SMM here to be in. */
	if ((in->flags & KVM_VCPUEVENT_VALID_SMM) && (in->smi.smm || in->smi.pending))
		return -EINVAL;
	if ((in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) && !vm->triple_fault_event)
		return -EINVAL;

	ev->exception = (struct xvm_exception) {
		.injected = in->exception.injected,
		.pending = pending,
		.vector = in->exception.nr,
		.has_error = in->exception.has_error_code,
		.error = in->exception.error_code,
		.has_payload = has_payload,
		.payload = in->exception_payload,
	};
	ev->interrupt.injected = in->interrupt.injected;
	/* It may have; a delivery that was interrupted finds IF set. */
	ev->interrupt.waited = in->interrupt.injected;
	ev->interrupt.vector = in->interrupt.nr;
	ev->interrupt.soft = in->interrupt.soft;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		xvm_vendor->set_interrupt_shadow(vcpu, in->interrupt.shadow);

	ev->nmi.injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi.pending = in->nmi.pending;
	ev->nmi.masked = in->nmi.masked;
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		ev->triple_fault = in->triple_fault.pending;
	return 0;
}
