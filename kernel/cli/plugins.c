/* SPDX-License-Identifier: Apache-2.0 */
/* `davit plugins` and `davit inspect`: files, without running any of their code. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/jstream.h"
#include "base/version.h"
#include "cli/command.h"
#include "plugin/file.h"
#include "plugin/note.h"

#define PATH_FLAG \
	{ \
		"plugins-path", "FOLDER", "Where plugins lie; may be repeated" \
	}

/* Everything that the loader would check before it runs the plugin. NULL: all well. */
static const char *fault_of(struct arena *a, const char *file, const struct manifest *m)
{
	char hex[FILE_SHA256];
	struct davit_note note;
	const char *why = NULL;
	struct str message;
	int fd;

	if (file_trusted(a, file, &message) < 0)
		return message.p;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return strerror(errno);
	if (note_read(fd, &note, &why) < 0)
		why = arena_printf(a, "%s", why).p;
	else if (note.abi != DAVIT_ABI || note.min_minor > DAVIT_SDK_MINOR)
		why = "was built for another plugin ABI or a later SDK";
	else if (m != NULL && (!str_is(m->name, note.name) || !str_is(m->version, note.version)))
		why = "is not the plugin and version that its manifest names";
	else if (m != NULL && m->sha256.p != NULL && (file_sha256(fd, hex) < 0 || !str_ieq(m->sha256, str_of(hex))))
		why = "has another SHA-256 than its manifest says: install it again";
	close(fd);
	return why;
}

static void put(struct buf *b, const char *name, const char *value, int first)
{
	buf_printf(b, "%s\"%s\":", first ? "{" : ",", name);
	jstream_put(b, str_of(value));
}

static void put_plugin(struct command_call *c, struct buf *b, const struct component_type *t, const char *fault)
{
	if (b->n > 1)
		buf_addc(b, ',');
	put(b, "name", arena_str(c->a, t->manifest->name).p, 1);
	put(b, "version", arena_str(c->a, t->manifest->version).p, 0);
	put(b, "file", t->file, 0);
	if (fault != NULL)
		put(b, "fault", fault, 0);
	buf_addc(b, '}');
}

/* Each plugin once, though it may offer several components. verify: with what is wrong. Returns how many were. */
static int walk(struct command_call *c, int verify)
{
	struct registry *r = command_registry(c);
	const struct manifest *last = NULL;
	struct buf b = buf_in(c->a);
	const struct component_type *t;
	const char *fault = NULL;
	struct str passed;
	size_t at = 0;
	int faults = 0;

	if (r == NULL)
		return command_failed("out of memory");
	buf_addc(&b, '[');
	while ((t = registry_next(r, &at)) != NULL) {
		if (t->manifest == last)
			continue;
		last = t->manifest;
		if (verify)
			fault = fault_of(c->a, t->file, t->manifest);
		faults += fault != NULL;
		if (c->json)
			put_plugin(c, &b, t, fault);
		else
			printf("%-34.*s %-10.*s %s%s%s\n", STR_ARG(t->manifest->name), STR_ARG(t->manifest->version),
			       t->file, verify ? ": " : "", verify ? (fault ? fault : "well") : "");
	}
	for (at = 0; verify && (passed = registry_passed_over(r, &at)).p != NULL; faults++) {
		if (c->json) {
			buf_printf(&b, "%s", b.n > 1 ? "," : "");
			put(&b, "fault", passed.p, 1);
			buf_addc(&b, '}');
		} else {
			printf("not taken: " STR_FMT "\n", STR_ARG(passed));
		}
	}
	if (c->json)
		printf(STR_FMT "]\n", STR_ARG(buf_str(&b)));
	registry_free(r);
	return faults ? 1 : 0;
}

static int list(struct command_call *c)
{
	return walk(c, 0);
}

/* A folder that was asked for and is not there: what lies in it cannot be well. */
static int missing_folders(struct command_call *c)
{
	int i, k, missing = 0;

	for (i = 0; c->command->flags[i].name != NULL; i++)
		for (k = 0; strcmp(c->command->flags[i].name, "plugins-path") == 0 && k < c->flags[i].n; k++)
			if (access(c->flags[i].values[k], R_OK | X_OK) < 0 &&
			    strchr(c->flags[i].values[k], ':') == NULL)
				missing |= command_failed("%s: %s", c->flags[i].values[k], strerror(errno));
	return missing;
}

static int verify(struct command_call *c)
{
	int missing = missing_folders(c);

	return walk(c, 1) | missing;
}

static int look(struct command_call *c)
{
	struct buf b = buf_in(c->a);
	char hex[FILE_SHA256] = "";
	struct davit_note note;
	const char *why, *fault;
	int fd;

	if (c->nwords != 1)
		return command_wrong(c, "name one .so file");
	fd = open(c->words[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return command_failed("%s: %s", c->words[0], strerror(errno));
	if (note_read(fd, &note, &why) < 0) {
		close(fd);
		return command_failed("%s %s", c->words[0], why);
	}
	file_sha256(fd, hex);
	close(fd);
	fault = fault_of(c->a, c->words[0], NULL);
	if (!c->json) {
		printf("%s\n  plugin     %s %s\n  plugin ABI %u\n  SDK        0.%u, needs at least 0.%u\n  SHA-256    "
		       "%s\n  loads      %s\n",
		       c->words[0], note.name, note.version, note.abi, note.sdk_minor, note.min_minor, hex,
		       fault ? fault : "yes");
		return 0;
	}
	put(&b, "name", note.name, 1);
	put(&b, "version", note.version, 0);
	put(&b, "sha256", hex, 0);
	buf_printf(&b, ",\"abi\":%u,\"sdkMinor\":%u,\"minMinor\":%u", note.abi, note.sdk_minor, note.min_minor);
	if (fault != NULL)
		put(&b, "fault", fault, 0);
	printf(STR_FMT "}\n", STR_ARG(buf_str(&b)));
	return 0;
}

static int print_version(struct command_call *c)
{
	if (c->json)
		printf("{\"davit\":\"%s\",\"dapr\":\"%s\",\"pluginAbi\":%u,\"sdkMinor\":%u}\n", DAVIT_VERSION,
		       DAPR_LEVEL, DAVIT_ABI, DAVIT_SDK_MINOR);
	else
		printf("davit %s (Dapr %s, plugin ABI %u, SDK 0.%u)\n", DAVIT_VERSION, DAPR_LEVEL, DAVIT_ABI,
		       DAVIT_SDK_MINOR);
	return 0;
}

const struct command plugins_list = {
	"plugins list", "", "List the plugins that lie in the plugin folders", list, { PATH_FLAG }
};
const struct command plugins_verify = {
	"plugins verify",
	"",
	"Check every plugin as the loader would, running none of its code; 1 when one is not well",
	verify,
	{ PATH_FLAG }
};
const struct command inspect = {
	"inspect", "FILE.so", "Tell what a plugin file says of itself", look, { { NULL, NULL, NULL } }
};
const struct command version = { "version", "", "Tell the versions", print_version, { { NULL, NULL, NULL } } };
