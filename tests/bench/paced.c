/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open loop: requests leave at the moments of a timetable, whether the ones before have been answered or not, and each
 * latency counts from its moment in the timetable. A server that stands still is charged for all who would have come.
 *
 *	paced [-d FILE] [-H FIELD]... URL RATE SECONDS CONNECTIONS
 *
 * -d: POST with the file's bytes. HTTP/1.1; paced_h2 does the same for gRPC.
 */
#include "timetable.h"

#include <curl/curl.h>
#include <sys/select.h>
#include <unistd.h>

#define MOST 512 /* requests under way at once; what is due beyond waits, and its latency grows */

struct request {
	CURL *easy;
	struct request *next; /* among the idle */
	int64_t due;
};

static struct timetable table;
static CURLM *multi;
static struct request *idle;

static size_t ignore(char *p, size_t size, size_t n, void *none)
{
	(void)p, (void)none;
	return size * n;
}

static void add_request(const char *url, const char *body, size_t size, struct curl_slist *fields)
{
	struct request *r = must(calloc(1, sizeof(*r)));

	r->easy = must(curl_easy_init());
	curl_easy_setopt(r->easy, CURLOPT_URL, url);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT, 30L);
	curl_easy_setopt(r->easy, CURLOPT_PROXY, "");
	if (body != NULL) {
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)size);
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, body);
	}
	r->next = idle;
	idle = r;
}

static void send_due(void)
{
	struct request *r;

	while (table.sent < table.n && timetable_due(&table) <= now() && (r = idle) != NULL) {
		idle = r->next;
		r->due = timetable_due(&table);
		curl_multi_add_handle(multi, r->easy);
		table.sent++;
	}
}

static void take_answers(void)
{
	struct request *r;
	long status = 0;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		timetable_done(&table, r->due, m->data.result == CURLE_OK && status / 100 == 2);
		curl_multi_remove_handle(multi, r->easy);
		r->next = idle;
		idle = r;
	}
}

static void turn(void)
{
	struct timespec wait;
	fd_set in, out, other;
	int most = -1, running;

	send_due();
	curl_multi_perform(multi, &running);
	take_answers();
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&other);
	curl_multi_fdset(multi, &in, &out, &other, &most);
	wait = timetable_wait(&table, idle != NULL);
	pselect(most + 1, &in, &out, &other, &wait, NULL);
}

static char *read_file(const char *path, size_t *ret_size)
{
	FILE *f = must(fopen(path, "rb"));
	char *p = must(malloc(1 << 20));

	*ret_size = fread(p, 1, 1 << 20, f);
	fclose(f);
	return p;
}

int main(int argc, char **argv)
{
	struct curl_slist *fields = NULL;
	char *body = NULL;
	size_t size = 0;
	int64_t end;
	int c;

	while ((c = getopt(argc, argv, "d:H:")) != -1) {
		if (c == 'd')
			body = read_file(optarg, &size);
		else if (c == 'H')
			fields = must(curl_slist_append(fields, optarg));
		else
			return 2;
	}
	if (argc - optind != 4) {
		fputs("usage: paced [-d FILE] [-H FIELD]... URL RATE SECONDS CONNECTIONS\n", stderr);
		return 2;
	}
	argv += optind;
	curl_global_init(CURL_GLOBAL_ALL);
	multi = must(curl_multi_init());
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, atol(argv[3]));
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, atol(argv[3]));
	for (int i = 0; i < MOST; i++)
		add_request(argv[0], body, size, fields);
	table = timetable_begin(atof(argv[1]), atof(argv[2]));
	end = table.start + (int64_t)((atof(argv[2]) + 30) * 1e9);
	while (table.answered + table.failed < table.n && now() < end)
		turn();
	timetable_report(&table);
	return 0;
}
