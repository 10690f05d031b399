/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "davit.http/1" asks: a web server with a thread a connection, plain or by OpenSSL, that answers by the path, and a proxy
 * that tunnels and passes on.
 */
#ifndef WEB_PEER_H
#define WEB_PEER_H
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls_ca.h"

struct web {
	SSL_CTX *ssl; /* NULL: plain */
	int proxy;    /* takes CONNECT and absolute targets */
	int listener, port;
	pthread_t thread;
	_Atomic int stopping, accepted, live, asked;
	char head[8192]; /* of the last request */
	char location[256];
};

struct web_one {
	struct web *web;
	int fd, close;
	SSL *ssl;
	char in[16384];
	size_t n; /* bytes there */
};

static inline int web_more(struct web_one *o)
{
	ssize_t n;

	if (o->n == sizeof(o->in))
		return 0;
	n = o->ssl ? SSL_read(o->ssl, o->in + o->n, (int)(sizeof(o->in) - o->n))
		   : recv(o->fd, o->in + o->n, sizeof(o->in) - o->n, 0);
	o->n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

static inline int web_say(struct web_one *o, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = o->ssl ? SSL_write(o->ssl, p, (int)(n > 16384 ? 16384 : n))
				   : send(o->fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static inline void web_take(struct web_one *o, size_t n)
{
	o->n -= n;
	memmove(o->in, o->in + n, o->n);
}

static inline int web_answer(struct web_one *o, const char *status, const char *fields, const char *body, size_t n)
{
	char head[1024];
	int k = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, n, fields);

	return web_say(o, head, (size_t)k) < 0 || web_say(o, body, n) < 0 ? -1 : 0;
}

/* Gives the body back as it comes, whatever its form: n bytes, or chunks (also how many bytes they had). */
static inline int web_echo(struct web_one *o, const char *head)
{
	const char *at = strstr(head, "Content-Length: ");
	size_t left = at ? strtoul(at + 16, NULL, 10) : 0, k;
	char text[128];

	if (strstr(head, "Transfer-Encoding: chunked") == NULL) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", left);
		if (web_say(o, text, strlen(text)) < 0)
			return -1;
		for (; left > 0; left -= k) {
			if (o->n == 0 && !web_more(o))
				return -1;
			k = o->n < left ? o->n : left;
			if (web_say(o, o->in, k) < 0)
				return -1;
			web_take(o, k);
		}
		return 0;
	}
	while (o->n < 5 || memmem(o->in, o->n, "\r\n0\r\n\r\n", 7) == NULL)
		if (!web_more(o))
			return -1;
	/* The chunks as they came are the answer's. */
	if (web_say(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47) < 0 || web_say(o, o->in, o->n) < 0)
		return -1;
	o->n = 0;
	return 0;
}

static inline int web_drip(struct web_one *o)
{
	int i;

	if (web_say(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47) < 0)
		return -1;
	for (i = 0; i < 5; i++) {
		if (web_say(o, "4\r\ndrop\r\n", 9) < 0)
			return -1;
		usleep(10000);
	}
	return web_say(o, "0\r\nX-End: yes\r\n\r\n", 17);
}

static inline int web_big(struct web_one *o, size_t n)
{
	static const char block[65536] = "";
	char head[100];
	size_t k;

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
	if (web_say(o, head, strlen(head)) < 0)
		return -1;
	for (; n > 0; n -= k) {
		k = n < sizeof(block) ? n : sizeof(block);
		if (web_say(o, block, k) < 0)
			return -1;
	}
	return 0;
}

static inline int web_serve(struct web_one *o, const char *path, const char *head)
{
	char field[300];

	if (strncmp(path, "/hello", 6) == 0)
		return web_answer(o, "200 OK", "ETag: \"1\"\r\nX-Two: a\r\nX-Two: b\r\n", "hello", 5);
	if (strncmp(path, "/bye", 4) == 0) /* it closes without having said so */
		return web_answer(o, "200 OK", "", "bye", 3) < 0 ? -1 : -1;
	if (strncmp(path, "/head", 5) == 0)
		return web_answer(o, "200 OK", "", head, strlen(head));
	if (strncmp(path, "/echo", 5) == 0)
		return web_echo(o, head);
	if (strncmp(path, "/drip", 5) == 0)
		return web_drip(o);
	if (strncmp(path, "/big/", 5) == 0)
		return web_big(o, strtoul(path + 5, NULL, 10));
	if (strncmp(path, "/away", 5) == 0) {
		snprintf(field, sizeof(field), "Location: %s\r\n", o->web->location);
		return web_answer(o, strncmp(path, "/away307", 8) == 0 ? "307 Temporary Redirect" : "302 Found", field,
				  "", 0);
	}
	if (strncmp(path, "/half", 5) == 0)
		return web_say(o, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44) < 0 ? -1 : -1;
	if (strncmp(path, "/noise", 6) == 0)
		return web_say(o, "SMTP ready\r\n\r\n", 14) < 0 ? -1 : -1;
	if (strncmp(path, "/never", 6) == 0) {
		while (!o->web->stopping && (o->n > 0 || 1) &&
		       poll(&(struct pollfd){ o->fd, POLLRDHUP, 0 }, 1, 20) == 0)
			continue;
		return -1;
	}
	return web_answer(o, "404 Not Found", "", "none", 4);
}

static inline int web_connect(struct web_one *o, const char *to)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	const char *colon = strchr(to, ':');
	char buf[16384];
	int fd = socket(AF_INET, SOCK_STREAM, 0), i;
	ssize_t n = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* whatever the name */
	at.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : "80"));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		web_answer(o, "502 Bad Gateway", "", "", 0);
		return -1;
	}
	web_say(o, "HTTP/1.1 200 Connection established\r\n\r\n", 39);
	while (n > 0 && !o->web->stopping) {
		struct pollfd p[2] = { { o->fd, POLLIN, 0 }, { fd, POLLIN, 0 } };

		if (poll(p, 2, 20) <= 0)
			continue;
		for (i = 0; i < 2 && n > 0; i++)
			if (p[i].revents && (n = recv(p[i].fd, buf, sizeof(buf), 0)) > 0)
				n = send(p[1 - i].fd, buf, (size_t)n, MSG_NOSIGNAL);
	}
	close(fd);
	return -1;
}

