/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls that failures.c lets fail, and the small world in which they are made. */
#ifndef FAILURES_CALLS_H
#define FAILURES_CALLS_H

#include "failnth.h"
#include "guest.h"

/* Slots of the world beside slot 0; calls add to NEW_GPA and above. */
#define PLAIN_GPA 0x1000000ul
#define LOGGED_GPA 0x2000000ul
#define READONLY_GPA 0x3000000ul
#define NEW_GPA 0x4000000ul
#define SLOT_PAGES 16
#define SLOT_BYTES (SLOT_PAGES * GUEST_PAGE)

enum { PLAIN = 1, LOGGED, READONLY, NEW };

/* More than a page: each of them, and their list, can be what fails. */
#define RING_BYTES (4 * GUEST_PAGE)

#define WORLD_MAX_STATS 64

struct world;

struct call {
	const char *name;
	/* After the slots, before the vCPUs; after all of it. */
	void (*begin)(struct world *w);
	void (*setup)(struct world *w);
	/* The ioctl's result or -errno; 0 for a descriptor, which it closes. */
	long (*call)(struct world *w);
	/* What the state below has no room for; asked for after all else. */
	long (*effect)(struct world *w);
	long unread;	/* what it says if it can't read, where that isn't -EFAULT */
	const char *xvm_only;	/* why KVM isn't asked */
	bool nested_only;	/* there is no such call without nested paging */
	bool bare;	/* in a process without a VM */
	bool no_vcpus;	/* in a VM that has none yet */
	bool runs;	/* the guest, which gets as far as it gets */
};

struct world {
	struct guest g;		/* vCPU 0 looks at memory, and runs */
	struct vcpu v;		/* vCPU 1 never does: its registers are the calls' */
	uint8_t *memory[NEW + 1];	/* by slot */
	int stats;		/* a descriptor of the VM's statistics */
	uint32_t nr_stats;
	char stat_names[WORLD_MAX_STATS][64];
	off_t values;
	struct kvm_dirty_gfn *ring;	/* of vCPU 0, if mapped */
	bool apic;		/* vCPUs halt in the kernel: nobody looks */
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_sregs2 sregs2;
		struct kvm_fpu fpu;
		struct kvm_debugregs debugregs;
		struct kvm_xcrs xcrs;
		struct kvm_vcpu_events events;
		struct kvm_mp_state mp_state;
		struct kvm_lapic_state lapic;
		struct kvm_cpuid2 cpuid;
		struct kvm_msrs msrs;
		struct kvm_msr_list msr_list;
		struct kvm_translation translation;
		struct xvm_verify verify;
		uint8_t bytes[3 * 4096];
	} arg;
};

#define WORLD_PROBES 32
#define WORLD_CPU_BYTES 24576

/* What must not change by a call that fails. */
struct world_state {
	uint64_t map[WORLD_PROBES];	/* as the guest reads it, and how its last run ended */
	uint64_t slots;
	int64_t effect;
	uint8_t cpu[WORLD_CPU_BYTES];	/* of vCPU 1 */
	uint8_t arg[3 * 4096];		/* what the call gave back */
};

/* failures_each.c */
#define NO_FAILURES "this kernel injects no failures by /proc/thread-self/fail-nth"
/* Why it was not tried, or NULL; ends the test case if a failure does not leave all as it was. */
const char *fail_each(int dev, const struct call *call);

#define FAIL_EACH(dev, call)						\
	do {								\
		const char *reason_ = fail_each(dev, call);		\
									\
		if (reason_)						\
			SKIP(return, "%s", reason_);			\
	} while (0)

/* failures_world.c */
void world_create(struct world *w, int dev, const struct call *call);
void world_destroy(struct world *w);
void world_state(struct world *w, const struct call *call, struct world_state *state);
/* Ends the test case if they differ. */
void world_compare(const char *call, const struct world_state *expected,
		   const struct world_state *found);
