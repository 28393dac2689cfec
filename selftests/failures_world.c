// SPDX-License-Identifier: GPL-2.0-only
#include "failures_calls.h"

#include <stdio.h>
#include <string.h>

#include "x86.h"

/* Reads words where a list of rcx addresses at rsi says; what they are goes to rdi. */
GUEST_ASM(peek, 64,
	  "1: mov (%rsi), %rbx; mov (%rbx), %rax; mov %rax, (%rdi)\n"
	  "add $8, %rsi; add $8, %rdi; dec %ecx; jnz 1b; hlt");

#define PEEK_FROM GUEST_DATA
#define PEEK_TO (GUEST_DATA + WORLD_PROBES * 8)

/* A page that the guest finds no memory at. */
#define NOTHING 0xdeadbeefdeadbeef

static void add_slot(struct world *w, uint32_t id, uint32_t flags, uint64_t gpa)
{
	int i;

	w->memory[id] = mem_alloc(SLOT_BYTES);
	/* Large pages come and go by themselves, and count. */
	madvise(w->memory[id], SLOT_BYTES, MADV_NOHUGEPAGE);
	for (i = 0; i < SLOT_PAGES; i++)
		*(uint64_t *)(w->memory[id] + i * GUEST_PAGE) = id * 1000 + i;
	if (gpa)
		guest_add_slot(&w->g, id, flags, gpa, SLOT_BYTES, w->memory[id]);
}

static void look_around(struct world *w, uint64_t *map)
{
	static const uint64_t bases[] = { PLAIN_GPA, LOGGED_GPA, READONLY_GPA, NEW_GPA,
					  NEW_GPA + SLOT_BYTES, NEW_GPA + 2 * SLOT_BYTES };
	static const int pages[] = { 0, 1, SLOT_PAGES / 2, SLOT_PAGES - 1 };
	const uint64_t nothing = NOTHING;
	uint64_t *from = (void *)(w->g.mem + PEEK_FROM);
	struct vcpu *v = &w->g.cpu;
	unsigned int i, j, n = 0;
	struct kvm_regs regs;
	int ret;

	if (w->apic)
		return;
	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		for (j = 0; j < sizeof(pages) / sizeof(pages[0]); j++)
			from[n++] = bases[i] + pages[j] * GUEST_PAGE;
	regs = (struct kvm_regs){ .rip = GUEST_CODE, .rflags = 2, .rcx = n, .rsi = PEEK_FROM,
				  .rdi = PEEK_TO };
	vcpu_set_regs(v, &regs);
	while ((ret = vcpu_run(v)) == KVM_EXIT_MMIO)
		memcpy(v->run->mmio.data, &nothing, sizeof(nothing));
	if (ret != KVM_EXIT_HLT)
		die("a look around: %s", exit_name(ret));
	memcpy(map, w->g.mem + PEEK_TO, n * sizeof(*map));
}

static void open_stats(struct world *w)
{
	struct kvm_stats_header header;
	uint32_t i;

	w->stats = xioctl(w->g.vm, KVM_GET_STATS_FD, 0ul);
	if (pread(w->stats, &header, sizeof(header), 0) != sizeof(header))
		die("statistics: %m");
	w->values = header.data_offset;
	if (header.num_desc > WORLD_MAX_STATS)
		die("%u statistics", header.num_desc);
	w->nr_stats = device_is_xvm(w->g.dev) ? header.num_desc : 0;
	for (i = 0; i < w->nr_stats; i++)
		if (pread(w->stats, w->stat_names[i], header.name_size,
			  header.desc_offset + sizeof(struct kvm_stats_desc) +
			  i * (sizeof(struct kvm_stats_desc) + header.name_size)) < 0)
			die("statistics: %m");
}

void world_create(struct world *w, int dev, const struct call *call)
{
	struct guest *g = &w->g;
	uint64_t map[WORLD_PROBES];

	memset(w, 0, sizeof(*w));
	g->vm = -1;
	g->dev = dev;
	w->stats = -1;
	w->v.fd = -1;
	if (call->bare)
		return;
	guest_create_bare(g, dev);
	g->mem_size = GUEST_SIZE;
	g->mem = mem_alloc(g->mem_size);
	madvise(g->mem, g->mem_size, MADV_NOHUGEPAGE);
	guest_add_slot(g, 0, 0, 0, g->mem_size, g->mem);
	add_slot(w, PLAIN, 0, PLAIN_GPA);
	add_slot(w, LOGGED, KVM_MEM_LOG_DIRTY_PAGES, LOGGED_GPA);
	add_slot(w, READONLY, KVM_MEM_READONLY, READONLY_GPA);
	add_slot(w, NEW, 0, 0);
	if (call->begin)
		call->begin(w);
	if (!call->no_vcpus) {
		vcpu_create(g, &g->cpu, 0);
		vcpu_create(g, &w->v, 1);
		guest_load(g, peek, peek_end);
		guest_long_mode(g, &g->cpu, GUEST_CODE);
		/* So that leaves are there which a failed call must leave alone. */
		look_around(w, map);
	}
	open_stats(w);
	if (call->setup)
		call->setup(w);
}

void world_destroy(struct world *w)
{
	int i;

	if (w->g.vm < 0)
		return;
	close(w->stats);
	if (w->ring)
		munmap(w->ring, RING_BYTES);
	vcpu_destroy(&w->v);
	guest_destroy(&w->g);
	for (i = PLAIN; i <= NEW; i++)
		munmap(w->memory[i], SLOT_BYTES);
}

