/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thin helpers over the raw KVM ioctls: a VM with one memslot and one vCPU, and
 * guest code to put into it.
 *
 * A helper that returns int gives the ioctl's result, or -errno.  A helper that
 * returns void ends the test case when its ioctl fails, also from a thread.
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xvm.h>

/* Only a test of capabilities knows it; the headers of 6.1 do not. */
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif

#define GUEST_PAGE 4096ul

/* Where things are in guest physical memory, and what a guest may use. */
#define GUEST_TABLES 0x1000 /* page tables: PML4, PDPT, four PDs */
#define GUEST_GDT 0x7000
#define GUEST_TSS 0x7800
#define GUEST_IDT 0x8000
#define GUEST_CODE 0x10000
#define GUEST_STACK 0x20000 /* top */
#define GUEST_DATA 0x20000
#define GUEST_FREE 0x40000 /* from here on nothing is preset */

#define GUEST_SIZE 0x400000 /* memory of a default guest */

/* Selectors of the descriptors at GUEST_GDT. */
#define GUEST_CS64 0x08
#define GUEST_DS 0x10
#define GUEST_CS32 0x18
#define GUEST_CS16 0x20
#define GUEST_DS16 0x28
#define GUEST_TR 0x30

struct vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_size;
};

struct guest {
	int dev;
	int vm;
	uint8_t *mem; /* slot 0, at guest physical address 0 */
	size_t mem_size;
	struct vcpu cpu; /* vCPU 0 */
};

#define GUEST_STR_(x) #x
#define GUEST_STR(x) GUEST_STR_(x)

/*
 * Position-independent guest code, in the middle of C: declares name[] and
 * name_end[].  bits is 16, 32 or 64.
 */
#define GUEST_ASM(name, bits, ...)					\
	extern const uint8_t name[], name##_end[];			\
	asm(".pushsection .rodata.guest, \"a\"\n"			\
	    ".code" #bits "\n"						\
	    ".balign 16\n" #name ":\n" __VA_ARGS__ "\n" #name "_end:\n"	\
	    ".code64\n"							\
	    ".popsection\n")

/* Ends the running test case with a message. */
void __attribute__((noreturn, format(printf, 3, 4)))
test_die(const char *file, int line, const char *fmt, ...);

#define die(...) test_die(__FILE__, __LINE__, __VA_ARGS__)

/* Until the guest has changed the word; ends the test case if it doesn't for ten seconds. */
void await_change(const volatile uint64_t *word);

/* An ioctl's result, or -errno. */
#define kioctl(fd, req, arg)						\
	({								\
		long kioctl_ret_ = ioctl(fd, req, arg);			\
		kioctl_ret_ < 0 ? -errno : kioctl_ret_;			\
	})

/* An ioctl that has to work. */
#define xioctl(fd, req, arg)						\
	({								\
		long xioctl_ret_ = ioctl(fd, req, arg);			\
		if (xioctl_ret_ < 0)					\
			die("%s: %m", #req);				\
		xioctl_ret_;						\
	})

/* For the few answers in which xvm deliberately says more than KVM. */
static inline bool device_is_xvm(int dev)
{
	return ioctl(dev, KVM_CHECK_EXTENSION, XVM_CAP_VERSION) > 0;
}

/*
 * True from Linux 6.8 on, and for xvm: the contract is that of newer kernels,
 * and tests of what was added or mended since skip on an older stock KVM.
 */
static inline bool device_is_recent(int dev)
{
	return ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2) > 0;
}

/* False where the device was loaded to shadow its guests' page tables. */
bool device_has_npt(int dev);

/* Anonymous memory, page-aligned and populated on demand. */
void *mem_alloc(size_t size);

/* VM, slot 0 with mem_size bytes at 0, vCPU 0. */
void guest_create(struct guest *g, int dev, size_t mem_size);
/* Only the VM: no memory, no vCPU. */
void guest_create_bare(struct guest *g, int dev);
/*
 * Closes and unmaps all that guest_create() made, after a last guest_verify(),
 * so that each test ends with one; nothing if it made nothing.
 */
void guest_destroy(struct guest *g);

int guest_slot(struct guest *g, uint32_t slot, uint32_t flags, uint64_t gpa,
	       uint64_t size, void *hva);
int guest_slot2(struct guest *g, uint32_t slot, uint32_t flags, uint64_t gpa,
		uint64_t size, void *hva);
void guest_add_slot(struct guest *g, uint32_t slot, uint32_t flags,
		    uint64_t gpa, uint64_t size, void *hva);

/*
 * Has the kernel check the VM's invariants, where it can; vCPUs may be running.
 * Ends the test case when one is broken.
 */
void guest_verify(struct guest *g);

/* Copies code to GUEST_CODE. */
void guest_load(struct guest *g, const uint8_t *start, const uint8_t *end);

/* A vCPU with the CPUID that the device supports. */
void vcpu_create(struct guest *g, struct vcpu *v, unsigned long id);
/* One without CPUID, as CREATE_VCPU leaves it. */
void vcpu_create_bare(struct guest *g, struct vcpu *v, unsigned long id);
void vcpu_destroy(struct vcpu *v);

/* KVM_RUN: the exit reason, or -errno. */
int vcpu_run(struct vcpu *v);
const char *exit_name(int reason);

void vcpu_get_regs(struct vcpu *v, struct kvm_regs *regs);
void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs);
void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *sregs);
void vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs);
uint64_t vcpu_rip(struct vcpu *v);
void vcpu_set_rip(struct vcpu *v, uint64_t rip);
uint64_t vcpu_msr(struct vcpu *v, uint32_t index);
/* 1 when the MSR was taken, 0 when refused. */
int vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value);

/*
 * Modes.  Each sets segments, control registers and rip, and writes the tables
 * that the mode needs: the GDT, for long mode also page tables that map the
 * first 4 GiB one to one with large pages.
 */
void guest_long_mode(struct guest *g, struct vcpu *v, uint64_t rip);
void guest_protected_mode(struct guest *g, struct vcpu *v, uint32_t rip);
void vcpu_real_mode(struct vcpu *v, uint16_t rip);

/* guest_create() of GUEST_SIZE, guest_load() and long mode in one. */
void guest_start64(struct guest *g, int dev, const uint8_t *start,
		   const uint8_t *end);

/* One register of the CPUID leaf that the device supports; 0 if it has none. */
enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };
uint32_t device_cpuid(int dev, uint32_t leaf, uint32_t index,
		      enum cpuid_reg reg);

#endif