void world_stats(struct world *w, uint64_t *values);
/* The first that is not what it was, or NULL. */
const char *world_stats_differ(struct world *w, const uint64_t *before);

/* failures_calls.c: the guest is to begin at this code, with these registers. */
void world_start(struct world *w, const uint8_t *code, const uint8_t *end,
		 const struct kvm_regs *init);

#define START(w, code, ...)						\
	world_start(w, code, code##_end, &(const struct kvm_regs){ __VA_ARGS__ })

/* Adds one to rcx words, a page apart, from rbx on. */
extern const uint8_t write_pages[], write_pages_end[];
/* Ends the test case if the capability can't be had. */
void world_enable(struct world *w, uint32_t cap, uint64_t value);
/* For begin: vCPUs have rings. */
void with_ring(struct world *w);
/* failures_run.c */
long reset_rings(struct world *w);

/*
 * failures_calls.c, failures_run.c, failures_state.c: on what it is called, which ioctl, the test.
 * scripts/check-api looks here whether each ioctl of the module has one.
 */
#define FAILURES_CALLS(X)						\
	X(dev, KVM_CREATE_VM, create_vm)				\
	X(dev, KVM_GET_SUPPORTED_CPUID, supported_cpuid)		\
	X(dev, KVM_GET_EMULATED_CPUID, emulated_cpuid)			\
	X(dev, KVM_GET_MSR_INDEX_LIST, msr_list)			\
	X(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, feature_msr_list)	\
	X(dev, KVM_GET_MSRS, feature_msrs)				\
	X(vm, KVM_CREATE_VCPU, create_vcpu)				\
	X(vm, KVM_CREATE_VCPU, create_vcpu_with_apic)			\
	X(vm, KVM_CREATE_VCPU, create_vcpu_with_ring)			\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_create)			\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_create_logged)		\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_create_smm)		\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_delete)			\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_move)			\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_log)			\
	X(vm, KVM_SET_USER_MEMORY_REGION, slot_unlog)			\
	X(vm, KVM_SET_USER_MEMORY_REGION2, slot2_create)		\
	X(vm, XVM_SET_USER_MEMORY_REGIONS, batch_all_kinds)		\
	X(vm, XVM_SET_USER_MEMORY_REGIONS, batch_grow)			\
	X(vm, XVM_SET_USER_MEMORY_REGIONS, batch_shrink)		\
	X(vm, KVM_GET_DIRTY_LOG, get_log)				\
	X(vm, KVM_GET_DIRTY_LOG, get_log_manual)			\
	X(vm, KVM_CLEAR_DIRTY_LOG, clear_log)				\
	X(vm, KVM_RESET_DIRTY_RINGS, reset_rings)			\
	X(vm, KVM_ENABLE_CAP, enable_manual)				\
	X(vm, KVM_ENABLE_CAP, enable_ring)				\
	X(vm, KVM_ENABLE_CAP, enable_ring_acq_rel)			\
	X(vm, KVM_ENABLE_CAP, enable_payload)				\
	X(vm, KVM_ENABLE_CAP, enable_triple_fault)			\
	X(vm, KVM_ENABLE_CAP, enable_emulation_exit)			\
	X(vm, KVM_ENABLE_CAP, enable_max_vcpu_id)			\
	X(vm, KVM_SET_IDENTITY_MAP_ADDR, set_identity_map)		\
	X(vm, KVM_GET_STATS_FD, vm_stats)				\
	X(vm, XVM_VERIFY, verify)

