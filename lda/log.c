#include "lda/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "lda/log_escape.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/self.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LOG_FILE_MODE 0640
#define JOURNAL_PREFIX "VBOX_"
#define LOG_VALUES_MAX ((size_t)LOG_FIELDS_MAX * (LOG_VALUE_MAX + 1))

enum target { TO_SYSLOG, TO_STDERR, TO_JOURNAL, TO_FILE };

/* One log per process, as there is one stderr. */
static struct {
	const char *program;
	enum target target;
	const char *path;
	enum setting_log_format format;
	enum setting_log_level level;
	int facility;
	int fd;			/* of a file or the journal, or -1 */
	/* Memory that the next line has again, see kept(). */
	struct log_line delivery;
	struct buf text, out;
} logger = {
	.program = "vbox",
	.level = SET_LOG_INFO,
	.facility = LOG_MAIL,
	.fd = -1,
};

static int
priority(enum setting_log_level level)
{
	static const int priorities[] = {
		[SET_LOG_ERROR] = LOG_ERR,
		[SET_LOG_WARNING] = LOG_WARNING,
		[SET_LOG_INFO] = LOG_INFO,
		[SET_LOG_DEBUG] = LOG_DEBUG,
	};

	return priorities[level];
}

static const char *
level_name(enum setting_log_level level)
{
	static const char *const names[] = {
		[SET_LOG_ERROR] = "error",
		[SET_LOG_WARNING] = "warning",
		[SET_LOG_INFO] = "info",
		[SET_LOG_DEBUG] = "debug",
	};

	return names[level];
}

static int
facility(enum setting_facility f)
{
	static const int facilities[] = {
		[SET_FACILITY_MAIL] = LOG_MAIL,
		[SET_FACILITY_DAEMON] = LOG_DAEMON,
		[SET_FACILITY_USER] = LOG_USER,
		[SET_FACILITY_LOCAL0] = LOG_LOCAL0,
		[SET_FACILITY_LOCAL1] = LOG_LOCAL1,
		[SET_FACILITY_LOCAL2] = LOG_LOCAL2,
		[SET_FACILITY_LOCAL3] = LOG_LOCAL3,
		[SET_FACILITY_LOCAL4] = LOG_LOCAL4,
		[SET_FACILITY_LOCAL5] = LOG_LOCAL5,
		[SET_FACILITY_LOCAL6] = LOG_LOCAL6,
		[SET_FACILITY_LOCAL7] = LOG_LOCAL7,
	};

	return facilities[f];
}

void
log_open(const char *program, const struct settings *s)
{
	const char *target = s->log_target;

	log_close();
	logger.program = program;
	logger.format = s->log_format;
	logger.level = s->log_level;
	logger.facility = facility(s->log_facility);
	logger.target = TO_SYSLOG;
	if (strcmp(target, "stderr") == 0) {
		logger.target = TO_STDERR;
	} else if (strcmp(target, "journal") == 0) {
		logger.target = TO_JOURNAL;
	} else if (strncmp(target, "file:", 5) == 0) {
		logger.target = TO_FILE;
		logger.path = target + 5;
	}
	/* Without LOG_NDELAY nothing is connected until something is said. */
	openlog(program, LOG_PID, logger.facility);
}

