#include "lda/maps/answer.h"

#include <string.h>

#include "lda/envelope.h"
#include "lda/gate.h"
#include "lda/maps/socketmap.h"
#include "store/base/buf.h"
#include "store/directory/name.h"

/* What sendmail hands to our mailer: user@domain.virtuser. */
#define PSEUDO_DOMAIN ".virtuser"
#define PREFIX STR("vbox_")

/* One question on its way. */
struct question {
	const struct agent *agent;
	struct arena *a;
	struct str key;
	struct str local, domain;	/* of an address; local: quotes off */
	struct resolution res;
	struct verdict v;
};

typedef struct answer map_fn(struct question *q);

/* --- words -------------------------------------------------------------------- */

static struct answer
notfound(void)
{
	return (struct answer){ ANSWER_NOTFOUND, STR("") };
}

static struct answer
temporary(void)
{
	return (struct answer){ ANSWER_TEMP,
	    STR("the directory cannot be asked now") };
}

/* Any number of pieces in a row; the last has a NULL p. */
static struct answer
found(struct question *q, const struct str *pieces)
{
	struct answer answer = temporary();
	struct buf b;
	struct str copy;

	buf_init(&b, SOCKETMAP_REPLY_MAX);
	while (pieces->p != NULL)
		(void)buf_adds(&b, *pieces++);
	copy = arena_copy(q->a, buf_str(&b));
	if (!b.full && copy.p != NULL)
		answer = (struct answer){ ANSWER_OK, copy };
	buf_release(&b);
	return answer;
}
#define FOUND(q, ...) \
	found(q, (const struct str[]){ __VA_ARGS__, { NULL, 0 } })

/* A sentence may hold what the administrator wrote as a reason. sendmail cuts
 * a value into tokens, where quotes, brackets and $ mean something, and no
 * SMTP reply has more than ASCII. */
static struct str
plain(struct str text, struct arena *a)
{
	char *p = arena_alloc(a, text.n + 1);

	if (p == NULL)
		return STR("Mailbox not available");
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		p[i] = ascii_isalnum(c) || (c != '\0' &&
		    strchr(" .,:-_'/", c) != NULL) ? c : ' ';
	}
	return str_mem(p, text.n);
}

static struct str
reply_code(const struct verdict *v, struct arena *a)
{
	struct str copy;
	struct buf b;

	buf_init(&b, 16);
	(void)buf_addf(&b, "%d", verdict_reply(v));
	copy = arena_copy(a, buf_str(&b));
	buf_release(&b);
	return copy.p != NULL ? copy : STR("451");
}

struct str
answer_reply(const struct verdict *v, struct arena *a)
{
	struct question q = { .a = a };
	struct answer answer = FOUND(&q, reply_code(v, a), STR(" "),
	    str_of(verdict_code(v)), STR(" "),
	    plain(str_of(verdict_text(v)), a));

	return answer.kind == ANSWER_OK ? answer.text :
	    STR("451 4.3.0 Temporary trouble, please try again later");
}

/* "error:5.1.1:550 User unknown", as sendmail's tables have it; `word` is
 * error in a virtusertable, ERROR in an access map. */
static struct answer
refusal(struct question *q, const char *word)
{
	return FOUND(q, str_of(word), STR(":"), str_of(verdict_code(&q->v)),
	    STR(":"), reply_code(&q->v, q->a), STR(" "),
	    plain(str_of(verdict_text(&q->v)), q->a));
}

/* --- questions ------------------------------------------------------------------ */

static enum gate_answer
ask_recipient(struct question *q)
{
	return gate_recipient(q->agent, q->local, q->domain,
	    GATE_SIZE_UNKNOWN, q->a, &q->res, &q->v);
}

static enum gate_answer
ask_domain(struct question *q, struct str domain, struct domain_record *r)
{
	*r = (struct domain_record){ .name = STR("") };
	return gate_domain(q->agent, domain, q->a, r, &q->v);
}

static bool
is_address(const struct question *q)
{
	return q->local.n > 0 && q->domain.n > 0;
}

/* --- sendmail -------------------------------------------------------------------- */

/* sendmail's wildcards for user+detail: "user++" is any detail that is not
 * empty, "user+*" any. */
static bool
is_wildcard(struct str local)
{
	return local.n > 2 && (str_ends(local, STR("++")) ||
	    str_ends(local, STR("+*")));
}

