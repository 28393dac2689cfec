// SPDX-License-Identifier: GPL-2.0-only
#include "trace.h"

#include <sys/stat.h>

#include "huge.h"
#include "text.h"

bool trace_create(struct trace *trace)
{
	/* Of a test that did not come to its end. */
	rmdir(TRACE_INSTANCE);
	if (mkdir(TRACE_INSTANCE, 0700))
		return false;
	trace->size = 4 << 20;
	trace->text = mem_alloc(trace->size);
	return true;
}

void trace_destroy(void)
{
	rmdir(TRACE_INSTANCE);
}

void trace_enable(const char *event, bool on)
{
	char path[200];

	snprintf(path, sizeof(path), TRACE_EVENTS "/%s/enable", event);
	if (!write_text(path, on ? "1" : "0"))
		die("%s: %m", path);
}

void trace_begin(const char *event)
{
	char pid[20];
	int trace;

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!write_text(TRACE_INSTANCE "/set_event_pid", pid))
		die(TRACE_INSTANCE ": %m");
	/* What was traced before goes with the truncation. */
	trace = open(TRACE_INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (trace < 0)
		die(TRACE_INSTANCE "/trace: %m");
	close(trace);
	trace_enable(event, true);
}

/* A file that is made as it is read knows no offsets. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	ssize_t got, sum = 0;

	while ((got = read(fd, text + sum, size - 1 - sum)) > 0)
		sum += got;
	text[sum] = '\0';
	return got < 0 ? got : sum;
}

void trace_end(struct trace *trace, const char *event)
{
	int fd = open(TRACE_INSTANCE "/trace", O_RDONLY | O_CLOEXEC);

	trace_enable(event, false);
	if (fd < 0 || read_all(fd, trace->text, trace->size) <= 0)
		die(TRACE_INSTANCE "/trace: %m");
	close(fd);
	trace->next = trace->text;
}

char *trace_next(struct trace *trace, const char *event)
{
	char mark[40], *found, *end;

	snprintf(mark, sizeof(mark), " %s: ", event);
	found = strstr(trace->next, mark);
	if (!found)
		return NULL;
	found += strlen(mark);
	end = strchr(found, '\n');
	trace->next = end ? end + 1 : found + strlen(found);
	if (end)
		*end = '\0';
	return found;
}

uint8_t *far_pages(void)
{
	uint8_t *mem = mem_alloc(FAR_SIZE);

	madvise(mem, FAR_SIZE, MADV_NOHUGEPAGE);
	fill_pages(mem, FAR_PAGES, 1000);
	return mem;
}

uint8_t *far_start(struct guest *g, int dev)
{
	uint8_t *mem = far_pages();

	pass_start(g, dev);
	guest_add_slot(g, 1, 0, FAR_GPA, FAR_SIZE, mem);
	return mem;
}
