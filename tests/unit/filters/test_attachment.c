/* Attachments: real types, archives, and what hostile ones try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "filters/attachment.h"
#include "filters/content.h"
#include "filters/message/message.h"
#include "store/base/buf.h"

#define LIMIT ((size_t)64 << 20)
#define DATABASE "/usr/share/misc/magic.mgc"

#define PDF "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"

static struct attachment_typer typer;

/* A DOS and PE header: enough for libmagic to call it a program. */
static struct str
exe(void)
{
	static char b[512];

	memcpy(b, "MZ\x90", 4);
	b[0x18] = 0x40;
	b[0x3c] = (char)0x80;
	memcpy(b + 0x80, "PE\0\0\x4c\x01", 6);
	b[0x80 + 20] = (char)0xe0;
	b[0x80 + 22] = 2;
	b[0x80 + 24] = 0x0b;
	b[0x80 + 25] = 1;
	b[0x80 + 24 + 68] = 2;
	return str_mem(b, sizeof(b));
}

/* --- archives made by hand --- */

static void
put16(struct buf *b, unsigned v)
{
	char c[2] = { (char)(v & 0xff), (char)(v >> 8 & 0xff) };

	(void)buf_add(b, c, 2);
}

static void
put32(struct buf *b, size_t v)
{
	put16(b, (unsigned)(v & 0xffff));
	put16(b, (unsigned)(v >> 16 & 0xffff));
}

static void
deflated(struct str in, int window, struct buf *out)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)in.p,
	    .avail_in = (unsigned)in.n };
	static char chunk[65536];
	int r;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8,
	    Z_DEFAULT_STRATEGY), Z_OK);
	do {
		z.next_out = (unsigned char *)chunk;
		z.avail_out = sizeof(chunk);
		r = deflate(&z, Z_FINISH);
		(void)buf_add(out, chunk, sizeof(chunk) - z.avail_out);
	} while (r == Z_OK);
	assert_int_equal(r, Z_STREAM_END);
	(void)deflateEnd(&z);
}

struct zip {
	struct buf body, directory;
	unsigned count;
};

static void
zip_init(struct zip *z)
{
	buf_init(&z->body, LIMIT);
	buf_init(&z->directory, LIMIT);
	z->count = 0;
}

struct member {
	const char *name, *local_name;
	struct str data;
	unsigned flags;
	bool store;
	size_t claim;		/* size that is told; 0: the true one */
};

static void
zip_put(struct zip *z, const struct member *m)
{
	struct buf packed;
	size_t at = z->body.n, size = m->claim ? m->claim : m->data.n;
	struct str name = str_of(m->name);
	struct str local = m->local_name ? str_of(m->local_name) : name;

	buf_init(&packed, LIMIT);
	if (m->store)
		(void)buf_adds(&packed, m->data);
	else
		deflated(m->data, -15, &packed);
	(void)buf_add(&z->body, "PK\3\4", 4);
	put16(&z->body, 20);
	put16(&z->body, m->flags);
	put16(&z->body, m->store ? 0 : 8);
	put32(&z->body, 0);
	put32(&z->body, 0);
	put32(&z->body, packed.n);
	put32(&z->body, size);
	put16(&z->body, (unsigned)local.n);
	put16(&z->body, 0);
	(void)buf_adds(&z->body, local);
	(void)buf_adds(&z->body, buf_str(&packed));
	(void)buf_add(&z->directory, "PK\1\2", 4);
	put16(&z->directory, 20);
	put16(&z->directory, 20);
	put16(&z->directory, m->flags);
	put16(&z->directory, m->store ? 0 : 8);
	put32(&z->directory, 0);
	put32(&z->directory, 0);
	put32(&z->directory, packed.n);
	put32(&z->directory, size);
	put16(&z->directory, (unsigned)name.n);
	put16(&z->directory, 0);
	put16(&z->directory, 0);
	put16(&z->directory, 0);
	put16(&z->directory, 0);
	put32(&z->directory, 0);
	put32(&z->directory, at);
	(void)buf_adds(&z->directory, name);
	z->count++;
	buf_release(&packed);
}

