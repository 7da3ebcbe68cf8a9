#include "filters/attachment.h"

#include <dlfcn.h>
#include <magic.h>
#include <string.h>
#include <zlib.h>

#include "filters/message/charset.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"
#include "store/base/buf.h"

/* --- libmagic --- */

/*
 * Loaded when it is wanted and not linked: most deliveries have no policy, and
 * library and database, which must fit each other, are updated together by the
 * system and not by a build of ours.
 */
#define LIBRARY "libmagic.so.1"
#define MAGIC_FUNCTIONS(x) \
	x(open) x(close) x(load_buffers) x(load) x(buffer) x(setparam) x(error)

static struct {
#define MEMBER(name) __typeof__(magic_ ## name) *name;
	MAGIC_FUNCTIONS(MEMBER)
#undef MEMBER
} api;

/* No look into archives or processes, none of its slow guesses about text. */
#define MAGIC_FLAGS (MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | \
	MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_CDF)
/* Bytes that a regular expression of the database looks at: the default of
 * 8192 costs a text half a millisecond and finds nothing more. */
#define MAGIC_REGEX_BYTES 1024u

int
attachment_preload(struct verdict *v)
{
	static bool loaded;
	void *handle;

	if (loaded)
		return 0;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		const char *why = dlerror();

		return verdict_set(v, V_CONFIG, "%s", why ? why : LIBRARY);
	}
	/* ISO C has no cast from object to function pointer; POSIX wants it to
	 * work, so the bytes are copied. */
#define LOOK_UP(name) do { \
		void *at = dlsym(handle, "magic_" #name); \
		if (!at) \
			return verdict_set(v, V_CONFIG, "%s has no magic_" \
			    #name, LIBRARY); \
		memcpy(&api.name, &at, sizeof(at)); \
	} while (0);
	MAGIC_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	loaded = true;
	return 0;
}

static int
begin(struct attachment_typer *t, struct verdict *v)
{
	size_t bytes = ATTACHMENT_TYPED_BYTES, regex = MAGIC_REGEX_BYTES;

	t->magic = NULL;
	if (attachment_preload(v) < 0)
		return -1;
	t->magic = api.open(MAGIC_FLAGS);
	if (!t->magic)
		return verdict_set(v, V_CONFIG, "libmagic does not start");
	(void)api.setparam(t->magic, MAGIC_PARAM_BYTES_MAX, &bytes);
	(void)api.setparam(t->magic, MAGIC_PARAM_REGEX_MAX, &regex);
	return 0;
}

static int
loaded(struct attachment_typer *t, int r, struct verdict *v)
{
	const char *why;

	if (r == 0)
		return 0;
	why = api.error(t->magic);
	(void)verdict_set(v, V_CONFIG, "magic database: %s",
	    why ? why : "not usable");
	attachment_typer_close(t);
	return -1;
}

int
attachment_typer_open(struct attachment_typer *t, const char *database,
    struct verdict *v)
{
	if (begin(t, v) < 0)
		return -1;
	return loaded(t, api.load(t->magic, database), v);
}

int
attachment_typer_load(struct attachment_typer *t, void *database, size_t n,
    struct verdict *v)
{
	if (begin(t, v) < 0)
		return -1;
	return loaded(t, api.load_buffers(t->magic, &database, &n, 1), v);
}

void
attachment_typer_close(struct attachment_typer *t)
{
	if (t->magic)
		api.close(t->magic);
	t->magic = NULL;
}

/* --- names against types --- */

