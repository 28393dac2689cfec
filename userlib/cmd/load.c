// SPDX-License-Identifier: GPL-2.0-only
/* xvm load and xvm unload: the module, through libkmod. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libkmod.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define MODULE_NAME "xvm"
#define UNSIGNED \
	"this kernel wants a signed module, by a key that it trusts; " \
	"see \"Secure boot\" in xvm's installing.md"

static const char *load_hint(int error)
{
	switch (error) {
	case EEXIST:
		return "it is loaded already";
	case ENOENT:
		return "no such module";
	case EPERM:
		return geteuid() ? "not permitted; loading needs root" : UNSIGNED;
	case ENODEV:
	case EOPNOTSUPP:
		return "this machine has no usable hardware virtualization; see dmesg";
	case ENOEXEC:
		return "not a module for this kernel; see dmesg";
	case EINVAL:
		return "a parameter's value can't be understood; see dmesg";
	case ERANGE:
		return "a parameter's value is too large; see dmesg";
	case ENOKEY:
	case EKEYREJECTED:
		return UNSIGNED;
	default:
		return strerror(error);
	}
}

static const char *unload_hint(int error)
{
	switch (error) {
	case ENOENT:
		return "it is not loaded";
	case EAGAIN:
	case EBUSY:
		return "in use: a VM or an open /dev/xvm holds it";
	case EPERM:
		return "not permitted; unloading needs root";
	default:
		return strerror(error);
	}
}

/* libkmod's own messages name its source lines; ours are for users. */
static struct kmod_ctx *new_context(void)
{
	struct kmod_ctx *ctx = kmod_new(NULL, NULL);

	if (!ctx)
		err(STATUS_FAILED, "libkmod");
	kmod_set_log_priority(ctx, 0);
	return ctx;
}

/* Join PARAM=VALUE arguments with spaces, as the kernel wants them. */
static char *join_parameters(int argc, char **argv)
{
	size_t length = 1;
	char *text;
	int i;

	for (i = 0; i < argc; i++)
		length += strlen(argv[i]) + 1;
	text = calloc(1, length);
	if (!text)
		err(STATUS_FAILED, NULL);
	for (i = 0; i < argc; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, argv[i]);
	}
	return text;
}

static int insert(struct kmod_ctx *ctx, const char *path, const char *parameters)
{
	struct kmod_module *module;
	int ret;

	if (path) {
		ret = kmod_module_new_from_path(ctx, path, &module);
		if (ret)
			return ret;
		ret = kmod_module_insert_module(module, 0, parameters);
	} else {
		ret = kmod_module_new_from_name(ctx, MODULE_NAME, &module);
		if (ret)
			return ret;
		ret = kmod_module_probe_insert_module(module,
						      KMOD_PROBE_FAIL_ON_LOADED,
						      parameters, NULL, NULL,
						      NULL);
	}
	kmod_module_unref(module);
	return ret;
}

static int load_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	struct kmod_ctx *ctx;
	char *parameters;
	int i, ret;

	while ((i = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (i == 'h')
			return print_help(&command_load);
		return usage_error(&command_load);
	}
	if (optind < argc && !strchr(argv[optind], '='))
		path = argv[optind++];
	for (i = optind; i < argc; i++) {
		if (!strchr(argv[i], '=')) {
			warnx("not PARAM=VALUE: %s", argv[i]);
			return usage_error(&command_load);
		}
	}

	ctx = new_context();
	parameters = join_parameters(argc - optind, argv + optind);
	ret = insert(ctx, path, parameters);
	if (ret)
		warnx("cannot load %s: %s", path ? path : MODULE_NAME,
		      load_hint(abs(ret)));
	free(parameters);
	kmod_unref(ctx);
	return ret ? STATUS_FAILED : STATUS_OK;
}

static int unload_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct kmod_module *module;
	struct kmod_ctx *ctx;
	int option, ret;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help(&command_unload);
		return usage_error(&command_unload);
	}
	if (optind < argc) {
		warnx("unexpected argument: %s", argv[optind]);
		return usage_error(&command_unload);
	}

	ctx = new_context();
	ret = kmod_module_new_from_name(ctx, MODULE_NAME, &module);
	if (!ret) {
		ret = kmod_module_remove_module(module, O_NONBLOCK);
		kmod_module_unref(module);
	}
	if (ret)
		warnx("cannot unload %s: %s", MODULE_NAME, unload_hint(abs(ret)));
	kmod_unref(ctx);
	return ret ? STATUS_FAILED : STATUS_OK;
}

const struct command command_load = {
	.name = "load",
	.summary = "load the module",
	.help =
"Usage: xvm load [FILE] [PARAM=VALUE]...\n"
"\n"
"Load the module xvm: FILE if given (a path to xvm.ko), else the installed one\n"
"of the running kernel.  'modinfo xvm' lists the parameters.\n"
"\n"
"Exit status: 0 loaded, 1 not loaded, 2 wrong usage.\n",
	.main = load_main,
};

const struct command command_unload = {
	.name = "unload",
	.summary = "unload the module",
	.help =
"Usage: xvm unload\n"
"\n"
"Unload the module xvm.  Fails while a VM exists or /dev/xvm is open.\n"
"\n"
"Exit status: 0 unloaded, 1 not unloaded, 2 wrong usage.\n",
	.main = unload_main,
};
