/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nghttp2 does not tell of: frames that it ignores. A client could send them for ever, so they are counted; and on
 * a stream that the client itself has ended some of them are errors (RFC 9113, 5.1), while those that may have crossed
 * our reset are none.
 */
#include "http/h2.h"

#include "base/banned.h"

#define PREFACE_SIZE 24

void h2_frames_init(struct h2_frames *w)
{
	w->preface_left = PREFACE_SIZE;
}

void h2_remember_closed(struct h2 *h, int32_t id, int by_client)
{
	h->frames.closed[h->frames.nclosed++ % H2_CLOSED] = by_client ? -id : id;
}

/* A frame on a stream that is not open; last: the client ends its side by it. */
static uint32_t error_of_closed(struct h2_frames *w, int type, int32_t id, int last)
{
	uint32_t i, n = w->nclosed < H2_CLOSED ? w->nclosed : H2_CLOSED;

	for (i = 0; i < n && w->closed[i] != id && w->closed[i] != -id; i++)
		;
	if (i < n && w->closed[i] > 0) { /* it crossed our reset */
		if (last)
			w->closed[i] = -id;
		return NGHTTP2_NO_ERROR;
	}
	if (type == NGHTTP2_RST_STREAM)
		return NGHTTP2_NO_ERROR;
	if (i < n)
		return NGHTTP2_STREAM_CLOSED;
	/* While all are remembered: it was passed over. Then nobody knows any more. */
	return w->nclosed <= H2_CLOSED ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR;
}

/* HEADERS, DATA and RST_STREAM on a client's stream that was open; a stream that is new, or not a client's, is nghttp2's affair. */
static uint32_t check_stream(struct h2 *h, int type, int32_t id, int last)
{
	if (id % 2 == 0)
		return NGHTTP2_NO_ERROR;
	if (id > h->frames.greatest) {
		if (type == NGHTTP2_HEADERS)
			h->frames.greatest = id;
		return NGHTTP2_NO_ERROR;
	}
	if (nghttp2_session_find_stream(h->session, id) != NULL)
		return NGHTTP2_NO_ERROR;
	return error_of_closed(&h->frames, type, id, last);
}

/* A frame begins; payload: what is there of its payload. -1: the connection ends. */
static int begin(struct h2 *h, struct str payload)
{
	const uint8_t *b = h->frames.head;
	uint32_t length = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2], error = NGHTTP2_NO_ERROR;
	int type = b[3], flags = b[4];
	int32_t id = (int32_t)(((uint32_t)b[5] & 0x7f) << 24 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 8 | b[8]);

	h->frames.left = length;
	switch (type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		h->frames.headers_open = !(flags & NGHTTP2_FLAG_END_HEADERS);
		if (type == NGHTTP2_HEADERS)
			error = check_stream(h, type, id, flags & NGHTTP2_FLAG_END_STREAM);
		else
			h2_spend(h, 1);
		break;
	case NGHTTP2_DATA:
		error = check_stream(h, type, id, flags & NGHTTP2_FLAG_END_STREAM);
		h2_spend(h, length == 0 && !(flags & NGHTTP2_FLAG_END_STREAM) ? 1 : -1);
		break;
	case NGHTTP2_RST_STREAM:
		error = check_stream(h, type, id, 1);
		h2_spend(h, 1);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (payload.n >= 4 && memcmp(payload.p, "\0\0\0\0", 4) == 0)
			error = NGHTTP2_PROTOCOL_ERROR;
		h2_spend(h, 1);
		break;
	default: h2_spend(h, 1); break;
	}
	if (error == NGHTTP2_NO_ERROR)
		return 0;
	nghttp2_session_terminate_session(h->session, error);
	return -1;
}

/* How many bytes of data nghttp2 may have next: up to the end of one frame. -1: none. */
int h2_frames_next(struct h2 *h, struct str data, size_t *ret_n)
{
	struct h2_frames *w = &h->frames;
	size_t n;

	if (w->preface_left > 0) {
		n = data.n < w->preface_left ? data.n : w->preface_left;
		w->preface_left -= (uint8_t)n;
		*ret_n = n;
		return 0;
	}
	n = 0;
	if (w->left == 0) {
		n = sizeof(w->head) - w->have;
		n = data.n < n ? data.n : n;
		memcpy(w->head + w->have, data.p, n);
		w->have += (uint8_t)n;
		if (w->have < sizeof(w->head)) {
			*ret_n = n;
			return 0;
		}
		w->have = 0;
		data = str_from(data, n);
		if (begin(h, data) < 0)
			return -1;
	}
	data = str_upto(data, w->left);
	w->left -= (uint32_t)data.n;
	*ret_n = n + data.n;
	return 0;
}
