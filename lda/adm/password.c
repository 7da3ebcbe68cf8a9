#include "lda/adm/password.h"

#include <crypt.h>
#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "store/base/file.h"

/* yescrypt with libcrypt's cost: what Debian gives its own users. */
#define PASSWORD_PREFIX "$y$"
#define PASSWORD_SCHEME "{CRYPT}"

/* Schemes that are crypt(3)'s under another name, as Dovecot writes them. */
static const char *const crypt_schemes[] = {
	"{CRYPT}", "{SHA512-CRYPT}", "{SHA256-CRYPT}", "{BLF-CRYPT}",
	"{MD5-CRYPT}", "{DES-CRYPT}",
};

/* Whether a password has this hash; the time does not tell how much of the
 * hash was right. */
static bool
has_hash(struct str plain, const char *want)
{
	char phrase[PASSWORD_MAX + 1];
	struct crypt_data data = { .initialized = 0 };
	const char *hash;
	unsigned int differ = 0;
	size_t n = strlen(want);

	memcpy(phrase, plain.p, plain.n);
	phrase[plain.n] = '\0';
	hash = crypt_rn(phrase, want, &data, sizeof(data));
	explicit_bzero(phrase, sizeof(phrase));
	if (hash == NULL || hash[0] == '*' || strlen(hash) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)hash[i] ^ (unsigned char)want[i];
	return differ == 0;
}

int
password_is(struct adm *a, struct str plain, struct str stored, bool *is_r,
    struct verdict *v)
{
	char hash[CRYPT_OUTPUT_SIZE];
	bool known = stored.n == 0;

	*is_r = false;
	if (plain.n == 0 || plain.n > PASSWORD_MAX ||
	    memchr(plain.p, '\0', plain.n) != NULL)
		return 0;
	for (size_t i = 0; i < sizeof(crypt_schemes) /
	    sizeof(crypt_schemes[0]) && !known; i++) {
		struct str scheme = str_of(crypt_schemes[i]);

		if (str_casestarts(stored, scheme)) {
			stored = str_sub(stored, scheme.n, stored.n);
			known = true;
		}
	}
	if (!known || stored.n >= sizeof(hash))
		return verdict_set(v, V_POLICY, "the present password is kept "
		    "in a form that crypt(3) does not know");
	if (stored.n == 0)
		/* Only for the time that it takes. */
		return password_hash(a, plain, &stored, v);
	memcpy(hash, stored.p, stored.n);
	hash[stored.n] = '\0';
	*is_r = has_hash(plain, hash);
	return 0;
}

int
password_hash(struct adm *a, struct str plain, struct str *hash_r,
    struct verdict *v)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], phrase[PASSWORD_MAX + 1];
	struct crypt_data data = { .initialized = 0 };
	const char *hash = NULL;
	struct buf out;

	if (plain.n == 0 || plain.n > PASSWORD_MAX ||
	    memchr(plain.p, '\0', plain.n) != NULL)
		return verdict_set(v, V_USAGE, "password is empty, longer than "
		    "%d bytes, or holds a NUL", PASSWORD_MAX);
	memcpy(phrase, plain.p, plain.n);
	phrase[plain.n] = '\0';
	if (crypt_gensalt_rn(PASSWORD_PREFIX, 0, NULL, 0, setting,
	    sizeof(setting)) != NULL)
		hash = crypt_rn(phrase, setting, &data, sizeof(data));
	explicit_bzero(phrase, sizeof(phrase));
	if (hash == NULL)
		return verdict_errno(v, errno, "crypt");
	buf_init(&out, PASSWORD_MAX + CRYPT_OUTPUT_SIZE);
	(void)buf_addz(&out, PASSWORD_SCHEME);
	(void)buf_addz(&out, hash);
	*hash_r = arena_copy(&a->arena, buf_str(&out));
	buf_release(&out);
	return 0;
}

/* A line without its end; what is longer than a password is refused by its
 * hash. Byte by byte: what follows belongs to somebody else. */
static int
read_line(struct adm *a, struct str *line_r, struct verdict *v)
{
	struct buf line;
	ssize_t n;
	char c;

	buf_init(&line, PASSWORD_MAX + 2);
	while ((n = file_read_full(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
		if (buf_addc(&line, c) < 0)
			break;
	if (n < 0) {
		buf_release(&line);
		return verdict_errno(v, errno, "standard input");
	}
	*line_r = arena_copy(&a->arena, buf_str(&line));
	explicit_bzero(line.p, line.n);
	buf_release(&line);
	if (line_r->n > 0 && line_r->p[line_r->n - 1] == '\r')
		line_r->n--;
	return 0;
}

static int
ask(struct adm *a, const char *prompt, struct str *line_r, struct verdict *v)
{
	struct termios was, silent;
	int r;

	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return verdict_errno(v, errno, "terminal");
	silent = was;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0)
		return verdict_errno(v, errno, "terminal");
	/* A prompt that nobody sees: the answer is refused below. */
	(void)file_write_all(STDERR_FILENO, prompt, strlen(prompt));
	r = read_line(a, line_r, v);
	(void)file_write_all(STDERR_FILENO, "\n", 1);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was); /* it worked before */
	return r;
}

int
password_line(struct adm *a, const char *prompt, struct str *line_r,
    struct verdict *v)
{
	if (isatty(STDIN_FILENO) == 1)
		return ask(a, prompt, line_r, v);
	return read_line(a, line_r, v);
}

int
password_read(struct adm *a, struct str *plain_r, struct verdict *v)
{
	struct str again;

	if (isatty(STDIN_FILENO) != 1)
		return read_line(a, plain_r, v);
	if (ask(a, "New password: ", plain_r, v) < 0 ||
	    ask(a, "Once more: ", &again, v) < 0)
		return -1;
	if (!str_eq(*plain_r, again))
		return verdict_set(v, V_USAGE, "the two passwords differ");
	return 0;
}

/* What goes into the directory: one line, no colon. */
static bool
is_storable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) || s.p[i] == ':' || s.p[i] == ' ')
			return false;
	return true;
}

int
password_options(struct adm *a, struct str *password_r, struct verdict *v)
{
	const char *hash = adm_option(a, "password-hash");
	struct str plain;

	if (adm_option(a, "no-password") != NULL)
		*password_r = STR("");
	if (hash != NULL) {
		if (!is_storable(str_of(hash)))
			return verdict_set(v, V_USAGE, "--password-hash: holds "
			    "a space, a colon or a control character");
		return password_adopt(a, str_of(hash), password_r, v);
	}
	if (adm_option(a, "password-stdin") != NULL) {
		if (password_read(a, &plain, v) < 0)
			return -1;
		return password_hash(a, plain, password_r, v);
	}
	return 0;
}

int
password_adopt(struct adm *a, struct str text, struct str *hash_r,
    struct verdict *v)
{
	struct buf out;

	if (text.n == 0 || text.p[0] == '*' || text.p[0] == '!' ||
	    str_eq(text, STR("x"))) {
		*hash_r = STR("");
		return 0;
	}
	if (text.p[0] == '{') {
		if (!is_storable(text))
			return verdict_set(v, V_BAD_ADDRESS,
			    "password holds a space or a colon");
		*hash_r = text;
		return 0;
	}
	if (text.p[0] != '$' || !is_storable(text))
		return password_hash(a, text, hash_r, v);
	buf_init(&out, PASSWORD_MAX + CRYPT_OUTPUT_SIZE);
	(void)buf_addz(&out, PASSWORD_SCHEME);
	(void)buf_adds(&out, text);
	*hash_r = arena_copy(&a->arena, buf_str(&out));
	buf_release(&out);
	return 0;
}
