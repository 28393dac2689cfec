// SPDX-License-Identifier: GPL-2.0-only
/* xvm verify: has the module check the invariants of VMs that are running. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "libxvm.h"
#include "observed.h"

/* The VM may change too fast to be counted; most often it does not for long. */
#define ATTEMPTS 10

struct answer {
	uint64_t slots, leaves, tables, violations;
	char message[256];
};

/* 0, or -errno: ENOENT if the VM is gone. */
static int read_answer(const struct observed *vm, struct answer *answer)
{
	FILE *stream = observed_open(vm, "verify");
	int found, error;

	if (!stream)
		return -errno;
	errno = 0;
	answer->message[0] = '\0';
	found = fscanf(stream,
		       "slots %" SCNu64 " leaves %" SCNu64
		       " table_pages %" SCNu64 " violations %" SCNu64
		       " %255[^\n]",
		       &answer->slots, &answer->leaves, &answer->tables,
		       &answer->violations, answer->message);
	error = errno ? errno : EPROTO;
	fclose(stream);
	return found < 4 ? -error : 0;
}

static void print_json(const struct observed *vm, const struct answer *answer)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "vm", json_object_new_string(vm->name));
	json_object_object_add(object, "slots",
			       json_object_new_uint64(answer->slots));
	json_object_object_add(object, "leaves",
			       json_object_new_uint64(answer->leaves));
	json_object_object_add(object, "table_pages",
			       json_object_new_uint64(answer->tables));
	json_object_object_add(object, "violations",
			       json_object_new_uint64(answer->violations));
	if (answer->violations)
		json_object_object_add(object, "message",
				       json_object_new_string(answer->message));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void print_text(const struct observed *vm, const struct answer *answer)
{
	printf("%s: %" PRIu64 " slots, %" PRIu64 " leaves, %" PRIu64
	       " table pages: ",
	       vm->name, answer->slots, answer->leaves, answer->tables);
	if (answer->violations)
		printf("%" PRIu64 " violations, the first: %s\n",
		       answer->violations, answer->message);
	else
		printf("all invariants hold\n");
}

/* -ENOENT: it is gone; 1: an invariant is broken. */
static int verify(const struct observed *vm, bool json)
{
	struct answer answer;
	int attempt, ret;

	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		ret = read_answer(vm, &answer);
		if (ret != -EAGAIN)
			break;
	}
	if (ret)
		return ret;
	if (json)
		print_json(vm, &answer);
	else
		print_text(vm, &answer);
	return answer.violations ? 1 : 0;
}

static bool verify_all(bool json)
{
	struct observed *list;
	bool good = true;
	int i, nr, ret;

	nr = observed_list("xvm", &list);
	if (nr < 0)
		return false;
	for (i = 0; i < nr; i++) {
		ret = verify(&list[i], json);
		/* One that went meanwhile is none. */
		if (ret < 0 && ret != -ENOENT)
			warnx("%s: %s", list[i].name, strerror(-ret));
		good &= !ret || ret == -ENOENT;
	}
	free(list);
	return good;
}

static bool verify_one(const char *name, bool json)
{
	struct observed vm;
	int ret;

	if (observed_find("xvm", name, &vm))
		return false;
	ret = verify(&vm, json);
	if (ret < 0)
		warnx("%s: %s", name, strerror(-ret));
	return !ret;
}

static int verify_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false, good = true;
	int option;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			return print_help(&command_verify);
		default:
			return usage_error(&command_verify);
		}
	}
	if (optind == argc)
		good = verify_all(json);
	for (; optind < argc; optind++)
		good &= verify_one(argv[optind], json);
	return good ? STATUS_OK : STATUS_FAILED;
}

const struct command command_verify = {
	.name = "verify",
	.summary = "check the invariants of running VMs",
	.help =
"Usage: xvm verify [--json] [VM]...\n"
"\n"
"Have the module walk the memslots and page tables of VMs on " XVM_DEVICE_PATH
",\nwhile they run, and check their invariants.  VM is PID-FD, as 'xvm top' shows\n"
"it, or the PID of a process with one VM; without any, all VMs are checked.\n"
"\n"
"  -j, --json   print JSON, a line for each VM\n"
"\n"
"Needs root and debugfs.\n"
"\n"
"Exit status: 0 all invariants hold; 1 one is broken, or a VM can't be checked;\n"
"2 wrong usage.\n",
	.main = verify_main,
};
