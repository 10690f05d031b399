/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/path_label.h"

#include <stdlib.h>

#include "base/banned.h"

#define SEGMENTS_MAX 32
#define INVOKE "/v1.0/invoke/{app_id}/method"

/* How well a segment fits, best first: the order in which Go's router tries. */
enum fit { LITERAL, WILD, REST };

struct segment {
	enum fit fit;
	struct str text; /* LITERAL; "/" stands for the end behind a slash */
};

struct pattern {
	struct str text;
	size_t n;
	struct segment at[SEGMENTS_MAX];
};

struct path_patterns {
	int raw_root; /* nobody gave "/": what it catches counts as not matched */
	size_t n;
	struct pattern *at; /* sorted by text */
};

/* ---- Paths ---- */

/* A leading slash, and no slash twice. At most PATH_LABEL_MAX - 1 bytes. */
static struct str normalize(struct str path, char out[PATH_LABEL_MAX])
{
	size_t n = 0;

	if (path.n == 0 || path.p[0] != '/')
		out[n++] = '/';
	for (size_t i = 0; i < path.n && n < PATH_LABEL_MAX - 1; i++)
		if (path.p[i] != '/' || n == 0 || out[n - 1] != '/')
			out[n++] = path.p[i];
	return (struct str){ out, n };
}

/* Of a normalized path: without "." and ".." segments, in place. */
static struct str clean(struct str path, char *p)
{
	size_t n = 1, i = 1;
	int folder = path.p[path.n - 1] == '/';

	while (i < path.n) {
		struct str rest = str_from(path, i), seg;

		str_cut(rest, '/', &seg, &rest);
		int slash = i + seg.n < path.n;

		i += seg.n + (size_t)slash;
		if (str_is(seg, "..")) {
			while (n > 1 && p[--n - 1] != '/')
				;
		} else if (!str_is(seg, ".")) {
			memmove(p + n, seg.p, seg.n);
			n += seg.n;
			if (slash)
				p[n++] = '/';
		}
	}
	if (n > 1 && p[n - 1] == '/' && !folder)
		n--;
	return (struct str){ p, n };
}

static struct str join(char out[PATH_LABEL_MAX], int slash, const struct str *parts, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = parts[i].n;

		if ((i || slash) && used < PATH_LABEL_MAX)
			out[used++] = '/';
		if (k > PATH_LABEL_MAX - used)
			k = PATH_LABEL_MAX - used;
		memcpy(out + used, parts[i].p, k);
		used += k;
	}
	return (struct str){ out, used };
}

/* Behind /<version>/workflows/<component>. */
static struct str reduce_workflow(struct str *parts, size_t n, char out[PATH_LABEL_MAX])
{
	if (n == 5 && str_starts(parts[4], STR("start"))) {
		parts[4] = STR("start"); /* a workflow's name is no id: it stays */
		return join(out, 1, parts, 5);
	}
	parts[3] = STR("{instanceId}");
	if (n == 6 && str_is(parts[4], "raiseEvent") && parts[5].n) {
		parts[5] = STR("{eventName}");
		return join(out, 1, parts, 6);
	}
	return join(out, 1, parts, n > 5 ? 5 : n);
}

struct str path_reduce(struct str path, char out[PATH_LABEL_MAX])
{
	char whole[PATH_LABEL_MAX];
	struct str parts[6], all, rest;
	size_t n = 0;

	if (path.n == 0)
		return path;
	all = normalize(path, whole);
	rest = str_from(all, 1);
	for (int more = 1; more; n++) { /* the sixth part is all the rest */
		if (n == 5) {
			parts[n] = rest;
			more = 0;
		} else {
			more = str_cut(rest, '/', &parts[n], &rest);
		}
	}
	if (n >= 3 && str_is(parts[0], "actors")) { /* what we call in the application */
		parts[2] = STR("{id}");
		return join(out, 0, parts, n);
	}
	if (n >= 3 && (str_is(parts[1], "state") || str_is(parts[1], "secrets")))
		return join(out, 1, parts, 3);
	if (n >= 5 && str_is(parts[1], "actors")) {
		parts[3] = STR("{id}");
		return join(out, 1, parts, 5);
	}
	if (n >= 4 && str_is(parts[1], "workflows"))
		return reduce_workflow(parts, n, out);
	memcpy(out, all.p, all.n);
	return (struct str){ out, all.n };
}