bool
attachment_type_fits(struct str extension, struct str type)
{
	/* What may stand behind a name; an entry ends what fits for several
	 * extensions. Prefixes, since libmagic's names move with its version. */
	static const struct {
		const char *extension;
		const char *types[5];
	} known[] = {
		{ "pdf", { "application/pdf" } },
		{ "jpg", { "image/jpeg" } }, { "jpeg", { "image/jpeg" } },
		{ "png", { "image/png" } }, { "gif", { "image/gif" } },
		{ "bmp", { "image/" } }, { "tif", { "image/tiff" } },
		{ "tiff", { "image/tiff" } }, { "webp", { "image/webp" } },
		{ "svg", { "image/svg", "text/" } },
		{ "zip", { "application/zip", "application/java-archive" } },
		{ "gz", { "application/gzip", "application/x-gzip" } },
		{ "docx", { "application/vnd.openxml", "application/zip" } },
		{ "xlsx", { "application/vnd.openxml", "application/zip" } },
		{ "pptx", { "application/vnd.openxml", "application/zip" } },
		{ "odt", { "application/vnd.oasis", "application/zip" } },
		{ "ods", { "application/vnd.oasis", "application/zip" } },
		{ "odp", { "application/vnd.oasis", "application/zip" } },
		{ "doc", { "application/msword", "application/CDFV2",
		    "application/x-ole-storage", "text/rtf", "application/vnd." } },
		{ "xls", { "application/CDFV2", "application/x-ole-storage",
		    "application/vnd.", "text/" } },
		{ "ppt", { "application/CDFV2", "application/x-ole-storage",
		    "application/vnd." } },
		{ "rtf", { "text/" } }, { "txt", { "text/", "message/", "application/json",
		    "application/pgp" } },
		{ "csv", { "text/", "application/csv", "application/json" } },
		{ "ics", { "text/" } }, { "vcf", { "text/" } },
		{ "htm", { "text/", "application/xhtml" } },
		{ "html", { "text/", "application/xhtml" } },
		{ "eml", { "message/", "text/" } },
		{ "mp3", { "audio/" } }, { "wav", { "audio/" } },
		{ "mp4", { "video/", "audio/" } }, { "mov", { "video/" } },
	};

	if (type.n == 0 || str_eq(type, STR("application/octet-stream")) ||
	    str_eq(type, STR("application/x-empty")) ||
	    str_starts(type, STR("inode/")))
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!str_eq(extension, str_of(known[i].extension)))
			continue;
		for (size_t k = 0; k < 5 && known[i].types[k]; k++)
			if (str_starts(type, str_of(known[i].types[k])))
				return true;
		return false;
	}
	return true;
}

static bool
is_executable(struct str type)
{
	static const char *const types[] = {
		"application/x-dosexec", "application/vnd.microsoft.portable",
		"application/x-executable", "application/x-pie-executable",
		"application/x-sharedlib", "application/x-mach-binary",
		"application/x-ms-shortcut", "application/x-msi",
		"text/x-shellscript", "text/x-msdos-batch", "text/x-perl",
		"text/x-python", "text/x-script.python", "text/x-ruby",
		"text/javascript", "application/javascript",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_starts(type, str_of(types[i])))
			return true;
	return false;
}

/* --- the list --- */

struct scan {
	const struct attachment_typer *typer;
	struct arena *arena;
	struct attachments *out;
	size_t room;
	unsigned asked;
	uint64_t packed;	/* bytes that inflate(3) has read */
	struct buf decoded;	/* the leaf at hand */
};

static struct attachment *
add(struct scan *s, const struct mime_part *part, struct attachment *inside)
{
	struct attachments *l = s->out;
	struct attachment *x = NULL;

	if (l->n == s->room && l->n < ATTACHMENT_COUNT_MAX) {
		size_t room = s->room ? s->room * 2 : 8;
		struct attachment **list = arena_array(s->arena, room,
		    sizeof(struct attachment *));

		if (list && l->n)
			memcpy(list, l->list, l->n * sizeof(*list));
		if (list) {
			l->list = list;
			s->room = room;
		}
	}
	if (l->n < s->room && l->n < ATTACHMENT_COUNT_MAX)
		x = arena_alloc(s->arena, sizeof(*x));
	if (!x) {
		if (inside)
			inside->flags |= ATTACHMENT_CUT;
		l->flags |= ATTACHMENT_CUT;
		return NULL;
	}
	x->part = part;
	x->inside = inside;
	x->depth = inside ? inside->depth + 1 : 0;
	x->name = x->extension = x->declared = x->type = STR("");
	x->other_name = x->other_extension = STR("");
	l->list[l->n++] = x;
	return x;
}

/* Where programs in C unpack or open it, the name ends at a NUL. */
static struct str
up_to_nul(struct str name)
{
	ptrdiff_t nul = str_chr(name, '\0');

	return nul >= 0 ? str_sub(name, 0, (size_t)nul) : name;
}

