/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound for messages through Redis Streams: the client library and nothing else. One thread publishes from 32
 * connections, each with one message on its way; another reads as a group of one, a hundred at once, and acknowledges what it
 * has read in one command.
 *
 *	bare_streams PORT SECONDS BYTES		"delivered N in S" on standard output
 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS 32
#define AT_ONCE 100
#define TOPIC "bare"
#define GROUP "bare"

static int port;
static atomic_long published, delivered;
static atomic_int over;

static void end(const char *why)
{
	fprintf(stderr, "bare_streams: %s\n", why);
	exit(1);
}

static redisContext *join(void)
{
	redisContext *c = redisConnect("127.0.0.1", port);

	if (c == NULL || c->err)
		end(c ? c->errstr : "no memory");
	return c;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static redisReply *answer(redisContext *c)
{
	void *r = NULL;

	if (redisGetReply(c, &r) != REDIS_OK || ((redisReply *)r)->type == REDIS_REPLY_ERROR)
		end(r ? ((redisReply *)r)->str : c->errstr);
	return r;
}

/* Returns how many there were. */
static size_t acknowledge(redisContext *c, const redisReply *entries)
{
	const char *words[AT_ONCE + 3] = { "XACK", TOPIC, GROUP };
	size_t i;

	for (i = 0; i < entries->elements; i++)
		words[i + 3] = entries->element[i]->element[0]->str;
	redisAppendCommandArgv(c, (int)entries->elements + 3, words, NULL);
	freeReplyObject(answer(c));
	return entries->elements;
}

static void *consume(void *none)
{
	redisContext *c = join();
	redisReply *r;

	(void)none;
	while (!over || delivered < published) {
		redisAppendCommand(c, "XREADGROUP GROUP " GROUP " " GROUP " COUNT %d BLOCK 100 STREAMS " TOPIC " >",
				   AT_ONCE);
		r = answer(c);
		if (r->type == REDIS_REPLY_ARRAY)
			delivered += (long)acknowledge(c, r->element[0]->element[1]);
		freeReplyObject(r);
	}
	redisFree(c);
	return NULL;
}

static void publish(redisContext **c, const char *data, size_t n)
{
	int i, done;

	for (i = 0; i < CONNECTIONS; i++) {
		redisAppendCommand(c[i], "XADD " TOPIC " * data %b metadata {}", data, n);
		for (done = 0; !done;)
			if (redisBufferWrite(c[i], &done) != REDIS_OK)
				end(c[i]->errstr);
	}
	for (i = 0; i < CONNECTIONS; i++)
		freeReplyObject(answer(c[i]));
	published += CONNECTIONS;
}

int main(int argc, char **argv)
{
	redisContext *c[CONNECTIONS];
	double begin, until;
	pthread_t consumer;
	char *data;
	size_t n;
	int i;

	if (argc != 4)
		end("usage: bare_streams PORT SECONDS BYTES");
	port = (int)strtol(argv[1], NULL, 10);
	n = (size_t)strtoul(argv[3], NULL, 10);
	data = malloc(n + 1);
	if (data == NULL)
		end("no memory");
	memset(data, 'x', n);
	for (i = 0; i < CONNECTIONS; i++)
		c[i] = join();
	redisAppendCommand(c[0], "XGROUP CREATE " TOPIC " " GROUP " 0 MKSTREAM");
	freeReplyObject(answer(c[0]));
	if (pthread_create(&consumer, NULL, consume, NULL) != 0)
		end("no thread");
	begin = now();
	until = begin + strtod(argv[2], NULL);
	while (now() < until)
		publish(c, data, n);
	over = 1;
	pthread_join(consumer, NULL);
	printf("delivered %ld in %.3f\n", (long)delivered, now() - begin);
	for (i = 0; i < CONNECTIONS; i++)
		redisFree(c[i]);
	free(data);
	return 0;
}
