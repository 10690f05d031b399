/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/open_library.h"

#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/banned.h"
#include "plugin/blame.h"
#include "plugin/file.h"
#include "plugin/minor.h"
#include "plugin/note.h"

static const struct {
	uint32_t block, kind, since;
	const char *name;
	size_t size;
} blocks[] = {
	{ DAVIT_BLOCK_STATE, davit_state_ops_kind, 0, "state", sizeof(struct davit_state_ops) },
	{ DAVIT_BLOCK_PUBSUB, davit_pubsub_ops_kind, 2, "pubsub", sizeof(struct davit_pubsub_ops) },
	{ DAVIT_BLOCK_SECRETS, davit_secrets_ops_kind, 0, "secretstores", sizeof(struct davit_secrets_ops) },
	{ DAVIT_BLOCK_NAMES, davit_names_ops_kind, 2, "nameresolution", sizeof(struct davit_names_ops) },
};

struct opening {
	struct component_type *t;
	struct arena *keep, *a;
	struct str *message;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct opening *o, const char *fmt, ...)
{
	struct str what;
	va_list ap;

	va_start(ap, fmt);
	what = arena_vprintf(o->a, fmt, ap);
	va_end(ap);
	*o->message = arena_printf(o->a, "plugin %s %s", o->t->file, what.p);
	return -1;
}

void adopt(void *to, size_t size, const void *from)
{
	uint32_t theirs;

	memcpy(&theirs, from, sizeof(theirs));
	memset(to, 0, size);
	memcpy(to, from, theirs < size ? theirs : size);
}

static int check_note(struct opening *o, int fd, struct davit_note *note)
{
	const struct manifest *m = o->t->manifest;
	const char *why;

	if (note_read(fd, note, &why) < 0)
		return refuse(o, "%s", why);
	if (note->abi != DAVIT_ABI)
		return refuse(o, "was built for plugin ABI %" PRIu32 ", this kernel has %u: install a build for it",
			      note->abi, DAVIT_ABI);
	if (note->min_minor > KERNEL_MINOR)
		return refuse(o, "needs SDK minor %" PRIu32 " or later, this kernel has %u: upgrade the kernel",
			      note->min_minor, KERNEL_MINOR);
	if (!str_is(m->name, note->name) || !str_is(m->version, note->version))
		return refuse(o,
			      "says it is %s %s, its manifest says " STR_FMT " " STR_FMT
			      ": install both of one package",
			      note->name, note->version, STR_ARG(m->name), STR_ARG(m->version));
	return 0;
}

static int check_hash(struct opening *o, int fd)
{
	char hex[FILE_SHA256];

	if (o->t->manifest->sha256.p == NULL)
		return 0;
	if (file_sha256(fd, hex) < 0)
		return refuse(o, "cannot be read: %s", strerror(errno));
	if (!str_ieq(o->t->manifest->sha256, str_of(hex)))
		return refuse(o, "is not the file its manifest names (SHA-256 %s, not " STR_FMT "): install it again",
			      hex, STR_ARG(o->t->manifest->sha256));
	return 0;
}

/* Whether what was mapped for `inside` is the file that was hashed: it may have been replaced in between. */
static int mapped_is(const void *inside, const struct stat *st)
{
	unsigned long from, to, inode;
	unsigned major_, minor_;
	int same = 0;
	char line[4608];
	FILE *maps = fopen("/proc/self/maps", "re");

	if (maps == NULL)
		return 0;
	while (!same && fgets(line, sizeof(line), maps) != NULL)
		if (sscanf(line, "%lx-%lx %*s %*s %x:%x %lu", &from, &to, &major_, &minor_, &inode) == 5 &&
		    (uintptr_t)inside >= from && (uintptr_t)inside < to)
			same = inode == st->st_ino && makedev(major_, minor_) == st->st_dev;
	fclose(maps);
	return same;
}

