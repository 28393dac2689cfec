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
#include "native_internal.h"

#define CODE_SIZE 4096
#define SLOT_SIZE 32

struct native_shared *native_shared;

static u8 *code, *pos, *slot, *tail, *bail;
static u8 *seg_stub, *seg_tail, *seg_bail;
static u64 expected_rip; /* of a fault that is the instruction's own */
static u8 *expected_bail;
static struct native_fault *pending;
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

/* Loads or stores segment register @reg from memory. */
static void emit_load_seg(unsigned int reg, u16 *mem)
{
	EMIT(0x8e, 0x05 | reg << 3);
	emit_disp(mem);
}

static void emit_push(u64 *mem)
{
	EMIT(0xff, 0x35);
	emit_disp(mem);
}

static void emit_prologue(void)
{
	/* push rbx, rbp, r12 to r15 */
	EMIT(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
	emit_mov(4, &native_shared->host_rsp, true);
}

static void emit_epilogue(void)
{
	EMIT(0xfc); /* cld */
	EMIT(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

static void emit_load_regs(bool sp)
{
	struct native_state *in = &native_shared->in;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		emit_movdqu(i, in->xmm[i], false);
		if (i != 4 || sp)
			emit_mov(i, &in->regs[i], false);
	}
}

static void emit_store_regs(void)
{
	struct native_state *out = &native_shared->out;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		emit_mov(i, &out->regs[i], true);
		emit_movdqu(i, out->xmm[i], true);
	}
	emit_mov(4, &native_shared->host_rsp, false);
	EMIT(0x9c, 0x8f, 0x05); /* pushf; pop flags */
	emit_disp(&out->rflags);
}

static void emit_stub(void)
{
	pos = code;
	emit_prologue();
	emit_push(&native_shared->in.rflags);
	EMIT(0x9d); /* popf */
	emit_load_regs(true);
	slot = pos;
	pos += SLOT_SIZE;

	tail = pos;
	emit_store_regs();
	emit_epilogue();

	bail = pos;
	emit_epilogue();
}

static void emit_restore_segs(void)
{
	emit_load_seg(EMUL_SEG_SS, &native_shared->host_ss);
	emit_load_seg(EMUL_SEG_DS, &native_shared->null);
	emit_load_seg(EMUL_SEG_ES, &native_shared->null);
	emit_epilogue();
}

/* Behind the segment that holds the slot for such code. */
static void emit_seg_stub(void)
{
	pos = code + SEG_CODE_OFFSET + SEG_CODE_LIMIT + 1;
	seg_stub = pos;
	emit_prologue();
	emit_push(&native_shared->iret.ss);
	emit_push(&native_shared->iret.rsp);
	emit_push(&native_shared->iret.rflags);
	emit_push(&native_shared->iret.cs);
	emit_push(&native_shared->iret.rip);
	emit_load_seg(EMUL_SEG_DS, &native_shared->ds);
	emit_load_seg(EMUL_SEG_ES, &native_shared->es);
	emit_load_seg(EMUL_SEG_GS, &native_shared->gs);
	emit_load_regs(false);
	EMIT(0x48, 0xcf); /* iretq */

	seg_tail = pos;
	emit_store_regs();
	emit_restore_segs();

	seg_bail = pos;
	emit_restore_segs();
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
	if (!pending || (u64)g[REG_RIP] != expected_rip) {
		/* Not ours: the second time it is fatal. */
		signal(sig, SIG_DFL);
		return;
	}
	pending->raised = true;
	pending->vector = g[REG_TRAPNO];
	pending->error = g[REG_ERR];
	pending->cr2 = g[REG_CR2];
	for (i = 0; i < 16; i++)
		native_shared->out.regs[i] = g[greg[i]];
	native_shared->out.rflags = g[REG_EFL];
	g[REG_RSP] = native_shared->host_rsp;
	g[REG_RIP] = (greg_t)expected_bail;
	/* Back to 64-bit code, with a plain stack segment in the top 16 bits. */
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000) | 0x33 | (greg_t)0x2b << 48;
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
	native_shared = (struct native_shared *)(code + CODE_SIZE);
	emit_stub();
	emit_seg_stub();
	return 0;
}

u64 native_rip(void)
{
	return (u64)slot;
}

u8 *native_seg_stub(void)
{
	return seg_stub;
}

u32 native_seg_tail(void)
{
	return (u64)seg_tail;
}

void native_enter(u8 *stub, u64 rip, struct native_state *st, struct native_fault *fault)
{
	memset(fault, 0, sizeof(*fault));
	native_shared->in = *st;
	expected_rip = rip;
	expected_bail = stub == code ? bail : seg_bail;
	pending = fault;
	/* The stub calls the signal handler, which the compiler cannot see. */
	asm volatile("" : : : "memory");
	((void (*)(void))stub)();
	asm volatile("" : : : "memory");
	pending = NULL;
	if (fault->raised)
		memcpy(native_shared->out.xmm, native_shared->in.xmm, sizeof(st->xmm));
	*st = native_shared->out;
}

void native_run(const u8 *insn, unsigned int len, struct native_state *st,
		struct native_fault *fault)
{
	memcpy(slot, insn, len);
	pos = slot + len;
	EMIT(0xe9); /* jmp tail */
	emit_disp(tail);
	native_enter(code, (u64)slot, st, fault);
}
