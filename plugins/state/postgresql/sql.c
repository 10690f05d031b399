/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements. Results are binary, except where there is only text (queryExecMode simple_protocol): then times leave as
 * microseconds since 1970, so that no setting of the server changes what they look like.
 */
#define TTL(n) "now() + $" n "::bigint * interval '1 second'"
#define MICROSECONDS(column) \
	"CASE WHEN isfinite(" column ") THEN (EXTRACT(epoch FROM " column ") * 1000000)::bigint END"

#include "store.h"

#include <stdlib.h>

/* %t: the table; %m: that of metadata. Values: see write.c and read.c. */
struct text {
	const char *text, *simple;
};

static const struct text v1[STATEMENTS] = {
	[S_GET] = { "SELECT value, xmin, expiredate, key, isbinary FROM %t WHERE key = $1 AND (expiredate IS NULL OR "
		    "expiredate >= now())",
		    "SELECT value, xmin, " MICROSECONDS("expiredate") ", key, isbinary FROM %t WHERE key = $1 AND "
								      "(expiredate IS NULL OR expiredate >= now())" },
	[S_BULK] = { "SELECT value, xmin, expiredate, key, isbinary FROM %t WHERE key = ANY($1::text[]) AND "
		     "(expiredate IS "
		     "NULL OR expiredate >= now())",
		     "SELECT value, xmin, " MICROSECONDS(
			     "expiredate") ", key, isbinary FROM %t WHERE key = ANY($1::text[]) "
					   "AND (expiredate IS NULL OR expiredate >= now())" },
	[S_SET] = { "INSERT INTO %t AS t (key, value, expiredate, isbinary) VALUES ($1, $2::text::jsonb, " TTL(
			    "3") ", "
				 "$4::boolean) ON CONFLICT (key) DO UPDATE SET value = excluded.value, isbinary = "
				 "excluded.isbinary, "
				 "updatedate = now(), expiredate = excluded.expiredate",
		    NULL },
	[S_SET_FIRST] = { "INSERT INTO %t AS t (key, value, expiredate, isbinary) VALUES ($1, $2::text::jsonb, " TTL(
				  "3") ", "
				       "$4::boolean) ON CONFLICT (key) DO UPDATE SET value = excluded.value, isbinary "
				       "= "
				       "excluded.isbinary, updatedate = now(), expiredate = excluded.expiredate WHERE "
				       "t.expiredate IS NOT "
				       "NULL AND t.expiredate < now()",
			  NULL },
	[S_SET_MATCH] = { "UPDATE %t SET value = $2::text::jsonb, isbinary = $4::boolean, updatedate = now(), "
			  "expiredate = " TTL("3") " WHERE key = $1 AND xmin = $5::xid AND (expiredate IS NULL OR "
						   "expiredate > now())",
			  NULL },
	[S_DEL] = { "DELETE FROM %t WHERE key = $1", NULL },
	[S_DEL_MATCH] = { "DELETE FROM %t WHERE key = $1 AND xmin = $2::xid", NULL },
	[S_LIKE] = { "SELECT key, row_id::text FROM %t WHERE key LIKE $1 ESCAPE '\\' AND (expiredate IS NULL OR "
		     "expiredate > "
		     "now()) AND row_id > $2::bigint ORDER BY row_id LIMIT $3::bigint",
		     NULL },
	[S_CLEAN] = { "DELETE FROM %t WHERE key IN (SELECT key FROM %t WHERE expiredate < now() LIMIT 1000 FOR UPDATE "
		      "SKIP "
		      "LOCKED)",
		      NULL },
};

