/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/zip.h"

#include <limits.h>
#include <zlib.h>

#include "base/banned.h"
#include "grpc/inside.h"

#define GZIP_ONLY (15 + 16) /* zlib's windowBits: the largest window, gzip's header and trailer */
#define RATIO 1032	    /* deflate cannot do better */

struct grpc_zip {
	z_stream in, out;
	int have_in, have_out;
};

static voidpf take_memory(voidpf opaque, uInt items, uInt size)
{
	return arena_try(opaque, (size_t)items * size);
}

static void leave_memory(voidpf opaque, voidpf p)
{
	(void)opaque, (void)p;
}

struct grpc_zip *grpc_zip_new(struct arena *a)
{
	struct grpc_zip *z = arena_try(a, sizeof(*z));

	if (z == NULL)
		return NULL;
	*z = (struct grpc_zip){ .have_in = 0 };
	z->in.zalloc = z->out.zalloc = take_memory;
	z->in.zfree = z->out.zfree = leave_memory;
	z->in.opaque = z->out.opaque = a;
	return z;
}

static int no_memory(struct error *ret_error)
{
	*ret_error = GRPC_NO_MEMORY;
	return -1;
}

/* What gzip's last four bytes say of the size, if that can be. */
static size_t guess(struct str in, size_t most)
{
	const unsigned char *p = (const unsigned char *)in.p + in.n - 4;
	size_t n = 256;

	if (in.n >= 18)
		n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (n / RATIO > in.n)
		n = in.n * RATIO;
	n = n < 64 ? 64 : n + 1; /* one more: then the end is seen without growing */
	return n < most ? n : most;
}

static const char *bad(int rc, const z_stream *s)
{
	if (rc == Z_BUF_ERROR || rc == Z_OK)
		return "unexpected EOF";
	return s->msg ? s->msg : "gzip: invalid data";
}

static int start_unzip(struct grpc_zip *z, struct error *ret_error)
{
	if (z->have_in) {
		inflateReset(&z->in);
		return 0;
	}
	if (inflateInit2(&z->in, GZIP_ONLY) != Z_OK)
		return no_memory(ret_error);
	z->have_in = 1;
	return 0;
}

/* Inflates into out[0..cap); Z_STREAM_END only behind the last of several members. */
static int inflate_all(z_stream *s, size_t cap, char *out)
{
	size_t left = cap - s->total_out;
	int rc;

	s->next_out = (Bytef *)out + s->total_out;
	s->avail_out = left < UINT_MAX ? (uInt)left : UINT_MAX;
	rc = inflate(s, Z_NO_FLUSH);
	while (rc == Z_STREAM_END && s->avail_in > 0) {
		uLong so_far = s->total_out;

		inflateReset(s);
		s->total_out = so_far;
		rc = inflate(s, Z_NO_FLUSH);
	}
	return rc;
}

int grpc_unzip(struct grpc_zip *z, struct arena *a, struct str in, size_t limit, struct str *ret_out,
	       struct error *ret_error)
{
	size_t most = limit > 0 && limit < SIZE_MAX ? limit + 1 : SIZE_MAX, cap = guess(in, most);
	char *out = arena_try(a, cap), *larger;
	int rc;

	if (out == NULL)
		return no_memory(ret_error);
	if (start_unzip(z, ret_error) < 0)
		return -1;
	z->in.next_in = (Bytef *)in.p;
	z->in.avail_in = (uInt)in.n;
	while ((rc = inflate_all(&z->in, cap, out)) == Z_OK || rc == Z_BUF_ERROR) {
		if (z->in.avail_out > 0 || cap == most)
			break;
		larger = arena_try(a, cap * 2 < most ? cap * 2 : most);
		if (larger == NULL)
			return no_memory(ret_error);
		memcpy(larger, out, cap);
		out = larger;
		cap = cap * 2 < most ? cap * 2 : most;
	}
	if (limit > 0 && z->in.total_out > limit) {
		*ret_error = grpc_error(a, ERROR_RESOURCE_EXHAUSTED,
					"grpc: received message after decompression larger than max %zu", limit);
		return -1;
	}
	if (rc == Z_MEM_ERROR)
		return no_memory(ret_error);
	if (rc != Z_STREAM_END) {
		*ret_error = grpc_error(a, ERROR_INTERNAL, "grpc: failed to decompress the message: %s",
					bad(rc, &z->in));
		return -1;
	}
	*ret_out = (struct str){ out, z->in.total_out };
	return 0;
}

int grpc_zip(struct grpc_zip *z, struct arena *a, struct str in, size_t head, struct str *ret_out,
	     struct error *ret_error)
{
	size_t cap;
	char *out;

	if (z->have_out)
		deflateReset(&z->out);
	else if (deflateInit2(&z->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_ONLY, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return no_memory(ret_error);
	z->have_out = 1;
	cap = deflateBound(&z->out, in.n);
	out = cap <= UINT_MAX ? arena_try(a, head + cap) : NULL;
	if (out == NULL)
		return no_memory(ret_error);
	z->out.next_in = (Bytef *)in.p;
	z->out.avail_in = (uInt)in.n;
	z->out.next_out = (Bytef *)out + head;
	z->out.avail_out = (uInt)cap;
	if (deflate(&z->out, Z_FINISH) != Z_STREAM_END) {
		*ret_error = (struct error){ .code = ERROR_INTERNAL, .message = STR("grpc: error while compressing") };
		return -1;
	}
	*ret_out = (struct str){ out, head + z->out.total_out };
	return 0;
}
