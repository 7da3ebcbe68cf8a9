/* From text to a field and back. */
#include <limits.h>
#include <string.h>

#include "lda/settings.h"
#include "lda/template.h"
#include "store/base/num.h"

/* What a message shows of a wrong value. */
#define SHOWN_MAX 60
#define REASON_MAX 256
/* A default with its items. */
#define PRESET_MAX 128
#define PRESET_ITEMS 8

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first. */
static const struct unit size_units[] = {
	{ "T", 1ULL << 40 }, { "G", 1ULL << 30 }, { "M", 1ULL << 20 },
	{ "K", 1ULL << 10 }, { "", 1 },
};
static const struct unit duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },
	{ "ms", 1 },
};

_Static_assert(sizeof(enum setting_format) == sizeof(unsigned),
    "enumerations are written through an unsigned");

/* Adding to `why` may cut it: a cut message is still a message. */
#define SAY(...) ((void)buf_addf(__VA_ARGS__))

static void *
field(struct settings *s, const struct setting *row)
{
	return (char *)s + row->offset;
}

static const void *
const_field(const struct settings *s, const struct setting *row)
{
	return (const char *)s + row->offset;
}

static void
add_unit(uint64_t value, const struct unit *units, struct buf *out)
{
	const struct unit *u = units;

	while (value % u->factor != 0)
		u++;
	SAY(out, "%llu%s", (unsigned long long)(value / u->factor),
	    value ? u->name : "");
}

static void
add_words(const char *words, struct buf *out)
{
	struct str rest = str_of(words), word;
	bool first = true;

	while (str_split(&rest, '|', &word)) {
		SAY(out, "%s%.*s", first ? "" : ", ", STR_ARG(word));
		first = false;
	}
}

/* A value in a message: cut, without control characters. */
static void
add_shown(const char *value, struct buf *out)
{
	size_t n = 0;

	(void)buf_addc(out, '`');
	for (; value[n] && n < SHOWN_MAX; n++)
		(void)buf_addc(out, ascii_iscntrl(value[n]) ? '?' : value[n]);
	SAY(out, "%s'", value[n] ? "..." : "");
}

void
setting_range(const struct setting *row, struct buf *out)
{
	switch (row->type) {
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_TEMPLATE:
		SAY(out, "at most %llu bytes", (unsigned long long)row->most);
		break;
	case SETTING_LIST:
	case SETTING_TEMPLATES:
		SAY(out, "%llu to %llu items", (unsigned long long)row->least,
		    (unsigned long long)row->most);
		break;
	case SETTING_SIZE:
		add_unit(row->least, size_units, out);
		SAY(out, " to ");
		add_unit(row->most, size_units, out);
		break;
	case SETTING_DURATION:
		add_unit(row->least, duration_units, out);
		SAY(out, " to ");
		add_unit(row->most, duration_units, out);
		break;
	case SETTING_INTEGER:
	case SETTING_NUMBERS:
		SAY(out, "%llu to %llu", (unsigned long long)row->least,
		    (unsigned long long)row->most);
		break;
	case SETTING_BOOLEAN:
		SAY(out, "true, false");
		break;
	case SETTING_ENUM:
	case SETTING_WORDS:
		add_words(row->words, out);
		break;
	case SETTING_MODE:
		SAY(out, "%04llo to %04llo", (unsigned long long)row->least,
		    (unsigned long long)row->most);
		break;
	}
}

/* "`30x' is no duration; one from 0 to 10m is wanted, such as 30s" */
static int
no_such(const struct setting *row, const char *value, const char *what,
    const char *example, struct buf *why)
{
	add_shown(value, why);
	SAY(why, " is no %s from ", what);
	setting_range(row, why);
	SAY(why, "; write it as %s", example);
	return -1;
}

static int
one_of(const struct setting *row, const char *value, struct buf *why)
{
	add_shown(value, why);
	SAY(why, " is not one of ");
	setting_range(row, why);
	return -1;
}

static int
word_index(const struct setting *row, const char *value, unsigned *index_r)
{
	struct str rest = str_of(row->words), word, v = str_of(value);

	for (unsigned i = 0; str_split(&rest, '|', &word); i++)
		if (str_eq(word, v)) {
			*index_r = i;
			return 0;
		}
	return -1;
}

static int
parse_boolean(const char *value, bool *value_r)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };
	struct str v = str_of(value);

	for (size_t i = 0; i < 3; i++) {
		if (str_caseeq(v, str_of(yes[i]))) {
			*value_r = true;
			return 0;
		}
		if (str_caseeq(v, str_of(no[i]))) {
			*value_r = false;
			return 0;
		}
	}
	return -1;
}

/* "`VALUE': what is wrong", when something is. */
static int
explain(const char *value, int result, struct buf *reason, struct buf *why)
{
	if (result < 0) {
		add_shown(value, why);
		SAY(why, ": %s", reason->p);
	}
	buf_release(reason);
	return result;
}