static const struct davit_component *component_of(const struct davit_plugin *p, const struct manifest_component *about)
{
	const struct davit_component *const *c;

	for (c = p->components; c != NULL && *c != NULL; c++)
		if ((*c)->kind == davit_component_kind && (*c)->type != NULL && (*c)->version != NULL &&
		    str_is(about->type, (*c)->type) && str_is(about->version, (*c)->version))
			return *c;
	return NULL;
}

static int adopt_component(struct opening *o, const struct davit_plugin *p)
{
	const struct manifest_component *about = o->t->about;
	const struct davit_component *theirs = component_of(p, about);
	struct davit_component *mine = &o->t->component;
	uint32_t ops_kind;
	size_t i;

	if (theirs == NULL)
		return refuse(o, "does not offer " STR_FMT "/" STR_FMT ", though its manifest says so",
			      STR_ARG(about->type), STR_ARG(about->version));
	adopt(mine, sizeof(*mine), theirs);
	for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (blocks[i].block == mine->block && blocks[i].since <= KERNEL_MINOR &&
		    str_is(about->block, blocks[i].name))
			break;
	if (i == sizeof(blocks) / sizeof(blocks[0]))
		return refuse(o, "offers " STR_FMT " as block %" PRIu32 ", which this kernel does not have",
			      STR_ARG(about->type), mine->block);
	if (mine->ops == NULL || mine->open == NULL || mine->close == NULL)
		return refuse(o, "offers " STR_FMT " without an operation table, open or close", STR_ARG(about->type));
	memcpy(&ops_kind, (const char *)mine->ops + 4, sizeof(ops_kind));
	if (ops_kind != blocks[i].kind)
		return refuse(o, "offers " STR_FMT " with an operation table of kind %" PRIu32 ", not %" PRIu32,
			      STR_ARG(about->type), ops_kind, blocks[i].kind);
	o->t->ops = arena_alloc(o->keep, blocks[i].size);
	adopt(o->t->ops, blocks[i].size, mine->ops);
	return 0;
}

static int load(struct opening *o, int fd, const struct davit_note *note)
{
	const struct davit_plugin *p;
	struct stat st;
	davit_entry *entry;
	void *library;

	if (fstat(fd, &st) < 0)
		return refuse(o, "cannot be read: %s", strerror(errno));
	library = dlopen(o->t->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		return refuse(o, "cannot be loaded: %s: install what it needs", dlerror());
	*(void **)&entry = dlsym(library, "davit_plugin_v1");
	if (entry == NULL)
		return refuse(o, "has no entry davit_plugin_v1: write DAVIT_PLUGIN(...) once in its sources");
	if (!mapped_is(*(void **)&entry, &st))
		return refuse(o, "changed between the check and the load: start again once it stays as it is");
	blame_add(o->t->manifest, *(void **)&entry);
	p = entry();
	if (p == NULL || p->size < offsetof(struct davit_plugin, components) + sizeof(p->components) ||
	    p->abi != note->abi || p->sdk_minor != note->sdk_minor || p->min_minor != note->min_minor ||
	    p->name == NULL || p->version == NULL || strcmp(p->name, note->name) != 0 ||
	    strcmp(p->version, note->version) != 0)
		return refuse(o, "contradicts itself: its entry and its note differ");
	return adopt_component(o, p);
}

int open_library(struct arena *keep, struct component_type *t, struct arena *a, struct str *ret_message)
{
	struct opening o = { t, keep, a, ret_message };
	struct davit_note note;
	int fd, r = -1;

	if (file_trusted(a, t->file, ret_message) < 0)
		return refuse(&o, "is not loaded: " STR_FMT, STR_ARG(*ret_message));
	fd = open(t->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return refuse(&o, "cannot be opened: %s", strerror(errno));
	if (check_note(&o, fd, &note) == 0 && check_hash(&o, fd) == 0)
		r = load(&o, fd, &note);
	close(fd);
	return r;
}
