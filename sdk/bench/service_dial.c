/* SPDX-License-Identifier: Apache-2.0 */
/* davit.dial/1: non-blocking sockets that are polled, and OpenSSL on them. */
#include <arpa/inet.h>
#include <davit/dial.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host.h"

struct davit_stream {
	struct davit_instance *instance;
	int fd, shut, ended; /* ended: an eventfd, readable once it was shut down */
	SSL *ssl;	     /* one thread at a time: with the lock held */
	pthread_mutex_t lock;
	char why[256], alpn[64];
};

static davit_status fail(struct davit_stream *s, davit_status status, const char *doing, const char *what)
{
	snprintf(s->why, sizeof(s->why), "%s: %s", doing, what);
	return status;
}

static davit_status wait_on(struct davit_stream *s, const struct wait *w, short events, const char *doing)
{
	short got = 0;
	davit_status status = DAVIT_OK;

	while (status == DAVIT_OK && got == 0 && !s->shut)
		status = wait_ready(w, s->fd, events, s->ended, &got);
	if (s->shut)
		return fail(s, DAVIT_CANCELLED, doing, "the stream was shut down");
	return status == DAVIT_OK ? DAVIT_OK
				  : fail(s, status, doing, status == DAVIT_CANCELLED ? "cancelled" : "i/o timeout");
}

static struct davit_stream *stream_new(struct davit_instance *instance, int fd)
{
	struct davit_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->instance = instance;
	s->fd = fd;
	s->ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void stream_close(struct davit_stream *s)
{
	if (s == NULL)
		return;
	if (s->ssl != NULL)
		SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	ERR_clear_error();
	close(s->fd);
	close(s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static davit_status connect_to(struct davit_stream *s, const struct wait *w, const struct sockaddr *to, socklen_t n)
{
	int error = 0, on = 1;
	socklen_t size = sizeof(error);
	davit_status status;

	if (connect(s->fd, to, n) < 0) {
		if (errno != EINPROGRESS)
			return fail(s, DAVIT_UNAVAILABLE, "connect", strerror(errno));
		status = wait_on(s, w, POLLOUT, "connect");
		if (status != DAVIT_OK)
			return status;
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error != 0)
			return fail(s, DAVIT_UNAVAILABLE, "connect", strerror(error));
	}
	if (to->sa_family != AF_UNIX)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return DAVIT_OK;
}

static int add_ca(SSL_CTX *c, struct davit_str pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x;
	int n = 0;

	for (; (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; n++) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x);
		X509_free(x);
	}
	BIO_free(b);
	return n > 0;
}

static int add_own(SSL_CTX *c, const struct davit_tls *t)
{
	BIO *cert = BIO_new_mem_buf(t->cert_pem.p, (int)t->cert_pem.n),
	    *key = BIO_new_mem_buf(t->key_pem.p, (int)t->key_pem.n);
	X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
	int ok = x && k && SSL_CTX_use_certificate(c, x) == 1 && SSL_CTX_use_PrivateKey(c, k) == 1;

	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert);
	BIO_free(key);
	return ok;
}

static SSL_CTX *context_of(const struct davit_tls *t)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(c, t->flags & DAVIT_TLS_INSECURE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (!(t->flags & DAVIT_TLS_ONLY_OWN))
		SSL_CTX_set_default_verify_paths(c);
	if ((t->ca_pem.n == 0 || add_ca(c, t->ca_pem)) &&
	    (t->ca_file.n == 0 || SSL_CTX_load_verify_file(c, t->ca_file.p) == 1) &&
	    (t->cert_pem.n == 0 || add_own(c, t)))
		return c;
	SSL_CTX_free(c);
	return NULL;
}

