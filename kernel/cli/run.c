/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `davit run`: a sidecar and an application as one. The sidecar starts first; when it answers, the application starts with
 * Dapr's environment. Whichever ends, or Ctrl-C, ends both; the exit code is the application's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"

#define START_MS 60000 /* for the sidecar to answer */
#define STOP_MS 10000  /* for either to end before it is killed */
#define ARGUMENTS 128

struct pair {
	struct command_call *c;
	pid_t sidecar, app; /* 0: not there */
	int app_status, sidecar_status;
	int hurry; /* we were told to end, and then once more */
	const char *id, *http, *grpc, *metrics;
	sigset_t waited;
};

/* A port that is free now; 0: none. */
static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0)
		port = ntohs(at.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

static const char *port_of(struct command_call *c, const char *flag)
{
	const char *given = command_flag(c, flag);

	return given && strcmp(given, "0") != 0 ? given : arena_printf(c->a, "%d", free_port()).p;
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "wex");

	if (f == NULL)
		return errno == EEXIST ? 0 : -1;
	fputs(text, f);
	return fclose(f);
}

static int make_folders(char *path)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* A component on a SQLite file of its own; more is further metadata. */
static int write_sqlite(struct command_call *c, struct str folder, const char *name, const char *type, const char *file,
			const char *more)
{
	struct str text = arena_printf(c->a,
				       "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nspec:\n"
				       "  type: %s\n  version: v1\n  metadata:\n    - name: connectionString\n"
				       "      value: \"%s\"\n%s",
				       name, type, file, more);

	return write_file(arena_printf(c->a, STR_FMT "/%s.yaml", STR_ARG(folder), name).p, text.p);
}

/* Without --resources-path: a durable store, durable topics and the environment's secrets, with no server, in the user's own
 * folder: all sidecars that this user runs so share them. */
static const char *default_resources(struct command_call *c)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct str folder;

	if (state == NULL || state[0] != '/')
		state = arena_printf(c->a, "%s/.local/state", home && home[0] ? home : ".").p;
	folder = arena_printf(c->a, "%s/davit/resources", state);
	if (make_folders((char *)folder.p) < 0)
		return NULL;
	if (write_sqlite(c, folder, "statestore", "state.sqlite", arena_printf(c->a, "%s/davit/state.db", state).p,
			 "    - name: actorStateStore\n      value: \"true\"\n") < 0 ||
	    write_sqlite(c, folder, "pubsub", "pubsub.sqlite", arena_printf(c->a, "%s/davit/pubsub.db", state).p, "") <
		    0 ||
	    write_file(arena_printf(c->a, STR_FMT "/secretstore.yaml", STR_ARG(folder)).p,
		       "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: secretstore\nspec:\n"
		       "  type: secretstores.local.env\n  version: v1\n") < 0)
		return NULL;
	return folder.p;
}

static pid_t spawn(struct pair *p, const char *file, char *const *argv)
{
	sigset_t none;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0); /* Ctrl-C comes to us alone; we end both, one after the other */
	execvp(file, argv);
	fprintf(stderr, "davit: %s: %s\n", file, strerror(errno));
	(void)p;
	_exit(127);
}

static int start_sidecar(struct pair *p)
{
	struct command_call *c = p->c;
	const char *argv[ARGUMENTS], *program = command_beside(c->a, "davitd"), *resources;
	int n = 0, i, k;

	argv[n++] = program;
	argv[n++] = "--app-id";
	argv[n++] = p->id;
	argv[n++] = "--dapr-http-port";
	argv[n++] = p->http;
	argv[n++] = "--dapr-grpc-port";
	argv[n++] = p->grpc;
	argv[n++] = "--metrics-port";
	argv[n++] = p->metrics;
	argv[n++] = "--dapr-listen-addresses";
	argv[n++] = "127.0.0.1";
	for (i = 0; c->command->flags[i].name != NULL; i++) {
		const char *name = c->command->flags[i].name;

		if (strcmp(name, "app-id") == 0 || strstr(name, "dapr-http-port") || strstr(name, "dapr-grpc-port") ||
		    strstr(name, "metrics-port"))
			continue;
		for (k = 0; k < c->flags[i].n && n < ARGUMENTS - 4; k++)
			argv[n++] = arena_printf(c->a, "--%s=%s", name, c->flags[i].values[k]).p;
	}
	if (command_flag(c, "resources-path") == NULL) {
		resources = default_resources(c);
		if (resources == NULL)
			return command_failed("the default resources cannot be written: %s", strerror(errno)), -1;
		argv[n++] = "--resources-path";
		argv[n++] = resources;
	}
	argv[n] = NULL;
	p->sidecar = spawn(p, program, (char *const *)(uintptr_t)argv);
	return p->sidecar < 0 ? (command_failed("no process can be started: %s", strerror(errno)), -1) : 0;
}

/* Whether healthz/outbound answers 204. */
static int answers(const char *port)
{
	static const char ask[] = "GET /v1.0/healthz/outbound HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval second = { 1, 0 };
	char head[16] = "";
	int64_t number = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), well;

	if (fd < 0 || str_int(str_of(port), &number) < 0)
		return 0;
	at.sin_port = htons((uint16_t)number);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	well = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	       send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(ask) - 1 &&
	       recv(fd, head, 12, MSG_WAITALL) == 12 && strcmp(head, "HTTP/1.1 204") == 0;
	close(fd);
	return well;
}

/* Takes note of children that ended. */
static void reap(struct pair *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->sidecar) {
			p->sidecar = 0;
			p->sidecar_status = status;
		} else if (pid == p->app) {
			p->app = 0;
			p->app_status = status;
		}
	}
}

