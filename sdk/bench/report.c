/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int passed, failed;

void report(int ok, const struct call *c, const char *what)
{
	pthread_mutex_lock(&lock);
	if (ok)
		passed++;
	else
		failed++;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed, what);
	if (!ok && c != NULL)
		printf("# status %d, %zu records, reason '%s': %s\n", c->status, c->nrecords, c->reason, c->text);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

int report_end(void)
{
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	return failed > 0 || passed == 0;
}
