/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a save, a delete and a transaction do, in the server and so in one piece. They answer a version or a count, or why not:
 * 0 and below, see each.
 *
 * Refused is what Dapr's scripts refuse (another version; a plain save over what was saved as first-write) and what the state
 * block promises beyond: a version for what is not there, first-write where something is.
 */
#include "store.h"

/*
 * KEYS[1]; ARGV: version or "0", data, "0" for first-write, seconds to live ("" as they are, "-1" for ever).
 * The new version; 0: another version is there; -1: the value is one of first-write.
 */
#define SET_BODY \
	"local function set(k,data,first,ttl)\n" \
	" if first=='0' then redis.call('HSET',k,'data',data,'first-write',0)\n" \
	" else redis.call('HSET',k,'data',data) end\n" \
	" local n=redis.call('HINCRBY',k,'version',1)\n" \
	" if ttl~='' then\n" \
	"  if tonumber(ttl)>0 then redis.call('EXPIRE',k,ttl) else redis.call('PERSIST',k) end\n" \
	" end\n" \
	" return n\n" \
	"end\n"

/* A value of another kind than a hash counts as none, and gives way. */
static const char set_text[] = SET_BODY "local k,want=KEYS[1],ARGV[1]\n"
					"local v=redis.pcall('HGET',k,'version')\n"
					"if type(v)=='table' then redis.call('DEL',k) v=false end\n"
					"if v=='' then v=false end\n"
					"if want~='0' then\n"
					" if v~=want then return 0 end\n"
					"elseif v then\n"
					" if ARGV[3]=='0' then return 0 end\n"
					" if redis.call('HGET',k,'first-write') then return -1 end\n"
					"end\n"
					"return set(k,ARGV[2],ARGV[3],ARGV[4])\n";

/* KEYS[1]; ARGV[1]: version or "0". How many were deleted; -1: another version is there, or none where one was wanted. */
static const char del_text[] = "local v=redis.pcall('HGET',KEYS[1],'version')\n"
			       "if type(v)=='table' or v=='' then v=false end\n"
			       "if ARGV[1]~='0' and v~=ARGV[1] then return -1 end\n"
			       "return redis.call('DEL',KEYS[1])\n";

/*
 * KEYS: one a step; ARGV[1]: "1" to look only; then for each step 's', version, data, first-write, seconds, or 'd', version.
 * All steps are looked at first, each as if those before it were done, so that nothing is changed unless all of it is.
 * 1; -n: the n-th step is refused for its version; -1000000-n: for first-write.
 */
static const char multi_text[] = SET_BODY "local seen={}\n"
					  "local function look(k)\n"
					  " local s=seen[k]\n"
					  " if not s then\n"
					  "  local v=redis.pcall('HMGET',k,'version','first-write')\n"
					  "  if v.err then s={false,false,true} else s={v[1],v[2],false} end\n"
					  "  if s[1]=='' then s[1]=false end\n"
					  "  seen[k]=s\n"
					  " end\n"
					  " return s\n"
					  "end\n"
					  "local i=2\n"
					  "for n,k in ipairs(KEYS) do\n"
					  " local s,want=look(k),ARGV[i+1]\n"
					  " if want~='0' then\n"
					  "  if s[1]~=want then return -n end\n"
					  " elseif s[1] and ARGV[i]=='s' then\n"
					  "  if ARGV[i+3]=='0' then return -n end\n"
					  "  if s[2] then return -1000000-n end\n"
					  " end\n"
					  " if ARGV[i]=='s' then\n"
					  "  s[1]=string.format('%.0f',(tonumber(s[1]) or 0)+1)\n"
					  "  i=i+5\n"
					  " else\n"
					  "  s[1]=false s[2]=false\n"
					  "  i=i+2\n"
					  " end\n"
					  "end\n"
					  "if ARGV[1]=='1' then return 1 end\n"
					  "for k,s in pairs(seen) do if s[3] then redis.call('DEL',k) end end\n"
					  "i=2\n"
					  "for n,k in ipairs(KEYS) do\n"
					  " if ARGV[i]=='s' then\n"
					  "  set(k,ARGV[i+2],'1',ARGV[i+4])\n"
					  "  i=i+5\n"
					  " else\n"
					  "  redis.call('DEL',k)\n"
					  "  i=i+2\n"
					  " end\n"
					  "end\n"
					  "return 1\n";

