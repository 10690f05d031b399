/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From HTTP/1.1 to HTTP/2 by Upgrade: h2c (RFC 7540, 3.2), which RFC 9113 has dropped and Go's servers still do. The request
 * that asks becomes stream 1. One with a body is answered in HTTP/1.1, as any server may.
 */
#include "http/h2.h"

#include "base/banned.h"

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

static struct str value_of(const struct h1_head *head, const char *name)
{
	size_t i;

	for (i = 0; i < head->nfields; i++)
		if (str_is(head->fields[i].name, name))
			return head->fields[i].value;
	return STR_NONE;
}

static int has_word(struct str list, struct str word)
{
	struct str part;

	while (str_split(&list, ',', &part))
		if (str_ieq(str_trim(part), word))
			return 1;
	return 0;
}

int h2_upgrade_wanted(const struct connection *c, const struct h1_head *head)
{
	struct str connection;

	if (!(c->sl->server->o.protocols & HTTP_2) || head->minor == 0 || head->chunked || head->content_length != 0 ||
	    c->eof || c->left)
		return 0;
	connection = value_of(head, "connection");
	return has_word(value_of(head, "upgrade"), STR("h2c")) && has_word(connection, STR("upgrade")) &&
	       has_word(connection, STR("http2-settings")) && value_of(head, "http2-settings").p != NULL;
}

static int sextet(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* base64url without padding: the payload of a SETTINGS frame. -1: it is none. */
static int read_settings(struct arena *a, struct str text, uint8_t **ret_payload, size_t *ret_n)
{
	uint8_t *out = arena_try(a, text.n + 1);
	unsigned bits = 0, have = 0;
	size_t i, n = 0;

	if (out == NULL)
		return -1;
	for (i = 0; i < text.n; i++) {
		int digit = sextet(text.p[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (unsigned)digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	*ret_payload = out;
	*ret_n = n;
	return n % 6 == 0 ? 0 : -1;
}

int h2_upgrade(struct connection *c, struct arena *a, const struct h1_head *head)
{
	uint8_t *settings;
	struct h1 *before = c->as.h1;
	struct h2 *h;
	size_t n;

	if (read_settings(a, value_of(head, "http2-settings"), &settings, &n) < 0)
		return 0;
	if (h2_open(c) < 0) /* which has changed nothing then */
		return 0;
	h1_free(before);
	output_add(&c->out, SWITCHING, sizeof(SWITCHING) - 1);
	h = c->as.h2;
	if (nghttp2_session_upgrade2(h->session, settings, n, str_is(head->method, "HEAD"), NULL) != 0 ||
	    h2_take_upgraded(h, a, head) < 0) {
		arena_unref(a);
		connection_cut(c);
		return 1;
	}
	if (connection_peek(c).n > 0)
		c->protocol->input(c);
	connection_flush(c);
	return 1;
}
