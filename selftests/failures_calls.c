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

static void must_enable(struct world *w, uint32_t cap, uint64_t value)
{
	long result = enable(w, cap, value);

	if (result)
		die("capability %u: %s", cap, strerror(-result));
}

static void with_ring(struct world *w)
{
	must_enable(w, KVM_CAP_DIRTY_LOG_RING, RING_BYTES);
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

/* Adds one to rcx words, a page apart, from rbx on. */
GUEST_ASM(write_pages, 64,
	  "1: incq (%rbx)\n"
	  "add $0x1000, %rbx\n"
	  "dec %ecx\n"
	  "jnz 1b\n"
	  "hlt");

static void start_at(struct world *w, const uint8_t *code, const uint8_t *end,
		     const struct kvm_regs *init)
{
	struct kvm_regs regs = *init;

	/* Behind the code that looks. */
	memcpy(w->g.mem + GUEST_CODE + 0x800, code, end - code);
	regs.rip = GUEST_CODE + 0x800;
	regs.rflags = 2;
	vcpu_set_regs(&w->g.cpu, &regs);
}

#define START(w, code, ...)						\
	start_at(w, code, code##_end, &(const struct kvm_regs){ __VA_ARGS__ })

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
	must_enable(w, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
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

/* Running */

GUEST_ASM(read_word, 64, "mov (%rbx), %rax; hlt");
GUEST_ASM(jump_to, 64, "jmp *%rbx");
GUEST_ASM(read_port, 64, "rep insb; hlt");

#define HUGE_BYTES 0x200000ul
/* More than a vCPU has tables at hand. */
#define NR_SPLIT 8

GUEST_ASM(write_large, 64, "1: mov %rcx, (%rbx); add $0x200000, %rbx; dec %rcx; jnz 1b; hlt");

static long run(struct world *w)
{
	struct kvm_run *exit = w->g.cpu.run;
	long result = vcpu_run(&w->g.cpu);

	/* Else the guest reads what an exit before, of another kind, has left there. */
	if (result == KVM_EXIT_MMIO && !exit->mmio.is_write)
		memset(exit->mmio.data, 0x5a, sizeof(exit->mmio.data));
	return result;
}

/* Memory that the host has yet to find. */
static uint8_t *absent(struct world *w, size_t size)
{
	uint8_t *memory = mem_alloc(size + HUGE_BYTES);

	memory += -(uintptr_t)memory & (HUGE_BYTES - 1);
	madvise(memory, size, size < HUGE_BYTES ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	guest_add_slot(&w->g, NEW, 0, NEW_GPA, size, memory);
	return memory;
}

static void at_absent(struct world *w)
{
	absent(w, SLOT_BYTES);
	START(w, read_word, .rbx = NEW_GPA + GUEST_PAGE);
}

/* The host has its page of zeros there. */
static void at_zeros(struct world *w)
{
	volatile uint8_t *memory = absent(w, SLOT_BYTES);

	(void)memory[GUEST_PAGE];
	START(w, write_pages, .rbx = NEW_GPA + GUEST_PAGE, .rcx = 2);
}

static void at_code(struct world *w)
{
	uint8_t *memory = absent(w, SLOT_BYTES);

	memcpy(memory + GUEST_PAGE, read_word, read_word_end - read_word);
	START(w, jump_to, .rbx = NEW_GPA + GUEST_PAGE);
}

static void at_huge(struct world *w)
{
	absent(w, 2 * HUGE_BYTES);
	START(w, write_pages, .rbx = NEW_GPA + GUEST_PAGE, .rcx = 2);
}

static void begin_split(struct world *w)
{
	START(w, write_large, .rbx = NEW_GPA, .rcx = NR_SPLIT);
}

static void map_new(struct world *w)
{
	begin_split(w);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
}

/*
 * Large leaves that their slot's log has not split, as there was no memory for the
 * parts at the time: writes have to.
 */
static void log_without_split(struct world *w, uint8_t *memory)
{
	unsigned int n, rounds;
	enum fail_kind failed;
	long ret;

	/* The first page to fail may be a slab's, or one that is not needed: then again. */
	for (rounds = 0; rounds < 20; rounds++) {
		for (n = 1, failed = FAIL_SLAB; failed != FAIL_NONE && failed != FAIL_PAGE; n++) {
			fail_arm(n);
			ret = guest_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA,
					 NR_SPLIT * HUGE_BYTES, memory);
			failed = fail_disarm();
			if (!ret && read_stat(w->g.vm, "pages_2m") == NR_SPLIT)
				return;
			guest_add_slot(&w->g, NEW, 0, NEW_GPA, NR_SPLIT * HUGE_BYTES, memory);
			map_new(w);
		}
	}
	die("the large leaves were split every time");
}

static void at_split(struct world *w)
{
	uint8_t *memory = absent(w, NR_SPLIT * HUGE_BYTES);
	unsigned int i;

	for (i = 0; i < NR_SPLIT; i++)
		memory[i * HUGE_BYTES] = 1;
	if (!huge_collapse(memory, NR_SPLIT * HUGE_BYTES))
		die("no transparent huge pages");
	map_new(w);
	/* KVM's log complains in the kernel log. */
	if (device_is_xvm(w->g.dev) && device_has_npt(w->g.dev))
		log_without_split(w, memory);
	else
		guest_add_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, NR_SPLIT * HUGE_BYTES,
			       memory);
	begin_split(w);
}

/* Small leaves where the host has a large page by now. */
static void at_collapse(struct world *w)
{
	uint8_t *memory = absent(w, HUGE_BYTES);

	madvise(memory, HUGE_BYTES, MADV_NOHUGEPAGE);
	*memory = 1;
	START(w, read_word, .rbx = NEW_GPA);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
	madvise(memory, HUGE_BYTES, MADV_HUGEPAGE);
	if (!huge_collapse(memory, HUGE_BYTES))
		die("no transparent huge pages");
	START(w, read_word, .rbx = NEW_GPA);
}

/* How many are large. */
static long large_leaves(struct world *w)
{
	return read_stat(w->g.vm, "pages_2m");
}

static void at_nothing(struct world *w)
{
	START(w, read_word, .rbx = NEW_GPA);
}

/* The vCPU has emulated nothing before. */
static void first_at_nothing(struct world *w)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rbx = NEW_GPA };

	guest_long_mode(&w->g, &w->v, GUEST_CODE);
	vcpu_set_regs(&w->v, &regs);
}

