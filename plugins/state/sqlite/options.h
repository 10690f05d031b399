/* SPDX-License-Identifier: Apache-2.0 */
/* The component's metadata, checked and taken apart. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include "sqlite/file.h"

#define OPTIONS_NAME 129 /* bytes of a table's name with its NUL */

struct options {
	struct sqlite_file file;
	char table[OPTIONS_NAME], metadata_table[OPTIONS_NAME];
	int64_t timeout_ms;
	int64_t busy_ms;    /* 0: do not wait */
	int64_t cleanup_ms; /* 0: never */
	int wal;
};

/* 0; -1: ret_fault says why. Either way options_release is due. */
int options_read(const struct davit_open *in, struct options *ret_options, struct fault *ret_fault);
void options_release(struct options *o);
#endif