static struct str
extension_of(struct scan *s, struct str name)
{
	ptrdiff_t dot;
	struct str base, e;
	char *p;

	/* Windows drops dots and blanks at the end: "a.exe. " runs. */
	base = name;
	while (base.n && (base.p[base.n - 1] == '.' ||
	    base.p[base.n - 1] == ' '))
		base.n--;
	dot = str_rchr(base, '.');
	if (dot < 0)
		return STR("");
	e = str_sub(base, (size_t)dot + 1, base.n);
	if (e.n > 16 || str_chr(e, '/') >= 0)
		return STR("");
	p = arena_alloc(s->arena, e.n + 1);
	if (!p)
		return STR("");
	for (size_t i = 0; i < e.n; i++)
		p[i] = ascii_lower(e.p[i]);
	return str_mem(p, e.n);
}

static void
set_name(struct scan *s, struct attachment *x, struct str name)
{
	x->name = up_to_nul(name);
	x->extension = extension_of(s, x->name);
}

/* RFC 2183 has filename=, and some readers take name= nevertheless. */
static void
set_names(struct scan *s, struct attachment *x, const struct mime_part *p)
{
	struct str other = mime_param(&p->type, STR("name"));

	set_name(s, x, p->filename);
	if (other.n == 0 || str_eq(other, p->filename))
		return;
	x->other_name = up_to_nul(other);
	x->other_extension = extension_of(s, x->other_name);
}

/* A text: no control characters but those of lines and pages. */
static bool
is_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) && !ascii_isblank(s.p[i]) &&
		    s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != '\f')
			return false;
	return true;
}

/*
 * What libmagic would say to bytes that begin like this, for sure: pictures,
 * PDF, pages and the XML of which office documents are full. Empty: it is asked.
 */