/* Closes the archive into out. */
static void
zip_end(struct zip *z, struct buf *out)
{
	size_t at = z->body.n;

	(void)buf_adds(out, buf_str(&z->body));
	(void)buf_adds(out, buf_str(&z->directory));
	(void)buf_add(out, "PK\5\6", 4);
	put32(out, 0);
	put16(out, z->count);
	put16(out, z->count);
	put32(out, z->directory.n);
	put32(out, at);
	put16(out, 0);
	buf_release(&z->body);
	buf_release(&z->directory);
}

/* --- messages --- */

struct seen {
	struct arena arena;
	struct message m;
	struct buf bytes;
	struct attachments list;
};

/* One attachment in a message, as it stands there; released by done(). */
static void
see_encoded(struct seen *s, const char *name, struct str encoded)
{
	arena_init(&s->arena, LIMIT);
	buf_init(&s->bytes, LIMIT * 2);
	(void)buf_addf(&s->bytes, "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\nhello, fred\n--b\nContent-Type: application/x-said\n"
	    "Content-Disposition: attachment; filename=\"%s\"\n"
	    "Content-Transfer-Encoding: base64\n\n", name);
	(void)buf_adds(&s->bytes, encoded);
	(void)buf_addz(&s->bytes, "--b--\n");
	message_init(&s->m, &s->arena, buf_str(&s->bytes));
	attachment_scan(&typer, &s->arena, message_mime(&s->m), &s->list);
	assert_true(s->list.n >= 2);
}

static void
see(struct seen *s, const char *name, struct str data)
{
	struct buf encoded;

	buf_init(&encoded, LIMIT * 2);
	assert_int_equal(transfer_base64_encode(data, STR("\n"), &encoded), 0);
	see_encoded(s, name, buf_str(&encoded));
	buf_release(&encoded);
}

static void
done(struct seen *s)
{
	arena_release(&s->arena);
	buf_release(&s->bytes);
}

static void
is(const struct attachment *x, const char *name, const char *type,
    unsigned flags)
{
	if (!str_eq(x->name, str_of(name)) || !str_eq(x->type, str_of(type)) ||
	    x->flags != flags)
		fail_msg("%.*s: %.*s, flags %x; want %s, %x", STR_ARG(x->name),
		    STR_ARG(x->type), x->flags, type, flags);
}

static void
leaves(void **state)
{
	struct seen s;
	struct str program = exe();

	(void)state;
	see(&s, "report.PDF", STR(PDF));
	assert_int_equal(s.list.n, 2);
	is(s.list.list[0], "", "text/plain", 0);
	is(s.list.list[1], "report.PDF", "application/pdf", 0);
	assert_true(str_eq(s.list.list[1]->extension, STR("pdf")));
	assert_true(str_eq(s.list.list[1]->declared,
	    STR("application/x-said")));
	assert_int_equal(s.list.list[1]->size, sizeof(PDF) - 1);
	assert_null(s.list.list[1]->inside);
	done(&s);
	see(&s, "invoice.pdf", program);
	is(s.list.list[1], "invoice.pdf",
	    "application/vnd.microsoft.portable-executable",
	    ATTACHMENT_MISMATCH | ATTACHMENT_EXECUTABLE);
	assert_int_equal(s.list.flags,
	    ATTACHMENT_MISMATCH | ATTACHMENT_EXECUTABLE);
	done(&s);
	see(&s, "a.exe. .", STR("x"));
	assert_true(str_eq(s.list.list[1]->extension, STR("exe")));
	done(&s);
	see(&s, "../a.b/c", STR("x"));
	assert_int_equal(s.list.list[1]->extension.n, 0);
	done(&s);
	see(&s, "empty", STR(""));
	is(s.list.list[1], "empty", "application/x-empty", 0);
	done(&s);
}

