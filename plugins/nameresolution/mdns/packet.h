/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages as mDNS sends them (RFC 1035, 6762): writing the few we send, and reading those of strangers, which must not
 * lead us anywhere. Names are kept as text without the final dot, in lower case for comparing.
 */
#ifndef PACKET_H
#define PACKET_H
#include <stddef.h>
#include <stdint.h>

#define PACKET_MOST 9000 /* bytes of a message (RFC 6762, 17) */
#define NAME_MOST 256
#define RECORDS_MOST 64 /* of a message; what comes behind them is not looked at */

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_ANY = 255 };

struct packet {
	uint8_t bytes[1500];
	size_t n;
	int full; /* something did not fit: it must not be sent */
};

void packet_begin(struct packet *p, int response, int questions, int answers, int more);
void packet_question(struct packet *p, const char *name, uint16_t type);
void packet_ptr(struct packet *p, const char *name, uint32_t ttl, const char *to);
void packet_srv(struct packet *p, const char *name, uint32_t ttl, uint16_t port, const char *host);
void packet_txt(struct packet *p, const char *name, uint32_t ttl, const char *text);
/* family: AF_INET or AF_INET6, address in network order. */
void packet_address(struct packet *p, const char *name, uint32_t ttl, int family, const void *address);

struct question {
	char name[NAME_MOST];
	uint16_t type;
};

struct record {
	char name[NAME_MOST];
	uint16_t type;
	uint32_t ttl;
	char text[NAME_MOST]; /* PTR, SRV: the name it shows; TXT: its first string */
	uint16_t port;	      /* SRV */
	uint8_t address[16];  /* A, AAAA */
};

struct message {
	int response;
	size_t nquestions, nrecords;
	struct question questions[8];
	struct record records[RECORDS_MOST];
};

int packet_read(const uint8_t *p, size_t n, struct message *ret); /* 0; -1: no well-formed message */
#endif
