/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "operation.h"

#define SUITES 8
#define FIGURES 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int passed, failed;
static struct suite {
	const char *name;
	int passed, failed;
} suites[SUITES] = { { .name = "conformance" } };
static int nsuites = 1;
static struct figure {
	const char *name;
	char about[96];
	int64_t value;
} figures[FIGURES];
static int nfigures;
static char latest[1400], last[256];
static struct written {
	FILE *file; /* open from the beginning: when it is written there may be no memory to be had */
	const char *name;
	const struct davit_plugin *plugin;
	const struct davit_component *component;
	char sha256[65];
} written;
static char failures[8192]; /* what failed, one a line; the first of many */

void report_suite(const char *name)
{
	int i;

	for (i = 0; i < nsuites && strcmp(suites[i].name, name) != 0; i++)
		;
	if (i == nsuites && nsuites < SUITES)
		suites[nsuites++] = (struct suite){ .name = name };
	printf("# suite %s\n", name);
}

void report_figure(const char *name, const char *about, int64_t value)
{
	printf("# %s: %lld\n", about, (long long)value);
	if (nfigures == FIGURES)
		return;
	figures[nfigures].name = name;
	snprintf(figures[nfigures].about, sizeof(figures[0].about), "%s", about);
	figures[nfigures++].value = value;
}

void report_call(const struct call *c)
{
	if (c->host->unwatched)
		return;
	pthread_mutex_lock(&lock);
	snprintf(latest, sizeof(latest), "%s gave %s (%d), %zu records%s%s%s%s", c->name, operation_status(c->status),
		 c->status, c->nrecords, c->reason[0] ? ", reason " : "", c->reason, c->text[0] ? ": " : "", c->text);
	pthread_mutex_unlock(&lock);
}

const char *report_last(void)
{
	return last;
}

/* The lock is held. */
static void describe(const struct call *c, char *ret, size_t size)
{
	ret[0] = '\0';
	if (c != NULL && c->name != NULL)
		snprintf(ret, size, "%s gave %s (%d), %zu records, reason '%s': %s", c->name,
			 operation_status(c->status), c->status, c->nrecords, c->reason, c->text);
	else if (latest[0] != '\0')
		snprintf(ret, size, "the last call, %s", latest);
}

void report(int ok, const struct call *c, const char *what)
{
	struct suite *s = &suites[nsuites - 1];
	char about[sizeof(latest) + 32], *newline;
	size_t n;

	pthread_mutex_lock(&lock);
	if (ok)
		passed++, s->passed++;
	else
		failed++, s->failed++;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed, what);
	n = strlen(failures);
	if (!ok) {
		describe(c, about, sizeof(about));
		while ((newline = strchr(about, '\n')) != NULL)
			*newline = ' ';
		if (about[0] != '\0')
			printf("# %s\n", about);
		snprintf(failures + n, sizeof(failures) - n, "%s: %s%s%s\n", s->name, what, about[0] ? " | " : "",
			 about);
	}
	snprintf(last, sizeof(last), "%s", what);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

static void put_text(FILE *f, const char *text, size_t n)
{
	size_t i;

	fputc('"', f);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < ' ')
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void put(FILE *f, const char *name, const char *value, const char *after)
{
	fprintf(f, "\"%s\": ", name);
	put_text(f, value, strlen(value));
	fputs(after, f);
}

static void hash(const char *file, char ret_hex[65])
{
	unsigned char block[16384], digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	FILE *f = fopen(file, "re");
	unsigned n = 0, i;
	size_t got;

	ret_hex[0] = '\0';
	if (md != NULL && f != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
		while ((got = fread(block, 1, sizeof(block), f)) > 0)
			EVP_DigestUpdate(md, block, got);
		EVP_DigestFinal_ex(md, digest, &n);
	}
	for (i = 0; i < n && i < 32; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(md);
	if (f != NULL)
		fclose(f);
}

static void put_failures(FILE *f)
{
	const char *at = failures, *end;
	int any = 0;

	for (; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		fputs(any++ ? ",\n    " : "\n    ", f);
		put_text(f, at, (size_t)(end - at));
	}
	fputs(any ? "\n  ]\n}\n" : "]\n}\n", f);
}

int report_to(const char *file, const struct davit_plugin *plugin, const struct davit_component *component,
	      const char *library)
{
	static char buffer[32768];

	written = (struct written){ fopen(file, "we"), file, plugin, component, "" };
	if (written.file == NULL) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return -1;
	}
	setvbuf(written.file, buffer, _IOFBF, sizeof(buffer));
	hash(library, written.sha256);
	return 0;
}

static void put_suites(FILE *f)
{
	int i, any = 0;

	for (i = 0; i < nsuites; i++)
		if (suites[i].passed + suites[i].failed > 0)
			fprintf(f, "%s{\"name\": \"%s\", \"passed\": %d, \"failed\": %d}", any++ ? ", " : "",
				suites[i].name, suites[i].passed, suites[i].failed);
}

static int put_all(FILE *f)
{
	const struct davit_plugin *plugin = written.plugin;
	int i;

	fputs("{\n  \"plugin\": {", f);
	put(f, "name", plugin->name, ", ");
	put(f, "version", plugin->version, ", ");
	put(f, "vendor", plugin->vendor, ", ");
	fprintf(f, "\"abi\": %u, \"sdk\": \"0.%u\", \"sha256\": \"%s\"},\n  \"component\": {", plugin->abi,
		plugin->sdk_minor, written.sha256);
	put(f, "type", written.component->type, ", ");
	put(f, "version", written.component->version, "},\n  ");
	fprintf(f, "\"bench\": {\"sdk\": \"0.%u\"},\n  \"passed\": %d,\n  \"failed\": %d,\n  \"suites\": [",
		DAVIT_SDK_MINOR, passed, failed);
	put_suites(f);
	fputs("],\n  \"figures\": {", f);
	for (i = 0; i < nfigures; i++) {
		fprintf(f, "%s\n    \"%s\": {\"value\": %lld, ", i ? "," : "", figures[i].name,
			(long long)figures[i].value);
		put(f, "about", figures[i].about, "}");
	}
	fputs(nfigures ? "\n  },\n  \"failures\": [" : "},\n  \"failures\": [", f);
	put_failures(f);
	if (fflush(f) == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", written.name, strerror(errno));
	return -1;
}

int report_end(void)
{
	int well = failed == 0 && passed > 0;

	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	if (written.file != NULL && put_all(written.file) < 0)
		well = 0;
	return !well;
}
