/* SPDX-License-Identifier: Apache-2.0 */
#include "end.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

#define HANG_MS 30000
#define LOOK_MS 200
#define LENT 64
#define ALTERNATE 32768 /* bytes of stack to tell of a crash on */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *watched; /* on the way */
static int expected, ending; /* atomic */

static struct {
	const char *from;
	size_t n;
} lent[LENT];
static int nlent;
static int handled; /* crashes are told of here; written before there are threads */

static _Thread_local const char *inside;
static _Thread_local char alternate[ALTERNATE];

const char *end_inside(const char *operation)
{
	const char *before = inside;

	inside = operation;
	return before;
}

void end_expected(void)
{
	__atomic_store_n(&expected, 1, __ATOMIC_SEQ_CST);
}

void end_here(const char *name, const char *sentence, ...)
{
	char text[512];
	va_list args;
	int n;

	/* Whoever comes second waits for the end: it is under way. */
	while (__atomic_exchange_n(&ending, 1, __ATOMIC_SEQ_CST))
		pause();
	end_expected();
	signal(SIGALRM, SIG_DFL); /* a lock that a crash has left taken */
	alarm(10);
	n = snprintf(text, sizeof(text), "%s%s", name ? name : "", name ? ": " : "");
	va_start(args, sentence);
	vsnprintf(text + n, sizeof(text) - (size_t)n, sentence, args);
	va_end(args);
	report(0, NULL, text);
	report_end();
	fflush(stdout);
	_exit(1);
}

static const char *meaning(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "it crashes (SIGSEGV: memory that is not its own, such as a pointer kept beyond its call, what "
		       "was freed, or more stack than there is)";
	case SIGBUS: return "it crashes (SIGBUS)";
	case SIGFPE: return "it crashes (SIGFPE: a division by nothing)";
	case SIGILL: return "it crashes (SIGILL)";
	default:
		return "it aborts (SIGABRT: what was printed above; an exception that no davit::guard catches at the "
		       "line; "
		       "memory freed twice)";
	}
}

void end_lent(const void *pages, size_t n)
{
	if (nlent == LENT)
		return;
	lent[nlent].from = pages;
	lent[nlent++].n = n;
}

static int was_lent(const char *address)
{
	int i;

	for (i = 0; i < nlent; i++)
		if (address >= lent[i].from && address < lent[i].from + lent[i].n)
			return 1;
	return 0;
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	static int crashed;

	(void)context;
	if (__atomic_exchange_n(&crashed, 1, __ATOMIC_SEQ_CST)) /* another thread, or in telling of it */
		_exit(1);
	if (sig == SIGSEGV && was_lent(info->si_addr))
		end_here(inside ? inside : "a thread of the plugin's own",
			 "it uses what an earlier call was given, which is gone "
			 "when that call is over: copy what is to be kept");
	end_here(inside ? inside : "outside of every operation, or on a thread of the plugin's own",
		 "%s after \"%s\"; build it with -fsanitize=address, or run "
		 "davit-bench in gdb, to see where",
		 meaning(sig), report_last());
}

static void on_exit_of_plugin(void)
{
	if (!__atomic_load_n(&expected, __ATOMIC_SEQ_CST))
		end_here(inside,
			 "it ends the process by exit(): return a failure instead, the sidecar is not the plugin's");
}

void end_thread(void)
{
	stack_t s = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	if (handled) /* a sanitizer has one of its own, which it takes away with the thread */
		sigaltstack(&s, NULL);
}

void end_prepare(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction act = { .sa_sigaction = on_crash, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	size_t i;

	atexit(on_exit_of_plugin);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they tell more */
	if (dlsym(RTLD_DEFAULT, "__asan_init") != NULL || dlsym(RTLD_DEFAULT, "__tsan_init") != NULL)
		return; /* a plugin built with one, whose library is preloaded */
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &act, NULL);
	handled = 1;
	end_thread();
#else
	(void)signals, (void)act, (void)i;
#endif
}

static void look(void)
{
	struct call *c;
	const char *hangs = NULL;

	pthread_mutex_lock(&lock);
	for (c = watched; c != NULL && hangs == NULL; c = c->watch_next)
		if (host_now_ms() - c->began_ms > HANG_MS)
			hangs = c->name;
	pthread_mutex_unlock(&lock);
	if (hangs != NULL)
		end_here(hangs,
			 "it has not ended after %d s: return a status, or DAVIT_PENDING and call davit_done() once; "
			 "ask "
			 "davit_remaining_ms() how long somebody waits",
			 HANG_MS / 1000);
}

static void *look_always(void *none)
{
	for (;;) {
		usleep(LOOK_MS * 1000);
		look();
	}
	return none;
}

void end_watch(struct call *c)
{
	static int looking;
	pthread_t thread;

	c->began_ms = host_now_ms();
	pthread_mutex_lock(&lock);
	if (!looking && pthread_create(&thread, NULL, look_always, NULL) == 0)
		pthread_detach(thread);
	looking = 1;
	c->watch_next = watched;
	c->watch_link = &watched;
	if (watched != NULL)
		watched->watch_link = &c->watch_next;
	watched = c;
	pthread_mutex_unlock(&lock);
}

void end_unwatch(struct call *c)
{
	pthread_mutex_lock(&lock);
	if (c->watch_link != NULL) {
		*c->watch_link = c->watch_next;
		if (c->watch_next != NULL)
			c->watch_next->watch_link = c->watch_link;
	}
	c->watch_link = NULL;
	pthread_mutex_unlock(&lock);
}