static const struct {
	const char *text;
	size_t n;
} scripts[SCRIPTS] = {
	[SCRIPT_SET] = { set_text, sizeof(set_text) - 1 },
	[SCRIPT_DEL] = { del_text, sizeof(del_text) - 1 },
	[SCRIPT_MULTI] = { multi_text, sizeof(multi_text) - 1 },
};

int words_init(struct words *w, struct davit_call *call, size_t room)
{
	w->argc = 0;
	w->argv = davit_alloc(call, room * sizeof(*w->argv));
	w->lengths = davit_alloc(call, room * sizeof(*w->lengths));
	return w->argv != NULL && w->lengths != NULL ? 0 : -1;
}

void words_add_bytes(struct words *w, const void *p, size_t n)
{
	w->argv[w->argc] = n ? p : "";
	w->lengths[w->argc++] = n;
}

void words_add(struct words *w, const char *text)
{
	words_add_bytes(w, text, strlen(text));
}

int script_words(struct words *w, struct davit_call *call, size_t nkeys, size_t nargs)
{
	const char *number = "1";
	char *counted;

	if (words_init(w, call, 3 + nkeys + nargs) < 0)
		return -1;
	if (nkeys != 1) {
		counted = davit_alloc(call, 24);
		if (counted == NULL)
			return -1;
		snprintf(counted, 24, "%zu", nkeys);
		number = counted;
	}
	words_add(w, "EVALSHA");
	words_add(w, "");
	words_add(w, number);
	return 0;
}

static struct redis_command command_of(const struct words *w, struct davit_str key, int strong)
{
	return (struct redis_command){
		.argc = w->argc, .argv = w->argv, .lengths = w->lengths, .key = key, .strong = strong
	};
}

struct redis_request *script_begin(struct store *s, enum script which, struct words *w, struct davit_str key,
				   int strong, davit_status *ret_status, char why[REDIS_WHY])
{
	struct redis_command command;
	int known = s->sha[which][0] != '\0';

	w->argv[0] = known ? "EVALSHA" : "EVAL";
	w->lengths[0] = strlen(w->argv[0]);
	w->argv[1] = known ? s->sha[which] : scripts[which].text;
	w->lengths[1] = known ? SHA1_TEXT - 1 : scripts[which].n;
	command = command_of(w, key, strong);
	return redis_begin(s->client, &command, ret_status, why);
}

/* A server that was started anew, a proxy that has no EVALSHA, a user who may not. */
static int wants_the_text(const redisReply *r)
{
	return redis_reply_is(r, "NOSCRIPT") || redis_reply_is(r, "NOPERM") ||
	       (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "ERR unknown command", 19) == 0);
}

davit_status script_end(struct store *s, struct davit_call *call, enum script which, struct words *w,
			struct davit_str key, int strong, struct redis_request **request, const redisReply **ret_reply,
			char why[REDIS_WHY])
{
	davit_status status = redis_end(s->client, call, *request, ret_reply, why);
	struct redis_command command;

	if (status != DAVIT_OK || w->lengths[0] != 7 || !wants_the_text(*ret_reply))
		return status;
	if (!redis_reply_is(*ret_reply, "NOSCRIPT"))
		s->sha[which][0] = '\0';
	redis_request_unref(*request);
	*request = NULL;
	w->argv[0] = "EVAL";
	w->lengths[0] = 4;
	w->argv[1] = scripts[which].text;
	w->lengths[1] = scripts[which].n;
	command = command_of(w, key, strong);
	return redis_do(s->client, call, &command, request, ret_reply, why);
}

/* The hash that a server gives a script is the same on all. One that gives none gets the text each time. */
davit_status scripts_load(struct store *s, struct davit_call *call, char why[REDIS_WHY])
{
	davit_status status = DAVIT_OK;
	int i;

	for (i = 0; i < SCRIPTS && status == DAVIT_OK; i++) {
		const char *words[] = { "SCRIPT", "LOAD", scripts[i].text };
		struct redis_command command = { .argc = 3, .argv = words, .read = 1 };
		struct redis_request *r;
		const redisReply *reply;

		status = redis_do(s->client, call, &command, &r, &reply, why);
		if (status != DAVIT_OK)
			break;
		if (reply->type == REDIS_REPLY_STRING && reply->len == SHA1_TEXT - 1)
			memcpy(s->sha[i], reply->str, SHA1_TEXT);
		redis_request_unref(r);
	}
	return status;
}
