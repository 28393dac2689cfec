// SPDX-License-Identifier: GPL-2.0-only
/*
 * What xvm bench measured, drawn by gnuplot: a panel for each figure over the
 * number of slots, and below them a bar for the ratio of each other figure.
 */
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
#define BAR_HEIGHT 20
#define BARS_MARGIN 80 /* title and axis */

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

/* A figure without slots to plot over, of two devices. */
static bool compared(const struct bench_options *options,
		     const struct bench_result *result, struct bench_ratio *ratio)
{
	return !result->bench->sized && !result->failed &&
	       bench_ratio(options, result, ratio);
}

static int count_bars(const struct bench_options *options,
		      const struct bench_result *results, int nr)
{
	struct bench_ratio ratio;
	int i, bars = 0;

	for (i = 0; i < nr; i++)
		bars += compared(options, &results[i], &ratio);
	return bars;
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
"set grid\n"
"unset mxtics\n"
"unset mytics\n"
"set format \"%g\"\n";

static const char panel_settings[] =
"set logscale xy\n"
"set xlabel \"slots\"\n"
"set xrange [8:80000]\n"
"set key outside top right horizontal\n";

/* The bars reach from 1, and the last one is at the bottom. */
static const char bar_settings[] =
"set autoscale\n"
"unset logscale\n"
"set logscale x\n"
"unset ylabel\n"
"set yrange [*:*] reverse\n"
"set style fill solid 0.6\n"
"set arrow from 1, graph 0 to 1, graph 1 nohead lw 2\n"
"unset key\n";

static void write_bars(FILE *to, const struct bench_options *options,
		       const struct bench_result *results, int nr)
{
	struct bench_ratio ratio;
	int i;

	fprintf(to, "%s$bars << EOD\n", bar_settings);
	for (i = 0; i < nr; i++)
		if (compared(options, &results[i], &ratio))
			fprintf(to, "\"%s\" %.4g\n", results[i].figure->name,
				ratio.median);
	fprintf(to,
		"EOD\nset title \"%s over %s\"\nset xlabel \"less is better\"\n"
		"plot $bars using ($2>1?1:$2):0:($2>1?1:$2):($2>1?$2:1): \\\n"
		"($0-0.35):($0+0.35):ytic(1) with boxxyerror\n",
		bench_short_name(options->devices[1]),
		bench_short_name(options->devices[0]));
}

static void write_script(FILE *to, const struct bench_options *options,
			 const struct bench_result *results, int nr, int panels,
			 int bars)
{
	int rows = (panels + COLUMNS - 1) / COLUMNS, panel = 0, i, end;
	int below = bars ? bars * BAR_HEIGHT + BARS_MARGIN : 0;
	double height = rows * PANEL_HEIGHT + below;

	fprintf(to, "set terminal svg size %d,%.0f background \"white\"\n",
		COLUMNS * PANEL_WIDTH, height);
	fprintf(to, "set multiplot\n%s%s", settings, panel_settings);
	for (i = 0; i < nr; i = end) {
		end = panel_end(results, nr, i);
		if (!drawn(&results[i]))
			continue;
		fprintf(to, "set size %f,%f\nset origin %f,%f\n", 1.0 / COLUMNS,
			PANEL_HEIGHT / height, panel % COLUMNS / (double)COLUMNS,
			1 - (panel / COLUMNS + 1) * PANEL_HEIGHT / height);
		write_panel(to, options, results, i, end);
		panel++;
	}
	if (bars) {
		fprintf(to, "set size 1,%f\nset origin 0,0\n", below / height);
		write_bars(to, options, results, nr);
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
	int bars = count_bars(options, results, nr);
	FILE *script;
	pid_t pid;

	if (!panels && !bars)
		return bench_fail("nothing to plot", -ENODATA);
	/* A file, not a pipe: nothing blocks, or breaks, if gnuplot ends early. */
	script = tmpfile();
	if (!script)
		return bench_fail("plot", -errno);
	write_script(script, options, results, nr, panels, bars);
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