static struct str
certain_type(struct str front)
{
	static const struct {
		struct str begin, type;
	} known[] = {
		{ { "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16 }, { "image/png", 9 } },
		{ { "\xff\xd8\xff", 3 }, { "image/jpeg", 10 } },
		{ { "GIF89a", 6 }, { "image/gif", 9 } },
		{ { "GIF87a", 6 }, { "image/gif", 9 } },
		{ { "%PDF-1.", 7 }, { "application/pdf", 15 } },
	};
	static const char *const more[] = { "<svg", "<html", "<!", "<x3d",
	    "<kml", "<gpx", "<mx" };
	struct str head = str_sub(front, 0, ATTACHMENT_TYPED_TEXT);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_starts(front, known[i].begin))
			return known[i].type;
	/* A page with a script in it is a page; libmagic may say otherwise. */
	if ((str_casestarts(head, STR("<!doctype html")) ||
	    str_casestarts(head, STR("<html"))) && is_text(head))
		return STR("text/html");
	if (!str_starts(front, STR("<?xml ")) || !is_text(head))
		return STR("");
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (str_find(head, str_of(more[i])) >= 0)
			return STR("");
	return STR("text/xml");
}

/*
 * libmagic takes one in a hundred pieces of random bytes (what is encrypted,
 * compressed, measured) for a DOS program of the kind that has no header. Only
 * what has such a name could be run as one.
 */
static bool
is_guess(struct str type, struct str front, struct str extension)
{
	return str_eq(type, STR("application/x-dosexec")) &&
	    !str_starts(front, STR("MZ")) && !str_starts(front, STR("ZM")) &&
	    !str_eq(extension, STR("com")) && !str_eq(extension, STR("exe")) &&
	    !str_eq(extension, STR("sys"));
}

/* Types x by the front of its bytes. Texts are known from their first lines,
 * and libmagic's rules for them take longest. */
static void
set_type(struct scan *s, struct attachment *x, struct str bytes)
{
	struct str front = str_sub(bytes, 0, ATTACHMENT_TYPED_BYTES);
	const char *type;
	struct str copy;

	x->type = certain_type(front);
	if (x->type.n == 0) {
		if (s->asked == ATTACHMENT_ASKED_MAX) {
			x->flags |= ATTACHMENT_CUT;
			return;
		}
		s->asked++;
		if (front.n > ATTACHMENT_TYPED_TEXT && is_text(front))
			front = str_sub(front, 0, ATTACHMENT_TYPED_TEXT);
		type = api.buffer(s->typer->magic, front.p ? front.p : "",
		    front.n);
		if (!type)
			return;		/* its failure delays no mail */
		copy = is_guess(str_of(type), front, x->extension) ?
		    STR("application/octet-stream") :
		    arena_copy(s->arena, str_of(type));
		x->type = copy.p ? copy : STR("");
	}
	if (!attachment_type_fits(x->extension, x->type) ||
	    !attachment_type_fits(x->other_extension, x->type))
		x->flags |= ATTACHMENT_MISMATCH;
	if (is_executable(x->type))
		x->flags |= ATTACHMENT_EXECUTABLE;
}

/* --- archives --- */

static unsigned
le16(struct str s, size_t at)
{
	const unsigned char *p = (const unsigned char *)s.p + at;

	return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static uint32_t
le32(struct str s, size_t at)
{
	return le16(s, at) | (uint32_t)le16(s, at + 2) << 16;
}

static bool
is_zip(struct str s)
{
	return str_starts(s, STR("PK\3\4")) || str_starts(s, STR("PK\5\6"));
}

static bool
is_gzip(struct str s)
{
	return str_starts(s, STR("\x1f\x8b\x08"));
}

/* Has the message had its share of unpacking? Members may overlap, and blocks
 * may be empty: what is read costs time, too. */
static bool
spent(const struct scan *s)
{
	return s->out->unpacked > ATTACHMENT_UNPACKED_MAX ||
	    s->packed > ATTACHMENT_UNPACKED_MAX;
}

/*
 * Inflates `in` into out, to its ceiling and to what the message may still
 * unpack. Window bits as zlib wants them: -15 raw, 31 gzip. False when the
 * data is broken or ends early.
 */
static bool
unpack(struct scan *s, struct attachment *x, struct str in, int window,
    struct buf *out)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)in.p,
	    .avail_in = (unsigned)in.n };
	char chunk[16384];
	int r = Z_OK;

	if (inflateInit2(&z, window) != Z_OK)
		return false;
	while (r == Z_OK) {
		size_t n;
		unsigned before = z.avail_in;

		z.next_out = (unsigned char *)chunk;
		z.avail_out = sizeof(chunk);
		r = inflate(&z, Z_NO_FLUSH);
		n = sizeof(chunk) - z.avail_out;
		s->out->unpacked += n;
		s->packed += before - z.avail_in;
		if (n > out->max - out->n) {
			/* As much as fits. */
			n = out->max - out->n;
			out->full = true;
			x->flags |= ATTACHMENT_CUT;
		}
		(void)buf_add(out, chunk, n);
		if (z.total_out > ATTACHMENT_RATIO_FROM && z.total_in > 0 &&
		    z.total_out / z.total_in > ATTACHMENT_RATIO_MAX)
			x->flags |= ATTACHMENT_BOMB;
		if (spent(s))
			x->flags |= ATTACHMENT_CUT;
		if (x->flags & (ATTACHMENT_CUT | ATTACHMENT_BOMB) || n == 0)
			break;
	}
	(void)inflateEnd(&z);
	return r == Z_STREAM_END ||
	    (x->flags & (ATTACHMENT_CUT | ATTACHMENT_BOMB));
}

static void look_into(struct scan *s, struct attachment *x, struct str bytes);

/* A member's bytes: typed by their front, looked into when an archive. */
static void
member_bytes(struct scan *s, struct attachment *x, struct str packed,
    int window)
{
	struct buf b;
	struct str front;
	unsigned before = x->flags;

	if (spent(s)) {
		x->flags |= ATTACHMENT_CUT;
		return;
	}
	if (window == 0) {
		set_type(s, x, packed);
		look_into(s, x, packed);
		return;
	}
	/* The front is enough, except of what holds more. */
	buf_init(&b, ATTACHMENT_TYPED_BYTES);
	if (!unpack(s, x, packed, window, &b))
		x->flags |= ATTACHMENT_BROKEN;
	front = buf_str(&b);
	/* More than the archive told: whoever trusts it is surprised. */
	if (x->size < front.n)
		x->flags |= ATTACHMENT_BROKEN;
	set_type(s, x, front);
	if ((is_zip(front) || is_gzip(front)) && x->flags & ATTACHMENT_CUT &&
	    x->depth < ATTACHMENT_DEPTH_MAX) {
		struct buf all;

		x->flags = before | (x->flags & ~(unsigned)ATTACHMENT_CUT);
		buf_init(&all, ATTACHMENT_BYTES_MAX);
		if (!unpack(s, x, packed, window, &all))
			x->flags |= ATTACHMENT_BROKEN;
		look_into(s, x, buf_str(&all));
		buf_release(&all);
	} else {
		/* Cut at what is typed is not cut at a ceiling. */
		if (b.full && !spent(s))
			x->flags &= ~(unsigned)ATTACHMENT_CUT;
		look_into(s, x, front);
	}
	buf_release(&b);
}

