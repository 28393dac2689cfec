/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints, as events/xvm/ in tracefs.  Whose guest it is shows in the thread. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM xvm

#if !defined(XVM_OBSERVE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define XVM_OBSERVE_TRACE_H

#include <linux/tracepoint.h>

#include "../xvm.h"

TRACE_EVENT(xvm_entry,
	    TP_PROTO(const struct xvm_vcpu *vcpu, u64 rip),
	    TP_ARGS(vcpu, rip),
	    TP_STRUCT__entry(__field(unsigned int, vcpu)
			     __field(u64, rip)),
	    TP_fast_assign(__entry->vcpu = vcpu->id;
			   __entry->rip = rip;),
	    TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip));

/* code: the vendor's own, such as SVM's EXITCODE. */
TRACE_EVENT(xvm_exit,
	    TP_PROTO(const struct xvm_vcpu *vcpu, u64 code, u64 rip),
	    TP_ARGS(vcpu, code, rip),
	    TP_STRUCT__entry(__field(unsigned int, vcpu)
			     __field(u64, code)
			     __field(u64, rip)),
	    TP_fast_assign(__entry->vcpu = vcpu->id;
			   __entry->code = code;
			   __entry->rip = rip;),
	    TP_printk("vcpu %u code 0x%llx rip 0x%llx", __entry->vcpu, __entry->code,
		      __entry->rip));

TRACE_DEFINE_ENUM(XVM_FAULT_FIXED);
TRACE_DEFINE_ENUM(XVM_FAULT_RETRY);
TRACE_DEFINE_ENUM(XVM_FAULT_EMULATE);
TRACE_DEFINE_ENUM(XVM_FAULT_SLOW);

/* access: XVM_FAULT_WRITE and so on; result: enum xvm_fault_result, or -errno. */
TRACE_EVENT(xvm_fault,
	    TP_PROTO(const struct xvm_vcpu *vcpu, u64 gpa, u32 access, int result),
	    TP_ARGS(vcpu, gpa, access, result),
	    TP_STRUCT__entry(__field(unsigned int, vcpu)
			     __field(u64, gpa)
			     __field(u32, access)
			     __field(int, result)),
	    TP_fast_assign(__entry->vcpu = vcpu->id;
			   __entry->gpa = gpa;
			   __entry->access = access;
			   __entry->result = result;),
	    TP_printk("vcpu %u gpa 0x%llx %s: %s", __entry->vcpu, __entry->gpa,
		      __print_flags(__entry->access, "|",
				    { XVM_FAULT_WRITE, "write" },
				    { XVM_FAULT_EXEC, "exec" }),
		      __print_symbolic(__entry->result,
				       { XVM_FAULT_FIXED, "fixed" },
				       { XVM_FAULT_RETRY, "retry" },
				       { XVM_FAULT_EMULATE, "emulate" },
				       { XVM_FAULT_SLOW, "slow" },
				       { -EFAULT, "EFAULT" },
				       { -EINTR, "EINTR" },
				       { -ENOMEM, "ENOMEM" })));

/* A leaf that a fault made, gave more rights or found there: its entry as it was asked for. */
TRACE_EVENT(xvm_map,
	    TP_PROTO(const struct xvm_vcpu *vcpu, u64 gfn, unsigned int level, u64 pte),
	    TP_ARGS(vcpu, gfn, level, pte),
	    TP_STRUCT__entry(__field(unsigned int, vcpu)
			     __field(u64, gfn)
			     __field(unsigned int, level)
			     __field(u64, pte)),
	    TP_fast_assign(__entry->vcpu = vcpu->id;
			   __entry->gfn = gfn;
			   __entry->level = level;
			   __entry->pte = pte;),
	    TP_printk("vcpu %u gfn 0x%llx level %u pte 0x%llx", __entry->vcpu, __entry->gfn,
		      __entry->level, __entry->pte));

/* A range of guest frames, the end exclusive. */
DECLARE_EVENT_CLASS(xvm_range,
		    TP_PROTO(u64 start_gfn, u64 end_gfn),
		    TP_ARGS(start_gfn, end_gfn),
		    TP_STRUCT__entry(__field(u64, start_gfn)
				     __field(u64, end_gfn)),
		    TP_fast_assign(__entry->start_gfn = start_gfn;
				   __entry->end_gfn = end_gfn;),
		    TP_printk("gfn 0x%llx-0x%llx", __entry->start_gfn, __entry->end_gfn));

