/* SPDX-License-Identifier: Apache-2.0 */
/* Framing, header texts, unpacking of hostile bytes and gzip. What needs a connection is in grpc_echo.py. */
#include <check.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "dapr/proto/runtime/v1/state.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "grpc/inside.h"
#include "grpc/zip.h"

#define GET dapr__proto__runtime__v1__get_state_request__descriptor
#define SAVE dapr__proto__runtime__v1__save_state_request__descriptor
#define VALUE google__protobuf__value__descriptor

static struct arena *arena;
static int fail_at; /* this allocation fails; 0: none */

static int fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

#include "failing_mem.h"

static void setup(void)
{
	arena = arena_new();
}

static void teardown(void)
{
	fail_at = 0;
	arena_unref(arena);
	arena_drop_stock();
}

static void expect(struct str got, const char *want)
{
	ck_assert_msg(str_is(got, want), "got \"" STR_FMT "\", not \"%s\"", STR_ARG(got), want);
}

/* Three messages of 0, 5 and 300 bytes, the second marked as compressed. */
static struct str three(void)
{
	struct buf b = buf_in(arena);
	char prefix[GRPC_PREFIX];
	int i;

	grpc_frame_prefix(prefix, 0, 0);
	buf_add(&b, prefix, sizeof(prefix));
	grpc_frame_prefix(prefix, 1, 5);
	buf_add(&b, prefix, sizeof(prefix));
	buf_lit(&b, "hello");
	grpc_frame_prefix(prefix, 0, 300);
	buf_add(&b, prefix, sizeof(prefix));
	for (i = 0; i < 300; i++)
		buf_addc(&b, (char)i);
	return buf_str(&b);
}

static void read_three(struct str bytes, size_t split)
{
	static const size_t sizes[] = { 0, 5, 300 };
	struct grpc_frame f = { .nprefix = 0 };
	struct str piece = STR_NONE, message;
	int n = 0, zipped, rc;
	size_t at = 0, take;
	struct error e;

	while (n < 3) {
		rc = grpc_frame_take(&f, arena, &piece, 300, &zipped, &message, &e);
		ck_assert_int_ge(rc, 0);
		if (rc == 1) {
			ck_assert_uint_eq(message.n, sizes[n]);
			ck_assert_int_eq(zipped, n == 1);
			if (n == 1)
				expect(message, "hello");
			if (n == 2)
				ck_assert_int_eq((unsigned char)message.p[299], 299 & 255);
			n++;
			continue;
		}
		ck_assert_uint_eq(piece.n, 0);
		ck_assert_uint_lt(at, bytes.n);
		take = bytes.n - at < split ? bytes.n - at : split;
		/* A copy that goes away, as the server's does. */
		piece = arena_str(arena, (struct str){ bytes.p + at, take });
		at += take;
	}
	ck_assert(!grpc_frame_inside(&f));
}

START_TEST(messages_come_in_pieces_of_any_size)
{
	struct str bytes = three();
	size_t split;

	for (split = 1; split <= bytes.n; split++)
		read_three(bytes, split);
}
END_TEST

START_TEST(a_message_in_one_piece_is_not_copied)
{
	struct str bytes = three(), piece = bytes, message;
	struct grpc_frame f = { .nprefix = 0 };
	struct error e;
	int zipped, i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(grpc_frame_take(&f, arena, &piece, 0, &zipped, &message, &e), 1);
		ck_assert(message.p >= bytes.p && message.p + message.n <= bytes.p + bytes.n);
	}
	ck_assert_int_eq(grpc_frame_take(&f, arena, &piece, 0, &zipped, &message, &e), 0);
}
END_TEST

