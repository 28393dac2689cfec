// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stub in a writable and executable page loads every register, executes the instruction, and
 * stores every register.  All of its own accesses are RIP-relative, so the instruction may do as
 * it likes with each register, the stack pointer included; signals run on their own stack.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "native.h"

#define CODE_SIZE 4096
#define SLOT_SIZE 32

struct shared {
	struct native_state in, out;
	u64 host_rsp;
};

static u8 *code, *pos, *slot, *tail, *bail;
static struct shared *shared;
static volatile struct native_fault *pending;
static u8 signal_stack[1 << 16];

static void emit(const void *bytes, unsigned int len)
{
	memcpy(pos, bytes, len);
	pos += len;
}

#define EMIT(...) emit((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static void emit_disp(const void *target)
{
	s32 disp = (const u8 *)target - (pos + 4);

	emit(&disp, 4);
}

static void emit_mov(unsigned int reg, u64 *mem, bool store)
{
	EMIT(0x48 | (reg & 8) >> 1, store ? 0x89 : 0x8b, 0x05 | (reg & 7) << 3);
	emit_disp(mem);
}

static void emit_movdqu(unsigned int reg, u64 *mem, bool store)
{
	EMIT(0xf3, 0x40 | (reg & 8) >> 1, 0x0f, store ? 0x7f : 0x6f, 0x05 | (reg & 7) << 3);
	emit_disp(mem);
}

static void emit_epilogue(void)
{
	EMIT(0xfc); /* cld */
	EMIT(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

static void emit_stub(void)
{
	unsigned int i;

	/* push rbx, rbp, r12 to r15 */
	EMIT(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
	emit_mov(4, &shared->host_rsp, true);
	EMIT(0xff, 0x35); /* push flags; popf */
	emit_disp(&shared->in.rflags);
	EMIT(0x9d);
	for (i = 0; i < 16; i++) {
		emit_movdqu(i, shared->in.xmm[i], false);
		emit_mov(i, &shared->in.regs[i], false);
	}
	slot = pos;
	pos += SLOT_SIZE;

	tail = pos;
	for (i = 0; i < 16; i++) {
		emit_mov(i, &shared->out.regs[i], true);
		emit_movdqu(i, shared->out.xmm[i], true);
	}
	emit_mov(4, &shared->host_rsp, false);
	EMIT(0x9c, 0x8f, 0x05); /* pushf; pop flags */
	emit_disp(&shared->out.rflags);
	emit_epilogue();

	bail = pos;
	emit_epilogue();
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	/* What the signal context calls the registers, in the order of their encoding. */
	static const int greg[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	unsigned int i;

	(void)info;
	if (!pending || (u8 *)g[REG_RIP] != slot) {
		/* Not ours: the second time it is fatal. */
		signal(sig, SIG_DFL);
		return;
	}
	pending->raised = true;
	pending->vector = g[REG_TRAPNO];
	pending->error = g[REG_ERR];
	pending->cr2 = g[REG_CR2];
	for (i = 0; i < 16; i++)
		shared->out.regs[i] = g[greg[i]];
	shared->out.rflags = g[REG_EFL];
	g[REG_RSP] = shared->host_rsp;
	g[REG_RIP] = (greg_t)bail;
}

int native_init(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	code = mmap((void *)CODE_BASE, CODE_SIZE * 2, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (code == MAP_FAILED || sigaltstack(&stack, NULL))
		return -1;
	if (sigaction(SIGSEGV, &sa, NULL) || sigaction(SIGILL, &sa, NULL) ||
	    sigaction(SIGBUS, &sa, NULL) || sigaction(SIGFPE, &sa, NULL))
		return -1;
	/* On a page of its own: stores near the code would look like self-modification. */
	shared = (struct shared *)(code + CODE_SIZE);
	pos = code;
	emit_stub();
	return 0;
}

u64 native_rip(void)
{
	return (u64)slot;
}

void native_run(const u8 *insn, unsigned int len, struct native_state *st,
		struct native_fault *fault)
{
	memset(fault, 0, sizeof(*fault));
	memcpy(slot, insn, len);
	pos = slot + len;
	EMIT(0xe9); /* jmp tail */
	emit_disp(tail);

	shared->in = *st;
	pending = fault;
	((void (*)(void))code)();
	pending = NULL;
	if (fault->raised)
		memcpy(shared->out.xmm, shared->in.xmm, sizeof(shared->in.xmm));
	*st = shared->out;
}