static void
members(void **state)
{
	struct seen s;
	struct zip z;
	struct buf b, inner;

	(void)state;
	buf_init(&b, LIMIT);
	buf_init(&inner, LIMIT);
	zip_init(&z);
	zip_put(&z, &(struct member){ "a/", NULL, STR(""), 0, true, 0 });
	zip_put(&z, &(struct member){ "a/x.pdf", NULL, exe(), 0, false, 0 });
	zip_put(&z, &(struct member){ "b.sh", NULL,
	    STR("#!/bin/sh\nrm -rf /\n"), 0, true, 0 });
	zip_put(&z, &(struct member){ "\x84.txt", NULL, STR("text\n"), 0,
	    false, 0 });
	zip_end(&z, &inner);
	see(&s, "x.zip", buf_str(&inner));
	assert_int_equal(s.list.n, 6);
	is(s.list.list[1], "x.zip", "application/zip", ATTACHMENT_ARCHIVE);
	is(s.list.list[2], "a/", "", 0);
	assert_int_equal(s.list.list[3]->flags,
	    ATTACHMENT_MISMATCH | ATTACHMENT_EXECUTABLE);
	assert_ptr_equal(s.list.list[3]->inside, s.list.list[1]);
	is(s.list.list[4], "b.sh", "text/x-shellscript",
	    ATTACHMENT_EXECUTABLE);
	is(s.list.list[5], "\xc3\xa4.txt", "text/plain", 0);
	done(&s);

	/* A zip in a gzip in a zip. */
	deflated(buf_str(&inner), 31, &b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "in.zip.gz", NULL, buf_str(&b), 0, false,
	    0 });
	buf_reset(&b);
	zip_end(&z, &b);
	see(&s, "out.zip", buf_str(&b));
	assert_int_equal(s.list.n, 8);
	is(s.list.list[3], "in.zip", "application/zip", ATTACHMENT_ARCHIVE);
	assert_int_equal(s.list.list[5]->depth, 3);
	assert_true(s.list.list[5]->flags & ATTACHMENT_EXECUTABLE);
	done(&s);

	/* Behind a program: a zip to whoever opens it as one. */
	buf_reset(&b);
	(void)buf_adds(&b, exe());
	(void)buf_adds(&b, buf_str(&inner));
	see(&s, "setup.exe", buf_str(&b));
	assert_int_equal(s.list.n, 6);
	assert_true(s.list.list[1]->flags & ATTACHMENT_ARCHIVE);
	assert_true(s.list.list[1]->flags & ATTACHMENT_EXECUTABLE);
	assert_false(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);
	buf_release(&b);
	buf_release(&inner);
}

