/* SPDX-License-Identifier: Apache-2.0 */
/* All listeners of the sidecar, as one: opened by the table in servers.c, drained and closed together. */
#ifndef MAIN_SERVERS_H
#define MAIN_SERVERS_H
#include "api/api.h"
#include "main/options.h"

#define SERVERS_MOST 64

struct servers {
	struct loop *const *loops;
	int nloops;
	int internal_port; /* known before the server opens, as others are told of it */
	size_t n;
	struct http_server *list[SERVERS_MOST];
};

/* 0; -1: *ret_message says which port and why. What was opened stays in s, to be closed. */
int servers_open(struct servers *s, const struct options *o, struct api *api, struct arena *a, struct str *ret_message);
void servers_drain(struct servers *s);
void servers_close(struct servers *s, int within_ms); /* for all of them together */
int servers_exchanges(const struct servers *s);
#endif