static const struct text v2[STATEMENTS] = {
	[S_GET] = { "SELECT value, etag, expires_at FROM %t WHERE key = $1 AND (expires_at IS NULL OR expires_at >= "
		    "now())",
		    "SELECT value, etag, " MICROSECONDS(
			    "expires_at") " FROM %t WHERE key = $1 AND (expires_at IS NULL OR "
					  "expires_at >= now())" },
	[S_BULK] = { "SELECT value, etag, expires_at, key FROM %t WHERE key = ANY($1::text[]) AND (expires_at IS NULL "
		     "OR "
		     "expires_at >= now())",
		     "SELECT value, etag, " MICROSECONDS("expires_at") ", key FROM %t WHERE key = ANY($1::text[]) AND "
								       "(expires_at IS NULL OR expires_at >= now())" },
	[S_SET] = { "INSERT INTO %t AS t (key, value, expires_at, etag) VALUES ($1, $2, " TTL(
			    "3") ", gen_random_uuid()) ON "
				 "CONFLICT (key) DO UPDATE SET value = excluded.value, etag = excluded.etag, "
				 "updated_at = now(), "
				 "expires_at = excluded.expires_at",
		    NULL },
	[S_SET_FIRST] = { "INSERT INTO %t AS t (key, value, expires_at, etag) VALUES ($1, $2, " TTL(
				  "3") ", "
				       "gen_random_uuid()) ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
				       "etag = excluded.etag, "
				       "updated_at = now(), expires_at = excluded.expires_at WHERE t.expires_at IS NOT "
				       "NULL AND "
				       "t.expires_at < now()",
			  NULL },
	[S_SET_MATCH] = { "UPDATE %t SET value = $2, etag = gen_random_uuid(), updated_at = now(), expires_at = " TTL(
				  "3") " WHERE key = $1 AND etag = $4::uuid AND (expires_at IS NULL OR expires_at >= "
				       "now())",
			  NULL },
	[S_DEL] = { "DELETE FROM %t WHERE key = $1", NULL },
	[S_DEL_MATCH] = { "DELETE FROM %t WHERE key = $1 AND etag = $2::uuid", NULL },
	[S_LIKE] = { "SELECT key, row_id::text FROM %t WHERE key LIKE $1 AND (expires_at IS NULL OR expires_at > "
		     "now()) AND "
		     "row_id > $2::bigint ORDER BY row_id LIMIT $3::bigint",
		     NULL },
	[S_CLEAN] = { "DELETE FROM %t WHERE key IN (SELECT key FROM %t WHERE expires_at < now() LIMIT 1000 FOR UPDATE "
		      "SKIP "
		      "LOCKED)",
		      NULL },
};

/* Of both. S_CLAIM is Dapr's agreement on who cleans: whoever changes the row, which nobody does before the time has passed. */
static const struct text both[STATEMENTS] = {
	[S_CLAIM] = { "INSERT INTO %m (key, value) VALUES ($1, now()::text) ON CONFLICT (key) DO UPDATE SET value = "
		      "now()::text WHERE (EXTRACT(epoch FROM now() - %m.value::timestamp with time zone) * "
		      "1000)::bigint > "
		      "$2::bigint",
		      NULL },
	[S_BEGIN] = { "BEGIN", NULL },
	[S_COMMIT] = { "COMMIT", NULL },
	[S_ROLLBACK] = { "ROLLBACK", NULL },
};

static int fill(const struct store *s, const char *format, const char **ret_text)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out;

	*ret_text = NULL;
	if (format == NULL)
		return 0;
	out = open_memstream(&text, &n);
	if (out == NULL)
		return -1;
	for (; *format != '\0'; format++) {
		if (*format == '%')
			fputs(*++format == 't' ? s->table : s->metadata, out);
		else
			fputc(*format, out);
	}
	if (fclose(out) != 0) {
		free(text);
		return -1;
	}
	*ret_text = text;
	return 0;
}

int sql_init(struct store *s)
{
	int i;

	for (i = 0; i < STATEMENTS; i++) {
		const struct text *t = both[i].text ? &both[i] : s->v2 ? &v2[i] : &v1[i];

		s->statements[i].number = i >= S_BEGIN ? -1 : i;
		if (fill(s, t->text, &s->statements[i].text) < 0 || fill(s, t->simple, &s->statements[i].simple) < 0)
			return -1;
	}
	return 0;
}

void sql_release(struct store *s)
{
	int i;

	for (i = 0; i < STATEMENTS; i++) {
		free((char *)s->statements[i].text);
		free((char *)s->statements[i].simple);
	}
}