#define FAILURES_VCPU_CALLS(X)						\
	X(vcpu, KVM_RUN, run_read)					\
	X(vcpu, KVM_RUN, run_write)					\
	X(vcpu, KVM_RUN, run_exec)					\
	X(vcpu, KVM_RUN, run_huge)					\
	X(vcpu, KVM_RUN, run_split)					\
	X(vcpu, KVM_RUN, run_collapse)					\
	X(vcpu, KVM_RUN, run_mmio)					\
	X(vcpu, KVM_RUN, run_first_mmio)				\
	X(vcpu, KVM_RUN, run_readonly)					\
	X(vcpu, KVM_RUN, run_string_io)					\
	X(vcpu, KVM_SET_SIGNAL_MASK, run_sigmask)			\
	X(vcpu, KVM_PRE_FAULT_MEMORY, prefault)				\
	X(vcpu, KVM_GET_STATS_FD, vcpu_stats)				\
	X(vcpu, KVM_GET_REGS, get_regs)					\
	X(vcpu, KVM_SET_REGS, set_regs)					\
	X(vcpu, KVM_GET_SREGS, get_sregs)				\
	X(vcpu, KVM_SET_SREGS, set_sregs)				\
	X(vcpu, KVM_GET_SREGS2, get_sregs2)				\
	X(vcpu, KVM_SET_SREGS2, set_sregs2)				\
	X(vcpu, KVM_GET_FPU, get_fpu)					\
	X(vcpu, KVM_SET_FPU, set_fpu)					\
	X(vcpu, KVM_GET_XSAVE, get_xsave)				\
	X(vcpu, KVM_GET_XSAVE2, get_xsave2)				\
	X(vcpu, KVM_SET_XSAVE, set_xsave)				\
	X(vcpu, KVM_GET_DEBUGREGS, get_debugregs)			\
	X(vcpu, KVM_SET_DEBUGREGS, set_debugregs)			\
	X(vcpu, KVM_GET_XCRS, get_xcrs)					\
	X(vcpu, KVM_SET_XCRS, set_xcrs)					\
	X(vcpu, KVM_GET_VCPU_EVENTS, get_events)			\
	X(vcpu, KVM_SET_VCPU_EVENTS, set_events)			\
	X(vcpu, KVM_GET_MP_STATE, get_mp_state)				\
	X(vcpu, KVM_SET_MP_STATE, set_mp_state)				\
	X(vcpu, KVM_GET_LAPIC, get_lapic)				\
	X(vcpu, KVM_SET_LAPIC, set_lapic)				\
	X(vcpu, KVM_GET_CPUID2, get_cpuid)				\
	X(vcpu, KVM_SET_CPUID2, set_cpuid)				\
	X(vcpu, KVM_GET_MSRS, get_msrs)					\
	X(vcpu, KVM_SET_MSRS, set_msrs)					\
	X(vcpu, KVM_INTERRUPT, interrupt)				\
	X(vcpu, KVM_TRANSLATE, translate)

/* They neither copy nor allocate: on what, which ioctl, its argument. */
#define FAILURES_NONE(X)						\
	X(dev, KVM_GET_API_VERSION, 0)					\
	X(dev, KVM_GET_VCPU_MMAP_SIZE, 0)				\
	X(dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY)		\
	X(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY)			\
	X(vm, KVM_CREATE_IRQCHIP, 0)					\
	X(vm, KVM_SET_BOOT_CPU_ID, 1)					\
	X(vm, KVM_SET_TSS_ADDR, 0xfffbd000)				\
	X(vm, KVM_SET_NR_MMU_PAGES, 1000)				\
	X(vm, KVM_GET_NR_MMU_PAGES, 0)					\
	X(vm, KVM_SET_TSC_KHZ, 0)					\
	X(vm, KVM_GET_TSC_KHZ, 0)					\
	X(vcpu, KVM_SET_TSC_KHZ, 0)					\
	X(vcpu, KVM_GET_TSC_KHZ, 0)					\
	X(vcpu, KVM_NMI, 0)

#define X(scope, cmd, name) extern const struct call call_##name;
FAILURES_CALLS(X)
FAILURES_VCPU_CALLS(X)
#undef X

/* A local APIC for each vCPU, to begin with. */
void with_apic(struct world *w);

#endif