/* A member's name: UTF-8 when it says so or is, else the charset of DOS. */
static struct str
member_name(struct scan *s, struct str raw, bool utf8)
{
	struct buf b;
	struct str r;

	raw = str_sub(raw, 0, ATTACHMENT_NAME_MAX);
	buf_init(&b, (size_t)ATTACHMENT_NAME_MAX * 3);
	(void)charset_to_utf8(utf8 || utf8_valid(raw) ? STR("utf-8") :
	    STR("ibm437"), raw, &b);
	r = arena_copy(s->arena, buf_str(&b));
	buf_release(&b);
	return r.p ? r : STR("");
}

#define ZIP_LOCAL 30u		/* bytes of the fixed part of each record */
#define ZIP_CENTRAL 46u
#define ZIP_END 22u
#define ZIP_COMMENT_MAX 65535u

#define ZIP64_LOCATOR 20u

/* The last end record that begins before `before`, or -1. */
static ptrdiff_t
find_end_before(struct str zip, size_t before)
{
	size_t lowest = zip.n > ZIP_END + ZIP_COMMENT_MAX ?
	    zip.n - ZIP_END - ZIP_COMMENT_MAX : 0;

	if (zip.n < ZIP_END)
		return -1;
	for (size_t n = before; n > lowest;) {
		const char *at = memrchr(zip.p + lowest, 'P', n - lowest);

		if (!at)
			break;
		n = (size_t)(at - zip.p);
		if (str_starts(str_sub(zip, n, 4), STR("PK\5\6")))
			return (ptrdiff_t)n;
	}
	return -1;
}

/* Where the end record begins, or -1. The last one counts. */
static ptrdiff_t
find_end(struct str zip)
{
	return zip.n < ZIP_END ? -1 :
	    find_end_before(zip, zip.n - ZIP_END + 1);
}

struct zip_member {
	unsigned flags, method;
	uint32_t packed, size;
	struct str name;
	size_t data;		/* where its bytes begin */
};

static void
zip_add(struct scan *s, struct attachment *archive, struct str zip,
    const struct zip_member *m)
{
	struct attachment *x = add(s, archive->part, archive);
	struct str packed = str_sub(zip, m->data, m->packed);

	if (!x)
		return;
	set_name(s, x, member_name(s, m->name, m->flags & 0x800));
	x->size = m->size;
	if (m->flags & 1) {
		x->flags |= ATTACHMENT_ENCRYPTED;
	} else if (m->size > ATTACHMENT_RATIO_FROM && m->method != 0 &&
	    m->size / (m->packed ? m->packed : 1) > ATTACHMENT_RATIO_MAX) {
		x->flags |= ATTACHMENT_BOMB;
	} else if (str_ends(m->name, STR("/")) && m->size == 0) {
		/* A folder. */
	} else if (m->method == 0) {
		member_bytes(s, x, packed, 0);
	} else if (m->method == 8) {
		member_bytes(s, x, packed, -15);
	} else {
		x->flags |= ATTACHMENT_CUT;	/* a method we do not know */
	}
	if (packed.n < m->packed)
		x->flags |= ATTACHMENT_BROKEN;
	s->out->flags |= x->flags;
	/* The archive tells what is wrong with its members, but not of which
	 * type they are. */
	archive->flags |= x->flags & (ATTACHMENT_ENCRYPTED | ATTACHMENT_CUT |
	    ATTACHMENT_BOMB | ATTACHMENT_BROKEN);
}

