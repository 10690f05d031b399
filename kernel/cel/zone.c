/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones from the system's database (RFC 8536), since the C library only knows the one in TZ: transitions, and for what
 * comes behind the last one the rule in the footer.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"
#include "cel/inside.h"

#define FILE_MAX (256 * 1024)
#define HEADER 44
#define DAY INT64_C(86400)

/* When summer begins or ends in each year, in local time before the change. */
struct rule {
	char kind; /* M: the week-th day of a month (5: the last), J: 1 to 365 without a 29 February, or 0 */
	int month, week, day;
	int32_t s; /* behind midnight */
};

struct cel_zone {
	const unsigned char *times, *types, *infos; /* of the file: 8, 1 and 6 bytes each */
	size_t ntimes, ninfos;
	int32_t offset, summer; /* by the footer, or of a fixed zone */
	int has_footer, has_summer;
	struct rule begin, end;
};

/* ---- The footer, a POSIX TZ string ---- */

static int take(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return 0;
	*s = str_from(*s, 1);
	return 1;
}

static int take_number(struct str *s, int most, int *ret_value)
{
	int v = 0, n = 0;

	for (; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; n++, *s = str_from(*s, 1)) {
		v = v * 10 + (s->p[0] - '0');
		if (v > most)
			return -1;
	}
	*ret_value = v;
	return n ? 0 : -1;
}

static int take_name(struct str *s)
{
	size_t n = 0;

	if (take(s, '<')) {
		while (n < s->n && s->p[n] != '>')
			n++;
		*s = str_from(*s, n);
		return take(s, '>') ? 0 : -1;
	}
	while (n < s->n && ((s->p[n] | 32) >= 'a' && (s->p[n] | 32) <= 'z'))
		n++;
	*s = str_from(*s, n);
	return n >= 3 ? 0 : -1;
}

/* "-3", "3:30:15", in seconds. */
static int take_time(struct str *s, int32_t *ret_s)
{
	int minus = take(s, '-'), v[3] = { 0, 0, 0 };

	if (!minus)
		take(s, '+');
	if (take_number(s, 167, &v[0]) < 0)
		return -1;
	for (int i = 1; i < 3 && take(s, ':'); i++)
		if (take_number(s, 59, &v[i]) < 0)
			return -1;
	*ret_s = (minus ? -1 : 1) * (v[0] * 3600 + v[1] * 60 + v[2]);
	return 0;
}

static int take_rule(struct str *s, struct rule *r)
{
	r->s = 2 * 3600;
	if (!take(s, ','))
		return -1;
	if (take(s, 'M')) {
		r->kind = 'M';
		if (take_number(s, 12, &r->month) < 0 || r->month < 1 || !take(s, '.') ||
		    take_number(s, 5, &r->week) < 0 || r->week < 1 || !take(s, '.') || take_number(s, 6, &r->day) < 0)
			return -1;
	} else {
		r->kind = take(s, 'J') ? 'J' : '0';
		if (take_number(s, 365, &r->day) < 0)
			return -1;
	}
	return take(s, '/') ? take_time(s, &r->s) : 0;
}

static void read_footer(struct cel_zone *z, struct str s)
{
	if (take_name(&s) < 0 || take_time(&s, &z->offset) < 0)
		return;
	z->offset = -z->offset; /* POSIX counts west of Greenwich */
	z->summer = z->offset + 3600;
	z->has_footer = 1;
	if (s.n == 0)
		return;
	if (take_name(&s) < 0)
		return;
	if (s.n && s.p[0] != ',') {
		if (take_time(&s, &z->summer) < 0)
			return;
		z->summer = -z->summer;
	}
	z->has_summer = take_rule(&s, &z->begin) == 0 && take_rule(&s, &z->end) == 0;
}

/* ---- The file ---- */

