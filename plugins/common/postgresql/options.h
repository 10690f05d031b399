/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metadata of a PostgreSQL component says, the same for each of them: names and defaults are Dapr's. The connection
 * string is read here, in both of its forms, since it may hold what libpq does not know: settings of a pool, and of the
 * session (search_path=…), which Dapr's driver takes from there.
 */
#ifndef POSTGRESQL_OPTIONS_H
#define POSTGRESQL_OPTIONS_H
#include "fault.h"

#define PG_HOSTS 16

/* How statements are carried out. */
enum pg_mode {
	PG_PREPARED, /* prepared once a connection */
	PG_UNNAMED,  /* the extended protocol, nothing kept in the server's session */
	PG_SIMPLE    /* values as literals in the text */
};

struct pg_host {
	char *name,
		*address; /* address: hostaddr; "": none given. A name with '/' at its start is a folder of sockets */
	char port[8];
};

struct pg_setting {
	char *name, *value;
};

struct pg_options {
	struct pg_setting *settings; /* for libpq, besides the host's */
	size_t nsettings;
	struct pg_host hosts[PG_HOSTS];
	size_t nhosts;
	char target[24]; /* target_session_attrs */
	int64_t connect_ms, timeout_ms;
	int64_t idle_ms, life_ms; /* of a connection nobody uses; of any */
	int most;		  /* connections */
	enum pg_mode mode;
};

/* 0; -1: the fault says what is wrong with which field, never a secret. Release it either way. */
int pg_options_read(const struct davit_open *in, struct pg_options *ret_options, struct pg_fault *f);
void pg_options_release(struct pg_options *o);
/* A span of time of the metadata in ms; the empty text is the fallback. */
int pg_options_span(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
		    struct pg_fault *f);
/* "table" or "schema.table", as it goes into statements: words, or anything in double quotes. 0; -1: it is none. */
int pg_options_name(struct davit_str s, const char *field, struct pg_fault *f);

/* For pg_options_read: the text's settings are added, later ones of a name replace. 0; -1: f. */
int pg_settings_parse(struct pg_options *o, struct davit_str text, struct pg_fault *f);
/* "database" is "dbname" here. -1: no memory. */
int pg_settings_set(struct pg_options *o, const char *name, const char *value, size_t n);
const char *pg_settings_get(const struct pg_options *o, const char *name); /* NULL: not set */
void pg_settings_drop(struct pg_options *o, const char *name);
#endif
