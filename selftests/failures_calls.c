// SPDX-License-Identifier: GPL-2.0-only
#include "failures_calls.h"

#include <string.h>

#include "batch.h"
#include "huge.h"

#define NO_SUCH_CALL "stock KVM has no such call"
#define LOUD "where stock KVM's vmalloc() fails, the kernel log gets a trace"

static long closed(long fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* VMs, vCPUs */

static long create_vm(struct world *w)
{
	return closed(kioctl(w->g.dev, KVM_CREATE_VM, 0ul));
}

static long create_vcpu(struct world *w)
{
	return closed(kioctl(w->g.vm, KVM_CREATE_VCPU, 2ul));
}

void with_apic(struct world *w)
{
	w->apic = true;
	xioctl(w->g.vm, KVM_CREATE_IRQCHIP, 0ul);
}

static long enable(struct world *w, uint32_t cap, uint64_t value)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { value } };

	return kioctl(w->g.vm, KVM_ENABLE_CAP, &enable);
}

void world_enable(struct world *w, uint32_t cap, uint64_t value)
{
	long result = enable(w, cap, value);

	if (result)
		die("capability %u: %s", cap, strerror(-result));
}

void with_ring(struct world *w)
{
	world_enable(w, KVM_CAP_DIRTY_LOG_RING, RING_BYTES);
}

const struct call call_create_vm = {
	"create_vm", .call = create_vm, .bare = true, .xvm_only = LOUD,
};

const struct call call_create_vcpu = { "create_vcpu", .call = create_vcpu, .xvm_only = LOUD };
const struct call call_create_vcpu_with_apic = {
	"create_vcpu_with_apic", .begin = with_apic, .call = create_vcpu, .xvm_only = LOUD,
};

const struct call call_create_vcpu_with_ring = {
	"create_vcpu_with_ring", .begin = with_ring, .call = create_vcpu, .xvm_only = LOUD,
};

/* Memslots */

static long slot(struct world *w, uint32_t id, uint32_t flags, uint64_t gpa, uint64_t size)
{
	return guest_slot(&w->g, id, flags, gpa, size, w->memory[id & 0xffff]);
}

static long slot_create(struct world *w)
{
	return slot(w, NEW, 0, NEW_GPA, SLOT_BYTES);
}

static long slot_create_logged(struct world *w)
{
	return slot(w, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, SLOT_BYTES);
}

static long slot_create_smm(struct world *w)
{
	return slot(w, 1 << 16 | NEW, 0, PLAIN_GPA, SLOT_BYTES);
}

static long slot2_create(struct world *w)
{
	return guest_slot2(&w->g, NEW, 0, NEW_GPA, SLOT_BYTES, w->memory[NEW]);
}

static long slot_delete(struct world *w)
{
	return slot(w, PLAIN, 0, 0, 0);
}

static long slot_move(struct world *w)
{
	return slot(w, LOGGED, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, SLOT_BYTES);
}

static long slot_log(struct world *w)
{
	return slot(w, PLAIN, KVM_MEM_LOG_DIRTY_PAGES, PLAIN_GPA, SLOT_BYTES);
}

static long slot_unlog(struct world *w)
{
	return slot(w, LOGGED, 0, LOGGED_GPA, SLOT_BYTES);
}

const struct call call_slot_create = { "slot_create", .call = slot_create, .xvm_only = LOUD };
const struct call call_slot_create_logged = {
	"slot_create_logged", .call = slot_create_logged, .xvm_only = LOUD,
};

const struct call call_slot_create_smm = {
	"slot_create_smm", .call = slot_create_smm, .xvm_only = LOUD,
};

const struct call call_slot2_create = { "slot2_create", .call = slot2_create, .xvm_only = LOUD };
const struct call call_slot_delete = { "slot_delete", .call = slot_delete };
const struct call call_slot_move = { "slot_move", .call = slot_move, .xvm_only = LOUD };
const struct call call_slot_log = { "slot_log", .call = slot_log, .xvm_only = LOUD };
const struct call call_slot_unlog = { "slot_unlog", .call = slot_unlog };

/* One of each kind: a move with other flags, a deletion, a new size and hva, a creation. */
static long batch_all_kinds(struct world *w)
{
	struct xvm_memory_change changes[] = {
		change_set(LOGGED, NEW_GPA, SLOT_BYTES, w->memory[LOGGED]),
		change_delete(READONLY),
		change_delete(PLAIN),
		change_set(PLAIN, PLAIN_GPA, SLOT_BYTES / 2, w->memory[NEW]),
		change_set(NEW, LOGGED_GPA, SLOT_BYTES, w->memory[NEW]),
	};

	changes[4].region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	return apply(&w->g, changes, 5, NULL);
}

#define MANY_SLOTS 24

/* So many that the tables grow. */
static long batch_grow(struct world *w)
{
	struct xvm_memory_change changes[MANY_SLOTS];
	int i;

	for (i = 0; i < MANY_SLOTS; i++) {
		changes[i] = change_set(NEW + i, NEW_GPA + i * GUEST_PAGE, GUEST_PAGE,
					w->memory[NEW]);
		changes[i].region.flags = i % 2 ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	}
	return apply(&w->g, changes, MANY_SLOTS, NULL);
}

static void grow(struct world *w)
{
	if (batch_grow(w))
		die("a batch of %d", MANY_SLOTS);
}