/* The next signal within ms, 0: none. */
static int next_signal(struct pair *p, int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	int sig = sigtimedwait(&p->waited, NULL, &t);

	reap(p);
	return sig > 0 && sig != SIGCHLD ? sig : 0;
}

/* 0: it answers; 1: it ended or we were told to. */
static int wait_for_sidecar(struct pair *p)
{
	int64_t until = clock_ms() + START_MS;

	while (!answers(p->http)) {
		if (next_signal(p, 50) || p->sidecar == 0)
			return 1;
		if (clock_ms() > until)
			return command_failed("the sidecar did not answer within %d s", START_MS / 1000);
	}
	return 0;
}

static int start_app(struct pair *p)
{
	const char *port = command_flag(p->c, "app-port"), *protocol = command_flag(p->c, "app-protocol"),
		   *address = command_flag(p->c, "app-channel-address");

	setenv("APP_ID", p->id, 1);
	setenv("APP_PORT", port ? port : "", 1);
	setenv("APP_PROTOCOL", protocol ? protocol : "http", 1);
	setenv("APP_CHANNEL_ADDRESS", address ? address : "127.0.0.1", 1);
	setenv("DAPR_HTTP_PORT", p->http, 1);
	setenv("DAPR_GRPC_PORT", p->grpc, 1);
	setenv("DAPR_METRICS_PORT", p->metrics, 1);
	if (p->c->rest == NULL || p->c->rest[0] == NULL)
		return 0;
	p->app = spawn(p, p->c->rest[0], p->c->rest);
	return p->app < 0 ? -1 : 0;
}

/* With all that it has started. Whoever does not want to wait for it signals again. */
static void end(struct pair *p, pid_t *pid)
{
	int64_t until = clock_ms() + STOP_MS;
	pid_t group = *pid;

	if (group <= 0)
		return;
	p->hurry = 0;
	kill(-group, SIGTERM);
	while ((*pid > 0 || kill(-group, 0) == 0) && clock_ms() < until && !p->hurry)
		p->hurry = next_signal(p, 50) != 0;
	if (*pid <= 0 && kill(-group, 0) < 0)
		return;
	command_failed("%s does not end and is killed", pid == &p->app ? "the application" : "the sidecar");
	kill(-group, SIGKILL);
	while (*pid > 0)
		next_signal(p, 100);
}

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(struct command_call *c)
{
	struct pair p = { .c = c };
	char uuid[UUID_TEXT];
	int had_app, told = 0;

	random_uuid(uuid);
	uuid[8] = '\0';
	p.id = command_flag(c, "app-id") ? command_flag(c, "app-id") : arena_printf(c->a, "app-%s", uuid).p;
	p.http = port_of(c, "dapr-http-port");
	p.grpc = port_of(c, "dapr-grpc-port");
	p.metrics = port_of(c, "metrics-port");
	sigemptyset(&p.waited);
	sigaddset(&p.waited, SIGINT);
	sigaddset(&p.waited, SIGTERM);
	sigaddset(&p.waited, SIGCHLD);
	sigprocmask(SIG_BLOCK, &p.waited, NULL);
	if (start_sidecar(&p) < 0)
		return 1;
	if (wait_for_sidecar(&p) != 0 || start_app(&p) < 0) {
		end(&p, &p.sidecar);
		return 1;
	}
	fprintf(stderr, "davit: %s: HTTP http://127.0.0.1:%s gRPC 127.0.0.1:%s metrics http://127.0.0.1:%s/metrics\n",
		p.id, p.http, p.grpc, p.metrics);
	had_app = p.app > 0;
	while (p.sidecar > 0 && (p.app > 0 || !had_app) && !told)
		told = next_signal(&p, 3600000);
	if (p.sidecar == 0)
		command_failed("the sidecar ended with code %d", code_of(p.sidecar_status));
	end(&p, &p.app);
	end(&p, &p.sidecar);
	return had_app ? code_of(p.app_status) : told ? 0 : 1;
}

const struct command run_both = {
	"run",
	"[FLAGS] [--] [COMMAND [ARGUMENT...]]",
	"Run an application and its sidecar as one",
	run,
	{
		{ "app-id", "ID", "Identity of the application; by default a random one", 'a' },
		{ "app-port", "PORT", "Where the application listens", 'p' },
		{ "app-protocol", "NAME", "http, https, h2c, grpc or grpcs", 'P' },
		{ "app-max-concurrency", "N", "Calls to the application at once" },
		{ "enable-app-health-check", NULL, "Probe the application" },
		{ "app-health-check-path", "PATH", "Where" },
		{ "dapr-http-port", "PORT", "The sidecar's HTTP API; by default a free one", 'H' },
		{ "dapr-grpc-port", "PORT", "The sidecar's gRPC API; by default a free one", 'G' },
		{ "metrics-port", "PORT", "The sidecar's metrics; by default a free one", 'M' },
		{ "resources-path", "FOLDER",
		  "Resources; may be repeated. By default state and topics in SQLite files and the environment's "
		  "secrets",
		  'd' },
		{ "config", "FILE", "Configuration; may be repeated", 'c' },
		{ "plugins-path", "FOLDER", "Where plugins lie; may be repeated" },
		{ "min-tier", "TIER", "Refuse components below: community, standard or managed" },
		{ "log-level", "LEVEL", "debug, info, warn, error or fatal" },
		{ "unix-domain-socket", "FOLDER", "Serve the APIs on sockets in this folder", 'u' },
		{ "log-as-json", NULL, "Write the sidecar's log as JSON" },
		{ "enable-api-logging", NULL, "Log each call of the API" },
		{ "app-channel-address", "ADDRESS", "Where the application listens, if not here" },
		{ "loops", "N", "Threads of the sidecar" },
	},
	.runs = 1,
};
