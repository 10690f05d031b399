/* SPDX-License-Identifier: Apache-2.0 */
/* What one reading of the file found: sorted, never changed, shared by the calls that use it. */
#ifndef SECRETS_H
#define SECRETS_H
#include <davit/secrets.h>
#include <sys/stat.h>

#define SECRETS_LIMIT (16u * 1024 * 1024) /* bytes of the file */
#define SECRETS_DEPTH 256		  /* levels of its JSON */

struct secret {
	struct davit_str name, key, value; /* key.p == NULL: a secret without any pair */
	size_t at; /* where in the file's order: of two with one name and key the first counts */
};

struct secrets {
	int refs;
	struct stat file; /* as it was when it was opened */
	struct secret *list;
	size_t n, room;
	size_t duplicates; /* that were dropped */
};

/*
 * With one reference. separator joins the names of nested values; multi: each object at the top is one secret of several
 * pairs. NULL: ret_text, of 1024 bytes, says why, and never what is in the file.
 */
struct secrets *secrets_read(const char *path, struct davit_str separator, int multi, char *ret_text);
struct secrets *secrets_ref(struct secrets *s);
void secrets_unref(struct secrets *s); /* any thread; NULL is fine */
/* The first pair of that name, its others behind it; NULL: there is none. */
const struct secret *secrets_find(const struct secrets *s, struct davit_str name);
#endif
