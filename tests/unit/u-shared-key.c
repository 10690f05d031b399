/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures by an account's key against published ones. Sources:
 * - "docs": the examples of "Authorize with Shared Key",
 *   https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key (texts to sign);
 * - "dash": Microsoft's Dash, github.com/MicrosoftDX/Dash, DashServer.Tests: SignatureValidationTests.cs, whose first four were
 *   sent by the .NET storage client 4.3.0, and RequestAuthTests.cs (signatures, with the key of a test).
 * Those of service versions before 2015-02-21 with an empty body are left out: they signed a length of "0", later ones none.
 */
#include "../../plugins/common/azure/escape.c"
#include "../../plugins/common/azure/shared_key.c"

#include "base/arena.h"

#include <check.h>

#define DASH_KEY "8jqRVtXUWiEthgIhR+dFwrB8gh3lFuquvJQ1v4eabObIj7okI1cZIuzY8zZHmEdpcC0f+XlUkbFwAhjTfyrLIg=="
#define MOST 12

struct words {
	const char *name, *value;
};

static const struct vector {
	const char *about, *method, *account, *path;
	struct words query[MOST], fields[MOST]; /* fields as they are sent, in any order */
	size_t length;
	const char *text, *signature; /* NULL: not published */
} vectors[] = {
	{ .about = "docs: Get Container Metadata",
	  .method = "GET",
	  .account = "myaccount",
	  .path = "/mycontainer",
	  .query = { { "comp", "metadata" }, { "restype", "container" }, { "timeout", "20" } },
	  .fields = { { "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT" }, { "x-ms-version", "2015-02-21" } },
	  .text = "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
		  "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20" },
	{ .about = "dash: SharedKeySignatureTest 1",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/test.txt",
	  .fields = { { "user-agent", "WA-Storage/4.3.0 (.NET CLR 4.0.30319.34014; Win32NT 6.2.9200.0)" },
		      { "content-md5", "LHmMkMS8mTXh0bRP4e4Ptw==" },
		      { "x-ms-blob-type", "BlockBlob" },
		      { "x-ms-client-request-id", "82370d95-e820-4817-bd3f-6c266544ee8b" },
		      { "x-ms-date", "Thu, 30 Oct 2014 17:31:22 GMT" },
		      { "x-ms-version", "2014-02-14" },
		      { "host", "dashstorage1.blob.core.windows.net" } },
	  .length = 423,
	  .signature = "mDTyDIDy8yt7D81qAmYEYiXH1X/bmBHJF2+ZPn/r74k=" },
	{ .about = "dash: SharedKeySignatureTest 2",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/test.txt",
	  .fields = { { "content-md5", "LHmMkMS8mTXh0bRP4e4Ptw==" },
		      { "x-ms-blob-type", "BlockBlob" },
		      { "x-ms-client-request-id", "TestRequest1" },
		      { "x-ms-date", "Thu, 30 Oct 2014 19:48:43 GMT" },
		      { "x-ms-test", "testvalue" },
		      { "x-ms-version", "2014-02-14" },
		      { "x-test", "differentvalue" } },
	  .length = 423,
	  .signature = "ktMmzuta7Wsqtzyd3TBbd3zW4miedtJPkWWlW9DCRb0=" },
	{ .about = "dash: SharedKeySignatureTest 3",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/test.txt",
	  .fields = { { "content-md5", "LHmMkMS8mTXh0bRP4e4Ptw==" },
		      { "if-modified-since", "Thu, 30 Oct 2014 20:15:41 GMT" },
		      { "x-ms-blob-type", "BlockBlob" },
		      { "x-ms-client-request-id", "d0863cd4-ae43-4dd4-aa27-eff01d30b5cf" },
		      { "x-ms-date", "Thu, 30 Oct 2014 20:15:46 GMT" },
		      { "x-ms-version", "2014-02-14" } },
	  .length = 423,
	  .signature = "21rAYhnoRQQu6MmxXj6W5Rx3YWI8OCjO50CNNniohAA=" },
	{ .about = "dash: SharedKeySignatureTest 4",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/test.txt",
	  .fields = { { "content-type", "application/octet-stream" },
		      { "content-md5", "LHmMkMS8mTXh0bRP4e4Ptw==" },
		      { "content-language", "EN-US" },
		      { "content-encoding", "gzip" },
		      { "if-match", "DummyETag" },
		      { "x-ms-blob-type", "BlockBlob" },
		      { "x-ms-client-request-id", "93399f8e-6ce2-4020-81a4-4f1f53f427fd" },
		      { "x-ms-date", "Thu, 30 Oct 2014 20:46:48 GMT" },
		      { "x-ms-version", "2014-02-14" } },
	  .length = 423,
	  .signature = "ZBQYgC9dgzldVfH6t06qIYZujSz/3blWrinuYePTMv8=" },
	{ .about = "dash: SharedKeyRequestTest, a body",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/testblob",
	  .fields = { { "x-ms-date", "Fri, 31 Oct 2014 22:50:34 GMT" }, { "x-ms-version", "2014-02-14" } },
	  .length = 1024,
	  .signature = "2LVVY8xiJ1iJzypLMXFTV2dsq6iglj1EAV9BNCi8+B4=" },
	{ .about = "dash: SharedKeyRequestTest, an empty body from 2015-02-21 on",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/testblob",
	  .fields = { { "x-ms-date", "Fri, 31 Oct 2014 22:50:34 GMT" }, { "x-ms-version", "2015-02-21" } },
	  .signature = "LN/1NeMcCUcRssRcfKyInYVL1EpqS8SL9xoLlJJsKPs=" },
	{ .about = "dash: SharedKeyRequestTest, a body from 2015-02-21 on",
	  .method = "PUT",
	  .account = "dashstorage1",
	  .path = "/test/testblob",
	  .fields = { { "x-ms-date", "Fri, 31 Oct 2014 22:50:34 GMT" }, { "x-ms-version", "2015-02-21" } },
	  .length = 1024,
	  .signature = "d0i2sKACec56W4SrUEg77CL8b/p7chQZVRzRk7finnI=" },
};

