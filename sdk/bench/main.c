/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit-bench: loads one plugin, opens one of its components with the given properties and puts it through the conformance
 * suite of its block. Prints TAP and at the end "N passed, N failed".
 */
#include <dlfcn.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "end.h"
#include "operation.h"
#include "report.h"

#define MANY 64

struct arguments {
	const char *path, *type;
	struct davit_pair props[MANY], secrets[MANY];
	struct davit_str absent[MANY];
	size_t nprops, nsecrets, nabsent;
	const char *open_fails, *key_prefix, *suites, *report;
	int rate, threads, verbose, quick, dialogue, silent_ttl;
};

static const char usage[] =
	"usage: davit-bench [options] PLUGIN.so\n"
	"  -t TYPE[/VERSION]    the component; default: the plugin's first\n"
	"  -p NAME=VALUE        a property, as often as needed\n"
	"  -s NAME[/KEY]=VALUE  a secret that the store has; an application and the address it resolves to\n"
	"  -a NAME              a secret, or an application, that it has not\n"
	"  -f TEXT              opening must fail, and the message contain TEXT\n"
	"  -k PREFIX            put before every key of state, as a {tag} that keeps them together\n"
	"  -n                   the store does not tell when a value expires\n"
	"  -q                   without what has to wait for time to pass\n"
	"  -S SUITE,...         conformance (the default), fault, leak, stack, or all of them\n"
	"  -o FILE              write a report as JSON, for a registry\n"
	"  -r SECONDS           measure instead, on -j THREADS (8)\n"
	"  -i                   do what standard input says instead, see dialogue.c\n"
	"  -v                   show what the plugin logs\n";

static int pair(struct davit_pair *list, size_t *n, char *text)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || *n == MANY)
		return -1;
	*equals = '\0';
	list[*n].key = davit_str(text);
	list[(*n)++].value = davit_str(equals + 1);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct davit_pair *x = a, *y = b;

	return strcmp(x->key.p, y->key.p);
}

static const char *const suites[] = { "all", "conformance", "fault", "leak", "stack" };

/* Whether the suite was asked for; -1: the list names one that there is not. */
static int wanted(const struct arguments *a, const char *suite)
{
	const char *at = a->suites;
	size_t n, i;
	int yes = 0;

	for (; *at != '\0'; at += n + (at[n] == ',')) {
		n = strcspn(at, ",");
		for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
			if (strlen(suites[i]) == n && memcmp(suites[i], at, n) == 0)
				break;
		if (i == sizeof(suites) / sizeof(suites[0]))
			return -1;
		yes |= i == 0 || strcmp(suites[i], suite) == 0;
	}
	return yes;
}

static int parse(int argc, char **argv, struct arguments *a)
{
	int c, bad = 0;

	a->threads = 8;
	a->suites = "conformance";
	while ((c = getopt(argc, argv, "t:p:s:a:f:k:nqir:j:vS:o:")) != -1) {
		switch (c) {
		case 't': a->type = optarg; break;
		case 'p': bad |= pair(a->props, &a->nprops, optarg); break;
		case 's': bad |= pair(a->secrets, &a->nsecrets, optarg); break;
		case 'a':
			if (a->nabsent == MANY)
				return -1;
			a->absent[a->nabsent++] = davit_str(optarg);
			break;
		case 'f': a->open_fails = optarg; break;
		case 'k': a->key_prefix = optarg; break;
		case 'n': a->silent_ttl = 1; break;
		case 'q': a->quick = 1; break;
		case 'i': a->dialogue = 1; break;
		case 'r': a->rate = (int)strtol(optarg, NULL, 10); break;
		case 'j': a->threads = (int)strtol(optarg, NULL, 10); break;
		case 'v': a->verbose = 1; break;
		case 'S': a->suites = optarg; break;
		case 'o': a->report = optarg; break;
		default: return -1;
		}
	}
	bad |= wanted(a, "") < 0;
	if (bad || optind != argc - 1 || a->threads < 1 || a->threads > MANY)
		return -1;
	a->path = argv[optind];
	qsort(a->props, a->nprops, sizeof(a->props[0]), by_name);
	return 0;
}

static int names(const char *text, const struct davit_component *c)
{
	size_t n = strcspn(text, "/");

	return n == strlen(c->type) && memcmp(text, c->type, n) == 0 &&
	       (text[n] == '\0' || strcmp(text + n + 1, c->version) == 0);
}