static int
connect_journal(void)
{
	struct sockaddr_un sun = {
		.sun_family = AF_UNIX,
		.sun_path = JOURNAL_SOCKET,
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		file_close(&fd);
	return fd;
}

/* The descriptor of the target, or -1 where syslog(3) has its own. */
static int
target_fd(void)
{
	if (logger.target == TO_STDERR)
		return STDERR_FILENO;
	if (logger.fd >= 0)
		return logger.fd;
	if (logger.target == TO_JOURNAL)
		logger.fd = connect_journal();
	else if (logger.target == TO_FILE)
		logger.fd = open(logger.path, O_WRONLY | O_APPEND | O_CREAT |
		    O_CLOEXEC | O_NOCTTY | O_NONBLOCK, LOG_FILE_MODE);
	return logger.fd;
}

void
log_connect(void)
{
	/* syslog is also what we fall back to. */
	openlog(logger.program, LOG_PID | LOG_NDELAY, logger.facility);
	(void)target_fd();
}

void
log_own(void)
{
	int shared = logger.fd;

	logger.fd = -1;
	log_connect();
	if (logger.fd < 0)
		logger.fd = shared;
	else
		file_close(&shared);
}

void
log_reopen(void)
{
	log_close();
	log_connect();
}

void
log_close(void)
{
	file_close(&logger.fd);
	closelog();
}

/* --- one line ---------------------------------------------------------------- */

void
log_line_init(struct log_line *l)
{
	l->count = 0;
	buf_init(&l->values, LOG_VALUES_MAX);
}

void
log_line_release(struct log_line *l)
{
	buf_release(&l->values);
	l->count = 0;
}

/* A field whose value was added to the values, from `at`. */
static void
note(struct log_line *l, const char *key, enum log_kind kind, size_t at)
{
	l->fields[l->count++] = (struct log_field){
		.key = key,
		.kind = kind,
		.at = at,
		.n = l->values.n - at,
	};
}

/* A buffer of the logger's, empty. */
static struct buf *
kept(struct buf *b, size_t max)
{
	if (!b->p)
		buf_init(b, max);
	buf_reset(b);
	return b;
}

static void
add(struct log_line *l, const char *key, enum log_kind kind, struct str value)
{
	size_t at = l->values.n;

	/* A line that has no room for a field goes without: it is a log. */
	if (l->count == LOG_FIELDS_MAX ||
	    buf_adds(&l->values, str_sub(value, 0, LOG_VALUE_MAX)) < 0)
		return;
	note(l, key, kind, at);
}

void
log_kv(struct log_line *l, const char *key, struct str value)
{
	add(l, key, LOG_TEXT, value);
}

void
log_word(struct log_line *l, const char *key, const char *word)
{
	add(l, key, LOG_WORD, str_of(word));
}

void
log_number(struct log_line *l, const char *key, uint64_t value)
{
	size_t at = l->values.n;

	if (l->count == LOG_FIELDS_MAX || buf_addu(&l->values, value) < 0)
		return;
	note(l, key, LOG_NUMBER, at);
}

static struct str
value_of(const struct log_line *l, const struct log_field *f)
{
	return str_mem(l->values.p + f->at, f->n);
}

/* msgid="<a@b>" verdict=ok; a sentence stands alone. */
static void
render_text(const struct log_line *l, struct buf *out)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct log_field *f = &l->fields[i];
		size_t before = out->n;

		if (i)
			(void)buf_addc(out, ' ');
		if (strcmp(f->key, "message") == 0) {
			log_escape(value_of(l, f), out);
		} else if (f->kind == LOG_TEXT) {
			(void)buf_addz(out, f->key);
			(void)buf_addz(out, "=\"");
			log_escape(value_of(l, f), out);
			(void)buf_addc(out, '"');
		} else {
			(void)buf_addz(out, f->key);
			(void)buf_addc(out, '=');
			log_escape(value_of(l, f), out);
		}
		/* No half field: its quote would be missing. */
		if (out->full) {
			buf_cut(out, before);
			break;
		}
	}
}

static void
render_json(enum setting_log_level level, const struct log_line *l,
    struct buf *out)
{
	(void)buf_addz(out, "{\"time\":\"");
	clock_iso(clock_now(), out);
	(void)buf_addf(out, "\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%ld",
	    level_name(level), logger.program, (long)self_pid());
	for (size_t i = 0; i < l->count; i++) {
		const struct log_field *f = &l->fields[i];
		size_t before = out->n;

		(void)buf_addf(out, ",\"%s\":", f->key);
		if (f->kind == LOG_NUMBER) {
			(void)buf_adds(out, value_of(l, f));
		} else {
			(void)buf_addc(out, '"');
			log_escape_json(value_of(l, f), out);
			(void)buf_addc(out, '"');
		}
		/* Room for the brace is kept by the ceiling of `out` below. */
		if (out->full) {
			buf_cut(out, before);
			break;
		}
	}
}

void
log_render(enum setting_log_format format, enum setting_log_level level,
    const struct log_line *l, struct buf *out)
{
	struct buf *line = kept(&logger.text, LOG_LINE_MAX - 2);

	if (format == SET_LOG_JSON)
		render_json(level, l, line);
	else
		render_text(l, line);
	(void)buf_adds(out, buf_str(line));
	if (format == SET_LOG_JSON)
		(void)buf_addc(out, '}');
}

/* NAME=value, or the form with a length where the value holds a line end
 * (systemd, "Native Journal Protocol"). */
static void
journal_field(const char *prefix, const char *key, struct str value,
    struct buf *out)
{
	size_t before = out->n;
	uint64_t n = value.n;

	(void)buf_addz(out, prefix);
	for (; *key; key++)
		(void)buf_addc(out, ascii_upper(*key));
	if (str_chr(value, '\n') < 0) {
		(void)buf_addc(out, '=');
	} else {
		(void)buf_addc(out, '\n');
		for (unsigned i = 0; i < 8; i++)
			(void)buf_addc(out, (char)(n >> (8 * i) & 0xff));
	}
	(void)buf_adds(out, value);
	(void)buf_addc(out, '\n');
	if (out->full)
		buf_cut(out, before);
}

void
log_render_journal(enum setting_log_level level, const struct log_line *l,
    struct buf *out)
{
	struct buf *text = kept(&logger.text, LOG_LINE_MAX - 2);

	render_text(l, text);
	journal_field("", "message", buf_str(text), out);
	(void)buf_addf(out, "PRIORITY=%d\nSYSLOG_FACILITY=%d\n"
	    "SYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%ld\n", priority(level),
	    logger.facility >> 3, logger.program, (long)self_pid());
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->fields[i].key, "message") != 0)
			journal_field(JOURNAL_PREFIX, l->fields[i].key,
			    value_of(l, &l->fields[i]), out);
}