/* One string, by itself or in a list. */
static int
check_string(const struct setting *row, const char *value, struct buf *why)
{
	struct str v = str_of(value);
	bool in_list = row->type == SETTING_LIST ||
	    row->type == SETTING_TEMPLATES;
	uint64_t least = in_list ? 1 : row->least;
	uint64_t most = in_list ? PATH_MAX - 1 : row->most;
	struct buf reason;

	buf_init(&reason, REASON_MAX);
	for (size_t i = 0; i < v.n; i++)
		if (ascii_iscntrl(v.p[i])) {
			SAY(why, "a control character (code %d) stands in it",
			    (unsigned char)v.p[i]);
			return -1;
		}
	if (v.n < least) {
		SAY(why, "it cannot be empty");
		return -1;
	}
	if (v.n > most) {
		SAY(why, "it is %zu bytes long; at most %llu are possible", v.n,
		    (unsigned long long)most);
		return -1;
	}
	if (v.n == 0)
		return 0;
	if (row->type == SETTING_PATH && (v.n < 2 || v.p[0] != '/')) {
		add_shown(value, why);
		SAY(why, ": an absolute path is wanted");
		return -1;
	}
	if (row->type == SETTING_TEMPLATE || row->type == SETTING_TEMPLATES) {
		enum template_home h = row->offset ==
		    offsetof(struct settings, home) ?
		    TEMPLATE_NO_HOME : TEMPLATE_HOME;
		return explain(value, template_check(value, h, &reason),
		    &reason, why);
	}
	if (row->check)
		return explain(value, row->check(value, &reason), &reason, why);
	return 0;
}

static int
parse_list(const struct setting *row, const char *const *items, size_t count,
    struct setting_list *list_r, struct arena *arena, struct buf *why)
{
	const char **v;

	if (count < row->least || count > row->most) {
		SAY(why, "%zu items stand there; ", count);
		setting_range(row, why);
		SAY(why, " are possible");
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		if (check_string(row, items[i], why) < 0)
			return -1;
	v = arena_array(arena, count + 1, sizeof(*v));
	for (size_t i = 0; v && i < count; i++)
		v[i] = arena_copy(arena, str_of(items[i])).p;
	for (size_t i = 0; i < count; i++)
		if (!v || !v[i]) {
			SAY(why, "there is too much of it");
			return -1;
		}
	if (!v) {
		SAY(why, "there is too much of it");
		return -1;
	}
	*list_r = (struct setting_list){ .n = count, .v = v };
	return 0;
}

static int
parse_words(const struct setting *row, const char *const *items, size_t count,
    struct setting_words *words_r, struct buf *why)
{
	struct setting_words w = { .n = 0 };

	for (size_t i = 0; i < count; i++) {
		unsigned index;

		if (word_index(row, items[i], &index) < 0)
			return one_of(row, items[i], why);
		for (unsigned j = 0; j < w.n; j++)
			if (w.v[j] == index) {
				add_shown(items[i], why);
				SAY(why, " stands there twice");
				return -1;
			}
		/* Each at most once, so the row's words are the bound. */
		w.v[w.n++] = index;
	}
	*words_r = w;
	return 0;
}

static int
parse_numbers(const struct setting *row, const char *const *items,
    size_t count, struct setting_numbers *numbers_r, struct buf *why)
{
	struct setting_numbers n = { .n = 0 };

	if (count > SETTING_NUMBERS_MAX) {
		SAY(why, "%zu items stand there; at most %d are possible",
		    count, SETTING_NUMBERS_MAX);
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		if (num_u64(str_of(items[i]), row->most, &value) < 0 ||
		    value < row->least)
			return no_such(row, items[i], "number", "80", why);
		if (n.n > 0 && value <= n.v[n.n - 1]) {
			add_shown(items[i], why);
			SAY(why, " is not greater than what stands before it; "
			    "rising numbers are wanted");
			return -1;
		}
		n.v[n.n++] = value;
	}
	*numbers_r = n;
	return 0;
}

static bool
is_list(enum setting_type type)
{
	return type == SETTING_LIST || type == SETTING_TEMPLATES ||
	    type == SETTING_WORDS || type == SETTING_NUMBERS;
}

static int
parse_number(const struct setting *row, const char *value, uint64_t *value_r,
    struct buf *why)
{
	struct str v = str_of(value);
	uint64_t number = 0;
	const char *what, *example;
	int r;

