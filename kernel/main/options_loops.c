/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use: affinity, and the quota of its control group and of those above it. */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"
#include "main/options.h"

#define MOST_LOOPS 4
#define CGROUP_ROOT "/sys/fs/cgroup"

static int affinity(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
	long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */

	return n > 0 && n < INT_MAX ? (int)n : 1;
}

/* The first line of a file in a control group's folder; 0: there is none. */
static int read_line(const char *dir, const char *name, char *ret_line, size_t n)
{
	char path[PATH_MAX];
	FILE *f;
	int ok;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return 0;
	f = fopen(path, "re");
	if (!f)
		return 0;
	ok = fgets(ret_line, (int)n, f) != NULL;
	fclose(f);
	return ok;
}

/* CPUs that the quota of one folder grants; INT_MAX: no limit. A quota of 2.5 CPUs grants 2, less than 1 grants 1. */
static int folder_quota(const char *dir)
{
	char line[128];
	long long quota = -1, period = 0;

	if (read_line(dir, "cpu.max", line, sizeof(line))) {
		if (sscanf(line, "%lld %lld", &quota, &period) != 2)
			return INT_MAX; /* "max 100000" */
	} else if (read_line(dir, "cpu.cfs_quota_us", line, sizeof(line))) {
		quota = strtoll(line, NULL, 10);
		if (read_line(dir, "cpu.cfs_period_us", line, sizeof(line)))
			period = strtoll(line, NULL, 10);
	}
	if (quota <= 0 || period <= 0)
		return INT_MAX;
	long long cpus = quota / period;

	return cpus < 1 ? 1 : cpus > INT_MAX ? INT_MAX : (int)cpus;
}

/* The least of the group's quota and those of its ancestors, up to the mount. */
static int group_quota(const char *mount, const char *group)
{
	char dir[PATH_MAX];
	int least = INT_MAX;

	if (snprintf(dir, sizeof(dir), "%s%s", mount, group) >= (int)sizeof(dir))
		return INT_MAX;
	for (;;) {
		int granted = folder_quota(dir);
		char *slash = strrchr(dir, '/');

		if (granted < least)
			least = granted;
		if (!slash || strlen(dir) <= strlen(mount))
			return least;
		*slash = 0;
	}
}

/* A list such as "cpu,cpuacct" names the controller cpu. */
static int names_cpu(struct str list)
{
	struct str part;

	while (str_split(&list, ',', &part))
		if (str_is(part, "cpu"))
			return 1;
	return 0;
}

static int quota(void)
{
	char line[PATH_MAX];
	int least = INT_MAX;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		int granted;

		if (!group)
			continue;
		*group++ = 0;
		controllers++;
		group[strcspn(group, "\n")] = 0;
		if (*controllers == 0)
			granted = group_quota(CGROUP_ROOT, group);
		else if (names_cpu(str_of(controllers)))
			granted = group_quota(CGROUP_ROOT "/cpu", group);
		else
			continue;
		if (granted < least)
			least = granted;
	}
	if (f)
		fclose(f);
	return least;
}

int options_default_loops(void)
{
	int n = affinity(), granted = quota();

	if (granted < n)
		n = granted;
	return n < 1 ? 1 : n > MOST_LOOPS ? MOST_LOOPS : n;
}