static void
hostile_archives(void **state)
{
	struct seen s;
	struct zip z;
	struct buf b, zeros;
	static char megabyte[1 << 20];

	(void)state;
	buf_init(&b, LIMIT);
	buf_init(&zeros, LIMIT);
	for (int i = 0; i < 20; i++)
		(void)buf_add(&zeros, megabyte, sizeof(megabyte));

	zip_init(&z);
	zip_put(&z, &(struct member){ "secret.exe", NULL, STR("xxxx"), 1, true,
	    0 });
	zip_end(&z, &b);
	see(&s, "e.zip", buf_str(&b));
	is(s.list.list[2], "secret.exe", "", ATTACHMENT_ENCRYPTED);
	assert_true(s.list.list[1]->flags & ATTACHMENT_ENCRYPTED);
	done(&s);

	buf_reset(&b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "bomb", NULL, buf_str(&zeros), 0, false,
	    0 });
	zip_end(&z, &b);
	see(&s, "bomb.zip", buf_str(&b));
	assert_true(s.list.flags & ATTACHMENT_BOMB);
	assert_int_equal(s.list.unpacked, 0);
	done(&s);

	/* The same, lying about its size; and in a gzip. */
	buf_reset(&b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "bomb", NULL, buf_str(&zeros), 0, false,
	    10 });
	zip_end(&z, &b);
	see(&s, "bomb.zip", buf_str(&b));
	assert_true(s.list.flags & ATTACHMENT_BROKEN);
	assert_true(s.list.unpacked < 200000);
	done(&s);
	buf_reset(&b);
	deflated(buf_str(&zeros), 31, &b);
	see(&s, "bomb.gz", buf_str(&b));
	assert_true(s.list.flags & ATTACHMENT_BOMB);
	done(&s);

	/* Many members: the message's budget ends it. */
	buf_reset(&b);
	zip_init(&z);
	for (int i = 0; i < 3000; i++)
		zip_put(&z, &(struct member){ "m", NULL,
		    str_sub(buf_str(&zeros), 0, 60000), 0, false, 0 });
	zip_end(&z, &b);
	see(&s, "many.zip", buf_str(&b));
	assert_int_equal(s.list.n, ATTACHMENT_COUNT_MAX);
	assert_true(s.list.flags & ATTACHMENT_CUT);
	assert_true(s.list.unpacked <= ATTACHMENT_UNPACKED_MAX + 65536);
	done(&s);

	/* Two names for one member. */
	buf_reset(&b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "a.txt", "a.exe", exe(), 0, false, 0 });
	zip_end(&z, &b);
	see(&s, "two.zip", buf_str(&b));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	assert_int_equal(s.list.n, 4);
	is(s.list.list[2], "a.exe", s.list.list[3]->type.p,
	    ATTACHMENT_EXECUTABLE);
	done(&s);

	/* Cut anywhere: no crash, and the first member is seen. */
	buf_reset(&b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "a.exe", NULL, exe(), 0, false, 0 });
	zip_put(&z, &(struct member){ "b.txt", NULL, STR("text"), 0, true, 0 });
	zip_end(&z, &b);
	for (size_t n = 0; n < b.n; n++) {
		see(&s, "cut.zip", str_sub(buf_str(&b), 0, n));
		if (n >= 40) {
			assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
			assert_true(s.list.n >= 3);
		}
		done(&s);
	}
	/* And with each byte turned. */
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] = (char)~b.p[i];
		see(&s, "odd.zip", buf_str(&b));
		done(&s);
		b.p[i] = (char)~b.p[i];
	}

	/* Zips in zips in zips ... */
	for (int i = 0; i < 6; i++) {
		struct str in = buf_str(&b);
		struct buf next;

		zip_init(&z);
		zip_put(&z, &(struct member){ "in.zip", NULL, in, 0, true, 0 });
		buf_init(&next, LIMIT);
		zip_end(&z, &next);
		buf_release(&b);
		b = next;
	}
	see(&s, "deep.zip", buf_str(&b));
	assert_true(s.list.flags & ATTACHMENT_CUT);
	assert_int_equal(s.list.n, 2 + ATTACHMENT_DEPTH_MAX);
	done(&s);
	buf_release(&b);
	buf_release(&zeros);
}

/* Random bytes are no program, though libmagic says so of one in a hundred; what
 * is called one is. */
static void
random_bytes(void **state)
{
	char b[600];
	uint32_t seed = 5;
	struct seen s;
	size_t programs = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		for (size_t k = 0; k < sizeof(b); k++) {
			seed = seed * 1664525u + 1013904223u;
			b[k] = (char)(seed >> 24);
		}
		see(&s, i % 2 ? "x.com" : "x.dat", str_mem(b, sizeof(b)));
		if (i % 2)
			programs += (s.list.flags & ATTACHMENT_EXECUTABLE) != 0;
		else
			assert_false(s.list.flags & ATTACHMENT_EXECUTABLE);
		done(&s);
	}
	assert_true(programs > 0);
}

/* An end record without a comment. */
static void
put_end(struct buf *b, unsigned count, size_t size, size_t first,
    unsigned comment)
{
	(void)buf_add(b, "PK\5\6", 4);
	put32(b, 0);
	put16(b, count);
	put16(b, count);
	put32(b, size);
	put32(b, first);
	put16(b, comment);
}

static bool
sees_program(const struct seen *s)
{
	for (size_t i = 0; i < s->list.n; i++)
		if (s->list.list[i]->inside &&
		    s->list.list[i]->flags & ATTACHMENT_EXECUTABLE)
			return true;
	return false;
}

