/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server: one port or Unix socket, listened to by every loop, HTTP/1.1 and HTTP/2 without TLS (h2c) told apart by the
 * first bytes. Opened and drained from the main thread; everything else happens on the loops.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H
#include "http/exchange.h"

enum { HTTP_1 = 1, HTTP_2 = 2 }; /* bits of `protocols` */

struct http_server_options {
	const char *name; /* for the log, such as "HTTP API" */
	int protocols;
	/* Runs on a fiber for each exchange and replies. */
	void (*handle)(void *ctx, struct http_exchange *x);
	/* Replies when no fiber can be had (no fiber here: use http_reply only). NULL: 503. */
	void (*refuse)(void *ctx, struct http_exchange *x);
	void *ctx;
	size_t header_limit;	  /* bytes of request line and fields; beyond: 431, or HTTP/2's refusal */
	int header_timeout_ms;	  /* from the first byte (or accept) to the end of the fields; 10 s */
	int idle_body_timeout_ms; /* a body that is waited for and stands still ends the connection; 0: never */
	int stall_timeout_ms;	  /* what is to be sent and not taken for so long ends connection or stream; 0: never */
	int keep_alive_ms;	  /* an idle connection is closed; 0: never */
	int no_date;		  /* HTTP/2 replies get no `date`, which gRPC clients would take for metadata */
	int connection_limit;	  /* of the process; beyond it a 503 and close; 10,000 */
	int stream_limit;	  /* HTTP/2 streams a connection; 1,000 */
	size_t window;		  /* HTTP/2 bytes a stream that the handler has not read; 64 KiB … */
};

struct http_server_options http_server_defaults(void);

struct http_server;

/*
 * Listens on host:port with a socket a loop, or on a Unix socket (path; a stale file of ours is replaced). host "" is
 * every address, IPv6 too. Port 0 takes a free one. On failure NULL, and *ret_message (in arena a) says what and why:
 * a port that another process holds is a failure, though our own sockets share it.
 */
struct http_server *http_listen_tcp(const struct http_server_options *o, struct loop *const *loops, int nloops,
				    const char *host, int port, struct arena *a, struct str *ret_message);
struct http_server *http_listen_unix(const struct http_server_options *o, struct loop *const *loops, int nloops,
				     const char *path, struct arena *a, struct str *ret_message);
int http_server_port(const struct http_server *s);
int http_server_exchanges(const struct http_server *s); /* that have not ended yet; any thread */
int http_server_connections(const struct http_server *s);

/* No new connections; idle ones close, HTTP/1 replies say `Connection: close`, HTTP/2 gets GOAWAY. Returns at once. */
void http_server_drain(struct http_server *s);
/* Waits up to within_ms for the exchanges under way, then cuts what is left, and frees. From the main thread. */
void http_server_close(struct http_server *s, int within_ms);
#endif
