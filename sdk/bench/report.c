/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

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

void report(int ok, const struct call *c, const char *what)
{
	struct suite *s = &suites[nsuites - 1];
	size_t n;

	pthread_mutex_lock(&lock);
	if (ok)
		passed++, s->passed++;
	else
		failed++, s->failed++;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed, what);
	if (!ok && c != NULL)
		printf("# status %d, %zu records, reason '%s': %s\n", c->status, c->nrecords, c->reason, c->text);
	n = strlen(failures);
	if (!ok)
		snprintf(failures + n, sizeof(failures) - n, "%s: %s\n", s->name, what);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

int report_end(void)
{
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	return failed > 0 || passed == 0;
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

int report_write(const char *file, const struct davit_plugin *plugin, const struct davit_component *component,
		 const char *library)
{
	FILE *f = fopen(file, "we");
	char hex[65];
	int i;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return -1;
	}
	hash(library, hex);
	fputs("{\n  \"plugin\": {", f);
	put(f, "name", plugin->name, ", ");
	put(f, "version", plugin->version, ", ");
	put(f, "vendor", plugin->vendor, ", ");
	fprintf(f, "\"abi\": %u, \"sdk\": \"0.%u\", \"sha256\": \"%s\"},\n  \"component\": {", plugin->abi,
		plugin->sdk_minor, hex);
	put(f, "type", component->type, ", ");
	put(f, "version", component->version, "},\n  ");
	fprintf(f, "\"bench\": {\"sdk\": \"0.%u\"},\n  \"passed\": %d,\n  \"failed\": %d,\n  \"suites\": [",
		DAVIT_SDK_MINOR, passed, failed);
	for (i = 0; i < nsuites; i++)
		if (suites[i].passed + suites[i].failed > 0)
			fprintf(f, "%s{\"name\": \"%s\", \"passed\": %d, \"failed\": %d}", i ? ", " : "",
				suites[i].name, suites[i].passed, suites[i].failed);
	fputs("],\n  \"figures\": {", f);
	for (i = 0; i < nfigures; i++) {
		fprintf(f, "%s\n    \"%s\": {\"value\": %lld, ", i ? "," : "", figures[i].name,
			(long long)figures[i].value);
		put(f, "about", figures[i].about, "}");
	}
	fputs(nfigures ? "\n  },\n  \"failures\": [" : "},\n  \"failures\": [", f);
	put_failures(f);
	if (fclose(f) == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", file, strerror(errno));
	return -1;
}