START_TEST(a_message_beyond_the_limit_is_refused_by_its_prefix)
{
	struct str piece = { "\0\0\0\x04\x01", 5 }, message;
	struct grpc_frame f = { .nprefix = 0 };
	struct error e = ERROR_NONE;
	int zipped;

	ck_assert_int_eq(grpc_frame_take(&f, arena, &piece, 1024, &zipped, &message, &e), -1);
	ck_assert_int_eq(e.code, ERROR_RESOURCE_EXHAUSTED);
	expect(e.message, "grpc: received message larger than max (1025 vs. 1024)");
	piece = (struct str){ "\2\0\0\0\1x", 6 };
	f = (struct grpc_frame){ .nprefix = 0 };
	ck_assert_int_eq(grpc_frame_take(&f, arena, &piece, 1024, &zipped, &message, &e), -1);
	ck_assert_int_eq(e.code, ERROR_INTERNAL);
	expect(e.message, "grpc: received unexpected payload format 2");
}
END_TEST

START_TEST(timeouts)
{
	static const struct {
		const char *text;
		int64_t ns;
	} cases[] = {
		{ "1n", 1 },
		{ "0n", 0 },
		{ "20u", 20000 },
		{ "300m", 300000000 },
		{ "4S", INT64_C(4000000000) },
		{ "5M", INT64_C(300000000000) },
		{ "1H", INT64_C(3600000000000) },
		{ "00000001S", INT64_C(1000000000) },
		{ "99999999S", INT64_C(99999999000000000) },
		{ "99999999H", INT64_MAX },
		{ "", -1 },
		{ "1", -1 },
		{ "S", -1 },
		{ "1s", -1 },
		{ "1 S", -1 },
		{ "-1S", -1 },
		{ "+1S", -1 },
		{ "1.5S", -1 },
		{ "100000000S", -1 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(grpc_timeout_ns(str_of(cases[i].text)) == cases[i].ns, "%s", cases[i].text);
}
END_TEST

START_TEST(messages_of_a_status_are_percent_encoded)
{
	struct str plain = STR("plain text ~!"), same = grpc_percent(arena, plain);

	ck_assert_ptr_eq(same.p, plain.p);
	expect(grpc_percent(arena, STR("")), "");
	expect(grpc_percent(arena, STR("100%\n\x7f")), "100%25%0A%7F");
	expect(grpc_percent(arena, STR("gr\xc3\xbc\xc3\x9f")), "gr%C3%BC%C3%9F");
	expect(grpc_percent(arena, STR("\xf0\x9f\x98\x80")), "%F0%9F%98%80");
	expect(grpc_percent(arena, STR("a\xff\xc3")), "a%EF%BF%BD%EF%BF%BD");
	expect(grpc_percent(arena, STR("\xe2\x82x")), "%EF%BF%BD%EF%BF%BDx");
	expect(grpc_percent(arena, (struct str){ "\0x", 2 }), "%00x");
}
END_TEST

START_TEST(base64_without_padding)
{
	expect(grpc_base64(arena, STR("")), "");
	expect(grpc_base64(arena, STR("f")), "Zg");
	expect(grpc_base64(arena, STR("fo")), "Zm8");
	expect(grpc_base64(arena, STR("foo")), "Zm9v");
	expect(grpc_base64(arena, STR("\xff\xfe\xfd\xfc")), "//79/A");
	ck_assert(grpc_is_base64(STR("")));
	ck_assert(grpc_is_base64(STR("Zg")));
	ck_assert(grpc_is_base64(STR("Zg==")));
	ck_assert(grpc_is_base64(STR("//79/A==")));
	ck_assert(!grpc_is_base64(STR("Z")));
	ck_assert(!grpc_is_base64(STR("Zg=")));
	ck_assert(!grpc_is_base64(STR("Z-_=")));
	ck_assert(!grpc_is_base64(STR("====")));
	ck_assert(!grpc_is_base64(STR("Zg==Zg==")));
}
END_TEST

static struct str packed(const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	char *p = arena_alloc(arena, n + 1);

	return (struct str){ p, protobuf_c_message_pack(m, (uint8_t *)p) };
}

static void refused(const ProtobufCMessageDescriptor *type, struct str bytes, int code, const char *message)
{
	struct error e = ERROR_NONE;

	ck_assert_ptr_null(grpc_unpack(arena, type, bytes, &e));
	ck_assert_int_eq(e.code, code);
	expect(e.message, message);
}

START_TEST(a_message_is_unpacked)
{
	Dapr__Proto__Runtime__V1__GetStateRequest m = DAPR__PROTO__RUNTIME__V1__GET_STATE_REQUEST__INIT, *got;
	struct error e;

	m.store_name = "store";
	m.key = "schl\xc3\xbcssel\xf0\x9f\x98\x80 of more than eight bytes";
	got = grpc_unpack(arena, &GET, packed(&m.base), &e);
	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got->store_name, "store");
	ck_assert_str_eq(got->key, m.key);
	got = grpc_unpack(arena, &GET, STR(""), &e);
	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got->key, "");
}
END_TEST

