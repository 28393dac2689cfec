// SPDX-License-Identifier: LGPL-2.1-or-later
/* vCPUs: creation, running, and the state that every architecture has. */
#include <errno.h>
#include <sys/mman.h>

#include "libxvm.h"

static int xvm_run_size(int device)
{
	return xvm_ioctl(device, KVM_GET_VCPU_MMAP_SIZE, NULL);
}

int xvm_create_vcpu(int device, int vm, unsigned long id, struct kvm_run **run)
{
	int size = xvm_run_size(device);
	void *map;
	int vcpu;

	if (size < 0)
		return size;
	vcpu = xvm_ioctl(vm, KVM_CREATE_VCPU, (void *)id);
	if (vcpu < 0)
		return vcpu;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (map == MAP_FAILED) {
		int err = -errno;

		xvm_close(vcpu);
		return err;
	}
	*run = map;
	return vcpu;
}

int xvm_close_vcpu(int device, int vcpu, struct kvm_run *run)
{
	int size = xvm_run_size(device);

	if (size < 0)
		return size;
	if (munmap(run, size))
		return -errno;
	return xvm_close(vcpu);
}

int xvm_run(int vcpu)
{
	return xvm_ioctl(vcpu, KVM_RUN, NULL);
}

/* KVM's setters only read their argument: dropping const is safe. */
int xvm_get_regs(int vcpu, struct kvm_regs *regs)
{
	return xvm_ioctl(vcpu, KVM_GET_REGS, regs);
}

int xvm_set_regs(int vcpu, const struct kvm_regs *regs)
{
	return xvm_ioctl(vcpu, KVM_SET_REGS, (void *)regs);
}

int xvm_get_sregs(int vcpu, struct kvm_sregs *sregs)
{
	return xvm_ioctl(vcpu, KVM_GET_SREGS, sregs);
}

int xvm_set_sregs(int vcpu, const struct kvm_sregs *sregs)
{
	return xvm_ioctl(vcpu, KVM_SET_SREGS, (void *)sregs);
}

int xvm_get_fpu(int vcpu, struct kvm_fpu *fpu)
{
	return xvm_ioctl(vcpu, KVM_GET_FPU, fpu);
}

int xvm_set_fpu(int vcpu, const struct kvm_fpu *fpu)
{
	return xvm_ioctl(vcpu, KVM_SET_FPU, (void *)fpu);
}

int xvm_get_mp_state(int vcpu, struct kvm_mp_state *state)
{
	return xvm_ioctl(vcpu, KVM_GET_MP_STATE, state);
}

int xvm_set_mp_state(int vcpu, const struct kvm_mp_state *state)
{
	return xvm_ioctl(vcpu, KVM_SET_MP_STATE, (void *)state);
}

int xvm_get_events(int vcpu, struct kvm_vcpu_events *events)
{
	return xvm_ioctl(vcpu, KVM_GET_VCPU_EVENTS, events);
}

int xvm_set_events(int vcpu, const struct kvm_vcpu_events *events)
{
	return xvm_ioctl(vcpu, KVM_SET_VCPU_EVENTS, (void *)events);
}
