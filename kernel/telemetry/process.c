/* SPDX-License-Identifier: Apache-2.0 */
/* process_*: what Prometheus' clients tell of the process itself, from /proc. What cannot be read is left out. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/banned.h"
#include "telemetry/metrics_inside.h"

struct process {
	double cpu_seconds, start_seconds; /* start: since the machine's */
	double virtual_bytes, resident_bytes;
};

static int read_stat(struct process *p)
{
	char line[1024], *at;
	unsigned long user, system, resident, size;
	unsigned long long start;
	FILE *f = fopen("/proc/self/stat", "re");
	int ok = f && fgets(line, sizeof(line), f);
	double ticks = (double)sysconf(_SC_CLK_TCK);

	if (f)
		fclose(f);
	at = ok ? strrchr(line, ')') : NULL; /* the name before it may hold anything */
	if (!at ||
	    sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu %lu %lu",
		   &user, &system, &start, &size, &resident) != 5)
		return -1;
	p->cpu_seconds = (double)(user + system) / ticks;
	p->start_seconds = (double)start / ticks;
	p->virtual_bytes = (double)size;
	p->resident_bytes = (double)resident * (double)sysconf(_SC_PAGESIZE);
	return 0;
}

/* When the machine was started, in seconds since 1970; 0: not known. */
static double boot_seconds(void)
{
	char line[256];
	double at = 0;
	FILE *f = fopen("/proc/stat", "re");

	while (f && at == 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "btime %lf", &at) != 1)
			at = 0;
	if (f)
		fclose(f);
	return at;
}

static double open_files(void)
{
	double n = -1; /* the folder's own */
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static double limit(int which)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)which, &r) < 0)
		return -1;
	return (double)r.rlim_cur; /* without a limit 1.8446744073709552e+19, as Go's client shows it */
}

void process_metrics_write(struct buf *b)
{
	struct process p = { 0 };
	int known = read_stat(&p) == 0;
	double boot = boot_seconds();
	const struct {
		const char *name, *help;
		enum metric_kind kind;
		int known;
		double value;
	} rows[] = {
		{ "process_cpu_seconds_total", "CPU time used, of user and system, in seconds.", METRIC_COUNTER, known,
		  p.cpu_seconds },
		{ "process_max_fds", "Files that may be open at once.", METRIC_GAUGE, 1, limit(RLIMIT_NOFILE) },
		{ "process_open_fds", "Files that are open.", METRIC_GAUGE, 1, open_files() },
		{ "process_resident_memory_bytes", "Memory that is resident, in bytes.", METRIC_GAUGE, known,
		  p.resident_bytes },
		{ "process_start_time_seconds", "When the process started, in seconds since 1970.", METRIC_GAUGE,
		  known && boot > 0, boot + p.start_seconds },
		{ "process_virtual_memory_bytes", "Address space in use, in bytes.", METRIC_GAUGE, known,
		  p.virtual_bytes },
		{ "process_virtual_memory_max_bytes", "Address space that may be used, in bytes.", METRIC_GAUGE, 1,
		  limit(RLIMIT_AS) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!rows[i].known || rows[i].value < 0)
			continue;
		metrics_put_head(b, str_of(rows[i].name), str_of(rows[i].help), rows[i].kind);
		buf_printf(b, "%s ", rows[i].name);
		metrics_put_number(b, rows[i].value);
		buf_lit(b, "\n");
	}
}