/* One structure after the other; what a device doesn't have stays zero. */
static size_t append(uint8_t *cpu, size_t used, int fd, unsigned long get, size_t size)
{
	if (used + size > WORLD_CPU_BYTES)
		die("the state of a vCPU is larger than %d bytes", WORLD_CPU_BYTES);
	if (ioctl(fd, get, cpu + used))
		memset(cpu + used, 0, size);
	return used + size;
}

static void cpu_state(int fd, uint8_t *cpu)
{
	static const uint32_t msrs[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_STAR,
		MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
	};
	const size_t nr = sizeof(msrs) / sizeof(msrs[0]);
	struct kvm_cpuid2 *cpuid;
	struct kvm_msrs *values;
	size_t used = 0, i;

	memset(cpu, 0, WORLD_CPU_BYTES);
	used = append(cpu, used, fd, KVM_GET_REGS, sizeof(struct kvm_regs));
	used = append(cpu, used, fd, KVM_GET_SREGS, sizeof(struct kvm_sregs));
	used = append(cpu, used, fd, KVM_GET_FPU, sizeof(struct kvm_fpu));
	used = append(cpu, used, fd, KVM_GET_XSAVE, sizeof(struct kvm_xsave));
	used = append(cpu, used, fd, KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs));
	used = append(cpu, used, fd, KVM_GET_XCRS, sizeof(struct kvm_xcrs));
	used = append(cpu, used, fd, KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events));
	used = append(cpu, used, fd, KVM_GET_MP_STATE, sizeof(struct kvm_mp_state));
	values = (void *)(cpu + used);
	values->nmsrs = nr;
	for (i = 0; i < nr; i++)
		values->entries[i].index = msrs[i];
	used = append(cpu, used, fd, KVM_GET_MSRS,
		      sizeof(*values) + nr * sizeof(values->entries[0]));
	/* 64-bit fields, and an odd number of 32-bit ones before. */
	used = (used + 7) & ~7ul;
	cpuid = (void *)(cpu + used);
	cpuid->nent = 200;
	append(cpu, used, fd, KVM_GET_CPUID2,
	       sizeof(*cpuid) + cpuid->nent * sizeof(cpuid->entries[0]));
}

static uint64_t slots(struct world *w)
{
	struct xvm_verify verify = {};

	if (!device_is_xvm(w->g.dev))
		return 0;
	xioctl(w->g.vm, XVM_VERIFY, &verify);
	return verify.slots;
}

/* As the vCPUs see it. */
static void guest_state(struct world *w, const struct call *call, struct world_state *state)
{
	struct kvm_regs regs;

	/* What user space was asked for is done with, before the guest does something else. */
	w->g.cpu.run->immediate_exit = 1;
	vcpu_run(&w->g.cpu);
	w->g.cpu.run->immediate_exit = 0;
	vcpu_get_regs(&w->g.cpu, &regs);
	state->map[WORLD_PROBES - 1] = regs.rax;
	state->map[WORLD_PROBES - 2] = regs.rip;
	cpu_state(w->v.fd, state->cpu);
	look_around(w, state->map);
	if (call->effect)
		state->effect = call->effect(w);
	/* Where a run is to begin, or has ended. */
	vcpu_set_regs(&w->g.cpu, &regs);
}

void world_state(struct world *w, const struct call *call, struct world_state *state)
{
	memset(state, 0, sizeof(*state));
	memcpy(state->arg, &w->arg, sizeof(w->arg));
	if (w->g.vm < 0)
		return;
	state->slots = slots(w);
	if (!call->no_vcpus)
		guest_state(w, call, state);
	else if (call->effect)
		state->effect = call->effect(w);
}

void world_compare(const char *call, const struct world_state *expected,
		   const struct world_state *found)
{
	unsigned int i;

	for (i = 0; i < WORLD_PROBES; i++)
		if (found->map[i] != expected->map[i])
			die("%s: probe %u reads %#lx, not %#lx", call, i, found->map[i],
			    expected->map[i]);
	if (found->slots != expected->slots)
		die("%s: %lu slots, not %lu", call, found->slots, expected->slots);
	if (found->effect != expected->effect)
		die("%s: its effect is %ld, not %ld", call, found->effect, expected->effect);
	for (i = 0; i < WORLD_CPU_BYTES; i++)
		if (found->cpu[i] != expected->cpu[i])
			die("%s: byte %u of the vCPU is %#x, not %#x", call, i, found->cpu[i],
			    expected->cpu[i]);
	for (i = 0; i < sizeof(found->arg); i++)
		if (found->arg[i] != expected->arg[i])
			die("%s: byte %u of the argument is %#x, not %#x", call, i, found->arg[i],
			    expected->arg[i]);
}

void world_stats(struct world *w, uint64_t *values)
{
	memset(values, 0, WORLD_MAX_STATS * sizeof(*values));
	if (w->nr_stats && pread(w->stats, values, w->nr_stats * sizeof(*values), w->values) < 0)
		die("statistics: %m");
}

const char *world_stats_differ(struct world *w, const uint64_t *before)
{
	uint64_t now[WORLD_MAX_STATS];
	uint32_t i;

	world_stats(w, now);
	for (i = 0; i < w->nr_stats; i++)
		/* What was protected for an answer that could not be given had to be flushed. */
		if (now[i] != before[i] && strncmp(w->stat_names[i], "remote_tlb_flush", 16))
			return w->stat_names[i];
	return NULL;
}
