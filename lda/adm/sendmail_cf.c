#include "lda/adm/sendmail_cf.h"

bool
cf_next(struct str *rest, char kind, struct str *line_r)
{
	struct str line;

	while (rest->n > 0 && str_split(rest, '\n', &line))
		if (line.n > 0 && line.p[0] == kind) {
			*line_r = str_sub(line, 1, line.n);
			return true;
		}
	return false;
}

struct str
cf_option(struct str cf, struct str name)
{
	struct str line, value = STR("");

	while (cf_next(&cf, 'O', &line)) {
		ptrdiff_t eq;

		line = str_trim(line);
		eq = str_chr(line, '=');
		if (eq > 0 && str_caseeq(str_trim(str_sub(line, 0,
		    (size_t)eq)), name))
			value = str_trim(str_sub(line, (size_t)eq + 1, line.n));
	}
	return value;
}

/* The first word of *s, which then stands behind it. */
static struct str
word(struct str *s)
{
	struct str w;
	size_t n = 0;

	*s = str_trim(*s);
	while (n < s->n && !ascii_isblank(s->p[n]))
		n++;
	w = str_sub(*s, 0, n);
	*s = str_trim(str_sub(*s, n, s->n));
	return w;
}

struct cf_map
cf_map_of(struct str line)
{
	struct cf_map m;

	m.name = word(&line);
	m.kind = word(&line);
	m.args = line;
	return m;
}

bool
cf_map(struct str cf, struct str name, struct cf_map *m_r)
{
	struct str line;

	while (cf_next(&cf, 'K', &line)) {
		struct cf_map m = cf_map_of(line);

		if (str_eq(m.name, name)) {
			*m_r = m;
			return true;
		}
	}
	return false;
}

struct str
cf_class_file(struct str cf, struct str class)
{
	struct str line, file = STR("");

	while (cf_next(&cf, 'F', &line)) {
		if (!str_starts(line, class))
			continue;
		line = str_sub(line, class.n, line.n);
		/* "F{X}FILE", "Fw-o FILE": the file may be missing then. */
		if (str_starts(line, STR("-o")))
			line = str_trim(str_sub(line, 2, line.n));
		if (line.n > 0 && line.p[0] == '/') {
			size_t n = 0;

			while (n < line.n && !ascii_isblank(line.p[n]) &&
			    line.p[n] != '%')
				n++;
			file = str_sub(line, 0, n);
		}
	}
	return file;
}
