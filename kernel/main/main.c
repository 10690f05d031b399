/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davitd. The main thread reads the command line, then does nothing but wait for signals and for what the runtime tells it,
 * one event after the other; so a signal is heard at any moment of the start.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/version.h"
#include "main/runtime.h"
#include "mesh/names.h"
#include "plugin/blame.h"

#define LOG_SCOPE "dapr.runtime"
#define SIGNALS "dapr.signals" /* the scope of what is said of them */
#define DRAIN_MS 30000	       /* events that are with the application when a blocked shutdown begins */

enum outcome { END, RESTART, FAIL };

static sigset_t waited;	  /* what the main thread waits for */
static atomic_int events; /* bits: 1 << enum runtime_event */
static struct arena *main_arena;

static void tell(void *ctx, enum runtime_event e)
{
	(void)ctx;
	atomic_fetch_or(&events, 1 << e);
	kill(getpid(), SIGURG); /* wakes sigtimedwait; ignored by default, so a late one does no harm */
}

static int take(enum runtime_event e)
{
	return atomic_fetch_and(&events, ~(1 << e)) & 1 << e;
}

/* The next signal, or 0 when the time (steady, ms) is over. */
static int next_signal(int64_t until_ms)
{
	int64_t left = until_ms - clock_ms();
	struct timespec t;
	int sig;

	if (left < 0)
		left = 0;
	t = (struct timespec){ left / 1000, left % 1000 * 1000000 };
	sig = sigtimedwait(&waited, NULL, &t);
	return sig > 0 ? sig : 0;
}

static const char *signal_name(int sig)
{
	return sig == SIGINT ? "interrupt" : sig == SIGTERM ? "terminated" : "hangup";
}

/* While everything closes the main thread is busy; these two cut it short. Only write and _exit are safe here. */
static void on_second_signal(int sig)
{
	static const char line[] = "level=fatal msg=\"Received a second signal during shutdown; exiting immediately\" "
				   "scope=dapr.signals type=log\n";
	ssize_t ignored = write(1, line, sizeof(line) - 1);

	(void)sig, (void)ignored;
	_exit(1);
}

static void on_grace_over(int sig)
{
	static const char line[] = "level=fatal msg=\"Graceful shutdown timeout exceeded, forcing shutdown\" "
				   "scope=dapr.runtime type=log\n";
	ssize_t ignored = write(1, line, sizeof(line) - 1);

	(void)sig, (void)ignored;
	_exit(1);
}

static void guard_shutdown(int seconds)
{
	struct sigaction second = { .sa_handler = on_second_signal }, over = { .sa_handler = on_grace_over };
	sigset_t open;

	sigaction(SIGINT, &second, NULL);
	sigaction(SIGTERM, &second, NULL);
	sigaction(SIGALRM, &over, NULL);
	sigemptyset(&open);
	sigaddset(&open, SIGINT);
	sigaddset(&open, SIGTERM);
	sigaddset(&open, SIGALRM);
	alarm((unsigned)(seconds > 0 ? seconds : 0) + 1); /* closing is told the same limit; this catches what hangs */
	pthread_sigmask(SIG_UNBLOCK, &open, NULL);
}

static void end_guard(void)
{
	alarm(0);
	pthread_sigmask(SIG_BLOCK, &waited, NULL);
}

static void force_exit(void)
{
	struct timespec moment = { 0, 100000000 }; /* for the answer to leave */

	log_warn("Force shutdown requested, exiting immediately without graceful shutdown");
	nanosleep(&moment, NULL);
	_exit(1);
}

/* --dapr-block-shutdown-duration: goes on serving until it is over. */
static void block_shutdown(const struct options *o, struct runtime *r)
{
	int64_t until = clock_ms() + o->dapr_block_shutdown_duration / 1000000;
	char text[DURATION_TEXT];
	int sig;

	if (o->dapr_block_shutdown_duration < 0)
		return;
	duration_text(o->dapr_block_shutdown_duration, text);
	take(RUNTIME_APP_UNHEALTHY); /* only what comes from now on counts */
	log_info("Blocking graceful shutdown for %s or until app reports unhealthy...", text);
	runtime_stop_events(r, DRAIN_MS);
	while (clock_ms() < until) {
		sig = next_signal(until);
		if (sig == SIGINT || sig == SIGTERM) {
			log_write(LOG_FATAL, SIGNALS, "Received signal '%s' during shutdown; exiting immediately",
				  signal_name(sig));
			_exit(1);
		}
		if (take(RUNTIME_FORCED))
			force_exit();
		if (take(RUNTIME_APP_UNHEALTHY)) {
			log_info("App reported unhealthy, entering shutdown...");
			return;
		}
	}
	log_info("Block shutdown period expired, entering shutdown...");
}

static int fatal(struct str message)
{
	log_fatal("Fatal error from runtime: " STR_FMT, STR_ARG(message));
	return FAIL;
}

/* 1: the start came to its end and the sidecar serves or goes on waiting; 0: *ret_outcome is fatal. */
static int advance(struct runtime *r)
{
	struct str message;

	if (take(RUNTIME_OPENED) && runtime_serve(r, main_arena, &message) < 0)
		return fatal(message), 0;
	if (take(RUNTIME_APP_READY))
		runtime_ready(r);
	return 1;
}

