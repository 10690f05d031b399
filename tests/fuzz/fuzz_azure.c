/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Azure's services answer, and what a component's metadata may hold, where state.azure.blobstorage looks at it: error
 * documents, tokens of Entra ID, of virtual machines and of App Service, connection strings, signatures, certificates.
 *
 * The first byte chooses the operation, the second the environment and the version, the third how many bytes of an answer come at once. Then
 * come records with \x1e between them: the properties as "name=value" with \x1f between, the metadata of the save in the same
 * form, and from there on one HTTP answer each, as it is on the wire: the kernel's client reads it.
 */
#define BASE_ALLOWS_MALLOC
#include <davit/base64.h>
#include <davit/fiber.h>
#include <davit/http.h>
#include <davit/sleep.h>

#define client_link_read answer_link_read
#define client_call_wake answer_call_wake
#define client_call_fail answer_call_fail
#define client_h1_part answer_h1_part
#define client_pool_lost answer_pool_lost
#define client_read_error answer_read_error
#include "../../kernel/http/client_response.c"

#include "../../plugins/state/azure.blobstorage/store.c"

#include "fuzz_input.h"
#include "http/url.h"

#define PAIRS 32
#define PATIENCE_MS 30000 /* of a call, by a clock that only sleeping moves */

static struct {
	struct arena *arena;
	struct str answers; /* those that are to come */
	size_t step;
	int64_t left_ms;
	void *self; /* what open() made */
	int emitted, asked;
	char said[1024];
} now;

static struct str next_record(struct str *from)
{
	const char *end = memchr(from->p, 0x1e, from->n);
	struct str record = str_upto(*from, end == NULL ? from->n : (size_t)(end - from->p));

	*from = str_from(*from, record.n + (end != NULL));
	return record;
}

/* As the kernel gives text: with a NUL behind it. */
static struct davit_str given(struct str s)
{
	char *p = arena_alloc(now.arena, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct davit_str){ p, s.n };
}

/* ---- Answers, through the kernel's reader of them ---- */

void client_link_read(struct client_link *l, int on)
{
	(void)l, (void)on;
}

void client_call_wake(struct client_call *k)
{
	(void)k;
}

void client_call_fail(struct client_call *k, struct error e)
{
	fuzz_require(error_is(&e) && e.message.n > 0);
	k->failed = e;
}

void client_h1_part(struct client_h1 *h, int again)
{
	(void)again;
	h->k->done = 1;
}

void client_pool_lost(struct client_h1 *h)
{
	(void)h;
}

struct error client_read_error(struct client_call *k, const struct client_link *l, ssize_t n)
{
	(void)k, (void)l, (void)n;
	return (struct error){ .code = ERROR_UNAVAILABLE, .message = STR("EOF") };
}

static davit_status said(const struct davit_http_request *q, davit_status status, struct str why)
{
	snprintf((char *)q->why, q->nwhy, STR_FMT, STR_ARG(why));
	return status;
}

static const struct davit_pair *pairs_of(const struct http_field *fields, size_t n)
{
	struct davit_pair *pairs = arena_alloc(now.arena, (n + 1) * sizeof(*pairs));
	size_t i;

	for (i = 0; i < n; i++)
		pairs[i] = (struct davit_pair){ given(fields[i].name), given(fields[i].value) };
	return pairs;
}

static davit_status read_answer(const struct davit_http_request *q, struct str bytes,
				const struct davit_http_response **ret)
{
	static struct client_link link;
	struct http_client client = { .o = http_client_defaults() };
	struct client_call k = { .c.arena = now.arena, .q.method = { q->method.p, q->method.n }, .ended = 1 };
	struct client_h1 h = { .client = &client, .link = &link, .k = &k };
	struct davit_http_response *r = arena_alloc(now.arena, sizeof(*r));
	struct davit_str body;
	struct str piece;

	client_response_begin(&h);
	while (bytes.n > 0 && !k.done && !error_is(&k.failed)) {
		piece = str_upto(bytes, now.step < bytes.n ? now.step : bytes.n);
		client_response_came(&h, piece.p, (ssize_t)piece.n);
		bytes = str_from(bytes, piece.n);
	}
	if (!k.done && !error_is(&k.failed))
		client_response_came(&h, NULL, 0);
	fuzz_require(k.done || error_is(&k.failed));
	body = given((struct str){ k.in.p, k.in.n });
	*r = (struct davit_http_response)DAVIT_INIT(davit_http_response, .code = k.c.status, .nfields = k.c.nfields,
						    .fields = pairs_of(k.c.fields, k.c.nfields),
						    .body = { body.p, body.n });
	buf_free(&k.in);
	buf_free(&h.head);
	buf_free(&h.parts);
	if (error_is(&k.failed))
		return said(q, k.failed.code, k.failed.message);
	fuzz_require(r->code >= 200);
	*ret = r;
	return DAVIT_OK;
}

