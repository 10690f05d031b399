/* SPDX-License-Identifier: Apache-2.0 */
/* A database file as a component's metadata names it. The connection string is read as Dapr and its Go driver read it. */
#ifndef SQLITE_FILE_H
#define SQLITE_FILE_H
#include "fault.h"

#define SQLITE_FILE_PRAGMAS 16

struct sqlite_file {
	char *uri;			    /* for sqlite3_open_v2 */
	char *shown;			    /* the file in messages */
	char *pragmas[SQLITE_FILE_PRAGMAS]; /* the _pragma parameters, such as "cache_size(2000)" */
	size_t npragmas;
	int memory; /* nothing on a disk */
	int read_only;
	int exclusive;	/* _txlock=exclusive */
	int odd_txlock; /* another _txlock than "immediate" was asked for */
};

/* connectionString. 0; -1: ret_fault says why. Either way sqlite_file_release is due. */
int sqlite_file_read(const struct davit_open *in, struct sqlite_file *ret_file, struct fault *ret_fault);
void sqlite_file_release(struct sqlite_file *f);
/* A field that is a duration. 0; -1: ret_fault says why. */
int sqlite_file_duration(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
			 struct fault *ret_fault);
#endif
