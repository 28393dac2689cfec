// SPDX-License-Identifier: GPL-2.0-only
/* xvm info: kernel, modules and both devices, side by side. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd.h"
#include "libxvm.h"

#define DEVICES 2

static const char *const device_paths[DEVICES] = {
	KVM_DEVICE_PATH,
	XVM_DEVICE_PATH,
};

static const char *const module_names[] = { "kvm", "kvm_amd", "kvm_intel", "xvm" };

/* Generated from the headers at build time. */
static const struct {
	const char *name;
	unsigned long number;
} capabilities[] = {
#define CAP(name, number) { name, number },
#include "capabilities.h"
#undef CAP
};

/* The first line of a file below /sys/module; false if it cannot be read. */
static bool read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool good;

	if (!file)
		return false;
	good = fgets(line, size, file);
	fclose(file);
	if (good)
		line[strcspn(line, "\n")] = '\0';
	return good;
}

static struct json_object *describe_parameters(const char *module)
{
	struct json_object *object = json_object_new_object();
	char path[512], line[256];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters", module);
	dir = opendir(path);
	if (!dir)
		return object;
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s",
			 module, entry->d_name);
		if (entry->d_name[0] != '.' &&
		    read_line(path, line, sizeof(line)))
			json_object_object_add(object, entry->d_name,
					       json_object_new_string(line));
	}
	closedir(dir);
	return object;
}

static struct json_object *describe_modules(void)
{
	struct json_object *modules = json_object_new_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(module_names); i++) {
		const char *name = module_names[i];
		struct json_object *module;
		char path[512], line[256];

		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
		if (!read_line(path, line, sizeof(line)))
			continue;
		module = json_object_new_object();
		snprintf(path, sizeof(path), "/sys/module/%s/version", name);
		if (read_line(path, line, sizeof(line)))
			json_object_object_add(module, "version",
					       json_object_new_string(line));
		json_object_object_add(module, "parameters",
				       describe_parameters(name));
		json_object_object_add(modules, name, module);
	}
	return modules;
}

static struct json_object *describe_device(const char *path)
{
	struct json_object *device = json_object_new_object();
	struct json_object *caps;
	int fd = xvm_open(path);
	size_t i;

	if (fd < 0) {
		json_object_object_add(device, "error",
				       json_object_new_string(strerror(-fd)));
		return device;
	}
	json_object_object_add(device, "api_version",
			       json_object_new_int(KVM_API_VERSION));
	caps = json_object_new_object();
	for (i = 0; i < ARRAY_SIZE(capabilities); i++) {
		int value = xvm_check(fd, capabilities[i].number);

		if (value > 0)
			json_object_object_add(caps, capabilities[i].name,
					       json_object_new_int(value));
	}
	json_object_object_add(device, "capabilities", caps);
	xvm_close(fd);
	return device;
}

static struct json_object *describe_all(void)
{
	struct json_object *root = json_object_new_object();
	struct json_object *devices = json_object_new_object();
	struct utsname kernel;
	int i;

	if (!uname(&kernel)) {
		json_object_object_add(root, "kernel",
				       json_object_new_string(kernel.release));
		json_object_object_add(root, "machine",
				       json_object_new_string(kernel.machine));
	}
	json_object_object_add(root, "modules", describe_modules());
	for (i = 0; i < DEVICES; i++)
		json_object_object_add(devices, device_paths[i],
				       describe_device(device_paths[i]));
	json_object_object_add(root, "devices", devices);
	return root;
}

static struct json_object *get(struct json_object *object, const char *key)
{
	return json_object_object_get(object, key);
}

static void print_modules(struct json_object *modules)
{
	json_object_object_foreach(modules, name, module) {
		struct json_object *version = get(module, "version");

		printf("%-10s loaded", name);
		if (version)
			printf(", version %s", json_object_get_string(version));
		json_object_object_foreach(get(module, "parameters"), key, value)
			if (!strcmp(name, "xvm"))
				printf(", %s=%s", key,
				       json_object_get_string(value));
		putchar('\n');
	}
	if (!get(modules, "xvm"))
		printf("%-10s not loaded\n", "xvm");
}

static void print_row(const char *name, struct json_object *const *values)
{
	int i;

	printf("%-32s", name);
	for (i = 0; i < DEVICES; i++)
		printf(" %14s", values[i] ? json_object_get_string(values[i]) : "-");
	putchar('\n');
}

static void print_devices(struct json_object *root)
{
	struct json_object *device[DEVICES], *values[DEVICES];
	size_t i, j;

	printf("\n%-32s %14s %14s\n", "", device_paths[0], device_paths[1]);
	for (j = 0; j < DEVICES; j++) {
		device[j] = get(get(root, "devices"), device_paths[j]);
		values[j] = get(device[j], "api_version");
	}
	print_row("API version", values);
	for (i = 0; i < ARRAY_SIZE(capabilities); i++) {
		for (j = 0; j < DEVICES; j++)
			values[j] = get(get(device[j], "capabilities"),
					capabilities[i].name);
		if (values[0] || values[1])
			print_row(capabilities[i].name, values);
	}
	for (j = 0; j < DEVICES; j++)
		if (get(device[j], "error"))
			printf("%s: %s\n", device_paths[j],
			       json_object_get_string(get(device[j], "error")));
}

static int info_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct json_object *root;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			return print_help(&command_info);
		default:
			return usage_error(&command_info);
		}
	}
	if (optind < argc) {
		warnx("unexpected argument: %s", argv[optind]);
		return usage_error(&command_info);
	}

	root = describe_all();
	if (json) {
		puts(json_object_to_json_string_ext(root,
						    JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		printf("%-10s %s %s\n", "kernel",
		       json_object_get_string(get(root, "kernel")),
		       json_object_get_string(get(root, "machine")));
		print_modules(get(root, "modules"));
		print_devices(root);
	}
	json_object_put(root);
	return STATUS_OK;
}

const struct command command_info = {
	.name = "info",
	.summary = "show kernel, module and both devices side by side",
	.help =
"Usage: xvm info [--json]\n"
"\n"
"Show the kernel, the modules with xvm's parameters, and what " KVM_DEVICE_PATH
" and\n" XVM_DEVICE_PATH " answer for each capability; '-' stands for 0.\n"
"\n"
"  -j, --json   print JSON\n"
"\n"
"Exit status: 0, also when a device is absent; 2 wrong usage.\n",
	.main = info_main,
};