/* ---- Patterns ---- */

static int identifier(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		int letter = c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;

		if (!letter && (i == 0 || c < '0' || c > '9'))
			return 0;
	}
	return s.n > 0;
}

/* NULL, or what is wrong with a segment; last: no slash follows it. */
static const char *segment_parse(struct str text, int last, struct segment *ret)
{
	struct str name = text.n >= 2 ? str_upto(str_from(text, 1), text.n - 2) : STR("");

	if (text.n == 0 || !memchr(text.p, '{', text.n)) {
		*ret = (struct segment){ LITERAL, text };
		return NULL;
	}
	if (text.p[0] != '{' || text.p[text.n - 1] != '}')
		return "bad wildcard segment (must start with '{' and end with '}')";
	if (str_is(name, "$") || str_ends(name, STR("..."))) {
		if (!last)
			return "{$} and {...} wildcards stand at the end only";
		*ret = str_is(name, "$") ? (struct segment){ LITERAL, STR("/") } : (struct segment){ REST, name };
		if (ret->fit == LITERAL || identifier(str_upto(name, name.n - 3)))
			return NULL;
		return "bad wildcard name";
	}
	*ret = (struct segment){ WILD, name };
	return identifier(name) ? NULL : "bad wildcard name";
}

static const char *pattern_parse(struct pattern *p)
{
	struct str rest = str_from(p->text, 1);
	const char *fault = NULL;
	int more = 1;

	for (size_t i = 0; i < p->text.n; i++)
		if (p->text.p[i] == ' ' || p->text.p[i] == '\t')
			return "methods are not part of it";
	while (more && !fault) {
		struct str seg;

		more = str_cut(rest, '/', &seg, &rest);
		if (p->n == SEGMENTS_MAX)
			return "it has too many segments";
		if (!more && seg.n == 0) /* a slash at the end: all below */
			p->at[p->n++] = (struct segment){ REST, STR("") };
		else
			fault = segment_parse(seg, !more, &p->at[p->n++]);
	}
	return fault;
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(((const struct pattern *)a)->text, ((const struct pattern *)b)->text);
}

/* Adds p (which starts with a slash) if it is not there yet. */
static const char *pattern_add(struct path_patterns *all, struct str text)
{
	struct pattern *p = &all->at[all->n];

	for (size_t i = 0; i < all->n; i++)
		if (str_eq(all->at[i].text, text))
			return NULL;
	*p = (struct pattern){ .text = text };
	all->n++;
	return pattern_parse(p);
}

struct path_patterns *path_patterns_new(struct arena *a, const struct str *patterns, size_t n, int increased,
					struct str *ret_message)
{
	struct path_patterns *all = arena_zalloc(a, sizeof(*all));

	all->at = arena_alloc(a, (2 * n + 1) * sizeof(*all->at));
	all->raw_root = increased;
	for (size_t i = 0; i < n; i++) {
		char text[PATH_LABEL_MAX];
		struct str p = arena_str(a, normalize(patterns[i], text));
		const char *fault = patterns[i].n < PATH_LABEL_MAX - 1 ? pattern_add(all, p) : "it is too long";

		if (!fault && !str_starts(p, STR("/v1.0/invoke/")))
			fault = pattern_add(all, arena_printf(a, INVOKE STR_FMT, STR_ARG(p)));
		if (fault) {
			*ret_message = arena_printf(a, "invalid pattern \"" STR_FMT "\" in pathMatching: %s",
						    STR_ARG(patterns[i]), fault);
			return NULL;
		}
		if (str_is(p, "/"))
			all->raw_root = 0;
	}
	/* Go refuses patterns that overlap without one being the narrower; here the first by text wins. */
	qsort(all->at, all->n, sizeof(*all->at), by_text);
	return all;
}

