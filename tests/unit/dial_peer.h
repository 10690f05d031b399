/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "davit.dial/1" dials: a server with threads and blocking sockets, over TCP, a Unix socket or OpenSSL, that does with
 * each connection what the test says.
 */
#ifndef DIAL_PEER_H
#define DIAL_PEER_H
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tls_ca.h"

enum manners {
	PEER_ECHO,
	PEER_SILENT,  /* takes nothing and says nothing until it is stopped */
	PEER_HALF,    /* "half", then the end */
	PEER_RESET,   /* "half", then a reset */
	PEER_SWALLOW, /* reads all and counts it */
	PEER_TALK,    /* talks until nobody listens, slowly read or not */
	PEER_UPGRADE  /* "S\n" for an 'S', then TLS; echo */
};

struct peer {
	enum manners manners;
	SSL_CTX *ssl; /* NULL: plain */
	int listener, port;
	char path[108];
	pthread_t thread, workers[64];
	int nworkers;
	_Atomic int stopping, accepted;
	_Atomic long swallowed;
};

struct peer_one {
	struct peer *peer;
	int fd;
	SSL *ssl;
};

static inline ssize_t peer_read(struct peer_one *o, char *p, size_t n)
{
	return o->ssl ? SSL_read(o->ssl, p, (int)n) : recv(o->fd, p, n, 0);
}

static inline ssize_t peer_write(struct peer_one *o, const char *p, size_t n)
{
	return o->ssl ? SSL_write(o->ssl, p, (int)n) : send(o->fd, p, n, MSG_NOSIGNAL);
}

static inline int peer_start_tls(struct peer_one *o)
{
	o->ssl = SSL_new(o->peer->ssl);
	SSL_set_fd(o->ssl, o->fd);
	return SSL_accept(o->ssl) == 1 ? 0 : -1;
}

static inline void peer_echo(struct peer_one *o)
{
	char buf[16384];
	ssize_t n;

	while ((n = peer_read(o, buf, sizeof(buf))) > 0) {
		o->peer->swallowed += n;
		if (o->peer->manners != PEER_SWALLOW && peer_write(o, buf, (size_t)n) != n)
			break;
	}
	if (o->ssl)
		SSL_shutdown(o->ssl);
}

static inline void peer_serve(struct peer_one *o)
{
	struct linger now = { 1, 0 };
	char c, block[4096] = "";

	switch (o->peer->manners) {
	case PEER_SILENT:
		while (!o->peer->stopping)
			usleep(2000);
		break;
	case PEER_HALF:
	case PEER_RESET:
		if (peer_read(o, &c, 1) == 1 && peer_write(o, "half", 4) == 4)
			usleep(20000); /* it shall be read before the reset */
		if (o->peer->manners == PEER_RESET)
			setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		break;
	case PEER_TALK:
		while (peer_write(o, block, sizeof(block)) > 0)
			o->peer->swallowed += (long)sizeof(block);
		break;
	case PEER_UPGRADE:
		if (peer_read(o, &c, 1) == 1 && c == 'S' && peer_write(o, "S\n", 2) == 2 && peer_start_tls(o) == 0)
			peer_echo(o);
		break;
	default: peer_echo(o);
	}
}

static inline void *peer_one_main(void *arg)
{
	struct peer_one *o = arg;

	if (o->peer->ssl == NULL || o->peer->manners == PEER_UPGRADE || o->peer->manners == PEER_SILENT ||
	    peer_start_tls(o) == 0)
		peer_serve(o);
	SSL_free(o->ssl);
	close(o->fd);
	free(o);
	ERR_clear_error();
	return NULL;
}

static inline void *peer_main(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		int fd = accept(p->listener, NULL, NULL), on = 1;
		struct peer_one *o = calloc(1, sizeof(*o));

		if (fd < 0 || p->stopping || o == NULL) {
			free(o);
			return NULL;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		*o = (struct peer_one){ p, fd, NULL };
		p->accepted++;
		if (p->nworkers == 64 || pthread_create(&p->workers[p->nworkers++], NULL, peer_one_main, o) != 0)
			abort();
	}
}

/* path: of a Unix socket, NULL: TCP on 127.0.0.1. pair: for TLS, else NULL; clients: whom to ask for a certificate of. */
static inline void peer_start(struct peer *p, enum manners manners, const char *path, const struct ca_pair *pair,
			      const struct ca_pair *clients)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(at);

	*p = (struct peer){ .manners = manners };
	if (pair != NULL) {
		p->ssl = SSL_CTX_new(TLS_server_method());
		if (SSL_CTX_use_certificate(p->ssl, pair->certificate) != 1 ||
		    SSL_CTX_use_PrivateKey(p->ssl, pair->key) != 1)
			abort();
	}
	if (clients != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(p->ssl), clients->certificate);
		SSL_CTX_set_verify(p->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	p->listener = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	if (path != NULL) {
		strncpy(local.sun_path, path, sizeof(local.sun_path) - 1);
		if (bind(p->listener, (struct sockaddr *)&local, sizeof(local)) < 0)
			abort();
	} else if (bind(p->listener, (struct sockaddr *)&at, n) < 0 ||
		   getsockname(p->listener, (struct sockaddr *)&at, &n) < 0) {
		abort();
	}
	if (listen(p->listener, 64) < 0 || pthread_create(&p->thread, NULL, peer_main, p) != 0)
		abort();
	p->port = ntohs(at.sin_port);
}

static inline void peer_stop(struct peer *p)
{
	p->stopping = 1;
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->listener);
	while (p->nworkers > 0)
		pthread_join(p->workers[--p->nworkers], NULL);
	SSL_CTX_free(p->ssl);
}
#endif