/* --- and away with it --------------------------------------------------------- */

static void
to_syslog(enum setting_log_level level, const struct log_line *l)
{
	struct buf *out = kept(&logger.out, 2 * LOG_LINE_MAX);

	log_render(logger.format, level, l, out);
	syslog(priority(level), "%s", out->p);
}

static int
to_journal(enum setting_log_level level, const struct log_line *l)
{
	struct buf *out = kept(&logger.out, 2 * LOG_LINE_MAX);
	ssize_t n = -1;
	int fd = target_fd();

	log_render_journal(level, l, out);
	if (fd >= 0)
		n = send(fd, out->p, out->n, MSG_NOSIGNAL);
	if (fd >= 0 && n < 0) {
		/* journald was started anew: once more to the new socket. */
		file_close(&logger.fd);
		fd = target_fd();
		if (fd >= 0)
			n = send(fd, out->p, out->n, MSG_NOSIGNAL);
	}
	return n < 0 ? -1 : 0;
}

/* One write per line, so that lines of many processes do not mix. */
static int
to_file(enum setting_log_level level, const struct log_line *l)
{
	struct buf *out = kept(&logger.out, 2 * LOG_LINE_MAX);
	ssize_t n = -1;
	int fd = target_fd();

	if (fd < 0)
		return -1;
	if (logger.format == SET_LOG_TEXT) {
		if (logger.target == TO_FILE) {
			clock_iso(clock_now(), out);
			(void)buf_addc(out, ' ');
		}
		(void)buf_addz(out, logger.program);
		(void)buf_addc(out, '[');
		(void)buf_addu(out, (uint64_t)self_pid());
		(void)buf_addz(out, "]: ");
		if (level <= SET_LOG_WARNING) {
			(void)buf_addz(out, level_name(level));
			(void)buf_addz(out, ": ");
		}
	}
	log_render(logger.format, level, l, out);
	(void)buf_addc(out, '\n');
	do
		n = write(fd, out->p, out->n);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

void
log_emit(enum setting_log_level level, const struct log_line *l)
{
	int saved = errno, r = -1;

	if (level > logger.level)
		return;
	if (logger.target == TO_JOURNAL)
		r = to_journal(level, l);
	else if (logger.target != TO_SYSLOG)
		r = to_file(level, l);
	/* A closed stderr is what a caller wants who closed it. */
	if (r < 0 && logger.target != TO_STDERR)
		to_syslog(level, l);
	errno = saved;
}

void
log_say(enum setting_log_level level, const char *fmt, ...)
{
	char text[2 * LOG_VALUE_MAX];
	struct log_line l;
	va_list ap;
	size_t n;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);	/* cut is good enough */
	va_end(ap);
	n = strlen(text);
	log_line_init(&l);
	(void)buf_add(&l.values, text, n);
	l.fields[l.count++] = (struct log_field){
		.key = "message",
		.kind = LOG_TEXT,
		.n = n,
	};
	log_emit(level, &l);
	log_line_release(&l);
}

static void
kv_if(struct log_line *l, const char *key, struct str value)
{
	if (value.n > 0)
		log_kv(l, key, value);
}

void
log_delivery(const struct log_delivery *d)
{
	enum setting_log_level level =
	    verdict_kind(d->verdict) == VERDICT_LATER ?
	    SET_LOG_WARNING : SET_LOG_INFO;
	struct log_line *l = &logger.delivery;

	if (level > logger.level)
		return;
	l->count = 0;
	(void)kept(&l->values, LOG_VALUES_MAX);
	kv_if(l, "msgid", d->msgid);
	log_kv(l, "from", d->from.n ? d->from : STR("<>"));
	log_kv(l, "to", d->to);
	if (!str_eq(d->orig_to, d->to))
		kv_if(l, "orig_to", d->orig_to);
	log_number(l, "size", d->size);
	log_word(l, "verdict", verdict_word(d->verdict));
	log_word(l, "dsn", verdict_code(d->verdict));
	log_number(l, "delay_ms", d->delay_ms);
	kv_if(l, "box", d->box);
	kv_if(l, "scan", d->scan);
	kv_if(l, "found", d->found);
	kv_if(l, "actions", d->actions);
	if (d->content.n) {
		log_kv(l, "content", d->content);
		kv_if(l, "rule", d->rule);
		kv_if(l, "attachment", d->attachment);
		kv_if(l, "type", d->type);
	}
	if (d->door)
		log_word(l, "door", d->door);
	if (d->session)
		log_number(l, "session", d->session);
	/* On success the detail repeats the box. */
	if (verdict_kind(d->verdict) != VERDICT_DONE)
		kv_if(l, "detail", str_of(d->verdict->detail));
	log_emit(level, l);
}
