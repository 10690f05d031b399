/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

#define CLASS_IN 1
#define JUMPS_MOST 32 /* pointers in one name */

/* ---- Writing ---- */

static void put(struct packet *p, const void *bytes, size_t n)
{
	if (n > sizeof(p->bytes) - p->n) {
		p->full = 1;
		return;
	}
	memcpy(p->bytes + p->n, bytes, n);
	p->n += n;
}

static void put16(struct packet *p, unsigned v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(p, b, 2);
}

static void put32(struct packet *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p, v & 0xffff);
}

static void put_name(struct packet *p, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		uint8_t length = (uint8_t)n;

		if (n == 0 || n > 63) {
			p->full = 1;
			return;
		}
		put(p, &length, 1);
		put(p, name, n);
		name += n;
		if (*name == '.')
			name++;
	}
	put(p, "", 1);
}

void packet_begin(struct packet *p, int response, int questions, int answers, int more)
{
	p->n = 0;
	p->full = 0;
	put16(p, 0);
	put16(p, response ? 0x8400 : 0);
	put16(p, (unsigned)questions);
	put16(p, (unsigned)answers);
	put16(p, 0);
	put16(p, (unsigned)more);
}

void packet_question(struct packet *p, const char *name, uint16_t type)
{
	put_name(p, name);
	put16(p, type);
	put16(p, CLASS_IN);
}

/* Answers where the record's length is to be written. */
static size_t begin_record(struct packet *p, const char *name, unsigned type, uint32_t ttl)
{
	put_name(p, name);
	put16(p, type);
	put16(p, CLASS_IN);
	put32(p, ttl);
	put16(p, 0);
	return p->n;
}

static void end_record(struct packet *p, size_t from)
{
	size_t n = p->n - from;

	if (p->full)
		return;
	p->bytes[from - 2] = (uint8_t)(n >> 8);
	p->bytes[from - 1] = (uint8_t)n;
}

void packet_ptr(struct packet *p, const char *name, uint32_t ttl, const char *to)
{
	size_t at = begin_record(p, name, TYPE_PTR, ttl);

	put_name(p, to);
	end_record(p, at);
}

void packet_srv(struct packet *p, const char *name, uint32_t ttl, uint16_t port, const char *host)
{
	size_t at = begin_record(p, name, TYPE_SRV, ttl);

	put32(p, 0); /* priority, weight */
	put16(p, port);
	put_name(p, host);
	end_record(p, at);
}

void packet_txt(struct packet *p, const char *name, uint32_t ttl, const char *text)
{
	size_t at = begin_record(p, name, TYPE_TXT, ttl), n = strlen(text);
	uint8_t length = (uint8_t)n;

	if (n > 255)
		p->full = 1;
	put(p, &length, 1);
	put(p, text, n);
	end_record(p, at);
}

void packet_address(struct packet *p, const char *name, uint32_t ttl, int family, const void *address)
{
	size_t at = begin_record(p, name, family == AF_INET ? TYPE_A : TYPE_AAAA, ttl);

	put(p, address, family == AF_INET ? 4 : 16);
	end_record(p, at);
}

/* ---- Reading ---- */

struct reader {
	const uint8_t *p;
	size_t n, at;
	int broken;
};

static unsigned get8(struct reader *r)
{
	if (r->at >= r->n) {
		r->broken = 1;
		return 0;
	}
	return r->p[r->at++];
}

static unsigned get16(struct reader *r)
{
	unsigned high = get8(r);

	return high << 8 | get8(r);
}

static uint32_t get32(struct reader *r)
{
	uint32_t high = get16(r);

	return high << 16 | get16(r);
}

/* Pointers only lead back, and not often, so that no name is without end. */
static void get_name(struct reader *r, char ret[NAME_MOST])
{
	size_t at = r->at, back = 0, n = 0, length, limit = r->at;
	int jumps = 0;

	ret[0] = '\0';
	for (;;) {
		if (at >= r->n || jumps > JUMPS_MOST)
			break;
		length = r->p[at++];
		if (length == 0) {
			r->at = jumps ? back : at;
			ret[n] = '\0';
			return;
		}
		if ((length & 0xc0) == 0xc0) {
			if (at >= r->n)
				break;
			if (jumps++ == 0)
				back = at + 1;
			at = (length & 0x3f) << 8 | r->p[at];
			if (at >= limit)
				break;
			limit = at;
			continue;
		}
		if (length > 63 || length > r->n - at || n + length + 2 > NAME_MOST)
			break;
		if (n > 0)
			ret[n++] = '.';
		for (; length > 0; length--)
			ret[n++] = (char)tolower(r->p[at++]);
	}
	ret[0] = '\0';
	r->broken = 1;
}

static void get_data(struct reader *r, struct record *ret, size_t length)
{
	size_t end = r->at + length, n;

	switch (ret->type) {
	case TYPE_PTR: get_name(r, ret->text); break;
	case TYPE_SRV:
		get32(r);
		ret->port = (uint16_t)get16(r);
		get_name(r, ret->text);
		break;
	case TYPE_TXT:
		n = length > 0 ? get8(r) : 0;
		if (n > 0 && n < length && n < sizeof(ret->text)) {
			memcpy(ret->text, r->p + r->at, n);
			ret->text[n] = '\0';
		}
		break;
	case TYPE_A:
	case TYPE_AAAA:
		if (length == (ret->type == TYPE_A ? 4 : 16))
			memcpy(ret->address, r->p + r->at, length);
		else
			r->broken = 1;
		break;
	default: break;
	}
	r->at = end;
}

static void get_record(struct reader *r, struct record *ret)
{
	size_t length;

	memset(ret, 0, sizeof(*ret));
	get_name(r, ret->name);
	ret->type = (uint16_t)get16(r);
	get16(r); /* the class, whose first bit asks to forget what was known */
	ret->ttl = get32(r);
	length = get16(r);
	if (r->broken || length > r->n - r->at) {
		r->broken = 1;
		return;
	}
	get_data(r, ret, length);
}

int packet_read(const uint8_t *p, size_t n, struct message *ret)
{
	struct reader r = { .p = p, .n = n };
	unsigned flags, questions, records, i;
	struct question q;

	get16(&r);
	flags = get16(&r);
	questions = get16(&r);
	records = get16(&r);
	records += get16(&r);
	records += get16(&r);
	ret->response = (flags & 0x8000) != 0;
	ret->nquestions = ret->nrecords = 0;
	for (i = 0; i < questions && !r.broken; i++) {
		get_name(&r, q.name);
		q.type = (uint16_t)get16(&r);
		get16(&r);
		if (!r.broken && ret->nquestions < sizeof(ret->questions) / sizeof(ret->questions[0]))
			ret->questions[ret->nquestions++] = q;
	}
	for (i = 0; i < records && i < RECORDS_MOST && !r.broken; i++) {
		get_record(&r, &ret->records[ret->nrecords]);
		if (!r.broken)
			ret->nrecords++;
	}
	return r.broken ? -1 : 0;
}
