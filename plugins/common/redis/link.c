/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdlib.h>

#define WORDS 8
#define SPARE_MOST (128 * 1024) /* bytes that hiredis' reader keeps between replies */

static davit_status fail(struct redis_link *l, davit_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static davit_status fail(struct redis_link *l, davit_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	return status;
}

int redis_reply_is(const redisReply *r, const char *word)
{
	size_t n = strlen(word);

	return r->type == REDIS_REPLY_ERROR && (size_t)r->len >= n && memcmp(r->str, word, n) == 0 &&
	       ((size_t)r->len == n || r->str[n] == ' ');
}

#if HIREDIS_MAJOR >= 1
typedef size_t count_of_elements;
#else
typedef int count_of_elements;
#endif

/* hiredis makes room for what an array announces before any of it has come: a dozen bytes must not cost gigabytes. */
static void *create_array(const redisReadTask *task, count_of_elements n)
{
	const struct redis_link *l = task->privdata;

	return n > REDIS_ELEMENTS ? NULL : l->usual->createArray(task, n);
}

static redisReader *new_reader(struct redis_link *l)
{
	redisReader *r = redisReaderCreate();

	if (r == NULL)
		return NULL;
	l->usual = r->fn;
	l->bounded = *r->fn;
	l->bounded.createArray = create_array;
	r->fn = &l->bounded;
	r->privdata = l;
	r->maxbuf = SPARE_MOST;
	return r;
}

davit_status redis_link_read(struct redis_link *l, struct davit_call *call, int64_t timeout_ms, redisReply **ret_reply)
{
	davit_status status;
	void *reply = NULL;
	uint64_t n;

	for (;;) {
		if (redisReaderGetReply(l->reader, &reply) != REDIS_OK)
			return fail(l, l->reader->err == REDIS_ERR_OOM ? DAVIT_EXHAUSTED : DAVIT_DATA_LOSS,
				    "the server's reply: %s", l->reader->errstr);
		if (reply != NULL) {
			*ret_reply = reply;
			return DAVIT_OK;
		}
		status = l->dial->read(l->stream, call, l->input, REDIS_INPUT, timeout_ms, &n);
		if (status != DAVIT_OK)
			return fail(l, status, "%s", l->dial->why(l->stream));
		if (n == 0)
			return fail(l, DAVIT_UNAVAILABLE, "the server has closed the connection");
		if (redisReaderFeed(l->reader, l->input, n) != REDIS_OK)
			return fail(l, DAVIT_EXHAUSTED, "no memory left");
	}
}

davit_status redis_link_ask(struct redis_link *l, struct davit_call *call, int64_t timeout_ms, redisReply **ret_reply,
			    ...)
{
	const char *words[WORDS];
	struct davit_bytes piece;
	davit_status status;
	char *text = NULL;
	int n = 0, length;
	va_list ap;

	va_start(ap, ret_reply);
	while (n < WORDS && (words[n] = va_arg(ap, const char *)) != NULL)
		n++;
	va_end(ap);
	length = redisFormatCommandArgv(&text, n, words, NULL);
	if (length < 0)
		return fail(l, DAVIT_EXHAUSTED, "no memory left");
	piece = (struct davit_bytes){ text, (size_t)length };
	status = l->dial->write(l->stream, call, &piece, 1, timeout_ms);
	explicit_bzero(text, (size_t)length); /* a password may have been in it */
	free(text);
	if (status != DAVIT_OK)
		return fail(l, status, "%s", l->dial->why(l->stream));
	return redis_link_read(l, call, timeout_ms, ret_reply);
}

/* For a reply whose only interest is that it is no error. */
static davit_status expect(struct redis_link *l, davit_status status, redisReply *r, const char *what)
{
	if (status != DAVIT_OK)
		return status;
	if (r->type == REDIS_REPLY_ERROR)
		status = fail(l,
			      redis_reply_is(r, "WRONGPASS") || redis_reply_is(r, "NOAUTH") ? DAVIT_UNAUTHENTICATED
			      : redis_reply_is(r, "LOADING")				    ? DAVIT_UNAVAILABLE
											    : DAVIT_FAILED_PRECONDITION,
			      "%s: %.*s", what, r->len > 300 ? 300 : (int)r->len, r->str);
	freeReplyObject(r);
	return status;
}

/* A server whose default user needs no password takes any, if it is told as HELLO tells it; AUTH with a password alone is answered so. */
static int wants_no_password(const redisReply *r)
{
	static const char sentence[] = "ERR AUTH <password> called without any password configured";

	return r->type == REDIS_REPLY_ERROR && r->len >= sizeof(sentence) - 1 &&
	       memcmp(r->str, sentence, sizeof(sentence) - 1) == 0;
}

static davit_status log_in(struct redis_link *l, struct davit_call *call, int64_t timeout_ms,
			   const struct redis_login *who)
{
	davit_status status = DAVIT_OK;
	redisReply *r = NULL;
	char number[16];

	if (who->password != NULL && who->username != NULL)
		status = redis_link_ask(l, call, timeout_ms, &r, "AUTH", who->username, who->password, NULL);
	else if (who->password != NULL)
		status = redis_link_ask(l, call, timeout_ms, &r, "AUTH", who->password, NULL);
	if (who->password != NULL && status == DAVIT_OK && who->username == NULL && wants_no_password(r))
		freeReplyObject(r);
	else if (who->password != NULL)
		status = expect(l, status, r, "AUTH");
	if (status != DAVIT_OK || who->db == 0)
		return status;
	snprintf(number, sizeof(number), "%d", who->db);
	status = redis_link_ask(l, call, timeout_ms, &r, "SELECT", number, NULL);
	return expect(l, status, r, "SELECT");
}

davit_status redis_link_open(struct redis_link *l, struct davit_instance *instance, struct davit_call *call,
			     const struct redis_options *options, const struct redis_address *to,
			     const struct redis_login *login)
{
	struct davit_tls tls = DAVIT_INIT(davit_tls, .flags = options->insecure ? DAVIT_TLS_INSECURE : 0);
	struct davit_dial_to in = DAVIT_INIT(davit_dial_to, .host = davit_str(to->host), .port = to->port,
					     .timeout_ms = options->dial_ms, .tls = options->tls ? &tls : NULL,
					     .why = l->why, .nwhy = sizeof(l->why));
	davit_status status;

	l->dial = davit_dial_service(instance);
	if (l->dial == NULL)
		return fail(l, DAVIT_UNIMPLEMENTED, "this kernel has no davit.dial/1");
	/* As in Dapr, one without the other is none. */
	if (options->client_cert != NULL && options->client_key != NULL) {
		tls.cert_pem = davit_str(options->client_cert);
		tls.key_pem = davit_str(options->client_key);
	}
	status = l->dial->dial(instance, call, &in, &l->stream);
	if (status != DAVIT_OK)
		return status;
	l->reader = new_reader(l);
	l->input = malloc(REDIS_INPUT);
	if (l->reader == NULL || l->input == NULL) {
		status = fail(l, DAVIT_EXHAUSTED, "no memory left");
	} else {
		status = log_in(l, call, options->read_ms, login);
	}
	if (status != DAVIT_OK)
		redis_link_close(l);
	return status;
}

void redis_link_close(struct redis_link *l)
{
	if (l->stream != NULL)
		l->dial->close(l->stream);
	if (l->reader != NULL)
		redisReaderFree(l->reader);
	free(l->input);
	l->stream = NULL;
	l->reader = NULL;
	l->input = NULL;
}