static long batch_shrink(struct world *w)
{
	struct xvm_memory_change changes[MANY_SLOTS];
	int i;

	for (i = 0; i < MANY_SLOTS; i++)
		changes[i] = change_delete(NEW + i);
	return apply(&w->g, changes, MANY_SLOTS, NULL);
}

const struct call call_batch_all_kinds = {
	"batch_all_kinds", .call = batch_all_kinds, .xvm_only = NO_SUCH_CALL,
};

const struct call call_batch_grow = { "batch_grow", .call = batch_grow, .xvm_only = NO_SUCH_CALL };
const struct call call_batch_shrink = {
	"batch_shrink", .setup = grow, .call = batch_shrink, .xvm_only = NO_SUCH_CALL,
};

/* Dirty logs */

GUEST_ASM(write_pages, 64,
	  "1: incq (%rbx)\n"
	  "add $0x1000, %rbx\n"
	  "dec %ecx\n"
	  "jnz 1b\n"
	  "hlt");
asm(".globl write_pages, write_pages_end");

void world_start(struct world *w, const uint8_t *code, const uint8_t *end,
		 const struct kvm_regs *init)
{
	struct kvm_regs regs = *init;

	/* Behind the code that looks. */
	memcpy(w->g.mem + GUEST_CODE + 0x800, code, end - code);
	regs.rip = GUEST_CODE + 0x800;
	regs.rflags = 2;
	vcpu_set_regs(&w->g.cpu, &regs);
}

static void dirty(struct world *w)
{
	START(w, write_pages, .rbx = LOGGED_GPA + 3 * GUEST_PAGE, .rcx = 5);
	if (vcpu_run(&w->g.cpu) != KVM_EXIT_HLT)
		die("the guest stopped early");
}

static long get_log(struct world *w)
{
	struct kvm_dirty_log log = { .slot = LOGGED, .dirty_bitmap = w->arg.bytes };

	return kioctl(w->g.vm, KVM_GET_DIRTY_LOG, &log);
}

static void dirty_manual(struct world *w)
{
	world_enable(w, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	dirty(w);
}

static void dirty_got(struct world *w)
{
	dirty_manual(w);
	if (get_log(w))
		die("KVM_GET_DIRTY_LOG: %m");
}

static long clear_log(struct world *w)
{
	struct kvm_clear_dirty_log log = {
		.slot = LOGGED,
		.num_pages = SLOT_PAGES,
		.dirty_bitmap = w->arg.bytes,
	};

	return kioctl(w->g.vm, KVM_CLEAR_DIRTY_LOG, &log);
}

const struct call call_get_log = {
	"get_log", .setup = dirty, .call = get_log,
	.xvm_only = "stock KVM forgets what it could not copy",
};

const struct call call_get_log_manual = {
	"get_log_manual", .setup = dirty_manual, .call = get_log,
};

const struct call call_clear_log = { "clear_log", .setup = dirty_got, .call = clear_log };

/* What looks at a VM */

static long vm_stats(struct world *w)
{
	return closed(kioctl(w->g.vm, KVM_GET_STATS_FD, 0ul));
}

static long vcpu_stats(struct world *w)
{
	return closed(kioctl(w->v.fd, KVM_GET_STATS_FD, 0ul));
}

static long verify(struct world *w)
{
	return kioctl(w->g.vm, XVM_VERIFY, &w->arg.verify);
}

const struct call call_vm_stats = { "vm_stats", .call = vm_stats };
const struct call call_vcpu_stats = { "vcpu_stats", .call = vcpu_stats };
const struct call call_verify = { "verify", .call = verify, .xvm_only = NO_SUCH_CALL };

/* What a VM is told */

#define ENABLE(name, NAME, value, ...)					\
	static long enable_##name(struct world *w)			\
	{								\
		return enable(w, KVM_CAP_##NAME, value);		\
	}								\
									\
	const struct call call_enable_##name = {			\
		"enable_" #name, .call = enable_##name, __VA_ARGS__	\
	}

/* Any id but those that are there. */
static long create_vcpu_100(struct world *w)
{
	return closed(kioctl(w->g.vm, KVM_CREATE_VCPU, 100ul));
}

ENABLE(manual, MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
/* Else there is nothing to reset. */
ENABLE(ring, DIRTY_LOG_RING, RING_BYTES, .no_vcpus = true, .effect = reset_rings);
ENABLE(ring_acq_rel, DIRTY_LOG_RING_ACQ_REL, RING_BYTES, .no_vcpus = true, .effect = reset_rings);
/* A vCPU's events tell of both. */
ENABLE(payload, EXCEPTION_PAYLOAD, 1);
ENABLE(triple_fault, X86_TRIPLE_FAULT_EVENT, 1);
ENABLE(emulation_exit, EXIT_ON_EMULATION_FAILURE, 1);
ENABLE(max_vcpu_id, MAX_VCPU_ID, 50, .effect = create_vcpu_100);

static long set_identity_map(struct world *w)
{
	uint64_t addr = 0xfffbc000;

	return kioctl(w->g.vm, KVM_SET_IDENTITY_MAP_ADDR, &addr);
}

const struct call call_set_identity_map = {
	"set_identity_map", .call = set_identity_map, .no_vcpus = true,
};