/* The local record at `at`; false when there is none. */
static bool
zip_local(struct str zip, size_t at, struct zip_member *m_r)
{
	struct str r = str_sub(zip, at, zip.n);

	if (r.n < ZIP_LOCAL || !str_starts(r, STR("PK\3\4")))
		return false;
	*m_r = (struct zip_member){
		.flags = le16(r, 6), .method = le16(r, 8),
		.packed = le32(r, 18), .size = le32(r, 22),
		.name = str_sub(r, ZIP_LOCAL, le16(r, 26)),
		.data = at + ZIP_LOCAL + le16(r, 26) + le16(r, 28),
	};
	return true;
}

/* No directory, or a lying one: what stands in the archive itself. Members
 * whose size comes behind them (bit 3) are sought by their signature. */
static void
zip_by_locals(struct scan *s, struct attachment *x, struct str zip)
{
	struct zip_member m;
	size_t at = 0;

	while (at < zip.n) {
		ptrdiff_t next = str_find(str_sub(zip, at, zip.n),
		    STR("PK\3\4"));

		if (next < 0)
			return;
		at += (size_t)next;
		if (!zip_local(zip, at, &m))
			return;
		if (m.flags & 8 && m.packed == 0)
			m.packed = (uint32_t)(zip.n - (m.data < zip.n ? m.data :
			    zip.n));
		zip_add(s, x, zip, &m);
		if (s->out->flags & ATTACHMENT_CUT)
			return;
		at = m.data + (m.flags & 8 ? 0 : m.packed);
	}
}

static bool
is_central(struct str zip, size_t at)
{
	return str_starts(str_sub(zip, at, 4), STR("PK\1\2"));
}

/* One member of the directory, whose record r is; offsets in it count from
 * `shift`. */
static void
zip_listed(struct scan *s, struct attachment *x, struct str zip, size_t shift,
    struct str r)
{
	struct zip_member m = {
		.flags = le16(r, 8), .method = le16(r, 10),
		.packed = le32(r, 20), .size = le32(r, 24),
		.name = str_sub(r, ZIP_CENTRAL, le16(r, 28)),
	}, local;

	/* Readers differ in whom they believe: where the two records do not
	 * agree, something hides. */
	if (!zip_local(zip, shift + le32(r, 42), &local)) {
		x->flags |= ATTACHMENT_BROKEN;
		m.data = zip.n;
	} else {
		m.data = local.data;
		if (!str_eq(local.name, m.name) || local.method != m.method ||
		    (local.flags & 1) != (m.flags & 1)) {
			x->flags |= ATTACHMENT_BROKEN;
			zip_add(s, x, zip, &local);
		}
	}
	zip_add(s, x, zip, &m);
}

/* The directory that an end record tells of; how many members it has. */
static unsigned
zip_directory(struct scan *s, struct attachment *x, struct str zip, size_t end)
{
	unsigned count = le16(zip, end + 10), i;
	size_t size = le32(zip, end + 12), first = le32(zip, end + 16);
	size_t at, shift;

	if (size > end || first > end - size)
		return 0;
	/* Offsets count from where the archive begins, which is not where the
	 * file does when a program stands before it. */
	at = end - size;
	shift = at - first;
	if (!is_central(zip, at) && is_central(zip, first)) {
		/* Of a large archive more records stand between. */
		if (end < ZIP64_LOCATOR || !str_starts(str_sub(zip, end -
		    ZIP64_LOCATOR, 4), STR("PK\6\7")))
			x->flags |= ATTACHMENT_BROKEN;
		at = first;
		shift = 0;
	}
	/* Some go by the count, some by the size, some by what is there. */
	for (i = 0; at < end && (i < count || is_central(zip, at)); i++) {
		struct str r = str_sub(zip, at, end - at);

		if (r.n < ZIP_CENTRAL || !is_central(r, 0))
			break;
		zip_listed(s, x, zip, shift, r);
		if (s->out->flags & ATTACHMENT_CUT &&
		    s->out->n == ATTACHMENT_COUNT_MAX)
			return i + 1;
		at += ZIP_CENTRAL + (size_t)le16(r, 28) + le16(r, 30) +
		    le16(r, 32);
	}
	if (i != count || at > end)
		x->flags |= ATTACHMENT_BROKEN;
	return i;
}

