/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretstores.local.file: secrets from a JSON file, for development. Each call looks whether the file is another one than
 * was read, and reads it again then, so that a rotated secret is seen at once; what cannot be read leaves the last good one.
 */
#include <davit/truth.h>
#include <pthread.h>
#include <stdlib.h>

#include "secrets.h"

#define TEXT 1024 /* as secrets_read() wants it */

struct store {
	struct davit_instance *instance;
	char *path, *separator;
	int multi;
	pthread_mutex_t lock;
	struct secrets *secrets; /* of the last good reading */
	struct stat seen;	 /* the file of the last reading, good or not */
};

static int same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct secrets *read_file(struct store *s, char *ret_text)
{
	struct secrets *secrets = secrets_read(s->path, davit_str(s->separator), s->multi, ret_text);

	if (secrets != NULL && secrets->duplicates > 0)
		davit_log(s->instance, DAVIT_LOG_WARN, "%s: %zu values whose key is there before them are left out",
			  s->path, secrets->duplicates);
	return secrets;
}

/* What the file holds now, with a reference. */
static struct secrets *current(struct store *s)
{
	struct secrets *now, *old = NULL;
	char text[TEXT];
	struct stat file;

	pthread_mutex_lock(&s->lock);
	if (stat(s->path, &file) == 0 && !same(&file, &s->seen)) {
		now = read_file(s, text);
		s->seen = now != NULL ? now->file : file;
		if (now != NULL) {
			old = s->secrets;
			s->secrets = now;
		} else {
			davit_log(s->instance, DAVIT_LOG_WARN,
				  "The secrets file has changed and cannot be read, what it was stays: %s", text);
		}
	}
	now = secrets_ref(s->secrets);
	pthread_mutex_unlock(&s->lock);
	secrets_unref(old);
	return now;
}

static davit_status emit(struct davit_call *call, const struct secret *secret)
{
	struct davit_secret_item item = DAVIT_INIT(davit_secret_item, .name = secret->name, .key = secret->key,
						   .value = secret->value);

	return secret->key.p == NULL ? DAVIT_OK : davit_emit(call, &item);
}

static davit_status store_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct secrets *secrets = current(self);
	const struct secret *one = secrets_find(secrets, in->name), *end = secrets->list + secrets->n;
	davit_status status = DAVIT_OK;

	if (one == NULL)
		status = davit_fail(call, DAVIT_NOT_FOUND, NULL, "secret %.512s not found", in->name.p);
	for (; one != NULL && one < end && status == DAVIT_OK; one++) {
		if (one->name.n != in->name.n || memcmp(one->name.p, in->name.p, in->name.n) != 0)
			break;
		status = emit(call, one);
	}
	secrets_unref(secrets);
	return status;
}

static davit_status store_bulk_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct secrets *secrets = current(self);
	davit_status status = DAVIT_OK;
	size_t i;

	(void)in;
	for (i = 0; i < secrets->n && status == DAVIT_OK; i++)
		status = emit(call, &secrets->list[i]);
	secrets_unref(secrets);
	return status;
}

static void store_free(struct store *s)
{
	secrets_unref(s->secrets);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s->separator);
	free(s);
}

static davit_status set_up(struct store *s, struct davit_call *call, const struct davit_open *in)
{
	struct davit_str path = davit_prop(in, "secretsFile"), separator = davit_prop(in, "nestedSeparator");
	char text[TEXT];

	if (path.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "missing local secrets file in metadata");
	s->instance = in->instance;
	s->multi = davit_truth(davit_prop(in, "multiValued"));
	s->path = strndup(path.p, path.n);
	s->separator = separator.n > 0 ? strndup(separator.p, separator.n) : strdup(":");
	if (s->path == NULL || s->separator == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->secrets = read_file(s, text);
	if (s->secrets == NULL)
		return davit_fail(call, DAVIT_FAILED_PRECONDITION, NULL, "%s", text);
	s->seen = s->secrets->file;
	return DAVIT_OK;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct store *s = calloc(1, sizeof(*s));
	struct davit_opened opened = DAVIT_INIT(davit_opened, .self = s);
	davit_status status;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	pthread_mutex_init(&s->lock, NULL);
	status = set_up(s, call, in);
	opened.features = s->multi ? DAVIT_SECRETS_MULTIPLE : 0;
	if (status == DAVIT_OK)
		status = davit_emit(call, &opened);
	if (status != DAVIT_OK)
		store_free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	store_free(self);
	return DAVIT_OK;
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	secrets_unref(current(self));
	return DAVIT_OK;
}

static const struct davit_secrets_ops store_ops = DAVIT_INIT(davit_secrets_ops, .get = store_get,
							     .bulk_get = store_bulk_get);

static const struct davit_component store_component = DAVIT_SECRETS("secretstores.local.file", "v1", &store_ops,
								    .workers = 2, .open = store_open,
								    .close = store_close, .ping = store_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_component);