/* ---- A host ---- */

static davit_status ask(struct davit_instance *i, struct davit_call *call, const struct davit_http_request *q,
			const struct davit_http_response **ret)
{
	struct http_url url;
	struct http_field *fields = arena_alloc(now.arena, (q->nfields + 1) * sizeof(*fields));
	struct http_request sent = { .method = { q->method.p, q->method.n }, .fields = fields, .nfields = q->nfields };
	struct error e = http_url_parse(now.arena, (struct str){ q->url.p, q->url.n }, &url);
	size_t k;

	(void)i, (void)call;
	fuzz_require(++now.asked < 1000);
	for (k = 0; k < q->nfields; k++)
		fields[k] = (struct http_field){ { q->fields[k].key.p, q->fields[k].key.n },
						 { q->fields[k].value.p, q->fields[k].value.n } };
	sent.target = url.target;
	if (!error_is(&e))
		e = client_check_request(now.arena, &sent);
	if (error_is(&e))
		return said(q, e.code, e.message);
	if (now.answers.n == 0)
		return said(q, DAVIT_UNAVAILABLE, STR("connection refused"));
	return read_answer(q, next_record(&now.answers), ret);
}

static void released(const struct davit_http_response *r)
{
	(void)r;
}

static davit_status sleeps(struct davit_instance *i, struct davit_call *call, int64_t ms)
{
	(void)i, (void)call;
	fuzz_require(ms >= 0 && ms < now.left_ms);
	now.left_ms -= ms;
	return DAVIT_OK;
}

static struct davit_fiber *myself(struct davit_instance *i)
{
	(void)i;
	return (struct davit_fiber *)&now;
}

static davit_status parks(struct davit_instance *i, struct davit_call *call, int64_t ms)
{
	(void)i, (void)call, (void)ms;
	abort(); /* there is nobody who could wake it */
}

static void wakes(struct davit_fiber *f)
{
	(void)f;
}

static const struct davit_http_service http = DAVIT_INIT(davit_http_service, .request = ask, .release = released);
static const struct davit_sleep_service sleeper = DAVIT_INIT(davit_sleep_service, .sleep = sleeps);
static const struct davit_fiber_service fibers = DAVIT_INIT(davit_fiber_service, .self = myself, .park = parks,
							    .wake = wakes);

static const void *service(struct davit_instance *i, const char *name)
{
	(void)i;
	return strcmp(name, DAVIT_HTTP) == 0	? (const void *)&http
	       : strcmp(name, DAVIT_SLEEP) == 0 ? &sleeper
	       : strcmp(name, DAVIT_FIBER) == 0 ? (const void *)&fibers
						: NULL;
}

static void readable(const void *p, size_t n)
{
	volatile unsigned char sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += ((const unsigned char *)p)[i];
}

static davit_status emit(struct davit_call *call, const void *record)
{
	const struct davit_state_item *item = record;

	(void)call;
	now.emitted++;
	if (item->kind == davit_opened_kind) {
		now.self = ((const struct davit_opened *)record)->self;
		return DAVIT_OK;
	}
	fuzz_require(item->kind == davit_state_item_kind);
	readable(item->value.p, item->value.n);
	readable(item->etag.p, item->etag.n);
	readable(item->content_type.p, item->content_type.n);
	FUZZ_PLANTED(item->value.n == 6);
	return DAVIT_OK;
}

static void fails(struct davit_call *call, davit_status status, const char *reason, const char *text, size_t n)
{
	(void)call, (void)reason;
	fuzz_require(status != DAVIT_OK && n > 0 && n < sizeof(now.said));
	memcpy(now.said, text, n);
	now.said[n] = '\0';
}

static int64_t remaining(const struct davit_call *call)
{
	(void)call;
	return now.left_ms;
}

static int32_t cancelled(const struct davit_call *call)
{
	(void)call;
	return 0;
}

static void *memory(struct davit_call *call, size_t n)
{
	(void)call;
	return arena_try(now.arena, n);
}

static const struct davit_host host = { .size = sizeof(host),
					.emit = emit,
					.fail = fails,
					.remaining_ms = remaining,
					.cancelled = cancelled,
					.alloc = memory,
					.service = service };
static struct davit_call call = { &host };
static struct davit_instance instance = { &host };

/* ---- The component ---- */

