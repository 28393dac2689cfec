// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time stamp counter: the host's, plus an offset.
 *
 * The first vCPU's counter starts from 0, and later ones are in step with it.
 * User space that restores a VM writes each vCPU's counter in turn, some time
 * apart: as in KVM, a value less than a second from where the others are by
 * now means the same offset as theirs, and so does 0.
 *
 * The frequency is the host's.  Another one would need TSC scaling, and KVM's
 * substitute for that, catching up at each entry, is not worth having.
 */
#include <linux/math64.h>
#include <linux/spinlock.h>
#include <asm/tsc.h>

#include "x86.h"

/* What KVM tolerates as the same frequency, in parts per million. */
#define TOLERANCE	250

/* Guards the offsets of all VMs: they are written at creation and restore alone. */
static DEFINE_SPINLOCK(offset_lock);

static u64 host_tsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

u64 xvm_guest_tsc(struct xvm_vcpu *vcpu)
{
	return host_tsc() + vcpu->arch.tsc_offset;
}

static void set_offset(struct xvm_vcpu *vcpu, u64 offset)
{
	vcpu->arch.tsc_offset = offset;
	xvm_vendor->tsc_offset_changed(vcpu);
}

static bool within_a_second(u64 a, u64 b)
{
	s64 second = tsc_khz * 1000LL, diff = a - b;

	return diff < second && -diff < second;
}

/* The offset for a counter that reads val now. */
static u64 shared_offset(struct xvm_arch *vm, u64 val, bool user)
{
	u64 now = host_tsc(), offset;

	spin_lock(&offset_lock);
	if (!vm->tsc_started ||
	    (val && !(vm->tsc_written && within_a_second(val, now + vm->tsc_offset)))) {
		vm->tsc_offset = val - now;
		vm->tsc_started = true;
	}
	vm->tsc_written |= user;
	offset = vm->tsc_offset;
	spin_unlock(&offset_lock);
	return offset;
}

void xvm_tsc_reset(struct xvm_vcpu *vcpu)
{
	/* The vendor's reset takes it from there. */
	vcpu->arch.tsc_offset = shared_offset(&vcpu->xvm->arch, 0, false);
}

void xvm_set_guest_tsc(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	u64 offset;

	if (host) {
		set_offset(vcpu, shared_offset(&vcpu->xvm->arch, val, true));
		return;
	}
	/* A guest's write shows in TSC_ADJUST (SDM vol. 3, 18.17.3). */
	offset = val - host_tsc();
	vcpu->arch.tsc_adjust += offset - vcpu->arch.tsc_offset;
	set_offset(vcpu, offset);
}

void xvm_set_tsc_adjust(struct xvm_vcpu *vcpu, u64 val, bool host)
{
	/* User space restores the counter itself: this is a note of how it came about. */
	if (!host)
		set_offset(vcpu, vcpu->arch.tsc_offset + val - vcpu->arch.tsc_adjust);
	vcpu->arch.tsc_adjust = val;
}

/* 0 stands for the host's frequency. */
static long check_khz(u32 *khz)
{
	u64 slack = div_u64((u64)tsc_khz * TOLERANCE, 1000000);

	if (!*khz)
		*khz = tsc_khz;
	return *khz < tsc_khz - slack || *khz > tsc_khz + slack ? -EINVAL : 0;
}

long xvm_set_tsc_khz(struct xvm_vcpu *vcpu, unsigned long khz)
{
	u32 val = khz;
	long err = check_khz(&val);

	if (!err)
		vcpu->arch.tsc_khz = val;
	return err;
}

long xvm_set_default_tsc_khz(struct xvm *xvm, unsigned long khz)
{
	u32 val = khz;
	long err = check_khz(&val);

	if (!err)
		WRITE_ONCE(xvm->arch.default_tsc_khz, val);
	return err;
}