/* Between two tries of something that OpenSSL could not do yet. */
static davit_status wait_ssl(struct davit_stream *s, const struct wait *w, int error, const char *doing)
{
	const char *reason;
	long verdict;

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return wait_on(s, w, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, doing);
	verdict = SSL_get_verify_result(s->ssl);
	reason = ERR_reason_error_string(ERR_peek_error());
	ERR_clear_error();
	return fail(s, DAVIT_UNAVAILABLE, doing,
		    verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
		    : reason		 ? reason
					 : "the connection broke");
}

static davit_status start_tls_on(struct davit_stream *s, const struct wait *w, const struct davit_tls *t,
				 struct davit_str host)
{
	struct davit_str name = t->server_name.n ? t->server_name : host;
	SSL_CTX *c = context_of(t);
	davit_status status = DAVIT_OK;
	struct in6_addr address;
	int rc, checked = !(t->flags & (DAVIT_TLS_INSECURE | DAVIT_TLS_ANY_NAME));

	if (c == NULL)
		return fail(s, DAVIT_INVALID_ARGUMENT, "tls", "a certificate or key cannot be used");
	s->ssl = SSL_new(c);
	SSL_CTX_free(c);
	SSL_set_fd(s->ssl, s->fd);
	if (inet_pton(AF_INET, name.p, &address) == 1 || inet_pton(AF_INET6, name.p, &address) == 1)
		checked ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), name.p) : 0;
	else if (SSL_set_tlsext_host_name(s->ssl, name.p) == 1 && checked)
		SSL_set1_host(s->ssl, name.p);
	while (status == DAVIT_OK && (rc = SSL_connect(s->ssl)) != 1)
		status = wait_ssl(s, w, SSL_get_error(s->ssl, rc), "tls");
	return status;
}

