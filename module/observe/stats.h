/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of a VM and of a vCPU, and the ways user space reads them: KVM's
 * binary statistics (KVM_GET_STATS_FD) and per-VM debugfs files.  Names are
 * KVM's where they mean the same.
 *
 * A vCPU's counters are written by its own thread alone and may be read by
 * anyone at any time; a VM's are atomic.
 */
#ifndef XVM_OBSERVE_STATS_H
#define XVM_OBSERVE_STATS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct xvm;
struct xvm_vcpu;
struct dentry;

/* X(name, type, unit): KVM_STATS_TYPE_ and KVM_STATS_UNIT_ */
#define XVM_VM_STATS(X)					\
	X(pages_4k, INSTANT, NONE)			\
	X(pages_2m, INSTANT, NONE)			\
	X(pages_1g, INSTANT, NONE)			\
	X(table_pages, INSTANT, NONE)			\
	X(max_mmu_rmap_size, PEAK, NONE)		\
	X(rmap_bytes, INSTANT, BYTES)			\
	X(remote_tlb_flush, CUMULATIVE, NONE)		\
	X(remote_tlb_flush_requests, CUMULATIVE, NONE)	\
	X(remote_tlb_flush_ranged, CUMULATIVE, NONE)	\
	X(remote_tlb_flush_merged, CUMULATIVE, NONE)	\
	X(remote_tlb_flush_skipped, CUMULATIVE, NONE)	\
	X(remote_tlb_flush_ipis, CUMULATIVE, NONE)

/* Of struct memslot_stats, shown as memslot_NAME among the VM's. */
#define XVM_MEMSLOT_STATS(X)				\
	X(updates, CUMULATIVE, NONE)			\
	X(changes, CUMULATIVE, NONE)			\
	X(grace_skipped, CUMULATIVE, NONE)		\
	X(grace_polled, CUMULATIVE, NONE)		\
	X(grace_waited, CUMULATIVE, NONE)		\
	X(grace_deferred, CUMULATIVE, NONE)

#define XVM_VCPU_STATS(X)				\
	X(exits, CUMULATIVE, NONE)			\
	X(io_exits, CUMULATIVE, NONE)			\
	X(mmio_exits, CUMULATIVE, NONE)			\
	X(signal_exits, CUMULATIVE, NONE)		\
	X(irq_exits, CUMULATIVE, NONE)			\
	X(irq_window_exits, CUMULATIVE, NONE)		\
	X(halt_exits, CUMULATIVE, NONE)			\
	X(halt_wakeup, CUMULATIVE, NONE)		\
	X(nmi_injections, CUMULATIVE, NONE)		\
	X(irq_injections, CUMULATIVE, NONE)		\
	X(insn_emulation, CUMULATIVE, NONE)		\
	X(insn_emulation_fail, CUMULATIVE, NONE)	\
	X(pf_taken, CUMULATIVE, NONE)			\
	X(pf_fixed, CUMULATIVE, NONE)			\
	X(pf_around, CUMULATIVE, NONE)			\
	X(pf_emulate, CUMULATIVE, NONE)			\
	X(pf_spurious, CUMULATIVE, NONE)		\
	X(pf_retry, CUMULATIVE, NONE)			\
	X(tlb_flush, CUMULATIVE, NONE)			\
	X(asid_flush, CUMULATIVE, NONE)			\
	X(sections, CUMULATIVE, NONE)

struct xvm_vm_stat {
#define X(name, type, unit) atomic64_t name;
	XVM_VM_STATS(X)
#undef X
};

struct xvm_vcpu_stat {
#define X(name, type, unit) u64 name;
	XVM_VCPU_STATS(X)
#undef X
};

enum {
#define X(name, type, unit) + 1
	XVM_NR_VM_STATS = 0 XVM_VM_STATS(X) XVM_MEMSLOT_STATS(X),
	XVM_NR_VCPU_STATS = 0 XVM_VCPU_STATS(X),
#undef X
};

/* What a debugfs file shows: a statistic of the VM, or the sum of one over its vCPUs. */
struct xvm_stat_file {
	struct xvm *xvm;
	unsigned int index;
};

/* Per-VM part of observe/. */
struct xvm_observe {
	pid_t pid;		/* the creator's */
	struct dentry *dir;
	struct xvm_stat_file vm_files[XVM_NR_VM_STATS];
	struct xvm_stat_file vcpu_files[XVM_NR_VCPU_STATS];
};

int xvm_observe_init(void);		/* module load: /sys/kernel/debug/xvm */
void xvm_observe_exit(void);
void xvm_observe_vm_create(struct xvm *xvm, int fd);	/* folder PID-FD, as KVM names it */
void xvm_observe_vm_destroy(struct xvm *xvm);

/* A new descriptor, which holds a reference to the VM, or -errno. */
int xvm_vm_stats_fd(struct xvm *xvm);
int xvm_vcpu_stats_fd(struct xvm_vcpu *vcpu);

#endif
