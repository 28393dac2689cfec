// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of /dev/xvm, led by coverage: programs that reach code, or go from
 * one block to another, where none did before are kept, and changed into
 * others.  See docs/fuzzing.md.
 *
 * Each program runs in a process of its own.  It is written down before, so that
 * after a crash the last one in the folder is what to replay.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "failnth.h"
#include "kcov.h"
#include "ops.h"

#define MAX_KEPT 4096
/* Programs that are written down at any time, the last and those before. */
#define WRITTEN 8
/* Seconds; beyond them the program is stuck in the kernel. */
#define PROGRAM_LIMIT 10
#define STUCK_LIMIT 60
/* What was gathered is written so often: the machine may end under it. */
#define RESULTS_EVERY 120

static struct {
	struct program program;
	uint32_t *blocks;	/* sorted by nothing */
	unsigned int nr_blocks;
} kept[MAX_KEPT];

static unsigned int nr_kept;
static struct set blocks, edges;
static struct kcov kcovs[MAX_THREADS];
static uint64_t text, executed, began, told;
static int dev, log_fd = -1;
static const char *folder = ".";
static bool have_kcov, verbose;

static uint64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One program, in a child */

static const struct program *program;
static struct thread threads[MAX_THREADS];
static pthread_barrier_t start;

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	uint64_t before;
	unsigned int i;
	long ret;

	if (have_kcov)
		kcov_enable(&kcovs[t->index]);
	pthread_barrier_wait(&start);
	for (i = 0; i < program->nr; i++) {
		const struct call *call = &program->calls[i];

		if (call->thread != t->index)
			continue;
		before = milliseconds();
		ret = run_call(t, call);
		if (verbose) {
			flockfile(stdout);
			call_print(call, stdout);
			printf(" = %ld, %lu ms\n", ret, milliseconds() - before);
			fflush(stdout);
			funlockfile(stdout);
		}
	}
	return NULL;
}

static void __attribute__((noreturn)) child_main(void)
{
	static struct arena arena;
	bool ok;
	int i;

	alarm(PROGRAM_LIMIT);
	arena_create(&arena, dev);
	pthread_barrier_init(&start, NULL, MAX_THREADS);
	arena.threads[0] = pthread_self();
	for (i = 0; i < MAX_THREADS; i++) {
		threads[i] = (struct thread){ .arena = &arena, .index = i };
		if (i && pthread_create(&arena.threads[i], NULL, thread_main, &threads[i]))
			_exit(1);
	}
	thread_main(&threads[0]);
	for (i = 1; i < MAX_THREADS; i++)
		pthread_join(arena.threads[i], NULL);
	ok = arena_check(&arena);
	arena_close(&arena);
	fflush(stdout);
	_exit(ok ? 0 : EXIT_VIOLATED);
}

/* Written through to the host's disk. */
static void write_down(const struct program *p)
{
	char name[300];
	FILE *file;

	snprintf(name, sizeof(name), "%s/last.%lu", folder, executed % WRITTEN);
	file = fopen(name, "w");
	if (!file) {
		perror(name);
		exit(2);
	}
	fprintf(file, "# program %lu\n", executed);
	program_print(p, file);
	fclose(file);
}

static void __attribute__((noreturn)) found(const char *what)
{
	printf("FOUND: %s, by program %lu or those before: %s/last.%lu\n", what, executed, folder,
	       executed % WRITTEN);
	fflush(stdout);
	exit(1);
}