static davit_status dial_address(struct davit_instance *instance, const struct wait *w, const struct sockaddr *to,
				 socklen_t n, struct davit_stream **ret, char *why, uint64_t nwhy)
{
	struct davit_stream *s = stream_new(instance,
					    socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	davit_status status = connect_to(s, w, to, n);

	if (status == DAVIT_OK) {
		*ret = s;
		return status;
	}
	if (why != NULL)
		snprintf(why, nwhy, "dial: %s", s->why);
	stream_close(s);
	return status;
}

static davit_status dial_name(struct davit_instance *instance, const struct wait *w, const struct davit_dial_to *to,
			      struct davit_stream **ret)
{
	struct host *h = (struct host *)instance;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL, *at;
	davit_status status = DAVIT_UNAVAILABLE;
	char port[16], host[256];
	int rc;

	snprintf(port, sizeof(port), "%d", (int)to->port);
	snprintf(host, sizeof(host), "%.*s", (int)to->host.n, to->host.p);
	turns_give(&h->turns);
	rc = getaddrinfo(host, port, &hints, &list);
	turns_take(&h->turns);
	if (rc != 0 && to->why != NULL)
		snprintf(to->why, to->nwhy, "dial: lookup %s: %s", host, gai_strerror(rc));
	for (at = list; at != NULL && status != DAVIT_OK && status != DAVIT_CANCELLED; at = at->ai_next)
		status = dial_address(instance, w, at->ai_addr, at->ai_addrlen, ret, to->why, to->nwhy);
	if (list != NULL)
		freeaddrinfo(list);
	return status;
}

static davit_status dial(struct davit_instance *instance, struct davit_call *call, const struct davit_dial_to *to,
			 struct davit_stream **ret_stream)
{
	struct wait w = wait_for(instance, call, to->timeout_ms);
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct davit_stream *s = NULL;
	davit_status status;

	if (to->host.n > 0 && to->host.p[0] == '/') {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", to->host.p);
		status = dial_address(instance, &w, (struct sockaddr *)&local, sizeof(local), &s, to->why, to->nwhy);
	} else {
		status = dial_name(instance, &w, to, &s);
	}
	if (status == DAVIT_OK && to->tls != NULL && (status = start_tls_on(s, &w, to->tls, to->host)) != DAVIT_OK) {
		if (to->why != NULL)
			snprintf(to->why, to->nwhy, "%s", s->why);
		stream_close(s);
	}
	if (status == DAVIT_OK)
		*ret_stream = s;
	return status;
}

static davit_status start_tls(struct davit_stream *s, struct davit_call *call, const struct davit_dial_to *to)
{
	struct wait w = wait_for(s->instance, call, to->timeout_ms);

	return start_tls_on(s, &w, to->tls, to->host);
}

/* How far a read or write came: bytes, 0 (the end), or -1 with what to do about it. */
static ssize_t move(struct davit_stream *s, void *p, size_t n, int writing, int *ret_ssl_error)
{
	size_t done = 0;
	ssize_t rc;

	if (s->ssl == NULL)
		return writing ? send(s->fd, p, n, MSG_NOSIGNAL) : recv(s->fd, p, n, 0);
	pthread_mutex_lock(&s->lock);
	rc = writing ? SSL_write_ex(s->ssl, p, n, &done) : SSL_read_ex(s->ssl, p, n, &done);
	*ret_ssl_error = rc == 1 ? 0 : SSL_get_error(s->ssl, (int)rc);
	pthread_mutex_unlock(&s->lock);
	if (rc == 1)
		return (ssize_t)done;
	return *ret_ssl_error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static davit_status try_again(struct davit_stream *s, const struct wait *w, int writing, int ssl_error)
{
	const char *doing = writing ? "write" : "read";

	if (s->ssl != NULL)
		return wait_ssl(s, w, ssl_error, doing);
	if (errno != EAGAIN && errno != EINTR)
		return fail(s, DAVIT_UNAVAILABLE, doing, strerror(errno));
	return wait_on(s, w, writing ? POLLOUT : POLLIN, doing);
}

static davit_status stream_read(struct davit_stream *s, struct davit_call *call, void *p, uint64_t n,
				int64_t timeout_ms, uint64_t *ret_n)
{
	struct wait w = wait_for(s->instance, call, timeout_ms);
	davit_status status = DAVIT_OK;
	int error = 0;
	ssize_t rc = -1;

	*ret_n = 0;
	while (status == DAVIT_OK && !s->shut && (rc = move(s, p, n, 0, &error)) < 0)
		status = try_again(s, &w, 0, error);
	if (s->shut)
		return fail(s, DAVIT_CANCELLED, "read", "the stream was shut down");
	if (status == DAVIT_OK)
		*ret_n = (uint64_t)rc;
	return status;
}

static davit_status stream_write(struct davit_stream *s, struct davit_call *call, const struct davit_bytes *pieces,
				 uint64_t npieces, int64_t timeout_ms)
{
	struct wait w = wait_for(s->instance, call, timeout_ms);
	davit_status status = DAVIT_OK;
	int error = 0;
	uint64_t i;

	for (i = 0; i < npieces && status == DAVIT_OK; i++) {
		const char *p = pieces[i].p;
		size_t left = pieces[i].n;
		ssize_t rc;

		while (left > 0 && status == DAVIT_OK && !s->shut) {
			rc = move(s, (void *)p, left, 1, &error);
			if (rc > 0)
				p += rc, left -= (size_t)rc;
			else
				status = try_again(s, &w, 1, error);
		}
	}
	return s->shut ? fail(s, DAVIT_CANCELLED, "write", "the stream was shut down") : status;
}

static void stream_shutdown(struct davit_stream *s)
{
	uint64_t one = 1;

	s->shut = 1;
	if (write(s->ended, &one, sizeof(one)) != sizeof(one))
		abort();
}

static const char *stream_why(const struct davit_stream *s)
{
	return s->why;
}

static const char *stream_alpn(const struct davit_stream *s)
{
	return s->alpn;
}

const struct davit_dial_service bench_dial = DAVIT_INIT(davit_dial_service, .dial = dial, .start_tls = start_tls,
							.read = stream_read, .write = stream_write,
							.shutdown = stream_shutdown, .close = stream_close,
							.why = stream_why, .alpn = stream_alpn);
