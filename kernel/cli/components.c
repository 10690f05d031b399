/* SPDX-License-Identifier: Apache-2.0 */
/* `davit components`: what can be named in a resource, from the manifests alone. */
#include "base/banned.h"
#include "base/buf.h"
#include "base/jstream.h"
#include "cli/command.h"

#define PATH_FLAG \
	{ \
		"plugins-path", "FOLDER", "Where plugins lie; may be repeated" \
	}

static void put_text(struct buf *b, const char *name, struct str value)
{
	if (b->n > 0 && b->p[b->n - 1] != '{' && b->p[b->n - 1] != '[')
		buf_addc(b, ',');
	jstream_put(b, str_of(name));
	buf_addc(b, ':');
	jstream_put(b, value);
}

static void put_flag(struct buf *b, const char *name, int value)
{
	buf_printf(b, ",\"%s\":%s", name, value ? "true" : "false");
}

/* Whether a resource gets this one that neither names a plugin nor a range. */
static int is_used(struct registry *r, const struct component_type *t, struct arena *a)
{
	struct registry_wish wish = { .type = t->about->type, .version = t->about->version };
	struct str why;

	return registry_find(r, &wish, a, &why) == t;
}

static void put_head(struct buf *b, const struct component_type *t)
{
	buf_addc(b, '{');
	put_text(b, "type", t->about->type);
	put_text(b, "version", t->about->version);
	put_text(b, "tier", str_of(tier_name(t->tier)));
	put_text(b, "status", t->about->status.p ? t->about->status : STR("stable"));
	put_text(b, "plugin", t->manifest->name);
	put_text(b, "pluginVersion", t->manifest->version);
	put_text(b, "vendor", t->manifest->vendor.p ? t->manifest->vendor : STR(""));
	put_flag(b, "default", t->about->is_default);
}

static void put_field(struct buf *b, const struct manifest_field *f)
{
	size_t i;

	buf_addc(b, '{');
	put_text(b, "name", f->name);
	put_text(b, "type", f->type.p ? f->type : STR("string"));
	put_flag(b, "required", f->required);
	put_flag(b, "sensitive", f->sensitive);
	if (f->fallback.p != NULL)
		put_text(b, "default", f->fallback);
	for (i = 0; i < f->nallowed; i++) {
		buf_adds(b, i ? STR(",") : STR(",\"allowed\":["));
		jstream_put(b, f->allowed[i]);
	}
	if (f->nallowed > 0)
		buf_addc(b, ']');
	buf_addc(b, '}');
}

static int list(struct command_call *c)
{
	struct registry *r = command_registry(c);
	struct buf b = buf_in(c->a);
	const struct component_type *t;
	size_t at = 0;

	if (r == NULL)
		return command_failed("out of memory");
	if (!c->json)
		printf("%-34s %-8s %-10s %-7s %s\n", "TYPE", "VERSION", "TIER", "STATUS", "PLUGIN");
	buf_addc(&b, '[');
	while ((t = registry_next(r, &at)) != NULL) {
		struct str status = t->about->status.p ? t->about->status : STR("stable");

		if (c->json) {
			if (b.n > 1)
				buf_addc(&b, ',');
			put_head(&b, t);
			put_flag(&b, "used", is_used(r, t, c->a));
			buf_addc(&b, '}');
		} else {
			printf("%-34.*s %-8.*s %-10s %-7.*s " STR_FMT "%s\n", STR_ARG(t->about->type),
			       STR_ARG(t->about->version), tier_name(t->tier), STR_ARG(status),
			       STR_ARG(t->manifest->version),
			       is_used(r, t, c->a) ? "" : " (not used unless it is asked for)");
		}
	}
	if (c->json)
		printf(STR_FMT "]\n", STR_ARG(buf_str(&b)));
	registry_free(r);
	return 0;
}

static void show_text(const struct component_type *t)
{
	size_t i;

	printf(STR_FMT " " STR_FMT "\n  tier     %s\n  status   " STR_FMT "\n  plugin   " STR_FMT " " STR_FMT
		       " by " STR_FMT "\n  file     %s\n  metadata fields:\n",
	       STR_ARG(t->about->type), STR_ARG(t->about->version), tier_name(t->tier),
	       STR_ARG(t->about->status.p ? t->about->status : STR("stable")), STR_ARG(t->manifest->name),
	       STR_ARG(t->manifest->version), STR_ARG(t->manifest->vendor.p ? t->manifest->vendor : STR("?")), t->file);
	for (i = 0; i < t->about->nfields; i++) {
		const struct manifest_field *f = &t->about->fields[i];

		printf("    %-28.*s %-9.*s%s%s", STR_ARG(f->name), STR_ARG(f->type.p ? f->type : STR("string")),
		       f->required ? " required" : "", f->sensitive ? " sensitive" : "");
		if (f->fallback.p != NULL)
			printf(" default \"" STR_FMT "\"", STR_ARG(f->fallback));
		putchar('\n');
	}
}

static void show_json(struct buf *b, const struct component_type *t)
{
	size_t i;

	if (b->n > 1)
		buf_addc(b, ',');
	put_head(b, t);
	put_text(b, "file", str_of(t->file));
	buf_lit(b, ",\"metadata\":[");
	for (i = 0; i < t->about->nfields; i++) {
		if (i > 0)
			buf_addc(b, ',');
		put_field(b, &t->about->fields[i]);
	}
	buf_lit(b, "]}");
}

static int show(struct command_call *c)
{
	struct registry *r;
	struct buf b = buf_in(c->a);
	const struct component_type *t;
	size_t at = 0, found = 0;

	if (c->nwords != 1)
		return command_wrong(c, "name one component type, such as state.redis");
	r = command_registry(c);
	if (r == NULL)
		return command_failed("out of memory");
	buf_addc(&b, '[');
	while ((t = registry_next(r, &at)) != NULL) {
		if (!str_ieq(t->about->type, str_of(c->words[0])))
			continue;
		found++;
		if (c->json)
			show_json(&b, t);
		else
			show_text(t);
	}
	if (c->json)
		printf(STR_FMT "]\n", STR_ARG(buf_str(&b)));
	registry_free(r);
	return found ? 0
		     : command_failed("no plugin offers %s: `davit components list` shows what there is", c->words[0]);
}

const struct command components_list = {
	"components list", "", "List every component that a plugin here offers", list, { PATH_FLAG }
};
const struct command components_show = { "components show",
					 "TYPE",
					 "Show tier, status, versions and every metadata field of a component",
					 show,
					 { PATH_FLAG } };
