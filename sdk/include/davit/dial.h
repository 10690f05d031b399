/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/dial.h - the service "davit.dial/1": streams of bytes to other processes, over TCP or a Unix socket, with TLS by
 * the kernel's OpenSSL where asked for. On a worker its functions block, on a loop they park the fiber.
 *
 *	struct davit_dial_to to = DAVIT_INIT(davit_dial_to, .host = host, .port = 6379, .timeout_ms = 5000);
 *	status = dial->dial(instance, call, &to, &stream);
 *	status = dial->write(stream, call, &piece, 1, 3000);
 *	status = dial->read(stream, call, buffer, sizeof(buffer), 3000, &n);	n == 0: the other side has ended
 *	dial->close(stream);
 *
 * A stream belongs to the loop it was dialled on and can be used from anywhere: from there at no cost, from elsewhere by a
 * trip to that loop. One may read while another writes, but not two of a kind. Each wait ends by its own timeout_ms (0: no
 * limit of its own), the call's deadline and the call's end, whichever is first; call is NULL for work that belongs to none.
 *
 * Failures: DAVIT_UNAVAILABLE (nobody listens, the connection broke, TLS refused), DAVIT_DEADLINE_EXCEEDED, DAVIT_CANCELLED
 * (the call, or a shutdown), DAVIT_INVALID_ARGUMENT (an address, certificate or key that cannot be used), DAVIT_EXHAUSTED (memory,
 * descriptors, fibers), DAVIT_FAILED_PRECONDITION (somebody reads, or writes, already). After a write that failed the stream is
 * good for nothing but to be closed; after a read that ran out of time it is as before.
 *
 * Limits: what comes in before it is read is kept up to 64 KiB, the rest waits in the sender; a PEM text of 1 MiB.
 */
#ifndef DAVIT_DIAL_H
#define DAVIT_DIAL_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_DIAL "davit.dial/1"

enum { davit_dial_service_kind = 10000, davit_dial_to_kind, davit_tls_kind };

enum {
	DAVIT_TLS_INSECURE = 1u << 0, /* whoever answers is believed: for tests */
	DAVIT_TLS_ONLY_OWN = 1u << 1, /* the system's trust anchors do not count, only ca_pem and ca_file */
	DAVIT_TLS_ANY_NAME = 1u << 2  /* the certificate is checked, but not that it is for this name */
};

/* TLS 1.2 or later. Texts with p == NULL are not given. */
struct davit_tls {
	uint32_t size, kind;
	uint32_t flags, unused;
	struct davit_str server_name; /* asked for, and what the certificate must be for; not given: the host dialled */
	struct davit_str ca_pem, ca_file;   /* trust anchors besides the system's */
	struct davit_str cert_pem, key_pem; /* ours, with its chain behind it; both or none */
	struct davit_str key_password;
	struct davit_str alpn; /* names with commas between, the best one first */
};

struct davit_dial_to {
	uint32_t size, kind;
	struct davit_str
		host; /* a name, an address with or without brackets, or the path of a Unix socket, by its '/' */
	int32_t port; /* not for a Unix socket */
	uint32_t unused;
	int64_t timeout_ms;	     /* for all of it, the handshake included; several addresses share it */
	const struct davit_tls *tls; /* NULL: none */
	char *why; /* where the reason of a failure is written, ended by a NUL; may be NULL. Never a key or password */
	uint64_t nwhy; /* bytes there */
};

struct davit_stream;

struct davit_dial_service {
	uint32_t size, kind;
	davit_status (*dial)(struct davit_instance *instance, struct davit_call *call, const struct davit_dial_to *to,
			     struct davit_stream **ret_stream);
	/* TLS on a plain stream that both sides have agreed to change (PostgreSQL, SMTP); what came too early is an error. Of `to`
	 * count host, tls, timeout_ms and why. After a failure the stream is still to be closed. */
	davit_status (*start_tls)(struct davit_stream *stream, struct davit_call *call, const struct davit_dial_to *to);
	/* What there is, at least one byte. *ret_n == 0: the other side has ended its sending (with TLS: and has said so). */
	davit_status (*read)(struct davit_stream *stream, struct davit_call *call, void *p, uint64_t n,
			     int64_t timeout_ms, uint64_t *ret_n);
	/* All pieces, in their order; DAVIT_OK: the system has taken them, which does not say that they arrived. */
	davit_status (*write)(struct davit_stream *stream, struct davit_call *call, const struct davit_bytes *pieces,
			      uint64_t npieces, int64_t timeout_ms);
	/* Whoever reads or writes, now or later, gets DAVIT_CANCELLED. Does not wait. */
	void (*shutdown)(struct davit_stream *stream);
	/* Nobody may be in the stream. Does not wait; NULL is fine. */
	void (*close)(struct davit_stream *stream);
	/* Why it last failed, for people: good until the next failure or close; "": it did not. For whoever has just got it. */
	const char *(*why)(const struct davit_stream *stream);
	/* What ALPN has chosen; "": nothing. Good until close. */
	const char *(*alpn)(const struct davit_stream *stream);
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_dial_service *davit_dial_service(struct davit_instance *instance)
{
	return (const struct davit_dial_service *)instance->host->service(instance, DAVIT_DIAL);
}

#ifdef __cplusplus
}
#endif
#endif
