/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_MODULEPARAM_H
#define SHIM_LINUX_MODULEPARAM_H

#define __ro_after_init
#define module_param_named(name, value, type, perm)
#define MODULE_PARM_DESC(name, text)

#endif
