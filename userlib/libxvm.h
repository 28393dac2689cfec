/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxvm: thin wrappers around the calls of /dev/xvm and /dev/kvm.
 *
 * Every function that can fail returns a negative errno; others return 0, a
 * file descriptor or a count.  No function prints, keeps global state or starts
 * threads: calls on distinct descriptors may run at the same time.
 */
#ifndef LIBXVM_H
#define LIBXVM_H

#include <stddef.h>
#include <stdint.h>
#include <xvm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Device: xvm_open(3) */
int xvm_open(const char *device);
int xvm_close(int fd);
int xvm_ioctl(int fd, unsigned long request, void *arg);
int xvm_check(int fd, unsigned long cap);

/* VM: xvm_create_vm(3) */
int xvm_create_vm(int device, unsigned long type);
int xvm_verify(int vm, struct xvm_verify *result);

/* Guest memory: xvm_set_memory(3) */
int xvm_set_memory(int vm, uint32_t slot, uint64_t gpa, uint64_t size,
		   void *hva, uint32_t flags);
int xvm_delete_memory(int vm, uint32_t slot);

/* Many memslots at once: xvm_batch(3) */
struct xvm_batch;

struct xvm_batch *xvm_batch_new(void);
void xvm_batch_free(struct xvm_batch *batch);
void xvm_batch_reset(struct xvm_batch *batch);
int xvm_batch_set(struct xvm_batch *batch, uint32_t slot, uint64_t gpa,
		  uint64_t size, void *hva, uint32_t flags);
int xvm_batch_delete(struct xvm_batch *batch, uint32_t slot);
int xvm_batch_commit(const struct xvm_batch *batch, int vm, uint32_t *failed);

/* vCPU: xvm_create_vcpu(3) */
int xvm_create_vcpu(int device, int vm, unsigned long id, struct kvm_run **run);
int xvm_close_vcpu(int device, int vcpu, struct kvm_run *run);
int xvm_run(int vcpu);

/* vCPU state: xvm_get_regs(3) */
int xvm_get_regs(int vcpu, struct kvm_regs *regs);
int xvm_set_regs(int vcpu, const struct kvm_regs *regs);
int xvm_get_sregs(int vcpu, struct kvm_sregs *sregs);
int xvm_set_sregs(int vcpu, const struct kvm_sregs *sregs);
int xvm_get_fpu(int vcpu, struct kvm_fpu *fpu);
int xvm_set_fpu(int vcpu, const struct kvm_fpu *fpu);
int xvm_get_mp_state(int vcpu, struct kvm_mp_state *state);
int xvm_set_mp_state(int vcpu, const struct kvm_mp_state *state);
int xvm_get_events(int vcpu, struct kvm_vcpu_events *events);
int xvm_set_events(int vcpu, const struct kvm_vcpu_events *events);
int xvm_get_msr(int vcpu, uint32_t index, uint64_t *value);
int xvm_set_msr(int vcpu, uint32_t index, uint64_t value);

/* x86 start states: xvm_x86(3) */
#define XVM_X86_TABLES_SIZE 0x6000

int xvm_x86_set_cpuid(int device, int vcpu);
int xvm_x86_real_mode(int vcpu, uint16_t cs, uint16_t ip);
int xvm_x86_long_mode(int vcpu, void *tables, uint64_t tables_gpa,
		      uint64_t rip, uint64_t rsp);

/* Statistics of a VM or vCPU: xvm_stats(3) */
struct xvm_stats;

int xvm_stats_open(int fd, struct xvm_stats **stats);
void xvm_stats_close(struct xvm_stats *stats);
int xvm_stats_read(struct xvm_stats *stats);
int xvm_stats_count(const struct xvm_stats *stats);
const char *xvm_stats_name(const struct xvm_stats *stats, int index);
int xvm_stats_find(const struct xvm_stats *stats, const char *name);
uint64_t xvm_stats_value(const struct xvm_stats *stats, int index);

#ifdef __cplusplus
}
#endif

#endif /* LIBXVM_H */
