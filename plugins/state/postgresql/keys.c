/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by a pattern, page by page: a page goes on behind the number of the row that the one before ended with. */
#include <stdlib.h>

#include "store.h"

static davit_status emit_page(struct davit_call *call, const PGresult *r, uint64_t size)
{
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = 0);
	int i, n = PQntuples(r), last = size > 0 && (uint64_t)n > size ? (int)size : n;
	davit_status status = DAVIT_OK;

	for (i = 0; i < last && status == DAVIT_OK; i++) {
		struct davit_state_item item = DAVIT_INIT(davit_state_item,
							  .key = { PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0) });

		status = davit_emit_state(call, &item);
	}
	if (last < n) /* one more than was asked for: another page follows */
		page.token = davit_str(PQgetvalue(r, last - 1, 1));
	return status == DAVIT_OK ? davit_emit(call, &page) : status;
}

static davit_status do_keys(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			    void *arg, struct pg_fault *f)
{
	const struct davit_state_prefix *in = arg;
	struct pg_value values[3] = { pg_text(in->prefix),
				      pg_word(in->token.n ? in->token.p : "-9223372036854775808"),
				      { PG_NULL, NULL, 0 } };
	char limit[24];
	PGresult *r = NULL;
	davit_status status;

	if (in->page > 0 && in->page < INT32_MAX) {
		snprintf(limit, sizeof(limit), "%llu", (unsigned long long)in->page + 1);
		values[2] = pg_word(limit);
	}
	status = pg_do(c, call, until_ms, &s->statements[S_LIKE], values, 3, &r, f);
	if (status == DAVIT_UNAVAILABLE && c->broken)
		f->again = 1;
	if (status == DAVIT_OK) {
		f->status = DAVIT_OK;
		status = emit_page(call, r, in->page);
	}
	PQclear(r);
	return status;
}

davit_status keys_like(struct store *s, struct davit_call *call, const struct davit_state_prefix *in)
{
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;

	if (in->prefix.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "pattern must not be empty");
	if (in->token.n > 18 || strspn(in->token.n ? in->token.p : "", "0123456789") != in->token.n)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "invalid continuation token");
	status = store_with(s, call, do_keys, (void *)in, &f);
	return status != DAVIT_OK && f.status == status ? pg_fault_tell(&f, call) : status;
}
