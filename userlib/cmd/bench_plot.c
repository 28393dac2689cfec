// SPDX-License-Identifier: GPL-2.0-only
/* What xvm bench measured over the number of slots, drawn by gnuplot. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "cmd.h"

#define COLUMNS 3
#define PANEL_WIDTH 400
#define PANEL_HEIGHT 300

extern char **environ;

static bool drawn(const struct bench_result *result)
{
	return result->bench->sized && !result->failed;
}

/* A panel is a run of results of the same figure. */
static int panel_end(const struct bench_result *results, int nr, int start)
{
	int end = start;

	while (end < nr && results[end].figure == results[start].figure)
		end++;
	return end;
}

static int count_panels(const struct bench_result *results, int nr)
{
	int i, panels = 0;

	for (i = 0; i < nr; i = panel_end(results, nr, i))
		panels += drawn(&results[i]);
	return panels;
}

static void write_panel(FILE *to, const struct bench_options *options,
			const struct bench_result *results, int start, int end)
{
	int device, i;

	for (device = 0; device < options->nr_devices; device++) {
		fprintf(to, "$data%d << EOD\n", device);
		for (i = start; i < end; i++) {
			if (!drawn(&results[i]) || results[i].absent[device])
				continue;
			fprintf(to, "%" PRIu64 " %.3f\n", results[i].size,
				bench_median(&results[i], device,
					     options->rounds) /
					1000);
		}
		fprintf(to, "EOD\n");
	}
	fprintf(to,
		"set title \"%s\"\nset ylabel \"microseconds per %s\"\nplot ",
		results[start].figure->name, results[start].figure->unit);
	for (device = 0; device < options->nr_devices; device++)
		fprintf(to,
			"%s$data%d with linespoints lw 2 pt %d title \"%s\"",
			device ? ", " : "", device, device ? 7 : 5,
			bench_short_name(options->devices[device]));
	fprintf(to, "\n");
}

/* Without minor tics, of which logarithmic axes have too many. */
static const char settings[] =
"set logscale xy\n"
"set grid\n"
"unset mxtics\n"
"unset mytics\n"
"set xlabel \"slots\"\n"
"set format y \"%g\"\n"
"set xrange [8:80000]\n"
"set key outside top right horizontal\n";

static void write_script(FILE *to, const struct bench_options *options,
			 const struct bench_result *results, int nr, int panels)
{
	int rows = (panels + COLUMNS - 1) / COLUMNS;
	int i, end;

	fprintf(to, "set terminal svg size %d,%d background \"white\"\n",
		COLUMNS * PANEL_WIDTH, rows * PANEL_HEIGHT);
	fprintf(to, "set multiplot layout %d,%d\n", rows, COLUMNS);
	fputs(settings, to);
	for (i = 0; i < nr; i = end) {
		end = panel_end(results, nr, i);
		if (drawn(&results[i]))
			write_panel(to, options, results, i, end);
	}
	fprintf(to, "unset multiplot\n");
}

/* gnuplot with the script on standard input, and the file as standard output. */
static int spawn_gnuplot(const char *path, int input, pid_t *pid)
{
	char *const argv[] = { "gnuplot", "-", NULL };
	posix_spawn_file_actions_t actions;
	int ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path,
					 O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ret = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

int bench_write_plot(const struct bench_options *options,
		     const struct bench_result *results, int nr)
{
	int panels = count_panels(results, nr), status, ret;
	FILE *script;
	pid_t pid;

	if (!panels)
		return bench_fail("nothing to plot over a number of slots",
				  -ENODATA);
	/* A file, not a pipe: nothing blocks, or breaks, if gnuplot ends early. */
	script = tmpfile();
	if (!script)
		return bench_fail("plot", -errno);
	write_script(script, options, results, nr, panels);
	rewind(script);
	ret = spawn_gnuplot(options->plot, fileno(script), &pid);
	if (ret) {
		bench_fail("gnuplot", ret);
	} else if (waitpid(pid, &status, 0) < 0 || status) {
		ret = bench_fail(options->plot, -EIO);
	}
	fclose(script);
	return ret;
}