static uint32_t number4(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t number8(const unsigned char *p)
{
	return (int64_t)((uint64_t)number4(p) << 32 | number4(p + 4));
}

struct counts {
	size_t utc, standard, leaps, times, types, characters;
};

static struct counts counts_of(const unsigned char *header)
{
	const unsigned char *p = header + 20;

	return (struct counts){ number4(p),	 number4(p + 4),  number4(p + 8),
				number4(p + 12), number4(p + 16), number4(p + 20) };
}

static size_t block_size(struct counts c, size_t time_size)
{
	return c.times * (time_size + 1) + c.types * 6 + c.characters + c.leaps * (time_size + 4) + c.standard + c.utc;
}

/* 0; -1: it is no such file. Counts are at most 2^32 each, so sums do not wrap round in 64 bits. */
static int read_file(struct cel_zone *z, struct str file)
{
	const unsigned char *p = (const unsigned char *)file.p;
	struct counts c;
	size_t skip, end;

	if (file.n < HEADER || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
		return -1;
	skip = HEADER + block_size(counts_of(p), 4);
	if (skip > file.n - HEADER || memcmp(p + skip, "TZif", 4) != 0)
		return -1;
	c = counts_of(p + skip);
	skip += HEADER;
	end = skip + block_size(c, 8);
	if (end > file.n || c.types == 0)
		return -1;
	z->times = p + skip;
	z->types = z->times + 8 * c.times;
	z->infos = z->types + c.times;
	z->ntimes = c.times;
	z->ninfos = c.types;
	for (size_t i = 0; i < c.times; i++)
		if (z->types[i] >= c.types)
			return -1;
	if (end + 2 <= file.n && p[end] == '\n') {
		struct str footer;

		str_cut(str_from(file, end + 1), '\n', &footer, &file);
		read_footer(z, footer);
	}
	return 0;
}

/* Room first: where there is none the arena's exit is taken, and nothing may be open then. */
static struct str load(struct arena *a, const char *path)
{
	struct str file = STR_NONE;
	struct stat st;
	ssize_t n;
	char *p;
	int fd;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > FILE_MAX)
		return file;
	p = arena_alloc(a, (size_t)st.st_size);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return file;
	n = read(fd, p, (size_t)st.st_size);
	if (n > 0)
		file = (struct str){ p, (size_t)n };
	close(fd);
	return file;
}

/* ---- From outside ---- */

/* "+01:00", "-5:30", and whatever else cel-go reads, up to 41 days. */
static int fixed(struct str name, int32_t *ret_offset)
{
	struct str hours, minutes;
	int64_t h, m;

	if (!str_cut(name, ':', &hours, &minutes) || str_int(hours, &h) < 0 || str_int(minutes, &m) < 0 || h > 999 ||
	    h < -999 || m > 999 || m < -999)
		return -1;
	*ret_offset = (int32_t)(3600 * h + (name.p[0] == '-' ? -60 : 60) * m);
	return 0;
}

static int is_path(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((!name.p[i] || strchr("/_+-", name.p[i]) == NULL) && !(name.p[i] >= '0' && name.p[i] <= '9') &&
		    !((name.p[i] | 32) >= 'a' && (name.p[i] | 32) <= 'z'))
			return 0;
	return name.n > 0 && name.n < 100 && name.p[0] != '/';
}

const struct cel_zone *cel_zone_named(struct arena *a, struct str name, struct str *ret_why)
{
	struct cel_zone *z = arena_zalloc(a, sizeof(*z));
	const char *folder = getenv("ZONEINFO"); /* as Go and others have it */
	struct str file;

	if (name.n == 0 || str_is(name, "UTC") || fixed(name, &z->offset) == 0) {
		z->has_footer = 1;
		return z;
	}
	if (!is_path(name)) {
		*ret_why = arena_printf(a, "'" STR_FMT "' is no time zone", STR_ARG(str_upto(name, 100)));
		return NULL;
	}
	if (!folder || !*folder)
		folder = "/usr/share/zoneinfo";
	file = load(a, arena_printf(a, "%s/" STR_FMT, folder, STR_ARG(name)).p);
	if (!file.p || read_file(z, file) < 0) {
		*ret_why = arena_printf(a, "there is no time zone '" STR_FMT "' on this system", STR_ARG(name));
		return NULL;
	}
	return z;
}

static int is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Seconds of the rule's change behind the start of the year, in local time; weekday: of that day, 0 is Sunday. */
static int64_t change(const struct rule *r, int64_t year, int64_t weekday)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	int64_t first, day, length;

	if (r->kind == 'J')
		return (r->day - 1 + (is_leap(year) && r->day > 59)) * DAY + r->s;
	if (r->kind != 'M')
		return r->day * DAY + r->s;
	first = before[r->month - 1] + (r->month > 2 && is_leap(year));
	length = before[r->month] - before[r->month - 1] + (r->month == 2 && is_leap(year));
	day = (r->day - (weekday + first) % 7 + 7) % 7 + 7 * (r->week - 1);
	if (day >= length)
		day -= 7;
	return (first + day) * DAY + r->s;
}

static int32_t by_rule(const struct cel_zone *z, int64_t s)
{
	struct cel_value t = { .kind = CEL_TIMESTAMP, .time.s = s };
	int64_t year, start, weekday, begin, end, now;

	if (!z->has_summer)
		return z->offset;
	year = cel_time_field(t, z->offset, FIELD_YEAR);
	start = s + z->offset - cel_time_field(t, z->offset, FIELD_DAY_OF_YEAR) * DAY;
	start -= (start % DAY + DAY) % DAY; /* midnight of the first of January, as a count of local seconds */
	weekday = (start / DAY % 7 + 11) % 7;
	begin = start + change(&z->begin, year, weekday) - z->offset;
	end = start + change(&z->end, year, weekday) - z->summer;
	now = s;
	if (begin < end)
		return now >= begin && now < end ? z->summer : z->offset;
	return now >= end && now < begin ? z->offset : z->summer;
}

int32_t cel_zone_offset(const struct cel_zone *z, int64_t s)
{
	size_t low = 0, high = z->ntimes;

	if (z->has_footer && (z->ntimes == 0 || s >= number8(z->times + 8 * (z->ntimes - 1))))
		return by_rule(z, s);
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (number8(z->times + 8 * middle) <= s)
			low = middle + 1;
		else
			high = middle;
	}
	/* Before the first change the first type holds. */
	return (int32_t)number4(z->infos + 6 * (low ? z->types[low - 1] : 0));
}
