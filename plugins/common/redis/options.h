/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata of a Redis component says, the same for each of them: names and defaults are Dapr's. */
#ifndef REDIS_OPTIONS_H
#define REDIS_OPTIONS_H
#include <davit/plugin.h>

#define REDIS_HOST 256
#define REDIS_WHY 512

struct redis_address {
	char host[REDIS_HOST];
	int port;
};

struct redis_options {
	struct redis_address *addresses; /* of the server, the cluster's seeds or the sentinels; at least one */
	size_t naddresses;
	char shown[REDIS_HOST]; /* as an error names them */
	int cluster, failover, db;
	/* Copies that end in a NUL; NULL: not given. */
	char *username, *password, *sentinel_username, *sentinel_password, *master, *client_cert, *client_key;
	int tls, insecure;
	int max_retries; /* of one command, after the first try */
	int64_t min_backoff_ms, max_backoff_ms;
	/* 0: no limit */
	int64_t dial_ms, read_ms, write_ms, pool_ms, age_ms, idle_ms, idle_check_ms;
	int pool_size, min_idle;
};

/* 0; -1: why says what is wrong with which field, never a secret. Release it either way. */
int redis_options_read(const struct davit_open *in, struct redis_options *ret_options, char why[REDIS_WHY]);
void redis_options_release(struct redis_options *o);
int redis_options_int(const struct davit_open *in, const char *field, int64_t fallback, int64_t least, int64_t most,
		      int64_t *ret_value, char why[REDIS_WHY]);
/* "host", "host:port" or "[v6]:port"; port: what a host without one gets. -1: it is none. */
int redis_address_parse(const char *p, size_t n, int port, struct redis_address *ret_address);
#endif