static struct arena *arena;

static void *memory(struct davit_call *call, size_t n)
{
	(void)call;
	return arena_try(arena, n);
}

static const struct davit_host host = { .size = sizeof(host), .alloc = memory };
static struct davit_call call = { &host };

static size_t pairs(const struct words *from, struct davit_pair *to)
{
	size_t n;

	for (n = 0; n < MOST && from[n].name != NULL; n++)
		to[n] = (struct davit_pair){ davit_str(from[n].name), davit_str(from[n].value) };
	return n;
}

static void setup(void)
{
	arena = arena_new();
}

static void teardown(void)
{
	arena_unref(arena);
}

START_TEST(published_signatures)
{
	const struct vector *v = &vectors[_i];
	struct davit_pair query[MOST], fields[MOST];
	struct azure_signed in = { .method = v->method,
				   .account = davit_str(v->account),
				   .path = davit_str(v->path),
				   .query = query,
				   .nquery = pairs(v->query, query),
				   .fields = fields,
				   .nfields = pairs(v->fields, fields),
				   .length = v->length };
	struct azure_key key;
	char want[128];

	if (v->text != NULL)
		ck_assert_msg(strcmp(azure_string_to_sign(&call, &in).p, v->text) == 0, "%s", v->about);
	if (v->signature != NULL) {
		ck_assert_int_eq(azure_key_parse(davit_str(DASH_KEY), &key), 0);
		snprintf(want, sizeof(want), "SharedKey %s:%s", v->account, v->signature);
		ck_assert_msg(strcmp(azure_authorization(&call, &in, &key).p, want) == 0, "%s", v->about);
	}
}
END_TEST

START_TEST(what_is_no_key)
{
	static const char *const bad[] = { "", "a", "abc", "ab!d", "====", "YQ=" };
	char large[4 * 64];
	struct azure_key key;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(azure_key_parse(davit_str(bad[i]), &key) == -1, "%s", bad[i]);
	memset(large, 'A', sizeof(large));
	ck_assert_int_eq(azure_key_parse((struct davit_str){ large, sizeof(large) }, &key), -1);
	ck_assert_int_eq(azure_key_parse(davit_str("YWJj"), &key), 0);
	ck_assert_uint_eq(key.n, 3);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shared-key");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, published_signatures, 0, sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(t, what_is_no_key);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