/* The kernel's own reports. */
static void watch_log(void)
{
	static const char *const reports[] = {
		"BUG:", "WARNING:", "KASAN", "UBSAN", "refcount_t", "suspicious RCU", "INFO: task",
		"rcu: INFO", "possible circular", "inconsistent lock", "ODEBUG", "bad page",
		"Bad page", "list_add", "list_del", "Oops",
	};
	char line[2048];
	unsigned int i;
	ssize_t len;

	while ((len = read(log_fd, line, sizeof(line) - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		line[len < 0 ? 0 : len] = 0;
		for (i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
			if (strstr(line, reports[i]))
				found(line);
	}
}

static void wait_for(pid_t pid)
{
	const struct timespec second = { 1, 0 };
	int status, waited = 0;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	/* Its own alarm ends it, unless it is stuck in the kernel. */
	while (!waitpid(pid, &status, WNOHANG))
		if (sigtimedwait(&child, NULL, &second) < 0 && waited++ == STUCK_LIMIT)
			found("a process that can't be killed");
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_VIOLATED)
		found("an invariant is violated");
}

/* Every ten seconds, whatever takes so long: the lab ends what is silent. */
static void progress(bool due)
{
	uint64_t passed = (milliseconds() - began) / 1000;

	if (!due && passed < told + 10)
		return;
	told = passed;
	printf("%5lu s: %lu programs, %u kept, %u blocks, %u edges\n", passed, executed, nr_kept,
	       blocks.nr, edges.nr);
	fflush(stdout);
}

static void run_program(const struct program *p)
{
	const uint64_t before = milliseconds();
	pid_t pid;

	progress(false);
	executed++;
	write_down(p);
	fflush(stdout);
	program = p;
	pid = fork();
	if (!pid)
		child_main();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	wait_for(pid);
	watch_log();
	if (verbose)
		printf("program %lu: %lu ms\n", executed, milliseconds() - before);
}

/* What it covered */

static uint32_t block_at(const struct kcov *kcov, uint64_t i)
{
	return (kcov->trace[i] - text) % SET_BITS;
}

static uint32_t edge(uint32_t from, uint32_t to)
{
	return (from * 0x9e3779b1u ^ to) * 0x85ebca6bu >> 10;
}

/* Adds what was covered to these; how much of it is new, and the first block that is. */
static unsigned int add_coverage(struct set *to_blocks, struct set *to_edges, uint32_t *first)
{
	unsigned int new = 0, i;
	uint64_t j;

	for (i = 0; have_kcov && i < MAX_THREADS; i++) {
		const uint64_t nr = kcovs[i].trace[0];
		uint32_t last = 0;

		for (j = 1; j <= nr && j < KCOV_TRACE; j++) {
			uint32_t block = block_at(&kcovs[i], j);

			if (set_add(to_blocks, block)) {
				if (first && !*first)
					*first = block;
				new++;
			}
			if (to_edges)
				new += set_add(to_edges, edge(last, block));
			last = block;
		}
	}
	return new;
}

static struct set *own_blocks(void)
{
	static struct set own;

	memset(&own, 0, sizeof(own));
	add_coverage(&own, NULL, NULL);
	return &own;
}

static void keep(const struct program *p)
{
	struct set *own = own_blocks();
	/* When there are too many, one that is old makes room. */
	unsigned int at = nr_kept < MAX_KEPT ? nr_kept++ : executed % MAX_KEPT;
	unsigned int i;

	free(kept[at].blocks);
	kept[at].program = *p;
	kept[at].blocks = malloc((own->nr + 1) * sizeof(uint32_t));
	kept[at].nr_blocks = 0;
	for (i = 0; i < SET_BITS / 64; i++)
		for (; own->words[i]; own->words[i] &= own->words[i] - 1)
			kept[at].blocks[kept[at].nr_blocks++] =
				64 * i + __builtin_ctzl(own->words[i]);
}

/* Without the calls that it doesn't need to reach this block. */
static void shorten(struct program *p, uint32_t wanted)
{
	struct program shorter;
	unsigned int i;

	for (i = p->nr; i-- > 0;) {
		shorter = *p;
		program_remove(&shorter, i);
		run_program(&shorter);
		add_coverage(&blocks, &edges, NULL);
		if (set_has(own_blocks(), wanted))
			*p = shorter;
	}
	run_program(p);
	keep(p);
}

/* Keep it if something is new. */
static void try_program(struct program *p, bool is_new)
{
	uint32_t first = 0;

	run_program(p);
	if (!add_coverage(&blocks, &edges, &first))
		return;
	keep(p);
	if (first && is_new)
		shorten(p, first);
}

/* What is left behind */

/* A file that replaces the older one of its name by close_result(), whole. */
static FILE *open_result(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s.new", folder, name);
	return fopen(path, "w");
}

static void close_result(FILE *file, const char *name)
{
	char from[300], to[300];

	fclose(file);
	snprintf(from, sizeof(from), "%s/%s.new", folder, name);
	snprintf(to, sizeof(to), "%s/%s", folder, name);
	rename(from, to);
}

/* Programs that together cover all that was covered, those first that cover most. */
static void write_corpus(void)
{
	static struct set covered;
	unsigned int i, j, best, most, nr = 0;
	FILE *file = open_result("corpus");

	if (!file)
		return;
	memset(&covered, 0, sizeof(covered));
	for (;;) {
		most = 0;
		for (i = 0; i < nr_kept; i++) {
			unsigned int new = 0;

			for (j = 0; j < kept[i].nr_blocks; j++)
				new += !set_has(&covered, kept[i].blocks[j]);
			if (new > most) {
				most = new;
				best = i;
			}
		}
		if (!most)
			break;
		for (j = 0; j < kept[best].nr_blocks; j++)
			set_add(&covered, kept[best].blocks[j]);
		program_print(&kept[best].program, file);
		nr++;
	}
	close_result(file, "corpus");
	printf("%u programs cover %u blocks: %s/corpus\n", nr, covered.nr, folder);
}

static void write_blocks(void)
{
	FILE *file = open_result("blocks");
	uint32_t i;

	if (!file)
		return;
	for (i = 0; i < SET_BITS; i++)
		if (set_has(&blocks, i))
			fprintf(file, "%x\n", i);
	close_result(file, "blocks");
}

static void write_results(void)
{
	if (!have_kcov)
		return;
	write_corpus();
	write_blocks();
}

static const struct program *any_kept(uint64_t *rnd)
{
	return &kept[(next_random(rnd) >> 32) % nr_kept].program;
}

static void fuzz(uint64_t seconds, uint64_t rnd)
{
	const uint64_t first = milliseconds();
	uint64_t written = 0, passed;
	struct program p;

	while ((passed = (milliseconds() - first) / 1000) < seconds) {
		if (passed >= written + RESULTS_EVERY) {
			written = passed;
			write_results();
		}
		if (!nr_kept || !(next_random(&rnd) >> 32 & 15)) {
			program_random(&p, &rnd);
		} else {
			p = *any_kept(&rnd);
			program_mutate(&p, any_kept(&rnd), &rnd);
		}
		try_program(&p, true);
	}
	progress(true);
}

static void run_file(const char *name, unsigned int times)
{
	struct program p;
	unsigned int i;
	FILE *file = fopen(name, "r");

	if (!file) {
		perror(name);
		exit(2);
	}
	while (program_read(&p, file, name))
		for (i = 0; i < times; i++)
			try_program(&p, false);
	fclose(file);
}

static void usage(int status)
{
	fprintf(status ? stderr : stdout,
		"Usage: fuzz [OPTION]... [FILE]...\n\n"
		"Run the programs of the files on /dev/xvm, then others that are made of them.\n\n"
		"  -t SECONDS  how long; 0: only the files (60)\n"
		"  -s SEED     of the random numbers (the time)\n"
		"  -n TIMES    run each program of the files so often (1)\n"
		"  -o FOLDER   for the last programs, the corpus and the blocks that were covered (.)\n"
		"  -v          show each call and its result\n\n"
		"Ends with status 1 as soon as something is wrong.\n");
	exit(status);
}

int main(int argc, char **argv)
{
	uint64_t seconds = 60, seed = time(NULL);
	unsigned int times = 1;
	sigset_t child;
	int c, i;

	while ((c = getopt(argc, argv, "t:s:n:o:vh")) >= 0) {
		switch (c) {
		case 't':
			seconds = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			times = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			folder = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	}
	dev = open(XVM_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (dev < 0) {
		perror(XVM_DEVICE_PATH);
		return 2;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(log_fd, 0, SEEK_END);
	text = module_text();
	have_kcov = text;
	for (i = 0; i < MAX_THREADS && have_kcov; i++)
		have_kcov = kcov_open(&kcovs[i]);
	printf("seed %lu, %s coverage, %s failures\n", seed, have_kcov ? "with" : "without",
	       fail_init() ? "with" : "without");
	began = milliseconds();
	for (i = optind; i < argc; i++)
		run_file(argv[i], times);
	progress(true);
	fuzz(seconds, seed * 0x9e3779b97f4a7c15 + 1);
	if (seconds)
		write_results();
	printf("nothing found\n");
	return 0;
}