/* 1: p matches the path, which starts with a slash; ret_exact: not by a slash at its end that swallows more. */
static int pattern_matches(const struct pattern *p, struct str path, int *ret_exact)
{
	*ret_exact = 1;
	for (size_t i = 0; i < p->n; i++) {
		struct str seg = STR("/"), rest = STR("");

		if (path.n == 0)
			return 0;
		if (p->at[i].fit == REST) {
			*ret_exact = path.n == 1;
			return 1;
		}
		if (path.n > 1) {
			int more = str_cut(str_from(path, 1), '/', &seg, &rest);

			if (more)
				rest = (struct str){ rest.p - 1, rest.n + 1 };
		}
		if (p->at[i].fit == LITERAL ? !str_eq(seg, p->at[i].text) : str_is(seg, "/"))
			return 0;
		path = rest;
	}
	return path.n == 0;
}

/* 1: a is the better fit, where both match. */
static int better(const struct pattern *a, const struct pattern *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->at[i].fit != b->at[i].fit)
			return a->at[i].fit < b->at[i].fit;
	return 0;
}

static const struct pattern *best(const struct path_patterns *all, struct str path, int *ret_exact)
{
	const struct pattern *found = NULL;
	int exact;

	for (size_t i = 0; i < all->n; i++)
		if (pattern_matches(&all->at[i], path, &exact) && (!found || better(&all->at[i], found))) {
			found = &all->at[i];
			*ret_exact = exact;
		}
	return found;
}

/*
 * What the patterns make of a path: a pattern's text, the path itself if only the root that nobody gave would catch it, or
 * "". scratch has room for one byte more than the path.
 */
static struct str match(const struct path_patterns *all, struct str path, char *scratch)
{
	int exact = 0, slashed = 0;
	struct str cleaned;
	const struct pattern *found, *redirect = NULL;

	memcpy(scratch, path.p, path.n);
	cleaned = clean((struct str){ scratch, path.n }, scratch);
	found = best(all, cleaned, &exact);
	if (!(found && exact) && scratch[cleaned.n - 1] != '/') {
		/* Go's router sends /tree on to /tree/ where only that is known. */
		scratch[cleaned.n] = '/';
		redirect = best(all, (struct str){ scratch, cleaned.n + 1 }, &slashed);
		if (redirect && slashed)
			found = redirect;
	}
	if (found)
		return found->text;
	return all->raw_root ? path : STR("");
}

struct str path_fixed(struct str path)
{
	static const struct str fixed[] = { { "/dapr/config", sizeof("/dapr/config") - 1 },
					    { "/dapr/metrics", sizeof("/dapr/metrics") - 1 },
					    { "/dapr/subscribe", sizeof("/dapr/subscribe") - 1 },
					    { "/healthz", sizeof("/healthz") - 1 } };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (str_eq(path, fixed[i]))
			return fixed[i];
	return STR_NONE;
}

struct str path_label(const struct path_patterns *patterns, int increased, struct str path,
		      char scratch[PATH_LABEL_MAX])
{
	char whole[PATH_LABEL_MAX], work[PATH_LABEL_MAX + 1];
	struct str reduced, found;

	if (path.n == 0 || (!patterns && !increased))
		return STR("");
	path = normalize(path, whole);
	found = path_fixed(path);
	if (found.n)
		return found;
	reduced = path_reduce(path, scratch);
	if (!patterns)
		return reduced;
	found = match(patterns, path, work);
	/* With increased cardinality a pattern that is the path itself does not count, nor does the root: as in Dapr. */
	if (found.n && (!increased || !str_eq(found, path)))
		return found;
	if (!str_eq(reduced, path)) {
		struct str again = normalize(reduced, whole);

		found = match(patterns, again, work);
		if (found.p == whole)
			return normalize(again, scratch);
		if (found.n && !str_is(found, "/"))
			return found;
	}
	return increased ? reduced : STR("");
}