/* Archives that show a look-out one thing and an unpacker another one. */
static void
hiding_archives(void **state)
{
	struct seen s;
	struct zip z;
	struct buf b, in;
	size_t directory, n;

	(void)state;
	buf_init(&b, LIMIT);
	buf_init(&in, LIMIT);
	zip_init(&z);
	zip_put(&z, &(struct member){ "a.txt", NULL, STR("text"), 0, true, 0 });
	zip_put(&z, &(struct member){ "b.exe", NULL, exe(), 0, false, 0 });
	zip_end(&z, &b);
	n = b.n;
	directory = (unsigned char)b.p[n - 6] | (size_t)(unsigned char)
	    b.p[n - 5] << 8;

	/* Behind it, or in its comment, the end of an archive of nothing. */
	put_end(&b, 0, 0, 0, 0);
	see(&s, "x.zip", buf_str(&b));
	assert_true(sees_program(&s));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);
	b.p[n - 2] = 22;
	see(&s, "x.zip", buf_str(&b));
	assert_true(sees_program(&s));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);

	/* In its comment one that tells of the harmless member alone. */
	buf_cut(&b, n);
	put_end(&b, 1, n - directory, directory, 0);
	see(&s, "x.zip", buf_str(&b));
	assert_true(sees_program(&s));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);

	/* A count that leaves out the last one; a size that is too small. */
	buf_cut(&b, n);
	b.p[n - 2] = 0;
	b.p[n - 12] = b.p[n - 14] = 1;
	see(&s, "x.zip", buf_str(&b));
	assert_true(sees_program(&s));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);
	b.p[n - 12] = b.p[n - 14] = 2;
	b.p[n - 10] = 3;
	see(&s, "x.zip", buf_str(&b));
	assert_true(sees_program(&s));
	assert_true(s.list.list[1]->flags & ATTACHMENT_BROKEN);
	done(&s);

	/* An archive of nothing is whole, and so is one in one. */
	buf_reset(&b);
	put_end(&b, 0, 0, 0, 0);
	see(&s, "x.zip", buf_str(&b));
	assert_int_equal(s.list.n, 2);
	assert_false(s.list.flags & ATTACHMENT_BROKEN);
	done(&s);
	zip_init(&z);
	zip_put(&z, &(struct member){ "e.zip", NULL, buf_str(&b), 0, true, 0 });
	zip_end(&z, &in);
	see(&s, "x.zip", buf_str(&in));
	assert_int_equal(s.list.n, 3);
	assert_false(s.list.flags & ATTACHMENT_BROKEN);
	done(&s);

	/* Whoever unpacks "b.exe\0.txt" with a string of C has b.exe. */
	buf_reset(&b);
	zip_init(&z);
	zip_put(&z, &(struct member){ "b.exe?.txt", NULL, STR("x"), 0, true,
	    0 });
	zip_end(&z, &b);
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] == '?')
			b.p[i] = '\0';
	see(&s, "x.zip", buf_str(&b));
	assert_true(str_eq(s.list.list[2]->name, STR("b.exe")));
	assert_true(str_eq(s.list.list[2]->extension, STR("exe")));
	done(&s);
	buf_release(&b);
	buf_release(&in);
}

/* A thousand members, all of the same megabyte, in which nothing is packed:
 * millions of empty blocks for whoever reads it each time. */
static void
overlapping_members(void **state)
{
	static const char empty_block[5] = { 0, 0, 0, (char)0xff, (char)0xff };
	struct buf b;
	struct seen s;
	size_t directory;

	(void)state;
	buf_init(&b, LIMIT);
	(void)buf_add(&b, "PK\3\4", 4);
	put16(&b, 20);
	put16(&b, 0);
	put16(&b, 8);
	put32(&b, 0);
	put32(&b, 0);
	put32(&b, 1000000);
	put32(&b, 10);
	put16(&b, 1);
	put16(&b, 0);
	(void)buf_addc(&b, 'a');
	for (int i = 0; i < 200000; i++)
		(void)buf_add(&b, empty_block, sizeof(empty_block));
	directory = b.n;
	for (int i = 0; i < 1000; i++) {
		(void)buf_add(&b, "PK\1\2", 4);
		put16(&b, 20);
		put16(&b, 20);
		put16(&b, 0);
		put16(&b, 8);
		put32(&b, 0);
		put32(&b, 0);
		put32(&b, 1000000);
		put32(&b, 10);
		put16(&b, 1);
		put16(&b, 0);
		put16(&b, 0);
		put16(&b, 0);
		put16(&b, 0);
		put32(&b, 0);
		put32(&b, 0);
		(void)buf_addc(&b, 'a');
	}
	put_end(&b, 1000, b.n - directory, directory, 0);
	see(&s, "x.zip", buf_str(&b));
	/* Which member got none of the time is told, and so is how many. */
	assert_true(s.list.flags & ATTACHMENT_CUT);
	for (size_t i = 2; i < s.list.n; i++)
		assert_true((s.list.list[i]->flags & ATTACHMENT_CUT) ||
		    i < 2 + ATTACHMENT_UNPACKED_MAX / 1000000 + 2);
	done(&s);
	buf_release(&b);
}

