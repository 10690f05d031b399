/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of HTTP/2 out of any bytes: type, flags, stream, length and payload, a byte for each but the last. So a changed input
 * stays frames, of right and of wrong meaning. In raw inputs the bytes are what is sent behind the preface.
 */
#ifndef FUZZ_FRAMES_H
#define FUZZ_FRAMES_H
#include "base/buf.h"

#define FUZZ_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FUZZ_SETTINGS "\0\0\0\4\0\0\0\0\0"

static inline void fuzz_frame(struct buf *b, unsigned type, unsigned flags, unsigned stream, const char *p, size_t n)
{
	unsigned char head[9] = { (unsigned char)(n >> 16),
				  (unsigned char)(n >> 8),
				  (unsigned char)n,
				  (unsigned char)type,
				  (unsigned char)flags,
				  0,
				  0,
				  0,
				  (unsigned char)stream };

	buf_add(b, head, sizeof(head));
	buf_add(b, p, n);
}

static inline void fuzz_begin(struct buf *b)
{
	buf_lit(b, FUZZ_PREFACE);
	buf_lit(b, FUZZ_SETTINGS);
}

static inline void fuzz_frames(struct buf *b, struct str input)
{
	while (input.n >= 4) {
		const unsigned char *p = (const unsigned char *)input.p;
		struct str payload = str_upto(str_from(input, 4), p[3]);

		fuzz_frame(b, p[0] % 12, p[1], p[2], payload.p, payload.n);
		input = str_from(input, 4 + payload.n);
	}
}
#endif