DEFINE_EVENT(xvm_range, xvm_zap,
	     TP_PROTO(u64 start_gfn, u64 end_gfn),
	     TP_ARGS(start_gfn, end_gfn));

/* All leaves there become small. */
DEFINE_EVENT(xvm_range, xvm_split,
	     TP_PROTO(u64 start_gfn, u64 end_gfn),
	     TP_ARGS(start_gfn, end_gfn));

/* A large leaf takes the place of small ones. */
DEFINE_EVENT(xvm_range, xvm_collapse,
	     TP_PROTO(u64 start_gfn, u64 end_gfn),
	     TP_ARGS(start_gfn, end_gfn));

/* The window in which a fault mapped neighbours. */
DEFINE_EVENT(xvm_range, xvm_around,
	     TP_PROTO(u64 start_gfn, u64 end_gfn),
	     TP_ARGS(start_gfn, end_gfn));

/* User addresses, the end exclusive. */
TRACE_EVENT(xvm_age,
	    TP_PROTO(unsigned long start, unsigned long end, bool young),
	    TP_ARGS(start, end, young),
	    TP_STRUCT__entry(__field(unsigned long, start)
			     __field(unsigned long, end)
			     __field(bool, young)),
	    TP_fast_assign(__entry->start = start;
			   __entry->end = end;
			   __entry->young = young;),
	    TP_printk("hva 0x%lx-0x%lx %s", __entry->start, __entry->end,
		      __entry->young ? "young" : "old"));

/* ranged: by the architecture; else all of the VM, and so many vCPUs were interrupted. */
TRACE_EVENT(xvm_flush,
	    TP_PROTO(u64 start_gfn, u64 end_gfn, bool ranged, unsigned int ipis),
	    TP_ARGS(start_gfn, end_gfn, ranged, ipis),
	    TP_STRUCT__entry(__field(u64, start_gfn)
			     __field(u64, end_gfn)
			     __field(bool, ranged)
			     __field(unsigned int, ipis)),
	    TP_fast_assign(__entry->start_gfn = start_gfn;
			   __entry->end_gfn = end_gfn;
			   __entry->ranged = ranged;
			   __entry->ipis = ipis;),
	    TP_printk("gfn 0x%llx-0x%llx%s ipis %u", __entry->start_gfn, __entry->end_gfn,
		      __entry->ranged ? " ranged" : "", __entry->ipis));

TRACE_DEFINE_ENUM(MEMSLOT_CREATE);
TRACE_DEFINE_ENUM(MEMSLOT_DELETE);
TRACE_DEFINE_ENUM(MEMSLOT_MOVE);
TRACE_DEFINE_ENUM(MEMSLOT_FLAGS);

/* slot: as it is now, or as it was for MEMSLOT_DELETE. */
TRACE_EVENT(xvm_memslot,
	    TP_PROTO(enum memslot_change_kind kind, const struct memslot *slot),
	    TP_ARGS(kind, slot),
	    TP_STRUCT__entry(__field(unsigned int, kind)
			     __field(u16, as_id)
			     __field(u16, id)
			     __field(u32, flags)
			     __field(u64, base_gfn)
			     __field(u64, npages)
			     __field(unsigned long, hva)),
	    TP_fast_assign(__entry->kind = kind;
			   __entry->as_id = slot->as_id;
			   __entry->id = slot->id;
			   __entry->flags = slot->flags;
			   __entry->base_gfn = slot->base_gfn;
			   __entry->npages = slot->npages;
			   __entry->hva = slot->hva;),
	    TP_printk("%s %u:%u gfn 0x%llx pages 0x%llx hva 0x%lx flags 0x%x",
		      __print_symbolic(__entry->kind,
				       { MEMSLOT_CREATE, "create" },
				       { MEMSLOT_DELETE, "delete" },
				       { MEMSLOT_MOVE, "move" },
				       { MEMSLOT_FLAGS, "flags" }),
		      __entry->as_id, __entry->id, __entry->base_gfn, __entry->npages,
		      __entry->hva, __entry->flags));

#endif

/* Relative to module/, where the compiler looks for headers. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH observe
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
