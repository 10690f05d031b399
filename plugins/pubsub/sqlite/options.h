/* SPDX-License-Identifier: Apache-2.0 */
/* The component's metadata, checked and taken apart. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include "sqlite/file.h"

struct options {
	struct sqlite_file file;
	char *group;	   /* consumerID */
	char *dead_letter; /* the topic; NULL: none */
	int parallel;
	int own_synchronous; /* the connection string says how safely to write */
	int64_t redeliver_ms, processing_ms, busy_ms;
	int64_t retention_ms;	/* 0: for ever */
	int64_t cleanup_ms;	/* 0: never */
	int64_t max_deliveries; /* 0: until it is taken */
};

/* 0; -1: ret_fault says why. Either way options_release is due. */
int options_read(const struct davit_open *in, struct options *ret_options, struct fault *ret_fault);
void options_release(struct options *o);
#endif
