// SPDX-License-Identifier: GPL-2.0-only
/* xvm run: one guest, a serial port, an exit port and an MMIO test device. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "guest.h"

#define PORT_EXIT 0xf4
#define PORT_SERIAL 0x3f8
#define PORT_SERIAL_STATUS 0x3fd
#define SERIAL_STATUS_IDLE 0x60 /* transmitter and its buffer are empty */

/* The test device: an id, a word that keeps what is written, an access count. */
#define TEST_DEVICE 0xd0000000ull
#define TEST_DEVICE_SIZE 12
#define TEST_DEVICE_ID 0x314d5658 /* "XVM1" */

#define MEMORY_DEFAULT (64ull << 20)
#define MEMORY_MIN (1ull << 20)

struct machine {
	struct guest guest;
	bool trace;
	bool ended;
	int status;
	uint32_t scratch;
	uint32_t accesses;
	uint64_t exits[KVM_EXIT_MEMORY_FAULT + 1];
};

static void end(struct machine *machine, int status)
{
	machine->ended = true;
	machine->status = status;
}

static void print_data(const uint8_t *data, uint32_t length)
{
	while (length--)
		fprintf(stderr, " %02x", *data++);
	fputc('\n', stderr);
}

static void port_write(struct machine *machine, uint16_t port,
		       const uint8_t *data, uint32_t length)
{
	switch (port) {
	case PORT_SERIAL:
		fwrite(data, 1, length, stdout);
		break;
	case PORT_EXIT:
		end(machine, data[0] ? STATUS_GUEST + (data[0] & 0x3f) :
				       STATUS_OK);
		break;
	default: /* nobody listens */
		break;
	}
}

static void handle_io(struct machine *machine)
{
	struct kvm_run *run = machine->guest.run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t length = run->io.size * run->io.count;

	if (run->io.direction == KVM_EXIT_IO_OUT)
		port_write(machine, run->io.port, data, length);
	else
		memset(data, run->io.port == PORT_SERIAL_STATUS ?
				     SERIAL_STATUS_IDLE : 0xff, length);
	if (!machine->trace)
		return;
	fprintf(stderr, "IO %s port %#x, %u x %u bytes:",
		run->io.direction == KVM_EXIT_IO_OUT ? "write" : "read",
		run->io.port, run->io.count, run->io.size);
	print_data(data, length);
}

static uint32_t test_device_read(struct machine *machine, uint64_t offset)
{
	switch (offset) {
	case 0:
		return TEST_DEVICE_ID;
	case 4:
		return machine->scratch;
	default:
		return machine->accesses;
	}
}

/* Words of four bytes; elsewhere reads give ones and writes are lost. */
static void handle_mmio(struct machine *machine)
{
	struct kvm_run *run = machine->guest.run;
	uint64_t offset = run->mmio.phys_addr - TEST_DEVICE;
	bool ours = offset < TEST_DEVICE_SIZE && offset % 4 == 0 &&
		    run->mmio.len == 4;
	uint32_t value;

	machine->accesses += ours;
	if (!run->mmio.is_write) {
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		if (ours) {
			value = test_device_read(machine, offset);
			memcpy(run->mmio.data, &value, sizeof(value));
		}
	} else if (ours && offset == 4) {
		memcpy(&machine->scratch, run->mmio.data, sizeof(uint32_t));
	}
	if (!machine->trace)
		return;
	fprintf(stderr, "MMIO %s %#" PRIx64 ", %u bytes:",
		run->mmio.is_write ? "write" : "read",
		(uint64_t)run->mmio.phys_addr, run->mmio.len);
	print_data(run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8);
}

/* SHUTDOWN has reset the vCPU already: its registers tell nothing. */
static void print_registers(struct machine *machine)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (machine->guest.run->exit_reason == KVM_EXIT_SHUTDOWN)
		return;
	if (xvm_get_regs(machine->guest.vcpu, &regs) ||
	    xvm_get_sregs(machine->guest.vcpu, &sregs))
		return;
	warnx("rip %#" PRIx64 " (cs %#x, base %#" PRIx64 "), rsp %#" PRIx64
	      ", cr0 %#" PRIx64 ", cr3 %#" PRIx64 ", efer %#" PRIx64,
	      (uint64_t)regs.rip, sregs.cs.selector, (uint64_t)sregs.cs.base,
	      (uint64_t)regs.rsp, (uint64_t)sregs.cr0, (uint64_t)sregs.cr3,
	      (uint64_t)sregs.efer);
}

static void guest_died(struct machine *machine)
{
	const struct kvm_run *run = machine->guest.run;

	fflush(stdout);
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		warnx("the guest shut down by a triple fault");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		warnx("the CPU refused to enter the guest: hardware reason %#" PRIx64,
		      (uint64_t)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		warnx("the hypervisor could not go on: suberror %u%s",
		      run->internal.suberror,
		      run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
			      " (an instruction that it cannot emulate)" : "");
		break;
	default:
		warnx("unexpected exit %u (%s)", run->exit_reason,
		      guest_exit_name(run->exit_reason));
	}
	print_registers(machine);
	end(machine, STATUS_GUEST_DIED);
}