static enum outcome run(const struct options *o)
{
	struct runtime_hook hook = { tell, NULL };
	enum outcome out = END;
	struct runtime *r;
	struct str message;
	int sig, over = 0;

	atomic_store(&events, 0);
	r = runtime_new(o, &hook, main_arena, &message);
	if (r == NULL)
		return fatal(message);
	while (!over) {
		sig = next_signal(clock_ms() + 1000);
		runtime_look(r);
		if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP) {
			if (sig == SIGHUP)
				log_write(LOG_INFO, SIGNALS, "Received signal '%s'; restarting", signal_name(sig));
			else
				log_write(LOG_INFO, SIGNALS, "Received signal '%s'; beginning shutdown",
					  signal_name(sig));
			out = sig == SIGHUP ? RESTART : END;
			over = 1;
		} else if (take(RUNTIME_FORCED)) {
			force_exit();
		} else if (take(RUNTIME_SHUTDOWN)) {
			log_info("Shutdown requested via API");
			over = 1;
		} else if (!advance(r)) {
			out = FAIL;
			over = 1;
		}
	}
	if (out != FAIL)
		block_shutdown(o, r);
	guard_shutdown((int)o->dapr_graceful_shutdown_seconds);
	runtime_free(r, (int)o->dapr_graceful_shutdown_seconds * 1000);
	end_guard();
	return out;
}

/* What Dapr puts into its own environment, for what it starts. Before any thread. */
static void set_environment(const struct options *o)
{
	setenv("APP_ID", o->app_id.p, 1);
	setenv("APP_PORT", o->app_port.n ? o->app_port.p : "0", 1);
	setenv("HOST_ADDRESS", names_find_host(main_arena).p, 1);
	setenv("DAPR_HTTP_PORT", o->dapr_http_port.p, 1);
	setenv("DAPR_GRPC_PORT", o->dapr_grpc_port.p, 1);
	setenv("DAPR_METRICS_PORT", o->metrics_port.p, 1);
	setenv("DAPR_PROFILE_PORT", o->profile_port.p, 1);
}

static int start_log(const struct options *o)
{
	struct log_options l = { .level = LOG_INFO,
				 .json = o->log_as_json,
				 .file = o->log_file.n ? o->log_file.p : NULL,
				 .app_id = o->app_id.p,
				 .version = DAPR_LEVEL };

	log_level_of(o->log_level, &l.level);
	if (log_start(&l) < 0) {
		log_fatal("cannot open the log file " STR_FMT ": %s", STR_ARG(o->log_file), strerror(errno));
		return -1;
	}
	return 0;
}

/* SIGHUP: the command line and the environment are read once more, as for a new start. */
static enum outcome run_again(int argc, char **argv)
{
	struct options *o = arena_alloc(main_arena, sizeof(*o));
	struct str message;

	if (options_parse(argc, argv, main_arena, o, &message) != OPTIONS_RUN ||
	    options_check(main_arena, o, &message) < 0)
		return fatal(message);
	return run(o);
}

static int sidecar(struct options *o, int argc, char **argv)
{
	struct str message;
	enum outcome out;
	size_t i;

	if (start_log(o) < 0)
		return 1;
	for (i = 0; i < o->notices.n; i++)
		fprintf(stderr, STR_FMT "\n", STR_ARG(o->notices.at[i]));
	log_info("Starting Dapr Runtime -- version %s -- commit %s", DAPR_LEVEL, DAVIT_COMMIT);
	log_info("Log level set to: " STR_FMT, STR_ARG(o->log_level));
	log_info("This is Davit %s", DAVIT_VERSION);
	if (options_check(main_arena, o, &message) < 0) {
		fatal(message);
		return 1;
	}
	set_environment(o);
	out = run(o);
	while (out == RESTART)
		out = run_again(argc, argv);
	if (out == FAIL)
		return 1;
	log_info("Daprd shutdown gracefully");
	return 0;
}

static void block_signals(void)
{
	sigemptyset(&waited);
	sigaddset(&waited, SIGINT);
	sigaddset(&waited, SIGTERM);
	sigaddset(&waited, SIGHUP);
	sigaddset(&waited, SIGURG);
	pthread_sigmask(SIG_BLOCK, &waited, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct options o;
	struct str message;

	block_signals();
	blame_start();
	main_arena = arena_new();
	/* OpenSSL makes its beginnings at first use and crashes later if there was no memory for them; libuv aborts where
	 * the first handler of forks finds none. So both are had here, where it is only a sentence. */
	if (main_arena == NULL || pthread_atfork(NULL, NULL, NULL) != 0 || OSSL_LIB_CTX_get0_global_default() == NULL) {
		fputs("davitd: out of memory\n", stderr);
		return 1;
	}
	switch (options_parse(argc, argv, main_arena, &o, &message)) {
	case OPTIONS_PRINT: fputs(message.p, stdout); return 0;
	case OPTIONS_HELP: fputs(message.p, stderr); return 0;
	case OPTIONS_USAGE: fputs(message.p, stderr); return 2;
	case OPTIONS_FATAL: log_fatal(STR_FMT, STR_ARG(message)); return 1;
	case OPTIONS_WAIT: options_wait(&o, stderr); return 0;
	case OPTIONS_RUN: break;
	}
	return sidecar(&o, argc, argv);
}