#define FIELD "string field dapr.proto.runtime.v1.GetStateRequest.key contains "

START_TEST(text_must_be_utf8_without_nul)
{
	char bytes[34] = "\x12\x20";
	int at;

	refused(&GET,
		STR("\x12\x03"
		    "a\0b"),
		ERROR_INVALID_ARGUMENT, FIELD "a NUL byte");
	refused(&GET, STR("\x12\x02\xc3("), ERROR_INTERNAL, "string field contains invalid UTF-8");
	refused(&GET, STR("\x12\x03\xed\xa0\x80"), ERROR_INTERNAL, "string field contains invalid UTF-8");
	refused(&GET, STR("\x12\x02\xc0\x80"), ERROR_INTERNAL, "string field contains invalid UTF-8");
	for (at = 2; at < 34; at++) {
		memset(bytes + 2, 'a', 32);
		bytes[at] = '\0';
		refused(&GET, (struct str){ bytes, 34 }, ERROR_INVALID_ARGUMENT, FIELD "a NUL byte");
		bytes[at] = '\x80';
		refused(&GET, (struct str){ bytes, 34 }, ERROR_INTERNAL, "string field contains invalid UTF-8");
	}
}
END_TEST

/* google.protobuf.Value with lists in lists: two messages a level. */
static struct str nested(int lists)
{
	char *p = arena_alloc(arena, 16 + 20 * (size_t)lists), *at = p + 10 + 20 * (size_t)lists, *end = at;
	size_t n;
	int i;

	for (i = 0; i < 2 * lists; i++) {
		n = (size_t)(end - at);
		if (n >= 128)
			*--at = (char)(n >> 7);
		*--at = n >= 128 ? (char)(n | 0x80) : (char)n;
		*--at = i % 2 ? 0x32 : 0x0a; /* Value.list_value, ListValue.values */
	}
	return (struct str){ at, (size_t)(end - at) };
}

START_TEST(nesting_has_a_limit)
{
	struct error e = ERROR_NONE;

	ck_assert_ptr_nonnull(grpc_unpack(arena, &VALUE, nested(50), &e));
	refused(&VALUE, nested(51), ERROR_INVALID_ARGUMENT, "message is nested deeper than 100 levels");
	refused(&VALUE, nested(400), ERROR_INVALID_ARGUMENT, "message is nested deeper than 100 levels");
}
END_TEST

