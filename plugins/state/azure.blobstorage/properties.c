/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a save's metadata becomes: six words are the blob's HTTP headers, the rest its metadata, of which names keep letters
 * and digits alone and values printable ASCII. Source: Dapr's components-contrib, common/component/azure/blobstorage.
 */
#include <ctype.h>
#include <davit/base64.h>
#include <stdlib.h>
#include <strings.h>

#include "azure/escape.h"
#include "store.h"

static const struct {
	const char *word, *field;
} headers[] = {
	{ "cacheControl", "x-ms-blob-cache-control" },	     { "contentDisposition", "x-ms-blob-content-disposition" },
	{ "contentEncoding", "x-ms-blob-content-encoding" }, { "contentLanguage", "x-ms-blob-content-language" },
	{ "contentMD5", "x-ms-blob-content-md5" },	     { "contentType", "x-ms-blob-content-type" },
};

#define HEADERS (sizeof(headers) / sizeof(headers[0]))
#define CONTENT_MD5 4
#define CONTENT_TYPE 5

static size_t header_of(struct davit_str word)
{
	size_t i;

	for (i = 0; i < HEADERS; i++)
		if (word.n == strlen(headers[i].word) && strncasecmp(word.p, headers[i].word, word.n) == 0)
			break;
	return i;
}

static int is_md5(struct davit_str s)
{
	unsigned char bytes[32];

	return s.n == 24 && davit_base64_decode(s.p, s.n, bytes) == 16;
}

static int letter_or_digit(unsigned char c)
{
	return c < 128 && isalnum(c);
}

static int may_stand(unsigned char c)
{
	return (c >= ' ' && c < 0x7f) || c == '\t';
}

/* What is left of s; p == NULL: no memory. */
static struct davit_str sifted(struct davit_call *call, struct davit_str s, const char *before,
			       int (*keep)(unsigned char c))
{
	size_t n = strlen(before), i;
	char *p = davit_alloc(call, n + s.n + 1);

	if (p == NULL)
		return davit_str(NULL);
	memcpy(p, before, n);
	for (i = 0; i < s.n; i++)
		if (keep((unsigned char)s.p[i]))
			p[n++] = s.p[i];
	p[n] = '\0';
	return (struct davit_str){ p, n };
}

/* Field values begin and end with no blank: the signature is of what the server sees. */
static struct davit_str trimmed(struct davit_str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static int put_metadata(struct davit_call *call, const struct davit_pair *m, struct azure_storage_request *q,
			struct azure_fault *f)
{
	struct davit_str name = sifted(call, m->key, "x-ms-meta-", letter_or_digit),
			 value = sifted(call, m->value, "", may_stand);
	char *p;

	if (name.p == NULL || value.p == NULL) {
		azure_fault_no_memory(f);
		return -1;
	}
	if (name.n == strlen("x-ms-meta-"))
		return 0; /* nothing of the name is left */
	for (p = (char *)name.p; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return azure_storage_field(q, name.p, trimmed(value), f);
}

int blob_properties(struct davit_call *call, const struct davit_state_set *in, struct azure_storage_request *q,
		    struct azure_fault *f)
{
	struct davit_str given[HEADERS] = { 0 }, clean;
	uint64_t i;
	size_t h;

	for (i = 0; i < in->nmetadata; i++) {
		h = header_of(in->metadata[i].key);
		if (h < HEADERS && in->metadata[i].value.n > 0)
			given[h] = in->metadata[i].value;
		else if (put_metadata(call, &in->metadata[i], q, f) < 0)
			return -1;
	}
	if (in->content_type.n > 0)
		given[CONTENT_TYPE] = in->content_type;
	if (given[CONTENT_MD5].n > 0 && !is_md5(given[CONTENT_MD5])) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"the MD5 value specified in Content MD5 is invalid, MD5 value must be 128 "
				"bits and base64 encoded");
		return -1;
	}
	for (h = 0; h < HEADERS; h++) {
		clean = given[h].n == 0 ? given[h] : sifted(call, given[h], "", may_stand);
		if (azure_storage_field(q, headers[h].field, trimmed(clean), f) < 0)
			return -1;
	}
	return 0;
}