static void
zip_members(struct scan *s, struct attachment *x, struct str zip)
{
	ptrdiff_t last = find_end(zip), end = last;
	unsigned listed = last < 0 ? 0 : zip_directory(s, x, zip, (size_t)last);

	/* An end record in the comment of another one: which of them counts
	 * is a matter of taste, so both do. */
	while (last >= 0 && !(s->out->flags & ATTACHMENT_CUT) &&
	    (end = find_end_before(zip, (size_t)end)) >= 0)
		if ((size_t)end + ZIP_END + le16(zip, (size_t)end + 20) >
		    (size_t)last) {
			x->flags |= ATTACHMENT_BROKEN;
			listed += zip_directory(s, x, zip, (size_t)end);
		}
	if (listed == 0 && (last < 0 || str_find(zip, STR("PK\3\4")) >= 0)) {
		x->flags |= ATTACHMENT_BROKEN;
		zip_by_locals(s, x, zip);
	}
}

static void
gzip_member(struct scan *s, struct attachment *archive, struct str gz)
{
	struct attachment *x = add(s, archive->part, archive);
	struct str name = archive->name;
	size_t at = 10;

	if (!x)
		return;
	/* RFC 1952 2.3: the name inside, else the archive's without ".gz". */
	if (str_ends(name, STR(".gz")))
		name = str_sub(name, 0, name.n - 3);
	if (gz.n > 12 && gz.p[3] & 4)
		at += 2 + (size_t)le16(gz, 10);
	if (gz.n > 10 && gz.p[3] & 8 && at < gz.n) {
		struct str raw = str_sub(gz, at, ATTACHMENT_NAME_MAX);
		ptrdiff_t nul = str_chr(raw, '\0');

		if (nul > 0)
			name = member_name(s, str_sub(raw, 0, (size_t)nul),
			    false);
	}
	set_name(s, x, name);
	if (gz.n > 18)
		x->size = le32(gz, gz.n - 4);
	if (x->size > ATTACHMENT_RATIO_FROM &&
	    x->size / gz.n > ATTACHMENT_RATIO_MAX)
		x->flags |= ATTACHMENT_BOMB;
	else
		member_bytes(s, x, gz, 31);
	s->out->flags |= x->flags;
	archive->flags |= x->flags & (ATTACHMENT_CUT | ATTACHMENT_BOMB |
	    ATTACHMENT_BROKEN);
}

static void
look_into(struct scan *s, struct attachment *x, struct str bytes)
{
	bool zip = is_zip(bytes), gzip = !zip && is_gzip(bytes);

	/* A zip is read from its end: one that begins as something else, such
	 * as a program or a picture, is a zip to whoever opens it as one. */
	if (!zip && !gzip) {
		ptrdiff_t end = find_end(bytes);

		zip = end > 0 && (is_central(bytes, le32(bytes,
		    (size_t)end + 16)) || is_central(bytes, (size_t)end -
		    (le32(bytes, (size_t)end + 12) < (size_t)end ?
		    le32(bytes, (size_t)end + 12) : (size_t)end)));
	}
	if (!zip && !gzip)
		return;
	x->flags |= ATTACHMENT_ARCHIVE;
	if (x->depth == ATTACHMENT_DEPTH_MAX)
		x->flags |= ATTACHMENT_CUT;
	else if (zip)
		zip_members(s, x, bytes);
	else
		gzip_member(s, x, bytes);
}

/*
 * A body that says it is text or a page, has no name and is one: it is shown,
 * never opened by its type. Nearly every message has one, and libmagic takes
 * some hundred microseconds to say the same. Empty: libmagic is asked.
 */
static struct str
body_type(const struct attachment *x, struct str bytes)
{
	struct str front = str_sub(bytes, 0, ATTACHMENT_TYPED_BYTES), rest;

	if (x->name.n || (x->part->disposition.value.n &&
	    !str_caseeq(x->part->disposition.value, STR("inline"))) ||
	    !is_text(front))
		return STR("");
	rest = str_trim(front);
	while (rest.n && (rest.p[0] == '\n' || rest.p[0] == '\r'))
		rest = str_trim(str_sub(rest, 1, rest.n));
	if (rest.n == 0)
		return STR("");
	/* What begins like a program, a document or an archive is asked. */
	if (mime_is(x->part, STR("text"), STR("plain")) &&
	    ascii_isalnum(rest.p[0]) && !str_starts(rest, STR("MZ")) &&
	    !str_starts(rest, STR("PK")))
		return STR("text/plain");
	if (mime_is(x->part, STR("text"), STR("html")) &&
	    (str_casestarts(rest, STR("<!doctype html")) ||
	    (rest.p[0] == '<' && rest.n > 1 && ascii_isalpha(rest.p[1]) &&
	    !str_casestarts(rest, STR("<svg")))))
		return STR("text/html");
	return STR("");
}

