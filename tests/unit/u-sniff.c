/* SPDX-License-Identifier: Apache-2.0 */
/* Expected values: the tables of MIME Sniffing (mimesniff.spec.whatwg.org), sections 6 and 7. */
#include "http/sniff.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define S(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	} /* STR() for static tables */
#define TEXT "text/plain; charset=utf-8"
#define HTML "text/html; charset=utf-8"
#define XML "text/xml; charset=utf-8"
#define BYTES "application/octet-stream"

static const struct {
	struct str body;
	const char *type;
} cases[] = {
	{ S(""), TEXT },
	{ S("hello"), TEXT },
	{ S("{\"a\": 1}"), TEXT },
	{ S("\xd0\xbf"), TEXT },
	{ S("tab\tline\r\n\f\x1b[0m"), TEXT },
	{ S("\1\2\3"), BYTES },
	{ S("a\0b"), BYTES },
	{ S("a\x0b"), BYTES },
	{ S("<html>"), HTML },
	{ S("  \n\t<HtMl lang=en>"), HTML },
	{ S("<!doctype HTML>"), HTML },
	{ S("<!-- a -->"), HTML },
	{ S("<p>"), HTML },
	{ S("<p"), TEXT },
	{ S("<pre>"), TEXT },
	{ S("<?xml version=\"1.0\"?>"), XML },
	{ S("\n <?xml!"), XML },
	{ S("<?XML"), TEXT },
	{ S("%PDF-1.7"), "application/pdf" },
	{ S(" %PDF-1.7"), TEXT },
	{ S("%!PS-Adobe-3.0"), "application/postscript" },
	{ S("\xfe\xff\0a"), "text/plain; charset=utf-16be" },
	{ S("\xff\xfe"
	    "a\0"),
	  "text/plain; charset=utf-16le" },
	{ S("\xef\xbb\xbfhello\1"), TEXT },
	{ S("GIF89a...."), "image/gif" },
	{ S("\x89PNG\r\n\x1a\n\0"), "image/png" },
	{ S("\xff\xd8\xff\xe0"), "image/jpeg" },
	{ S("RIFF\1\2\3\4WEBPVP8 "), "image/webp" },
	{ S("RIFF\1\2\3\4WAVEfmt "), "audio/wave" },
	{ S("RIFF\1\2\3\4WAX"), BYTES },
	{ S("OggS\0"), "application/ogg" },
	{ S("\0\0\0\x18"
	    "ftypmp42\0\0\0\0mp42isom"),
	  "video/mp4" },
	{ S("\0\0\0\x18"
	    "ftypisom\0\0\0\0isommp41"),
	  "video/mp4" },
	{ S("\0\0\0\x14"
	    "ftypisommp41isom"),
	  BYTES }, /* only where the version stands */
	{ S("\0\0\0\x18"
	    "ftypmp42"),
	  BYTES }, /* longer than there is */
	{ S("\0\0\0\x0f"
	    "ftypmp42\0\0\0"),
	  BYTES },
	{ S("\x1f\x8b\x08\0"), "application/x-gzip" },
	{ S("PK\x03\x04"), "application/zip" },
	{ S("PK\x03"), BYTES },
	{ S("\0asm\1\0\0\0"), "application/wasm" },
	{ S("wOF2"), "font/woff2" },
};

START_TEST(a_body_is_told_by_how_it_begins)
{
	struct str got = http_sniff(cases[_i].body);

	ck_assert_msg(str_is(got, cases[_i].type), "case %d: \"" STR_FMT "\" is not \"%s\"", _i, STR_ARG(got),
		      cases[_i].type);
}
END_TEST

START_TEST(only_the_beginning_counts)
{
	char body[600];

	memset(body, 'a', sizeof(body));
	body[512] = '\0';
	ck_assert(str_is(http_sniff((struct str){ body, sizeof(body) }), TEXT));
	body[511] = '\0';
	ck_assert(str_is(http_sniff((struct str){ body, sizeof(body) }), BYTES));
}
END_TEST

START_TEST(an_embedded_font_is_told_by_its_mark)
{
	char body[36] = { 0 };

	ck_assert(str_is(http_sniff((struct str){ body, sizeof(body) }), BYTES));
	memcpy(body + 34, "LP", 2);
	ck_assert(str_is(http_sniff((struct str){ body, sizeof(body) }), "application/vnd.ms-fontobject"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sniff");
	TCase *t = tcase_create("sniff");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, a_body_is_told_by_how_it_begins, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, only_the_beginning_counts);
	tcase_add_test(t, an_embedded_font_is_told_by_its_mark);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
