// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits to user space for ports, MMIO and unresolvable faults, and what its
 * answers complete when the vCPU runs again.
 */
#include <linux/string.h>

#include "../../uapi/xvm.h"
#include "emulate/emulate.h"
#include "x86.h"

static void wait_for_user(struct xvm_vcpu *vcpu, enum xvm_pending_io what)
{
	vcpu->arch.io.pending = what;
	vcpu->arch.io.rip = xvm_linear_rip(vcpu);
}

static void fill_io_exit(struct xvm_vcpu *vcpu, u16 port, bool in, unsigned int size,
			 unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	vcpu->stat.io_exits++;
}

int xvm_pio_exit(struct xvm_vcpu *vcpu, u16 port, bool in, unsigned int size, u64 next_rip)
{
	struct xvm_io *io = &vcpu->arch.io;

	if (!in)
		memcpy(vcpu->pio_data, &vcpu->arch.regs[XVM_RAX], size);
	fill_io_exit(vcpu, port, in, size, 1);
	io->size = size;
	io->next_rip = next_rip;
	wait_for_user(vcpu, in ? XVM_IO_PIO_IN : XVM_IO_PIO_OUT);
	return 0;
}

int xvm_string_pio(struct xvm_vcpu *vcpu, u16 port, bool in, unsigned int size, void *data,
		   unsigned int *count)
{
	struct xvm_io *io = &vcpu->arch.io;
	unsigned int n = min_t(unsigned int, *count, PAGE_SIZE / size);

	if (!in) {
		memcpy(vcpu->pio_data, data, n * size);
		fill_io_exit(vcpu, port, false, size, n);
		*count = n;
		return EMUL_EXIT;
	}
	if (io->string_done && io->port == port && io->size == size && io->count <= *count) {
		memcpy(data, vcpu->pio_data, io->count * size);
		*count = io->count;
		io->string_done = false;
		return EMUL_OK;
	}
	fill_io_exit(vcpu, port, true, size, n);
	io->port = port;
	io->size = size;
	io->count = n;
	wait_for_user(vcpu, XVM_IO_STRING_IN);
	return EMUL_EXIT;
}

int xvm_mmio_read(struct xvm_vcpu *vcpu, u64 gpa, void *buf, unsigned int len)
{
	struct xvm_io *io = &vcpu->arch.io;
	struct kvm_run *run = vcpu->run;

	if (vcpu->arch.lapic && xvm_lapic_mmio(vcpu, gpa, buf, len, false))
		return EMUL_OK;

	while (len) {
		unsigned int n = min(len, 8U);
		struct xvm_mmio_frag *frag = &io->reads[io->next_read];

		if (io->next_read >= XVM_MMIO_FRAGS)
			return EMUL_UNHANDLED;
		if (io->next_read >= io->nr_reads) {
			frag->gpa = gpa;
			frag->len = n;
			run->exit_reason = KVM_EXIT_MMIO;
			run->mmio.phys_addr = gpa;
			run->mmio.len = n;
			run->mmio.is_write = 0;
			vcpu->stat.mmio_exits++;
			wait_for_user(vcpu, XVM_IO_MMIO_READ);
			return EMUL_EXIT;
		}
		/* Registers or tables were changed meanwhile: not what was asked for. */
		if (frag->gpa != gpa || frag->len != n) {
			io->nr_reads = io->next_read;
			continue;
		}
		memcpy(buf, frag->data, n);
		io->next_read++;
		gpa += n;
		buf += n;
		len -= n;
	}
	return EMUL_OK;
}

int xvm_mmio_write(struct xvm_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len)
{
	struct xvm_io *io = &vcpu->arch.io;

	if (vcpu->arch.lapic && xvm_lapic_mmio(vcpu, gpa, (void *)buf, len, true))
		return EMUL_OK;

	if (io->nr_writes + DIV_ROUND_UP(len, 8) > XVM_MMIO_FRAGS)
		return EMUL_UNHANDLED;
	while (len) {
		unsigned int n = min(len, 8U);
		struct xvm_mmio_frag *frag = &io->writes[io->nr_writes++];

		frag->gpa = gpa;
		frag->len = n;
		memcpy(frag->data, buf, n);
		gpa += n;
		buf += n;
		len -= n;
	}
	return EMUL_EXIT;
}

int xvm_mmio_exit(struct xvm_vcpu *vcpu)
{
	struct xvm_io *io = &vcpu->arch.io;
	struct kvm_run *run = vcpu->run;
	struct xvm_mmio_frag *frag;

	if (io->next_write >= io->nr_writes) {
		io->next_write = 0;
		io->nr_writes = 0;
		return 1;
	}
	frag = &io->writes[io->next_write++];
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = frag->gpa;
	run->mmio.len = frag->len;
	run->mmio.is_write = 1;
	memcpy(run->mmio.data, frag->data, 8);
	vcpu->stat.mmio_exits++;
	io->pending = XVM_IO_MMIO_WRITE;
	return 0;
}

/* No page for a slot's address: user space may mend it and run the vCPU again. */
int xvm_memory_fault(struct xvm_vcpu *vcpu, u64 gpa, int err)
{
	struct kvm_run *run = vcpu->run;
	struct xvm_memory_fault *fault = XVM_MEMORY_FAULT(run);

	if (err == -EINTR) {
		run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
		return err;
	}
	if (err != -EFAULT)
		return err;
	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	fault->flags = 0;
	fault->gpa = gpa & PAGE_MASK;
	fault->size = PAGE_SIZE;
	return err;
}

static int complete_pio(struct xvm_vcpu *vcpu, bool in)
{
	struct xvm_io *io = &vcpu->arch.io;
	u64 *rax = &vcpu->arch.regs[XVM_RAX];

	if (in) {
		u32 val = 0;

		memcpy(&val, vcpu->pio_data, io->size);
		/* A 32-bit result clears the upper half, smaller ones leave the rest. */
		if (io->size == 4)
			*rax = val;
		else
			memcpy(rax, &val, io->size);
	}
	xvm_skip_to(vcpu, io->next_rip);
	return 1;
}

int xvm_complete_io(struct xvm_vcpu *vcpu)
{
	struct xvm_io *io = &vcpu->arch.io;
	enum xvm_pending_io what = io->pending;
	struct xvm_mmio_frag *frag;
	int ret;

	io->pending = XVM_IO_NONE;
	if (what == XVM_IO_NONE)
		return 1;
	/* Writes were done as far as the guest can tell, wherever it is now. */
	if (what == XVM_IO_MMIO_WRITE)
		return xvm_mmio_exit(vcpu);
	/* User space moved the vCPU elsewhere: its answer is to a question of the past. */
	if (io->rip != xvm_linear_rip(vcpu)) {
		io->nr_reads = 0;
		return 1;
	}

	switch (what) {
	case XVM_IO_PIO_IN:
	case XVM_IO_PIO_OUT:
		return complete_pio(vcpu, what == XVM_IO_PIO_IN);
	case XVM_IO_STRING_IN:
		io->string_done = true;
		ret = xvm_emulate_again(vcpu);
		/* Whether it was taken or the instruction ended otherwise: it answers no other. */
		io->string_done = false;
		return ret;
	case XVM_IO_MMIO_READ:
		frag = &io->reads[io->nr_reads++];
		memcpy(frag->data, vcpu->run->mmio.data, 8);
		return xvm_emulate_again(vcpu);
	default:
		return 1;
	}
}
