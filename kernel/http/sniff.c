/* SPDX-License-Identifier: Apache-2.0 */
/* MIME Sniffing (mimesniff.spec.whatwg.org), section 7, in its order, as Go's server does it. */
#include "http/sniff.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define LOOK 512
#define TEXT "text/plain; charset=utf-8"

static const char *const tags[] = {
	"<!DOCTYPE HTML", "<HTML",  "<HEAD", "<SCRIPT", "<IFRAME", "<H1", "<DIV", "<FONT", "<TABLE", "<A",
	"<STYLE",	  "<TITLE", "<B",    "<BODY",	"<BR",	   "<P",  "<!--"
};

/* In begin a '.' may be any byte where its bit of `any` is set (the leftmost byte is bit 0). */
struct signature {
	struct str begin;
	unsigned any;
	const char *type;
};

#define CONTAINER 0xf0 /* four bytes of length behind four of a name */

static const struct signature signatures[] = {
	{ STR("%PDF-"), 0, "application/pdf" },
	{ STR("%!PS-Adobe-"), 0, "application/postscript" },
	{ STR("\xfe\xff"), 0, "text/plain; charset=utf-16be" },
	{ STR("\xff\xfe"), 0, "text/plain; charset=utf-16le" },
	{ STR("\xef\xbb\xbf"), 0, TEXT },
	{ STR("\0\0\1\0"), 0, "image/x-icon" },
	{ STR("\0\0\2\0"), 0, "image/x-icon" },
	{ STR("BM"), 0, "image/bmp" },
	{ STR("GIF87a"), 0, "image/gif" },
	{ STR("GIF89a"), 0, "image/gif" },
	{ STR("RIFF....WEBPVP"), CONTAINER, "image/webp" },
	{ STR("\x89PNG\r\n\x1a\n"), 0, "image/png" },
	{ STR("\xff\xd8\xff"), 0, "image/jpeg" },
	{ STR("FORM....AIFF"), CONTAINER, "audio/aiff" },
	{ STR("ID3"), 0, "audio/mpeg" },
	{ STR("OggS\0"), 0, "application/ogg" },
	{ STR("MThd\0\0\0\6"), 0, "audio/midi" },
	{ STR("RIFF....AVI "), CONTAINER, "video/avi" },
	{ STR("RIFF....WAVE"), CONTAINER, "audio/wave" },
	{ STR("\x1a\x45\xdf\xa3"), 0, "video/webm" },
	{ STR("\0\1\0\0"), 0, "font/ttf" },
	{ STR("OTTO"), 0, "font/otf" },
	{ STR("ttcf"), 0, "font/collection" },
	{ STR("wOFF"), 0, "font/woff" },
	{ STR("wOF2"), 0, "font/woff2" },
	{ STR("\x1f\x8b\x08"), 0, "application/x-gzip" },
	{ STR("PK\x03\x04"), 0, "application/zip" },
	{ STR("Rar!\x1a\x07\0"), 0, "application/x-rar-compressed" },
	{ STR("Rar!\x1a\x07\x01\0"), 0, "application/x-rar-compressed" },
	{ STR("\0asm"), 0, "application/wasm" },
};

static int is_tag(struct str s, struct str tag)
{
	return s.n > tag.n && str_istarts(s, tag) && (s.p[tag.n] == ' ' || s.p[tag.n] == '>');
}

static int begins_so(struct str s, const struct signature *g)
{
	size_t i;

	if (s.n < g->begin.n)
		return 0;
	for (i = 0; i < g->begin.n; i++)
		if (!(i < 32 && g->any >> i & 1) && s.p[i] != g->begin.p[i])
			return 0;
	return 1;
}

/* Section 6.2.1: a first box whose brand, or one of those it is compatible with, begins with mp4. */
static int is_mp4(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n, i;

	if (s.n < 12 || memcmp(p + 4, "ftyp", 4) != 0)
		return 0;
	n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (n > s.n || n % 4 != 0)
		return 0;
	for (i = 8; i < n; i += 4)
		if (i != 12 && memcmp(p + i, "mp4", 3) == 0) /* there its version stands */
			return 1;
	return 0;
}

#define EOT_ZEROS 34 /* bytes of an embedded OpenType font before its mark, which may be anything */

static int is_eot(struct str s)
{
	return s.n >= EOT_ZEROS + 2 && memcmp(s.p + EOT_ZEROS, "LP", 2) == 0;
}

static int is_text(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r' && c != 0x1b)
			return 0;
	}
	return 1;
}

struct str http_sniff(struct str bytes)
{
	struct str s = str_upto(bytes, bytes.n < LOOK ? bytes.n : LOOK), first = s;
	size_t i;

	while (first.n > 0 && strchr("\t\n\f\r ", first.p[0]) != NULL && first.p[0] != '\0')
		first = str_from(first, 1);
	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (is_tag(first, str_of(tags[i])))
			return STR("text/html; charset=utf-8");
	if (str_starts(first, STR("<?xml")))
		return STR("text/xml; charset=utf-8");
	for (i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
		if (begins_so(s, &signatures[i]))
			return str_of(signatures[i].type);
	if (is_mp4(s))
		return STR("video/mp4");
	if (is_eot(s))
		return STR("application/vnd.ms-fontobject");
	return is_text(s) ? STR(TEXT) : STR("application/octet-stream");
}