static struct answer
virtuser(struct question *q)
{
	struct domain_record record;
	struct str detail = STR("");

	if (q->domain.n == 0)
		return notfound();
	if (q->local.n == 0) {
		/* Nobody was found by name. */
		switch (ask_domain(q, q->domain, &record)) {
		case GATE_YES:
			break;
		case GATE_NO:
			return refusal(q, "error");
		case GATE_STRANGER:
			return notfound();
		case GATE_BROKEN:
			return temporary();
		}
		if (record.catch_all.count > 0)
			return FOUND(q, STR("%1@"), q->domain,
			    STR(PSEUDO_DOMAIN "."));
		verdict_set(&q->v, V_UNKNOWN_USER, "not by any name");
		return refusal(q, "error");
	}
	if (is_wildcard(q->local)) {
		q->local = str_sub(q->local, 0, q->local.n - 2);
		detail = STR("%3");
	}
	switch (ask_recipient(q)) {
	case GATE_YES:
		return FOUND(q, q->local, detail, STR("@"), q->domain,
		    STR(PSEUDO_DOMAIN "."));
	case GATE_NO:
		/* A shorter key, or @domain, says that it is nobody. */
		return q->v.why == V_UNKNOWN_USER ? notfound() :
		    refusal(q, "error");
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

static struct answer
recipient(struct question *q)
{
	if (q->domain.n == 0)
		return notfound();
	switch (ask_recipient(q)) {
	case GATE_YES:
		return FOUND(q, STR("OK"));
	case GATE_NO:
		return refusal(q, "ERROR");
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

static struct answer
domain(struct question *q)
{
	struct domain_record record;

	switch (ask_domain(q, q->key, &record)) {
	case GATE_YES:
		return FOUND(q, record.name);
	case GATE_NO:
		return FOUND(q, q->key);
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

/* Only keys with the tag "To:". Without it an entry would let hosts in the
 * domain relay. */
static struct answer
access_map(struct question *q)
{
	struct domain_record record;
	struct str tag = STR("To:");
	enum gate_answer answer;

	if (!str_casestarts(q->key, tag))
		return notfound();
	q->key = str_sub(q->key, tag.n, q->key.n);
	envelope_split(q->key, &q->local, &q->domain);
	if (is_address(q)) {
		answer = ask_recipient(q);
	} else if (q->domain.n == 0 && q->key.n > 0 &&
	    str_chr(q->key, '@') < 0) {
		answer = ask_domain(q, q->key, &record);
	} else {
		return notfound();	/* "user@": in all domains */
	}
	switch (answer) {
	case GATE_YES:
		return FOUND(q, STR("RELAY"));
	case GATE_NO:
		return refusal(q, "ERROR");
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

/* The pseudo-domain leaves the house as what it stands for. */
static struct answer
generics(struct question *q)
{
	struct domain_record record;
	struct str name = q->domain;

	if (str_ends(name, STR(".")))
		name = str_sub(name, 0, name.n - 1);
	if (!str_ends(name, STR(PSEUDO_DOMAIN)))
		return notfound();
	name = str_sub(name, 0, name.n - (sizeof(PSEUDO_DOMAIN) - 1));
	switch (ask_domain(q, name, &record)) {
	case GATE_YES:
	case GATE_NO:
		return FOUND(q, q->local.n > 0 ? q->local : STR("%1"), STR("@"),
		    name);
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

/* The machine that holds the mailbox, or the domain, if it is another. */
static struct answer
elsewhere(struct question *q)
{
	struct domain_record record = { .name = STR("") };
	struct str host = STR("");
	enum gate_answer answer;

	if (is_address(q)) {
		answer = ask_recipient(q);
		/* Many targets: the machine that is asked finds them. */
		if (answer == GATE_YES && q->res.target_count == 1 &&
		    q->res.targets[0].kind == TARGET_MAILBOX)
			host = q->res.targets[0].account.host;
	} else {
		answer = ask_domain(q, q->key, &record);
		host = record.host;
	}
	if (answer == GATE_BROKEN)
		return temporary();
	if (answer != GATE_YES || host.n == 0 ||
	    str_caseeq(host, str_of(q->agent->hostname)))
		return notfound();
	return FOUND(q, STR("lmtp:["), host, STR("]"));
}

/* --- Postfix ---------------------------------------------------------------------- */

/* Who exists, whatever his state: what becomes of his mail is asked of
 * recipient_access. Postfix asks for @domain when it does not find a name. */
static struct answer
mailbox(struct question *q)
{
	struct domain_record record;

	if (q->domain.n == 0)
		return notfound();
	if (q->local.n == 0) {
		switch (ask_domain(q, q->domain, &record)) {
		case GATE_YES:
			return record.catch_all.count > 0 ?
			    FOUND(q, STR("OK")) : notfound();
		case GATE_NO:
			return FOUND(q, STR("OK"));
		case GATE_STRANGER:
			return notfound();
		case GATE_BROKEN:
			return temporary();
		}
	}
	switch (ask_recipient(q)) {
	case GATE_YES:
		return FOUND(q, STR("OK"));
	case GATE_NO:
		return q->v.why == V_UNKNOWN_USER ||
		    q->v.why == V_BAD_ADDRESS ? notfound() :
		    FOUND(q, STR("OK"));
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

/* The targets as the directory has them, with a domain each. */
static struct answer
targets(struct question *q, const struct alias_record *alias)
{
	struct answer answer = temporary();
	struct str copy;
	struct buf b;

	buf_init(&b, SOCKETMAP_REPLY_MAX);
	for (size_t i = 0; i < alias->targets.count; i++) {
		struct str t = alias->targets.list[i];

		(void)buf_addz(&b, i > 0 ? ", " : "");
		(void)buf_adds(&b, t);
		if (str_chr(t, '@') < 0) {
			(void)buf_addc(&b, '@');
			(void)buf_adds(&b, alias->domain);
		}
	}
	copy = arena_copy(q->a, buf_str(&b));
	if (!b.full && copy.p != NULL)
		answer = (struct answer){ ANSWER_OK, copy };
	buf_release(&b);
	return answer;
}

/*
 * Aliases alone, one step, for sites where Postfix expands them. Forwards and
 * catch-alls stay with the agent, which would follow them once more.
 */
static struct answer
virtual_alias(struct question *q)
{
	struct directory *d = q->agent->resolver->directory;
	struct domain_record record;
	struct alias_record alias;
	struct account user;
	struct str local;

	if (!is_address(q))
		return notfound();
	switch (ask_domain(q, q->domain, &record)) {
	case GATE_YES:
		break;
	case GATE_NO:
	case GATE_STRANGER:
		return notfound();
	case GATE_BROKEN:
		return temporary();
	}
	if (name_local(q->local, q->a, &local, &q->v) < 0)
		return q->v.why == V_BAD_ADDRESS ? notfound() : temporary();
	switch (directory_user(d, local, record.name, q->a, &user, &q->v)) {
	case DIR_FOUND:
		return notfound();
	case DIR_BROKEN:
		return temporary();
	case DIR_ABSENT:
		break;
	}
	switch (directory_alias(d, local, record.name, q->a, &alias, &q->v)) {
	case DIR_FOUND:
		break;
	case DIR_ABSENT:
		return notfound();
	case DIR_BROKEN:
		return temporary();
	}
	return alias.targets.count > 0 ? targets(q, &alias) : notfound();
}

/* An action for check_recipient_access; nothing to say is NOTFOUND. */
static struct answer
recipient_access(struct question *q)
{
	if (!is_address(q))
		return notfound();
	switch (ask_recipient(q)) {
	case GATE_YES:
	case GATE_STRANGER:
		return notfound();
	case GATE_NO:
		return FOUND(q, answer_reply(&q->v, q->a));
	case GATE_BROKEN:
		break;
	}
	return temporary();
}

/* --- the list ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	map_fn *answer;
} maps[] = {
	{ "virtuser", virtuser },
	{ "access", access_map },
	{ "domain", domain },
	{ "recipient", recipient },
	{ "generics", generics },
	{ "mailertable", elsewhere },
	{ "virtual_mailbox_domains", domain },
	{ "virtual_mailbox_maps", mailbox },
	{ "virtual_alias_maps", virtual_alias },
	{ "transport", elsewhere },
	{ "recipient_access", recipient_access },
	{ NULL, NULL },
};

const char *
answer_name(size_t i)
{
	return maps[i].name;
}

struct answer
answer_map(const struct agent *agent, struct str map, struct str key,
    struct arena *a)
{
	struct question q = { .agent = agent, .a = a, .key = key,
	    .v = VERDICT_INIT };

	if (str_starts(map, PREFIX))
		map = str_sub(map, PREFIX.n, map.n);
	for (size_t i = 0; maps[i].name != NULL; i++) {
		if (!str_eq(map, str_of(maps[i].name)))
			continue;
		envelope_split(key, &q.local, &q.domain);
		return maps[i].answer(&q);
	}
	return (struct answer){ ANSWER_PERM, STR("no such map") };
}