static uint64_t read_pairs(struct str s, struct davit_pair *pairs)
{
	const char *end, *equals;
	struct str one;
	uint64_t n = 0;

	while (s.n > 0 && n < PAIRS) {
		end = memchr(s.p, 0x1f, s.n);
		one = str_upto(s, end == NULL ? s.n : (size_t)(end - s.p));
		s = str_from(s, one.n + (end != NULL));
		equals = memchr(one.p, '=', one.n);
		if (equals != NULL)
			pairs[n++] = (struct davit_pair){ given(str_upto(one, (size_t)(equals - one.p))),
							  given(str_from(one, (size_t)(equals - one.p) + 1)) };
	}
	return n;
}

/* A certificate's file is one that holds what the property's value is base64 of. */
static void put_files(struct davit_pair *pairs, uint64_t n)
{
	ptrdiff_t size;
	char *bytes;
	uint64_t i;

	for (i = 0; i < n; i++) {
		if (!davit_str_is(pairs[i].key, "azureCertificateFile"))
			continue;
		bytes = arena_alloc(now.arena, pairs[i].value.n + 1);
		size = davit_base64_decode(pairs[i].value.p, pairs[i].value.n, (unsigned char *)bytes);
		pairs[i].value = davit_str(fuzz_file("f", (struct str){ bytes, size < 0 ? 0 : (size_t)size }, NULL));
	}
}

/* 'v': a virtual machine's; 'a': App Service's; 'w': Kubernetes' workload identity. Endpoints are where it listens. */
static void put_environment(unsigned which)
{
	static const struct {
		unsigned which;
		const char *name, *value;
	} all[] = { { 'v', "AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://imds/" },
		    { 'a', "IDENTITY_ENDPOINT", "http://app/msi/token" },
		    { 'a', "IDENTITY_HEADER", "key" },
		    { 'w', "AZURE_CLIENT_ID", "client" },
		    { 'w', "AZURE_TENANT_ID", "tenant" },
		    { 'w', "AZURE_FEDERATED_TOKEN_FILE", NULL } };
	static unsigned last;
	const char *file;
	size_t i;

	if (which == last)
		return;
	last = which;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		file = all[i].which == which && all[i].value == NULL
			       ? fuzz_file("f", STR("header.payload.signature\n"), NULL)
			       : NULL;
		if (all[i].which == which)
			setenv(all[i].name, file != NULL ? file : all[i].value, 1);
		else
			unsetenv(all[i].name);
	}
}

/* A failure has its word, and only it. */
static void told(davit_status status)
{
	fuzz_require((status != DAVIT_OK) == (now.said[0] != '\0'));
	now.said[0] = '\0';
	now.emitted = now.asked = 0;
	now.left_ms = PATIENCE_MS;
}

static void operate(const struct davit_component *c, unsigned choice, const struct davit_pair *metadata,
		    uint64_t nmetadata)
{
	const struct davit_state_ops *ops = c->ops;
	struct davit_state_key key = DAVIT_INIT(davit_state_key, .key = davit_str("app||a key/%"),
						.etag = davit_str("\"0x8D\""));
	struct davit_state_set set = DAVIT_INIT(davit_state_set, .key = key.key, .value = { "value", 5 },
						.metadata = metadata, .nmetadata = nmetadata);

	key.flags = set.flags = choice & 0x20 ? 0 : DAVIT_STATE_HAS_ETAG; /* by an upper case letter */
	set.etag = key.etag;
	switch (choice | 0x20) {
	case 's':
		told(ops->set(now.self, &call, &set));
		set.flags = DAVIT_STATE_FIRST_WRITE;
		told(ops->set(now.self, &call, &set));
		break;
	case 'd': told(ops->del(now.self, &call, &key)); break;
	case 'p': told(c->ping(now.self, &call, NULL)); break;
	default: told(ops->get(now.self, &call, &key)); told(ops->get(now.self, &call, &key));
	}
}

static void run(struct arena *a, struct str input)
{
	unsigned choice = fuzz_choice(&input), environment = fuzz_choice(&input);
	struct davit_pair props[PAIRS], metadata[PAIRS];
	struct davit_open in = DAVIT_INIT(davit_open, .instance = &instance, .name = davit_str("store"), .props = props,
					  .type = davit_str("state.azure.blobstorage"));
	const struct davit_component *c = environment == '1' || (environment & 0x60) == 0x40 ? &store_v1 : &store_v2;
	uint64_t nmetadata;

	now.arena = a;
	now.step = fuzz_choice(&input) + 1;
	now.left_ms = PATIENCE_MS;
	now.self = NULL;
	now.said[0] = '\0';
	now.emitted = now.asked = 0;
	put_environment(environment | 0x20);
	in.version = davit_str(c->version);
	in.nprops = read_pairs(next_record(&input), props);
	put_files(props, in.nprops);
	nmetadata = read_pairs(next_record(&input), metadata);
	now.answers = input;
	told(c->open(NULL, &call, &in));
	if (now.self == NULL)
		return;
	operate(c, choice, metadata, nmetadata);
	told(c->close(now.self, &call, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