static void handle_exit(struct machine *machine)
{
	uint32_t reason = machine->guest.run->exit_reason;

	if (reason < ARRAY_SIZE(machine->exits))
		machine->exits[reason]++;
	if (machine->trace && reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO)
		fprintf(stderr, "%s\n", guest_exit_name(reason));
	switch (reason) {
	case KVM_EXIT_IO:
		handle_io(machine);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(machine);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_HLT:
		/* No interrupt can end it: the machine has no source of any. */
		end(machine, STATUS_OK);
		break;
	default:
		guest_died(machine);
	}
}

static void run_failed(struct machine *machine, int error)
{
	const struct xvm_memory_fault *fault = XVM_MEMORY_FAULT(machine->guest.run);

	fflush(stdout);
	if (machine->guest.run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		warnx("memory fault at guest address %#" PRIx64 ", %" PRIu64
		      " bytes: %s", (uint64_t)fault->gpa, (uint64_t)fault->size,
		      strerror(-error));
	else
		warnx("run the vCPU: %s", strerror(-error));
	print_registers(machine);
	end(machine, STATUS_GUEST_DIED);
}

static void print_stats(struct machine *machine)
{
	struct xvm_stats *stats;
	uint32_t reason;
	int i;

	fprintf(stderr, "%-32s %12s\n", "exits to user space", "count");
	for (reason = 0; reason < ARRAY_SIZE(machine->exits); reason++) {
		if (machine->exits[reason])
			fprintf(stderr, "%-32s %12" PRIu64 "\n",
				guest_exit_name(reason), machine->exits[reason]);
	}
	if (xvm_stats_open(machine->guest.vcpu, &stats))
		return;
	fprintf(stderr, "%-32s %12s\n", "statistic of the vCPU", "value");
	for (i = 0; i < xvm_stats_count(stats); i++) {
		if (xvm_stats_value(stats, i))
			fprintf(stderr, "%-32s %12" PRIu64 "\n",
				xvm_stats_name(stats, i),
				xvm_stats_value(stats, i));
	}
	xvm_stats_close(stats);
}

static int run(struct machine *machine, const char *device, uint64_t memory,
	       const char *image, bool stats)
{
	int ret;

	if (guest_open(&machine->guest, device, memory))
		return STATUS_FAILED;
	ret = guest_load(&machine->guest, image);
	if (ret) {
		guest_close(&machine->guest);
		return STATUS_FAILED;
	}
	machine->guest.run->exit_reason = KVM_EXIT_UNKNOWN;
	while (!machine->ended) {
		ret = xvm_run(machine->guest.vcpu);
		if (!ret)
			handle_exit(machine);
		else if (ret != -EINTR && ret != -EAGAIN)
			run_failed(machine, ret);
	}
	if (stats)
		print_stats(machine);
	guest_close(&machine->guest);
	if (fflush(stdout) || ferror(stdout)) {
		warn("standard output");
		return STATUS_FAILED;
	}
	return machine->status;
}

static int run_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "mem", required_argument, NULL, 'm' },
		{ "trace", no_argument, NULL, 't' },
		{ "stats", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *device = XVM_DEVICE_PATH;
	struct machine machine = { 0 };
	uint64_t memory = MEMORY_DEFAULT;
	bool stats = false;
	int option;

	while ((option = getopt_long(argc, argv, "d:m:tsh", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			device = optarg;
			break;
		case 'm':
			if (parse_size(optarg, &memory) && memory >= MEMORY_MIN &&
			    memory <= TEST_DEVICE && memory % 4096 == 0)
				break;
			warnx("memory must be pages of 4K, 1M to %" PRIu64 "M: %s",
			      (uint64_t)(TEST_DEVICE >> 20), optarg);
			return usage_error(&command_run);
		case 't':
			machine.trace = true;
			break;
		case 's':
			stats = true;
			break;
		case 'h':
			return print_help(&command_run);
		default:
			return usage_error(&command_run);
		}
	}
	if (argc - optind != 1) {
		warnx("needs exactly one image");
		return usage_error(&command_run);
	}
	return run(&machine, device, memory, argv[optind], stats);
}

const struct command command_run = {
	.name = "run",
	.summary = "run a small guest",
	.help =
"Usage: xvm run [OPTION]... IMAGE\n"
"\n"
"Run a guest with one vCPU.  A static x86-64 ELF executable starts at its entry\n"
"in 64-bit mode, with the first 4 GiB mapped to themselves; any other file is\n"
"loaded at 0x10000 and starts there in real mode, at 1000:0000.\n"
"\n"
"The machine: zeroed memory from 0; a serial port at 0x3f8 that writes to standard\n"
"output; port 0xf4, where a byte ends the run; at 0xd0000000 three words: an id\n"
"(0x314d5658), a word that keeps what is written, the number of accesses.\n"
"\n"
"  -d, --device PATH   the device, " XVM_DEVICE_PATH " unless told\n"
"  -m, --mem SIZE      memory, in bytes or with K, M or G; 64M unless told\n"
"  -t, --trace         print every exit to user space\n"
"  -s, --stats         print how many exits there were, and the vCPU's statistics\n"
"\n"
"Exit status: 0 the guest halted or wrote 0 to port 0xf4; 64 + the low six bits of\n"
"any other value that it wrote; 1 the guest could not be started; 2 wrong usage;\n"
"3 the guest died.\n",
	.main = run_main,
};
