/* SPDX-License-Identifier: GPL-2.0-only */
/* Between native.c, which holds the stubs, and native_seg.c. */
#ifndef NATIVE_INTERNAL_H
#define NATIVE_INTERNAL_H

#include "native.h"

struct native_shared {
	struct native_state in, out;
	u64 host_rsp;
	/* for 16- and 32-bit code */
	struct {
		u64 rip, cs, rflags, rsp, ss;
	} iret;
	u16 ds, es, gs, host_ss, null;
};

extern struct native_shared *native_shared;

/* Entry of the stub for segmented code, and where its far jump goes. */
u8 *native_seg_stub(void);
u32 native_seg_tail(void);
/* Calls @stub; @rip: where a fault of the instruction itself is reported. */
void native_enter(u8 *stub, u64 rip, struct native_state *st, struct native_fault *fault);

#endif