/* Encoded bytes from which on not everything is decoded that is no archive. */
#define PARTLY_FROM (256u * 1024u)
/* Encoded, this surely holds what libmagic is shown; and this the end record of
 * a zip with its comment. */
#define PARTLY_FRONT (2u * ATTACHMENT_TYPED_BYTES)
#define PARTLY_TAIL (100u * 1024u)

/*
 * A large leaf that is no archive, from whichever end: its front is enough to
 * know its type, and a zip behind something else is told by its tail. False:
 * all of it has to be decoded.
 */
static bool
decode_partly(struct scan *s, struct attachment *x, struct str body)
{
	struct str tail = str_sub(body, body.n - PARTLY_TAIL, PARTLY_TAIL);
	size_t total, behind;
	bool one, any;

	total = transfer_base64_count(body, &one);
	if (!one)
		return false;
	behind = transfer_base64_count(tail, &any);
	/* Where a group of four begins. */
	tail = transfer_base64_skip(tail, (4 - (total - behind) % 4) % 4);
	buf_reset(&s->decoded);
	if (transfer_decode(TRANSFER_BASE64, tail, &s->decoded) < 0 ||
	    s->decoded.n < ZIP_END + ZIP_COMMENT_MAX ||
	    find_end(buf_str(&s->decoded)) >= 0)
		return false;
	buf_reset(&s->decoded);
	if (transfer_decode(TRANSFER_BASE64, str_sub(body, 0, PARTLY_FRONT),
	    &s->decoded) < 0 || s->decoded.n < ATTACHMENT_TYPED_BYTES ||
	    is_zip(buf_str(&s->decoded)) || is_gzip(buf_str(&s->decoded)))
		return false;
	x->size = total / 4 * 3 + total % 4 * 3 / 4;
	return true;
}

static void
scan_leaf(struct scan *s, const struct mime_part *p)
{
	struct attachment *x = add(s, p, NULL);
	struct str bytes = p->body;
	bool whole = true;

	if (!x)
		return;
	if (p->encoding == TRANSFER_BASE64 || p->encoding == TRANSFER_QP) {
		if (p->encoding == TRANSFER_BASE64 && bytes.n >= PARTLY_FROM)
			whole = !decode_partly(s, x, bytes);
		if (whole) {
			buf_reset(&s->decoded);
			if (mime_decode(p, &s->decoded) < 0)
				x->flags |= ATTACHMENT_CUT;
		}
		bytes = buf_str(&s->decoded);
	} else if (p->encoding == TRANSFER_UNKNOWN &&
	    !mime_is(p, STR("text"), STR(""))) {
		/* Who knows what it is? Of a text it is a slip ("8-bit"). */
		x->flags |= ATTACHMENT_CUT;
	}
	set_names(s, x, p);
	x->declared = p->type.value;
	if (whole)
		x->size = bytes.n;
	x->type = body_type(x, bytes);
	if (x->type.n == 0)
		set_type(s, x, bytes);
	if (whole)
		look_into(s, x, bytes);
	s->out->flags |= x->flags;
}

void
attachment_scan(const struct attachment_typer *t, struct arena *a,
    const struct mime_tree *tree, struct attachments *list_r)
{
	struct scan s = { .typer = t, .arena = a, .out = list_r };

	buf_init(&s.decoded, ATTACHMENT_BYTES_MAX);
	*list_r = (struct attachments){ .flags = tree->cut ? ATTACHMENT_CUT : 0 };
	if (!tree->root)
		return;
	for (const struct mime_part *p = tree->root; p;
	    p = mime_next(tree->root, p))
		if (p->kind == MIME_LEAF)
			scan_leaf(&s, p);
	buf_release(&s.decoded);
}