static const struct davit_component *find(const struct arguments *a, const struct davit_plugin **ret_plugin)
{
	void *library = dlopen(a->path, RTLD_NOW | RTLD_LOCAL);
	const struct davit_plugin *plugin;
	davit_entry *entry;
	size_t i;

	if (library == NULL) {
		fprintf(stderr,
			"%s\ndavit-bench: the plugin does not load: install the library that it names, or take it out "
			"of what the plugin is linked with; `ldd %s` shows all\n",
			dlerror(), a->path);
		return NULL;
	}
	entry = (davit_entry *)dlsym(library, "davit_plugin_v1");
	if (entry == NULL) {
		fprintf(stderr, "%s: no davit_plugin_v1: DAVIT_PLUGIN() writes it, in one file of the plugin\n",
			a->path);
		return NULL;
	}
	plugin = entry();
	*ret_plugin = plugin;
	printf("# %s %s by %s\n", plugin->name, plugin->version, plugin->vendor);
	for (i = 0; plugin->components[i] != NULL; i++)
		if (a->type == NULL || names(a->type, plugin->components[i]))
			return plugin->components[i];
	fprintf(stderr, "%s: no component %s\n", a->path, a->type ? a->type : "at all");
	return NULL;
}

static void run(struct host *h, const struct arguments *a)
{
	struct call c;

	if (a->dialogue) {
		dialogue(h);
		return;
	}
	if (a->rate > 0) {
		rate_state(h, a->rate, a->threads);
		return;
	}
	if (h->component->ping != NULL) {
		call_init(&c, h);
		report(call_run(&c, h->component->ping, NULL) == DAVIT_OK, &c, "the component answers a ping");
		call_release(&c);
	}
	suite_manifest(h, a->path, a->props, a->nprops);
	suite_loop(h);
	if (h->component->block == DAVIT_BLOCK_STATE) {
		suite_state(h);
		suite_state_many(h);
		suite_state_load(h);
		if (!a->quick)
			suite_state_time(h);
	} else if (h->component->block == DAVIT_BLOCK_PUBSUB) {
		suite_pubsub(h);
	} else if (h->component->block == DAVIT_BLOCK_NAMES) {
		suite_names(h, a->secrets, a->nsecrets, a->absent, a->nabsent);
	} else {
		suite_secrets(h, a->secrets, a->nsecrets, a->absent, a->nabsent);
	}
}

static void run_others(struct host *h, const struct arguments *a)
{
	if (wanted(a, "fault")) {
		report_suite("fault");
		suite_fault(h, a->props, a->nprops);
	}
	if (wanted(a, "stack")) {
		report_suite("stack");
		suite_stack(h);
	}
	if (wanted(a, "leak")) {
		report_suite("leak");
		suite_leak(h, a->props, a->nprops);
	}
}

int main(int argc, char **argv)
{
	struct arguments a = { .path = NULL };
	const struct davit_component *component;
	const struct davit_plugin *plugin = NULL;
	struct host h = { .self = NULL };
	struct call c;
	int opened;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (parse(argc, argv, &a) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	end_prepare();
	if (wanted(&a, "leak"))
		mallopt(M_ARENA_MAX, 1); /* so that what all threads hold is in one place */
	component = find(&a, &plugin);
	if (component == NULL || (a.report != NULL && report_to(a.report, plugin, component, a.path) < 0)) {
		end_expected();
		return 1;
	}
	if (operation_missing(component) != NULL)
		end_here(NULL, "the table of %s %s has no %s, which every component of its block has", component->type,
			 component->version, operation_missing(component));
	h.unwatched = a.rate > 0 || a.dialogue;
	h.verbose = a.verbose;
	h.silent_ttl = a.silent_ttl;
	h.key_prefix = a.key_prefix;
	opened = host_open(&h, component, a.props, a.nprops, &c) == 0;
	if (a.open_fails != NULL)
		report(!opened && strstr(c.text, a.open_fails) != NULL, &c, "opening fails with its message");
	else
		report(opened, &c, "the component opens");
	call_release(&c);
	if (opened) {
		if (a.dialogue || a.rate > 0 || wanted(&a, "conformance"))
			run(&h, &a);
		if (!a.dialogue && a.rate == 0)
			run_others(&h, &a);
		report(host_close(&h) == DAVIT_OK, NULL, "the component closes");
	}
	end_expected();
	return report_end();
}