START_TEST(broken_bytes_are_internal_errors)
{
	static const struct str cases[] = {
		STR("\x12"),						 /* a key and no value */
		STR("\x12\x05x"),					 /* cut off */
		STR("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),	 /* a length beyond everything */
		STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* a varint of eleven bytes */
		STR("\x02\x00"),					 /* field 0 */
		STR("\x0b\x0c"),					 /* groups */
		STR("\x16"),						 /* wire type 6 */
		STR("\x11\x00\x00"),					 /* half a fixed64 */
		STR("\x10\x01"),					 /* the key as a varint */
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(&GET, cases[i], ERROR_INTERNAL, "proto: cannot parse invalid wire-format data");
}
END_TEST

START_TEST(unknown_fields_take_bounded_memory)
{
	size_t n = 4u << 20, i, before;
	struct error e = ERROR_NONE;
	char *p = malloc(n);

	for (i = 0; i < n; i += 2)
		memcpy(p + i, "\x78\x01", 2); /* field 15, which it has not */
	before = arena_size(arena);
	ck_assert_ptr_null(grpc_unpack(arena, &GET, (struct str){ p, n }, &e));
	ck_assert_int_eq(e.code, ERROR_RESOURCE_EXHAUSTED);
	ck_assert_uint_lt(arena_size(arena) - before, 40u << 20);
	ck_assert_ptr_nonnull(grpc_unpack(arena, &GET, (struct str){ p, 20000 }, &e));
	free(p);
}
END_TEST

/* Bytes changed at random never do harm: the sanitizers look on. */
START_TEST(random_bytes)
{
	Dapr__Proto__Common__V1__StateItem item = DAPR__PROTO__COMMON__V1__STATE_ITEM__INIT, *items[8];
	Dapr__Proto__Runtime__V1__SaveStateRequest m = DAPR__PROTO__RUNTIME__V1__SAVE_STATE_REQUEST__INIT;
	int i, k, good = 0;
	struct str bytes;
	struct error e;
	char *copy;

	item.key = "key";
	item.value = (ProtobufCBinaryData){ 5, (uint8_t *)"value" };
	for (i = 0; i < 8; i++)
		items[i] = &item;
	m.store_name = "store";
	m.n_states = 8;
	m.states = items;
	bytes = packed(&m.base);
	srandom(1);
	for (i = 0; i < 20000; i++) {
		teardown();
		setup();
		copy = malloc(bytes.n);
		bytes = packed(&m.base);
		memcpy(copy, bytes.p, bytes.n);
		for (k = 0; k < 1 + i % 4; k++)
			copy[(size_t)random() % bytes.n] = (char)random();
		good += grpc_unpack(arena, &SAVE, (struct str){ copy, bytes.n - (size_t)(i % 3) }, &e) != NULL;
		free(copy);
	}
	ck_assert_int_gt(good, 100);
	ck_assert_int_lt(good, 19900);
}
END_TEST

START_TEST(memory_that_fails_is_an_answer)
{
	struct str bytes = nested(50), packed_again, big;
	int n, failures = 0;
	void *message = NULL;
	struct error e;
	struct buf b = buf_in(arena);

	for (n = 0; n < 3000; n++)
		buf_lit(&b, "\x7a\x04\x12\x02\x08\x01"); /* unknown to it, and many */
	big = buf_str(&b);
	packed_again = arena_str(arena, bytes);
	for (n = 1; message == NULL; n++) {
		struct arena *other = arena_new();

		ck_assert_int_lt(n, 1000);
		fail_at = n;
		message = grpc_unpack(other, &VALUE, packed_again, &e);
		if (message != NULL)
			message = grpc_unpack(other, &VALUE, big, &e);
		fail_at = 0;
		if (message == NULL) {
			failures++;
			ck_assert_int_eq(e.code, ERROR_RESOURCE_EXHAUSTED);
		}
		arena_unref(other);
	}
	ck_assert_int_gt(failures, 3);
}
END_TEST

static struct str repeated(size_t n)
{
	char *p = arena_alloc(arena, n);
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)(i / 1000 * 7 + i % 10);
	return (struct str){ p, n };
}

START_TEST(gzip_there_and_back)
{
	static const size_t sizes[] = { 0, 1, 100, 70000, 5000000 };
	struct grpc_zip *z = grpc_zip_new(arena);
	struct str in, zipped, out;
	struct error e;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		in = repeated(sizes[i]);
		ck_assert_int_eq(grpc_zip(z, arena, in, 5, &zipped, &e), 0);
		zipped = str_from(zipped, 5);
		ck_assert_int_eq(grpc_unzip(z, arena, zipped, 5000000, &out, &e), 0);
		ck_assert(str_eq(in, out));
		ck_assert_int_eq(grpc_unzip(z, arena, str_upto(zipped, zipped.n - 1), 0, &out, &e), -1);
		ck_assert_int_eq(e.code, ERROR_INTERNAL);
	}
}
END_TEST

