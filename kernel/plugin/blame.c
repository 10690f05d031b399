/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/blame.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"
#include "plugin/manifest.h"

#define PLUGINS 128
#define FRAMES 32

/* Written before `nsuspects` counts it, never changed afterwards: read in a signal's handler. */
static struct suspect {
	const void *base; /* of the library */
	char name[128], version[32], vendor[64];
} suspects[PLUGINS];
static atomic_int nsuspects;
static const void *self_base;

static void keep(char *to, size_t room, struct str s)
{
	size_t n = s.n < room ? s.n : room - 1;

	if (n > 0)
		memcpy(to, s.p, n);
	to[n] = '\0';
}

void blame_add(const struct manifest *m, const void *inside)
{
	int n = nsuspects, i;
	Dl_info at;

	if (n == PLUGINS || dladdr(inside, &at) == 0)
		return;
	for (i = 0; i < n; i++)
		if (suspects[i].base == at.dli_fbase)
			return;
	suspects[n].base = at.dli_fbase;
	keep(suspects[n].name, sizeof(suspects[n].name), m->name);
	keep(suspects[n].version, sizeof(suspects[n].version), m->version);
	keep(suspects[n].vendor, sizeof(suspects[n].vendor), m->vendor);
	nsuspects = n + 1;
}

/* What is to be said, at once: other threads go on writing their lines. */
static char said[2048];
static size_t nsaid;

static void say(const char *text)
{
	size_t n = strlen(text), room = sizeof(said) - nsaid;

	if (n > room)
		n = room;
	memcpy(said + nsaid, text, n);
	nsaid += n;
}

static void write_down(void)
{
	ssize_t n = write(STDERR_FILENO, said, nsaid);

	(void)n;
}

static const char *signal_text(int sig)
{
	switch (sig) {
	case SIGSEGV: return "a wrong address (SIGSEGV)";
	case SIGBUS: return "a wrong address (SIGBUS)";
	case SIGILL: return "a wrong instruction (SIGILL)";
	case SIGFPE: return "a wrong calculation (SIGFPE)";
	default: return "giving up (SIGABRT)";
	}
}

/* A plugin known by name, or any library that is no part of the system, whose code is at this address. */
static int accuse(const void *address)
{
	int n = nsuspects, i;
	Dl_info at;

	if (dladdr(address, &at) == 0 || at.dli_fbase == self_base || at.dli_fname == NULL)
		return 0;
	for (i = 0; i < n && suspects[i].base != at.dli_fbase; i++)
		;
	if (i < n) {
		say("plugin ");
		say(suspects[i].name);
		say(" ");
		say(suspects[i].version);
		say(" by ");
		say(suspects[i].vendor[0] ? suspects[i].vendor : "an unknown vendor");
		say(" (");
		say(at.dli_fname);
		say(")");
		return 1;
	}
	if (strstr(at.dli_fname, "/plugins/") == NULL) /* one whose load has not come to an end, else the system's */
		return 0;
	say("plugin file ");
	say(at.dli_fname);
	return 1;
}

__attribute__((unused)) static void on_crash(int sig) /* a sanitizer's own handler says more */
{
	void *frames[FRAMES];
	int n, i, found = 0;

	signal(sig, SIG_DFL); /* whatever happens in here ends the process at once */
	say("davitd: ");
	n = backtrace(frames, FRAMES);
	for (i = 1; i < n && !found; i++)
		found = accuse(frames[i]);
	say(found ? "" : "Davit itself");
	say(" ended the process by ");
	say(signal_text(sig));
	say(found ? ": take it out of the plugin folder, or another version of it, and tell its vendor\n" : "\n");
	write_down();
	raise(sig); /* delivered when this returns: the core is of the place where it happened */
}

/* A sanitizer has its own way to tell. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

void blame_start(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction a = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK };
	void *frame[1];
	Dl_info at;
	size_t i;

	if (SANITIZED)
		return;
	if (dladdr((const void *)(uintptr_t)on_crash, &at) != 0)
		self_base = at.dli_fbase;
	backtrace(frame, 1); /* loads what it needs now: then it is too late */
	sigemptyset(&a.sa_mask);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &a, NULL);
}
