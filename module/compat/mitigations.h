/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a kernel knows of the world switch's mitigations: its options and feature
 * bits, which the preprocessor can see, so that assembly may ask, too.
 */
#ifndef XVM_COMPAT_MITIGATIONS_H
#define XVM_COMPAT_MITIGATIONS_H

#include <asm/cpufeatures.h>

/* The kernel has it if built with either mitigation, whose options were renamed once. */
#if defined(CONFIG_MITIGATION_UNRET_ENTRY) || defined(CONFIG_MITIGATION_SRSO) || \
	defined(CONFIG_CPU_UNRET_ENTRY) || defined(CONFIG_CPU_SRSO)
#define HAVE_UNTRAIN_RET
#endif

#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
#define HAVE_CLEAR_CPU_BUF_VM
#endif

#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
#define HAVE_SRSO_BP_SPEC_REDUCE
#endif

#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
#define HAVE_IBPB_EXIT_TO_USER
#endif

#endif