	switch (row->type) {
	case SETTING_SIZE:
		r = num_size(v, &number);
		what = "size";
		example = "512K, 10M or 1G";
		break;
	case SETTING_DURATION:
		r = num_duration(v, &number);
		what = "duration";
		example = "500ms, 30s, 5m, 2h or 1d";
		break;
	default:
		r = num_u64(v, UINT64_MAX, &number);
		what = "number";
		example = "digits alone";
		break;
	}
	if (r < 0 || number < row->least || number > row->most)
		return no_such(row, value, what, example, why);
	*value_r = number;
	return 0;
}

int
setting_parse(const struct setting *row, const char *const *items,
    size_t count, struct settings *s, struct arena *arena, struct buf *why)
{
	void *f = field(s, row);
	uint64_t mode;
	struct str copy;

	if (!is_list(row->type) && count != 1) {
		SAY(why, "one %s is wanted, not a list of %zu",
		    setting_type_name(row->type), count);
		return -1;
	}
	switch (row->type) {
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_TEMPLATE:
		if (check_string(row, items[0], why) < 0)
			return -1;
		copy = arena_copy(arena, str_of(items[0]));
		if (!copy.p) {
			SAY(why, "there is too much of it");
			return -1;
		}
		*(const char **)f = copy.p;
		return 0;
	case SETTING_LIST:
	case SETTING_TEMPLATES:
		return parse_list(row, items, count, f, arena, why);
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_INTEGER:
		return parse_number(row, items[0], f, why);
	case SETTING_BOOLEAN:
		if (parse_boolean(items[0], f) < 0)
			return one_of(row, items[0], why);
		return 0;
	case SETTING_ENUM:
		if (word_index(row, items[0], f) < 0)
			return one_of(row, items[0], why);
		return 0;
	case SETTING_WORDS:
		return parse_words(row, items, count, f, why);
	case SETTING_NUMBERS:
		return parse_numbers(row, items, count, f, why);
	case SETTING_MODE:
		if (num_octal(str_of(items[0]), 07777, &mode) < 0 ||
		    (mode & row->least) != row->least || (mode & ~row->most)) {
			add_shown(items[0], why);
			SAY(why, " is no octal mode that contains %04llo and is "
			    "contained in %04llo", (unsigned long long)row->least,
			    (unsigned long long)row->most);
			return -1;
		}
		*(unsigned *)f = (unsigned)mode;
		return 0;
	}
	return -1;
}

void
settings_init(struct settings *s, struct arena *arena)
{
	struct buf why;

	*s = (struct settings){ .user = NULL };
	buf_init(&why, SHOWN_MAX);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		char text[PRESET_MAX];
		const char *items[PRESET_ITEMS] = { text };
		size_t count = 1, n = strlen(row->preset);

		/* A default that is no value of its row is a mistake of ours;
		 * the unit test loads them all. */
		if (n >= sizeof(text))
			__builtin_trap();
		memcpy(text, row->preset, n + 1);
		if (is_list(row->type)) {
			char divider = memchr(text, '\n', n) ? '\n' : ' ';

			count = n > 0;
			for (size_t at = 0; at < n && count < PRESET_ITEMS; at++)
				if (text[at] == divider) {
					text[at] = '\0';
					items[count++] = text + at + 1;
				}
		}
		if (setting_parse(row, items, count, s, arena, &why) < 0)
			__builtin_trap();
	}
	buf_release(&why);
}

static void
print_quoted(const char *value, struct buf *out)
{
	(void)buf_addc(out, '"');
	for (; *value; value++) {
		if (*value == '"' || *value == '\\' || *value == '$')
			(void)buf_addc(out, '\\');
		(void)buf_addc(out, *value);
	}
	(void)buf_addc(out, '"');
}

static void
print_word(const struct setting *row, unsigned index, struct buf *out)
{
	struct str rest = str_of(row->words), word;

	for (unsigned i = 0; str_split(&rest, '|', &word); i++)
		if (i == index)
			SAY(out, "\"%.*s\"", STR_ARG(word));
}

void
setting_print(const struct setting *row, const struct settings *s,
    struct buf *out)
{
	const void *f = const_field(s, row);
	const struct setting_list *list = f;
	const struct setting_words *words = f;
	const struct setting_numbers *numbers = f;

	switch (row->type) {
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_TEMPLATE:
		print_quoted(*(const char *const *)f, out);
		break;
	case SETTING_LIST:
	case SETTING_TEMPLATES:
		(void)buf_addc(out, '{');
		for (size_t i = 0; i < list->n; i++) {
			SAY(out, "%s", i ? ", " : "");
			print_quoted(list->v[i], out);
		}
		(void)buf_addc(out, '}');
		break;
	case SETTING_SIZE:
		add_unit(*(const uint64_t *)f, size_units, out);
		break;
	case SETTING_DURATION:
		add_unit(*(const uint64_t *)f, duration_units, out);
		break;
	case SETTING_INTEGER:
		SAY(out, "%llu", (unsigned long long)*(const uint64_t *)f);
		break;
	case SETTING_BOOLEAN:
		SAY(out, "%s", *(const bool *)f ? "true" : "false");
		break;
	case SETTING_ENUM:
		print_word(row, *(const unsigned *)f, out);
		break;
	case SETTING_WORDS:
		(void)buf_addc(out, '{');
		for (unsigned i = 0; i < words->n; i++) {
			SAY(out, "%s", i ? ", " : "");
			print_word(row, words->v[i], out);
		}
		(void)buf_addc(out, '}');
		break;
	case SETTING_NUMBERS:
		(void)buf_addc(out, '{');
		for (unsigned i = 0; i < numbers->n; i++)
			SAY(out, "%s%llu", i ? ", " : "",
			    (unsigned long long)numbers->v[i]);
		(void)buf_addc(out, '}');
		break;
	case SETTING_MODE:
		SAY(out, "%04o", *(const unsigned *)f);
		break;
	}
}
