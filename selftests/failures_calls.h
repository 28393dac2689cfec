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

#define WORLD_MAX_STATS 64

struct world;

struct call {
	const char *name;
	/* After the slots, before the vCPUs; after all of it. */
	void (*begin)(struct world *w);
	void (*setup)(struct world *w);
	/* The ioctl's result or -errno; 0 for a descriptor, which it closes. */
	long (*call)(struct world *w);
	const char *xvm_only;	/* why KVM isn't asked */
	bool nested_only;	/* there is no such call without nested paging */
	bool bare;	/* in a process without a VM */
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
	uint8_t cpu[WORLD_CPU_BYTES];	/* of vCPU 1 */
	uint8_t arg[3 * 4096];		/* what the call gave back */
};

/* failures_world.c */
void world_create(struct world *w, int dev, const struct call *call);
void world_destroy(struct world *w);
void world_state(struct world *w, struct world_state *state);
/* Ends the test case if they differ. */
void world_compare(const char *call, const struct world_state *expected,
		   const struct world_state *found);
void world_stats(struct world *w, uint64_t *values);
/* The first that is not what it was, or NULL. */
const char *world_stats_differ(struct world *w, const uint64_t *before);

/* failures_calls.c, failures_state.c */
#define FAILURES_CALLS(X)						\
	X(create_vm) X(create_vcpu) X(create_vcpu_with_apic)		\
	X(slot_create) X(slot_create_logged) X(slot_create_smm)		\
	X(slot_delete) X(slot_move) X(slot_log) X(slot_unlog)		\
	X(batch_all_kinds) X(batch_grow) X(batch_shrink)		\
	X(get_log) X(get_log_manual) X(clear_log) X(enable_manual)	\
	X(vm_stats) X(vcpu_stats) X(verify)				\
	X(run_read) X(run_write) X(run_exec) X(run_huge) X(run_split)	\
	X(run_mmio) X(run_first_mmio) X(run_readonly) X(run_string_io)	\
	X(run_sigmask) X(prefault)					\
	X(supported_cpuid) X(msr_list) X(feature_msrs)			\
	X(get_regs) X(set_regs) X(get_sregs) X(set_sregs)		\
	X(get_sregs2) X(set_sregs2) X(get_fpu) X(set_fpu)		\
	X(get_xsave) X(get_xsave2) X(set_xsave)				\
	X(get_debugregs) X(set_debugregs) X(get_xcrs) X(set_xcrs)	\
	X(get_events) X(set_events) X(get_mp_state) X(set_mp_state)	\
	X(get_lapic) X(set_lapic) X(get_cpuid) X(set_cpuid)		\
	X(get_msrs) X(set_msrs) X(translate)

#define X(name) extern const struct call call_##name;
FAILURES_CALLS(X)
#undef X

/* A local APIC for each vCPU, to begin with. */
void with_apic(struct world *w);

#endif
