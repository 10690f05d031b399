/* SPDX-License-Identifier: Apache-2.0 */
/* The component's metadata, checked and taken apart. The connection string is read as Dapr and its Go driver read it. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include "fault.h"

#define OPTIONS_NAME 129 /* bytes of a table's name with its NUL */
#define OPTIONS_PRAGMAS 16

struct options {
	char *uri;			/* for sqlite3_open_v2 */
	char *shown;			/* the file in messages */
	char *pragmas[OPTIONS_PRAGMAS]; /* the _pragma parameters, such as "cache_size(2000)" */
	size_t npragmas;
	char table[OPTIONS_NAME], metadata_table[OPTIONS_NAME];
	int64_t timeout_ms;
	int64_t busy_ms;    /* 0: do not wait */
	int64_t cleanup_ms; /* 0: never */
	int memory;	    /* one connection only */
	int read_only;
	int wal;
	int exclusive;	/* _txlock=exclusive */
	int odd_txlock; /* another _txlock than "immediate" was asked for */
};

/* 0; -1: ret_fault says why. Either way options_release is due. */
int options_read(const struct davit_open *in, struct options *ret_options, struct fault *ret_fault);
void options_release(struct options *o);
#endif
