/* SPDX-License-Identifier: Apache-2.0 */
/* A client of HTTP/2 that makes its own frames, good ones and others, and keeps a log of what comes. */
#ifndef HTTP2_RIG_H
#define HTTP2_RIG_H
#include <nghttp2/nghttp2.h>

#include "http_rig.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define END_STREAM NGHTTP2_FLAG_END_STREAM
#define END_HEADERS NGHTTP2_FLAG_END_HEADERS
#define OPEN_WINDOW 0x3fffffff

struct peer {
	int fd;
	nghttp2_hd_inflater *inflater;
	struct buf raw;	 /* not parsed yet */
	struct buf log;	 /* what came, a line a frame */
	struct buf data; /* of all DATA frames */
	int closed;
};

static inline void put_frame(struct peer *p, int type, int flags, uint32_t id, const void *payload, size_t n)
{
	uint8_t head[9] = { (uint8_t)(n >> 16),	 (uint8_t)(n >> 8),   (uint8_t)n,	  (uint8_t)type, (uint8_t)flags,
			    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	struct buf b = buf_init();

	buf_add(&b, head, sizeof(head));
	buf_add(&b, payload, n);
	put(p->fd, b.p, b.n);
	buf_free(&b);
}

static inline void put_word(struct peer *p, int type, uint32_t id, uint32_t word)
{
	uint8_t b[4] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word };

	put_frame(p, type, 0, id, b, 4);
}

/* "name: value" lines as literals that are not indexed. */
static inline void add_block(struct buf *b, const char *fields)
{
	struct str rest = str_of(fields), line, name, value;

	while (str_split(&rest, '\n', &line)) {
		if (line.n == 0)
			continue;
		str_cut((struct str){ line.p + 1, line.n - 1 }, ':', &name, &value);
		name = (struct str){ line.p, name.n + 1 }; /* the first letter may be a colon itself */
		value = str_trim(value);
		buf_addc(b, 0);
		buf_addc(b, (char)name.n);
		buf_adds(b, name);
		if (value.n < 127) {
			buf_addc(b, (char)value.n);
		} else {
			buf_addc(b, 127);
			buf_addc(b, (char)(0x80 | ((value.n - 127) & 0x7f)));
			buf_addc(b, (char)((value.n - 127) >> 7));
		}
		buf_adds(b, value);
	}
}

static inline void put_headers(struct peer *p, int flags, uint32_t id, const char *fields)
{
	struct buf b = buf_init();

	add_block(&b, fields);
	put_frame(p, NGHTTP2_HEADERS, flags, id, b.p, b.n);
	buf_free(&b);
}

#define FIELDS(method, path) ":method: " method "\n:scheme: http\n:authority: h\n:path: " path "\n"

static inline void get(struct peer *p, uint32_t id, const char *path)
{
	char fields[256];

	snprintf(fields, sizeof(fields), FIELDS("GET", "%s"), path);
	put_headers(p, END_STREAM | END_HEADERS, id, fields);
}

/* window: what each of our streams may be sent before we say more. */
static inline void open_peer(struct peer *p, uint32_t window)
{
	uint8_t settings[6] = { 0,
				NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
				(uint8_t)(window >> 24),
				(uint8_t)(window >> 16),
				(uint8_t)(window >> 8),
				(uint8_t)window };

	memset(p, 0, sizeof(*p));
	p->fd = dial();
	ck_assert_int_eq(nghttp2_hd_inflate_new(&p->inflater), 0);
	put_text(p->fd, PREFACE);
	put_frame(p, NGHTTP2_SETTINGS, 0, 0, settings, 6);
	put_word(p, NGHTTP2_WINDOW_UPDATE, 0, OPEN_WINDOW);
}

static inline void close_peer(struct peer *p)
{
	close(p->fd);
	nghttp2_hd_inflate_del(p->inflater);
	buf_free(&p->raw);
	buf_free(&p->log);
	buf_free(&p->data);
}

static inline void log_headers(struct peer *p, const uint8_t *at, size_t n)
{
	nghttp2_nv nv;
	ssize_t used;
	int flags;

	do {
		used = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, at, n, 1);
		ck_assert_int_ge(used, 0);
		at += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			buf_printf(&p->log, " %s=%s", nv.name, nv.value);
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL) && (n > 0 || flags & NGHTTP2_HD_INFLATE_EMIT));
	nghttp2_hd_inflate_end_headers(p->inflater);
}

static inline uint32_t word(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* One frame of p->raw to the log; 0: it is not all there. */
static inline int log_frame(struct peer *p)
{
	const uint8_t *b = (const uint8_t *)p->raw.p;
	size_t n;
	uint32_t id;

	if (p->raw.n < 9)
		return 0;
	n = (size_t)b[0] << 16 | (size_t)b[1] << 8 | b[2];
	if (p->raw.n < 9 + n)
		return 0;
	id = word(b + 5);
	switch (b[3]) {
	case NGHTTP2_DATA:
		buf_printf(&p->log, "%u DATA %zu", id, n);
		buf_add(&p->data, b + 9, n);
		break;
	case NGHTTP2_HEADERS:
		buf_printf(&p->log, "%u HEADERS", id);
		log_headers(p, b + 9, n);
		break;
	case NGHTTP2_RST_STREAM: buf_printf(&p->log, "%u RST %u", id, word(b + 9)); break;
	case NGHTTP2_GOAWAY: buf_printf(&p->log, "GOAWAY %u %u", word(b + 9), word(b + 13)); break;
	case NGHTTP2_PING: buf_printf(&p->log, "PING %d %.8s", b[4], b + 9); break;
	case NGHTTP2_SETTINGS:
		if (b[4] == 0) /* acknowledge it */
			put_frame(p, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
		buf_printf(&p->log, "SETTINGS %d", b[4]);
		break;
	case NGHTTP2_WINDOW_UPDATE: buf_printf(&p->log, "%u WINDOW %u", id, word(b + 9)); break;
	default: buf_printf(&p->log, "%u type %d", id, b[3]); break;
	}
	if ((b[3] == NGHTTP2_DATA || b[3] == NGHTTP2_HEADERS) && b[4] & END_STREAM)
		buf_printf(&p->log, " END %u", id);
	buf_addc(&p->log, '\n');
	buf_str(&p->log);
	buf_drop(&p->raw, 9 + n);
	return 1;
}

/* Reads until the log has this in it (NULL: until the server closes). 1: it has; 0: not within ms. */
static inline int expect(struct peer *p, const char *text, int ms)
{
	int64_t until = clock_ms() + ms;
	ssize_t n;

	buf_str(&p->log);
	for (;;) {
		while (log_frame(p))
			;
		if (text != NULL ? p->log.p != NULL && strstr(p->log.p, text) != NULL : p->closed)
			return 1;
		if (p->closed || clock_ms() >= until)
			return 0;
		n = take(p->fd, &p->raw, SIZE_MAX, (int)(until - clock_ms()));
		p->closed = n == 0 || n == -2;
	}
}

#define ck_expect(who, text, ms) ck_assert_msg(expect(who, text, ms), "no \"%s\" in:\n%s", text, (who)->log.p)
#endif