/* Of a large one both ends are looked at; size, type and what hides behind it are
 * as if all had been. */
static void
large_leaves(void **state)
{
	struct buf plain, encoded, odd, zip;
	uint32_t seed = 1;
	struct seen s;
	struct zip z;

	(void)state;
	buf_init(&plain, LIMIT);
	buf_init(&encoded, LIMIT);
	buf_init(&odd, LIMIT);
	buf_init(&zip, LIMIT);
	zip_init(&z);
	zip_put(&z, &(struct member){ "a.exe", NULL, exe(), 0, false, 0 });
	zip_end(&z, &zip);
	(void)buf_add(&plain, "\xff\xd8\xff\xe0", 4);
	for (int i = 0; i < 400000; i++) {
		seed = seed * 1664525u + 1013904223u;
		(void)buf_addc(&plain, (char)(seed >> 24));
	}
	for (size_t k = 0; k < 9; k++) {
		buf_cut(&plain, 400000 - k);
		see(&s, "a.jpg", buf_str(&plain));
		assert_int_equal(s.list.list[1]->size, plain.n);
		is(s.list.list[1], "a.jpg", "image/jpeg", 0);
		assert_int_equal(s.list.n, 2);
		done(&s);

		/* A zip behind it, at any phase of the encoding. */
		(void)buf_adds(&plain, buf_str(&zip));
		buf_reset(&encoded);
		(void)transfer_base64_encode(buf_str(&plain), STR("\n"), &encoded);
		see_encoded(&s, "a.jpg", buf_str(&encoded));
		assert_int_equal(s.list.n, 3);
		is(s.list.list[2], "a.exe", s.list.list[2]->type.p,
		    ATTACHMENT_EXECUTABLE);
		done(&s);

		/* With signs between that decoders pass over. */
		buf_reset(&odd);
		for (size_t i = 0; i < encoded.n; i++) {
			(void)buf_addc(&odd, encoded.p[i]);
			if (i % (97 + k) == 0)
				(void)buf_addz(&odd, k % 2 ? "-_\xff" : " !");
		}
		see_encoded(&s, "a.jpg", buf_str(&odd));
		assert_int_equal(s.list.n, 3);
		assert_int_equal(s.list.list[1]->size, plain.n);
		done(&s);

		/* And with padding in the middle, which moves what follows. */
		buf_reset(&odd);
		(void)transfer_base64_encode(str_sub(buf_str(&plain), 0,
		    200000 + k), STR("\n"), &odd);
		(void)transfer_base64_encode(str_sub(buf_str(&plain), 200000 + k,
		    plain.n), STR("\n"), &odd);
		see_encoded(&s, "a.jpg", buf_str(&odd));
		assert_int_equal(s.list.n, 3);
		assert_int_equal(s.list.list[1]->size, plain.n);
		done(&s);
	}
	buf_release(&plain);
	buf_release(&encoded);
	buf_release(&odd);
	buf_release(&zip);
}

