/* SPDX-License-Identifier: Apache-2.0 */
/* What repeating costs: memory, descriptors and threads that stay behind; how deep operations go on their stack. */
#include <dirent.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "end.h"
#include "probe.h"
#include "report.h"

#define WARM 300 /* rounds before anything is counted */
#define WARM_MS 5000
#define ROUNDS 2000
#define ROUNDS_MS 15000
#define OPENINGS 20
#define SPARE 65536 /* bytes of growth over all rounds that are no leak: caches, buffers of libraries */
#define STACK (1024 * 1024)
#define LOOP_STACK (192 * 1024) /* what an operation on a loop has at least */
#define PAINT 0xa5

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* they hold memory back and use stack of their own */
#else
#define SANITIZED 0
#endif

static int entries(const char *folder)
{
	DIR *d = opendir(folder);
	int n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

struct footprint {
	int64_t memory;
	int descriptors, threads;
};

static struct footprint footprint(void)
{
	struct mallinfo2 m;

	malloc_trim(0);
	m = mallinfo2();
	return (struct footprint){ (int64_t)(m.uordblks + m.hblkhd), entries("/proc/self/fd"),
				   entries("/proc/self/task") };
}

static void once(struct host *h, const struct probe *p)
{
	struct call c;

	call_init(&c, h);
	call_run(&c, p->op, p->in);
	call_release(&c);
}

/* How many were made: an operation that takes its time has fewer. */
static int rounds(struct host *h, int most, int within_ms)
{
	struct probe probes[PROBES];
	size_t count = probes_of(h, probes), i;
	int64_t until = host_now_ms() + within_ms;
	int n;

	for (n = 0; n < most && host_now_ms() < until; n++)
		for (i = 0; i < count; i++)
			once(h, &probes[i]);
	return n;
}

/* Which operation it is that something stays of. */
static void blame(struct host *h)
{
	struct probe probes[PROBES];
	size_t count = probes_of(h, probes), i;
	struct footprint before, after;
	int64_t until;
	int n;

	for (i = 0; i < count; i++) {
		before = footprint();
		until = host_now_ms() + ROUNDS_MS / 10;
		for (n = 0; n < ROUNDS && host_now_ms() < until; n++)
			once(h, &probes[i]);
		after = footprint();
		printf("# of %d times %s stay %lld bytes, %d descriptors, %d threads\n", n, probes[i].name,
		       (long long)(after.memory - before.memory), after.descriptors - before.descriptors,
		       after.threads - before.threads);
	}
}

static int openings(const struct host *like, const struct davit_pair *props, size_t n, int times)
{
	struct call c;
	int well = 1;

	for (; times > 0 && well; times--) {
		struct host h = { .key_prefix = like->key_prefix };

		well = host_open(&h, like->component, props, n, &c) == 0;
		call_release(&c);
		well = well && host_close(&h) == DAVIT_OK;
	}
	return well;
}

static void failed_openings(const struct host *like, const struct davit_pair *props, size_t n, int times)
{
	struct call c;

	for (; times > 0; times--) {
		struct host h = { .key_prefix = like->key_prefix, .nobody_waits = 1 };

		if (host_open(&h, like->component, props, n, &c) == 0)
			host_close(&h);
		call_release(&c);
	}
}

/* What a component does now and then by itself, such as a clean-up, is over in a while; what leaks stays. */
static struct footprint settled(struct footprint before)
{
	struct footprint now = footprint();
	int tries;

	for (tries = 0; tries < 20 && (now.descriptors > before.descriptors || now.threads > before.threads); tries++) {
		usleep(100000);
		now = footprint();
	}
	return now;
}

/* Whether nothing stays. */
static int compare(struct footprint before, const char *figure, const char *what, int times)
{
	struct footprint after = settled(before);
	int memory = SANITIZED || after.memory - before.memory < SPARE;
	int others = after.descriptors <= before.descriptors && after.threads <= before.threads;
	char text[160];

	snprintf(text, sizeof(text), "%d %s leave no memory behind", times, what);
	if (!SANITIZED)
		report(memory, NULL, text);
	report(others, NULL, "nor descriptors, nor threads");
	if (!memory || !others)
		printf("# %lld bytes, %d descriptors, %d threads have stayed\n",
		       (long long)(after.memory - before.memory), after.descriptors - before.descriptors,
		       after.threads - before.threads);
	snprintf(text, sizeof(text), "bytes that stay after %d %s", times, what);
	report_figure(figure, text, after.memory - before.memory);
	return memory && others;
}

void suite_leak(struct host *h, const struct davit_pair *props, size_t n)
{
	struct footprint before;
	int done;

	rounds(h, WARM, WARM_MS);
	before = footprint();
	done = rounds(h, ROUNDS, ROUNDS_MS);
	if (!compare(before, "leakCall", "rounds of operations", done))
		blame(h);
	if (!openings(h, props, n, 3)) {
		printf("# a second instance does not open beside the first: openings are not counted\n");
		return;
	}
	usleep(200000); /* threads that end take a moment */
	before = footprint();
	report(openings(h, props, n, OPENINGS), NULL, "it opens and closes again and again");
	usleep(200000);
	if (!compare(before, "leakOpen", "openings", OPENINGS))
		printf("# close() frees what open() has made, ends its threads, and closes its descriptors\n");
	before = footprint();
	failed_openings(h, props, n, OPENINGS);
	usleep(200000);
	if (!compare(before, "leakRefused", "openings that nobody waits for", OPENINGS))
		printf("# when davit_emit_self() is not DAVIT_OK, open() frees all it has made and returns that "
		       "status\n");
}

struct dive {
	struct host *host;
	const struct probe *probe; /* NULL: nothing */
};

/* Not through the lane: here, where the stack is painted. */
static void *dive(void *arg)
{
	struct dive *d = arg;
	struct call c;

	end_thread();
	if (d->probe == NULL)
		return NULL;
	call_init(&c, d->host);
	call_execute(&c, d->probe->op, d->probe->in);
	call_end(&c, 0);
	call_release(&c);
	return NULL;
}

/* Bytes of its stack that a thread has touched. */
static int64_t depth(struct host *h, const struct probe *p)
{
	unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1,
				    0);
	struct dive d = { h, p };
	pthread_attr_t attr;
	pthread_t thread;
	int64_t at = 0;

	if (stack == MAP_FAILED)
		abort();
	memset(stack, PAINT, STACK);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, STACK);
	if (pthread_create(&thread, &attr, dive, &d) != 0)
		abort();
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	while (at < STACK && stack[at] == PAINT)
		at++;
	munmap(stack, STACK);
	return STACK - at;
}

void suite_stack(struct host *h)
{
	int64_t limit = h->component->flags & DAVIT_LOOP ? LOOP_STACK : STACK - 65536, most = 0, nothing, used;
	struct probe probes[PROBES];
	size_t n = probes_of(h, probes), i;
	char text[128];

	if (SANITIZED)
		return;
	nothing = depth(h, NULL); /* the thread's own */
	for (i = 0; i < n; i++) {
		used = depth(h, &probes[i]) - nothing;
		snprintf(text, sizeof(text), "%s: %lld of %lld bytes of stack", probes[i].name, (long long)used,
			 (long long)limit);
		report(used < limit, NULL, text);
		if (used >= limit)
			printf("# put large arrays on the heap, or run on workers (without DAVIT_LOOP), which have 1 "
			       "MiB\n");
		if (used > most)
			most = used;
	}
	report_figure("stack", "bytes of stack that an operation used at most", most);
	report_figure("stackLimit", "bytes that it has at least", limit);
}