static inline int web_request(struct web_one *o)
{
	char head[8192], *path, *end;
	size_t n;

	while ((end = memmem(o->in, o->n, "\r\n\r\n", 4)) == NULL)
		if (!web_more(o))
			return -1;
	n = (size_t)(end - o->in) + 4;
	if (n >= sizeof(head))
		return -1;
	memcpy(head, o->in, n);
	head[n] = '\0';
	web_take(o, n);
	memcpy(o->web->head, head, n + 1);
	o->web->asked++;
	path = strchr(head, ' ') + 1;
	if (o->web->proxy) {
		if (strstr(head, "Proxy-Authorization: Basic bWU6cyZw\r\n") == NULL) { /* me:s&p */
			web_answer(o, "407 Proxy Authentication Required", "Proxy-Authenticate: Basic\r\n", "", 0);
			return -1;
		}
		if (strncmp(head, "CONNECT ", 8) == 0)
			return web_connect(o, path);
		path = strchr(path + 7, '/');
	}
	return web_serve(o, path, head);
}

static inline void *web_one_main(void *arg)
{
	struct web_one *o = arg;

	if (o->web->ssl != NULL) {
		o->ssl = SSL_new(o->web->ssl);
		SSL_set_fd(o->ssl, o->fd);
	}
	if (o->ssl == NULL || SSL_accept(o->ssl) == 1)
		while (!o->web->stopping && web_request(o) == 0)
			continue;
	if (o->ssl != NULL && SSL_is_init_finished(o->ssl))
		SSL_shutdown(o->ssl);
	SSL_free(o->ssl);
	shutdown(o->fd, SHUT_WR);
	close(o->fd);
	ERR_clear_error();
	o->web->live--;
	free(o);
	OPENSSL_thread_stop();
	return NULL;
}

static inline void *web_main(void *arg)
{
	struct web *w = arg;
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * 1024);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept(w->listener, NULL, NULL);
		struct web_one *o = calloc(1, sizeof(*o));

		if (fd < 0 || w->stopping || o == NULL) {
			free(o);
			break;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 5, 0 }, sizeof(struct timeval));
		o->web = w;
		o->fd = fd;
		w->accepted++;
		w->live++;
		if (pthread_create(&t, &small, web_one_main, o) != 0)
			abort();
	}
	pthread_attr_destroy(&small);
	return NULL;
}

/* pair: for TLS, else NULL; clients: whom to ask for a certificate of. */
static inline void web_start(struct web *w, const struct ca_pair *pair, const struct ca_pair *clients)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(at);

	memset(w, 0, sizeof(*w));
	if (pair != NULL) {
		w->ssl = SSL_CTX_new(TLS_server_method());
		if (SSL_CTX_use_certificate(w->ssl, pair->certificate) != 1 ||
		    SSL_CTX_use_PrivateKey(w->ssl, pair->key) != 1)
			abort();
	}
	if (clients != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(w->ssl), clients->certificate);
		SSL_CTX_set_verify(w->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	w->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(w->listener, (struct sockaddr *)&at, n) < 0 ||
	    getsockname(w->listener, (struct sockaddr *)&at, &n) < 0 || listen(w->listener, 1024) < 0 ||
	    pthread_create(&w->thread, NULL, web_main, w) != 0)
		abort();
	w->port = ntohs(at.sin_port);
}

/* What waits in it is let go; kept connections are to be closed before by whoever keeps them. */
static inline void web_stop(struct web *w)
{
	w->stopping = 1;
	shutdown(w->listener, SHUT_RDWR);
	pthread_join(w->thread, NULL);
	close(w->listener);
	while (w->live > 0)
		usleep(1000);
	SSL_CTX_free(w->ssl);
}
#endif