/* Some readers save a file as its disposition has it, others as its type. */
static void
two_names(void **state)
{
	static const struct {
		const char *type, *filename, *rule;
		enum content_act want;
	} cases[] = {
		{ "evil.js", "invoice.pdf", "reject extension js",
		    CONTENT_REJECT },
		{ "invoice.pdf", "evil.js", "reject extension js",
		    CONTENT_REJECT },
		{ "evil.js", "invoice.pdf", "reject name evil*",
		    CONTENT_REJECT },
		{ "invoice.pdf", "note.txt", "reject mismatch",
		    CONTENT_REJECT },
		{ "a.txt", "b.txt", "reject extension js", CONTENT_ACCEPT },
		{ "a.txt", "a.txt", "reject mismatch", CONTENT_ACCEPT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct content_finding finding;
		struct content_policy policy;
		struct attachments list;
		struct message m;
		struct buf mail, why;
		struct arena a;

		arena_init(&a, LIMIT);
		buf_init(&mail, LIMIT);
		buf_init(&why, 200);
		(void)buf_addf(&mail, "Content-Type: application/pdf; "
		    "name=\"%s\"\nContent-Disposition: attachment; "
		    "filename=\"%s\"\n\nalert(1)\n", cases[i].type,
		    cases[i].filename);
		message_init(&m, &a, buf_str(&mail));
		attachment_scan(&typer, &a, message_mime(&m), &list);
		assert_int_equal(content_policy_parse(str_of(cases[i].rule),
		    &a, &policy, &why), 0);
		content_judge(&policy, &list, &finding);
		if (finding.act != cases[i].want)
			fail_msg("%s, %s: %s", cases[i].type, cases[i].filename,
			    content_act_word(finding.act));
		buf_release(&mail);
		buf_release(&why);
		arena_release(&a);
	}
}

static void
small_arenas(void **state)
{
	struct zip z;
	struct buf b, mail;

	(void)state;
	buf_init(&b, LIMIT);
	buf_init(&mail, LIMIT);
	zip_init(&z);
	for (int i = 0; i < 20; i++)
		zip_put(&z, &(struct member){ "a.txt", NULL, STR("x"), 0, true,
		    0 });
	zip_end(&z, &b);
	(void)buf_addz(&mail, "Content-Transfer-Encoding: base64\n\n");
	(void)transfer_base64_encode(buf_str(&b), STR("\n"), &mail);
	for (size_t limit = 0; limit < 8000; limit += 100) {
		struct arena a;
		struct message m;
		struct attachments l;

		arena_init(&a, limit);
		message_init(&m, &a, buf_str(&mail));
		attachment_scan(&typer, &a, message_mime(&m), &l);
		assert_true(l.n == 21 || l.flags & ATTACHMENT_CUT ||
		    message_full(&m));
		arena_release(&a);
	}
	buf_release(&b);
	buf_release(&mail);
}

static void
fitting(void **state)
{
	(void)state;
	assert_true(attachment_type_fits(STR("pdf"), STR("application/pdf")));
	assert_false(attachment_type_fits(STR("pdf"), STR("image/png")));
	assert_true(attachment_type_fits(STR("pdf"), STR("")));
	assert_true(attachment_type_fits(STR("pdf"),
	    STR("application/octet-stream")));
	assert_true(attachment_type_fits(STR("xyz"), STR("image/png")));
	assert_true(attachment_type_fits(STR("docx"), STR("application/zip")));
	assert_true(attachment_type_fits(STR(""), STR("application/zip")));
}

static void
broken_database(void **state)
{
	struct attachment_typer t;
	struct verdict v = VERDICT_INIT;

	(void)state;
	assert_int_equal(attachment_typer_open(&t, "/nonexistent/magic", &v), -1);
	assert_int_equal(v.why, V_CONFIG);
	assert_null(t.magic);
	attachment_typer_close(&t);
}

static int
open_typer(void **state)
{
	struct verdict v;

	(void)state;
	return attachment_typer_open(&typer, DATABASE, &v);
}

static int
close_typer(void **state)
{
	(void)state;
	attachment_typer_close(&typer);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves),
		cmocka_unit_test(members),
		cmocka_unit_test(hostile_archives),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(hiding_archives),
		cmocka_unit_test(overlapping_members),
		cmocka_unit_test(large_leaves),
		cmocka_unit_test(two_names),
		cmocka_unit_test(small_arenas),
		cmocka_unit_test(fitting),
		cmocka_unit_test(broken_database),
	};

	return cmocka_run_group_tests(tests, open_typer, close_typer);
}
