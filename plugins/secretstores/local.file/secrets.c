/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <davit/json.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "flatten.h"

#define TEXT 1024

static void free_str(struct davit_str s)
{
	if (s.p != NULL)
		explicit_bzero((char *)s.p, s.n);
	free((char *)s.p);
}

struct secrets *secrets_ref(struct secrets *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void secrets_unref(struct secrets *s)
{
	size_t i;

	if (s == NULL || __atomic_fetch_sub(&s->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	for (i = 0; i < s->n; i++) {
		free_str(s->list[i].name);
		free_str(s->list[i].key);
		free_str(s->list[i].value);
	}
	free(s->list);
	free(s);
}

static int compare(struct davit_str a, struct davit_str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return c != 0 ? c : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;
	int c = compare(x->name, y->name);

	if (c == 0)
		c = compare(x->key, y->key);
	return c != 0 ? c : x->at < y->at ? -1 : 1;
}

static void sort(struct secrets *s)
{
	size_t i, kept = 0;

	if (s->n > 1)
		qsort(s->list, s->n, sizeof(*s->list), by_name);
	for (i = 0; i < s->n; i++) {
		if (kept > 0 && compare(s->list[kept - 1].name, s->list[i].name) == 0 &&
		    compare(s->list[kept - 1].key, s->list[i].key) == 0) {
			free_str(s->list[i].name);
			free_str(s->list[i].key);
			free_str(s->list[i].value);
			s->duplicates++;
		} else {
			s->list[kept++] = s->list[i];
		}
	}
	s->n = kept;
}

const struct secret *secrets_find(const struct secrets *s, struct davit_str name)
{
	size_t low = 0, high = s->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare(s->list[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n && compare(s->list[low].name, name) == 0 ? &s->list[low] : NULL;
}

/* All of the file, to be freed by the caller; NULL: ret_text says why. */
static char *read_all(const char *path, struct stat *ret_file, size_t *ret_n, char *ret_text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *bytes = NULL;
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0 || fstat(fd, ret_file) < 0) {
		snprintf(ret_text, TEXT, "open %s: %s", path, strerrordesc_np(errno));
	} else if (!S_ISREG(ret_file->st_mode)) {
		snprintf(ret_text, TEXT, "%s: is no regular file", path);
	} else if (ret_file->st_size > SECRETS_LIMIT) {
		snprintf(ret_text, TEXT, "%s: is larger than %u MiB", path, SECRETS_LIMIT >> 20);
	} else {
		bytes = malloc((size_t)ret_file->st_size + 1);
		while (bytes != NULL && n < (size_t)ret_file->st_size &&
		       (got = read(fd, bytes + n, (size_t)ret_file->st_size - n)) > 0)
			n += (size_t)got;
		if (bytes == NULL || got < 0)
			snprintf(ret_text, TEXT, "read %s: %s", path, strerrordesc_np(errno));
		if (got < 0) {
			free(bytes);
			bytes = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	*ret_n = n;
	return bytes;
}

/*
 * jansson's own words quote the text near the fault, which may be a secret: only the place is told. It knows whole numbers
 * of 64 bits; with a longer one all are read as Go does, as floating-point numbers.
 */
static json_t *parse(const char *path, const char *bytes, size_t n, char *ret_text)
{
	json_error_t where;
	json_t *root;

	if (davit_json_depth(bytes, n) > SECRETS_DEPTH) {
		snprintf(ret_text, TEXT, "%s: nested deeper than %d", path, SECRETS_DEPTH);
		return NULL;
	}
	root = json_loadb(bytes, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &where);
	if (root == NULL && json_error_code(&where) == json_error_numeric_overflow)
		root = json_loadb(bytes, n, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &where);
	if (root == NULL) {
		snprintf(ret_text, TEXT, "%s: not valid JSON at line %d, column %d", path, where.line, where.column);
		return NULL;
	}
	if (!json_is_object(root) && !json_is_null(root)) {
		snprintf(ret_text, TEXT, "%s: must hold a JSON object", path);
		json_decref(root);
		return NULL;
	}
	return root;
}

struct secrets *secrets_read(const char *path, struct davit_str separator, int multi, char *ret_text)
{
	struct secrets *s = calloc(1, sizeof(*s));
	char *bytes = NULL;
	json_t *root = NULL;
	int status = -1;
	size_t n = 0;

	if (s == NULL) {
		snprintf(ret_text, TEXT, "no memory left");
		return NULL;
	}
	s->refs = 1;
	bytes = read_all(path, &s->file, &n, ret_text);
	if (bytes != NULL)
		root = parse(path, bytes, n, ret_text);
	if (root != NULL) {
		status = flatten(s, root, separator, multi);
		if (status < 0)
			snprintf(ret_text, TEXT, "no memory left");
		json_decref(root);
	}
	if (bytes != NULL)
		explicit_bzero(bytes, n);
	free(bytes);
	if (status == 0) {
		sort(s);
		return s;
	}
	secrets_unref(s);
	return NULL;
}
