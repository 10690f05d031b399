/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <ctype.h>
#include <davit/truth.h>

static int identifier(const struct davit_open *in, const char *field, const char *fallback, char ret_name[OPTIONS_NAME],
		      struct fault *f)
{
	struct davit_str s = davit_prop(in, field);
	size_t i;

	if (s.p == NULL)
		s = davit_str(fallback);
	for (i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_')
			break;
	if (s.n == 0 || i < s.n || s.n >= OPTIONS_NAME) {
		fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
			  "invalid identifier: %.*s (%s: 1 to %d letters, digits and underscores)",
			  (int)(s.n > 64 ? 64 : s.n), s.p, field, OPTIONS_NAME - 1);
		return -1;
	}
	memcpy(ret_name, s.p, s.n);
	ret_name[s.n] = '\0';
	return 0;
}

int options_read(const struct davit_open *in, struct options *ret_options, struct fault *ret_fault)
{
	struct options *o = ret_options;

	memset(o, 0, sizeof(*o));
	if (sqlite_file_read(in, &o->file, ret_fault) < 0 ||
	    sqlite_file_duration(in, "timeout", 20000, &o->timeout_ms, ret_fault) < 0 ||
	    sqlite_file_duration(in, "busyTimeout", 2000, &o->busy_ms, ret_fault) < 0 ||
	    sqlite_file_duration(in, "cleanupInterval", 0, &o->cleanup_ms, ret_fault) < 0 ||
	    identifier(in, "tableName", "state", o->table, ret_fault) < 0 ||
	    identifier(in, "metadataTableName", "metadata", o->metadata_table, ret_fault) < 0)
		return -1;
	if (o->timeout_ms < 1000) {
		fault_set(ret_fault, DAVIT_INVALID_ARGUMENT, NULL,
			  "invalid value for 'timeout': must be greater than 1s");
		return -1;
	}
	if (o->busy_ms < 0)
		o->busy_ms = 0;
	if (o->cleanup_ms < 0)
		o->cleanup_ms = 0;
	o->wal = !o->file.memory && !o->file.read_only && !davit_truth(davit_prop(in, "disableWAL"));
	return 0;
}

void options_release(struct options *o)
{
	sqlite_file_release(&o->file);
}