static long run_first(struct world *w)
{
	return vcpu_run(&w->v);
}

static void at_readonly(struct world *w)
{
	START(w, write_pages, .rbx = READONLY_GPA, .rcx = 1);
}

static void at_port(struct world *w)
{
	absent(w, SLOT_BYTES);
	START(w, read_port, .rdi = NEW_GPA, .rcx = 512, .rdx = 0x3f8);
}

static long sigmask(struct world *w)
{
	/* struct kvm_signal_mask with its set of eight bytes. */
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };

	return kioctl(w->v.fd, KVM_SET_SIGNAL_MASK, &mask);
}

static long prefault(struct world *w)
{
	struct kvm_pre_fault_memory range = { .gpa = NEW_GPA, .size = SLOT_BYTES };

	return kioctl(w->g.cpu.fd, KVM_PRE_FAULT_MEMORY, &range);
}

#define RUN(name, at, ...)							\
	const struct call call_run_##name = {					\
		"run_" #name, .setup = at, .call = run, .runs = true, __VA_ARGS__ \
	}

RUN(read, at_absent);
RUN(write, at_zeros);
RUN(exec, at_code);
RUN(huge, at_huge);
RUN(split, at_split, .effect = large_leaves);
RUN(collapse, at_collapse, .effect = large_leaves);
RUN(mmio, at_nothing);
RUN(readonly, at_readonly);
RUN(string_io, at_port);
const struct call call_run_first_mmio = {
	"run_first_mmio", .setup = first_at_nothing, .call = run_first, .runs = true,
};

const struct call call_run_sigmask = { "run_sigmask", .call = sigmask };
const struct call call_prefault = {
	"prefault", .setup = at_absent, .call = prefault, .runs = true, .nested_only = true,
};

/* Dirty rings */

#define RING_ENTRIES (RING_BYTES / sizeof(struct kvm_dirty_gfn))
/* Nobody looks at these pages. */
#define FIRST_WRITTEN 2
#define NR_WRITTEN 2

static void write_logged(struct world *w, uint64_t gpa)
{
	START(w, write_pages, .rbx = gpa, .rcx = NR_WRITTEN);
	if (run(w) != KVM_EXIT_HLT)
		die("the guest stopped early");
}

/*
 * A large leaf is writable although its slot is logged, as the log began full.  The
 * entries are of other pages, but what they say now has it split, and its parts protected.
 */
static void at_entries(struct world *w)
{
	uint8_t *memory = absent(w, 2 * HUGE_BYTES);
	unsigned int i;

	must_enable(w, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		    KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	*memory = 1;
	if (!huge_collapse(memory, HUGE_BYTES))
		die("no transparent huge pages");
	write_logged(w, NEW_GPA);
	guest_add_slot(&w->g, NEW, KVM_MEM_LOG_DIRTY_PAGES, NEW_GPA, 2 * HUGE_BYTES, memory);
	write_logged(w, NEW_GPA + HUGE_BYTES);

	w->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->g.cpu.fd,
		       KVM_DIRTY_LOG_PAGE_OFFSET * GUEST_PAGE);
	if (w->ring == MAP_FAILED)
		die("mmap of the ring: %m");
	for (i = 0; i < NR_WRITTEN; i++) {
		if (w->ring[i].flags != KVM_DIRTY_GFN_F_DIRTY || w->ring[i].slot != NEW)
			die("no entry for page %u", i);
		w->ring[i].offset = FIRST_WRITTEN + i;
		w->ring[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
}

static long reset_rings(struct world *w)
{
	return kioctl(w->g.vm, KVM_RESET_DIRTY_RINGS, 0ul);
}

/* How many of the pages are protected: writes to them are in the ring. */
static long logged_writes(struct world *w)
{
	unsigned int i;
	long n = 0;

	write_logged(w, NEW_GPA + FIRST_WRITTEN * GUEST_PAGE);
	for (i = 0; i < RING_ENTRIES; i++)
		n += w->ring[i].flags == KVM_DIRTY_GFN_F_DIRTY;
	return n;
}

const struct call call_reset_rings = {
	"reset_rings", .begin = with_ring, .setup = at_entries, .call = reset_rings,
	.effect = logged_writes, .nested_only = true,
};

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