START_TEST(gzip_does_not_grow_beyond_the_limit)
{
	struct grpc_zip *z = grpc_zip_new(arena);
	struct str zeros = { NULL, 64u << 20 }, bomb, out, two;
	struct error e;
	size_t before;

	zeros.p = arena_zalloc(arena, zeros.n);
	ck_assert_int_eq(grpc_zip(z, arena, zeros, 0, &bomb, &e), 0);
	ck_assert_uint_lt(bomb.n, 100000);
	before = arena_size(arena);
	ck_assert_int_eq(grpc_unzip(z, arena, bomb, 1u << 20, &out, &e), -1);
	ck_assert_int_eq(e.code, ERROR_RESOURCE_EXHAUSTED);
	expect(e.message, "grpc: received message after decompression larger than max 1048576");
	ck_assert_uint_lt(arena_size(arena) - before, 4u << 20);

	/* A size in the trailer that lies, and no gzip at all. */
	ck_assert_int_eq(grpc_zip(z, arena, repeated(1000), 0, &two, &e), 0);
	two = arena_str(arena, two);
	memset((char *)two.p + two.n - 4, 0xff, 4);
	ck_assert_int_eq(grpc_unzip(z, arena, two, 0, &out, &e), -1);
	ck_assert_int_eq(e.code, ERROR_INTERNAL);
	ck_assert_int_eq(grpc_unzip(z, arena, STR("no gzip, but long enough for one"), 0, &out, &e), -1);
	ck_assert_int_eq(grpc_unzip(z, arena, STR(""), 0, &out, &e), -1);
}
END_TEST

START_TEST(gzip_members_one_behind_the_other)
{
	struct grpc_zip *z = grpc_zip_new(arena);
	struct buf b = buf_in(arena);
	struct str one, out;
	struct error e;

	ck_assert_int_eq(grpc_zip(z, arena, repeated(1000), 0, &one, &e), 0);
	buf_adds(&b, one);
	ck_assert_int_eq(grpc_zip(z, arena, STR("tail"), 0, &one, &e), 0);
	buf_adds(&b, one);
	ck_assert_int_eq(grpc_unzip(z, arena, buf_str(&b), 2000, &out, &e), 0);
	ck_assert_uint_eq(out.n, 1004);
	expect(str_from(out, 1000), "tail");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("grpc");
	TCase *t = tcase_create("grpc");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, messages_come_in_pieces_of_any_size);
	tcase_add_test(t, a_message_in_one_piece_is_not_copied);
	tcase_add_test(t, a_message_beyond_the_limit_is_refused_by_its_prefix);
	tcase_add_test(t, timeouts);
	tcase_add_test(t, messages_of_a_status_are_percent_encoded);
	tcase_add_test(t, base64_without_padding);
	tcase_add_test(t, a_message_is_unpacked);
	tcase_add_test(t, text_must_be_utf8_without_nul);
	tcase_add_test(t, nesting_has_a_limit);
	tcase_add_test(t, broken_bytes_are_internal_errors);
	tcase_add_test(t, unknown_fields_take_bounded_memory);
	tcase_add_test(t, random_bytes);
	tcase_add_test(t, memory_that_fails_is_an_answer);
	tcase_add_test(t, gzip_there_and_back);
	tcase_add_test(t, gzip_does_not_grow_beyond_the_limit);
	tcase_add_test(t, gzip_members_one_behind_the_other);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
