/* vboxadm explain: what would become of a letter, step by step; the look-up,
 * the gate, the scripts, the folder, the reply. As the mail user, in the
 * rehearsal that vbox-deliver -n makes; nothing is written, not even a spool
 * file for a long letter. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/adm/nouns.h"
#include "lda/gate.h"
#include "lda/input.h"
#include "lda/privileges.h"
#include "lda/report.h"
#include "lda/signals.h"

/* A letter is kept in memory; without a limit of the site's, this much. */
#define LETTER_MAX ((uint64_t)1 << 30)

struct walk {
	struct adm *a;
	struct directory *directory;
	struct resolver resolver;
	struct agent agent;
	struct resolution resolution;
	struct input input;
	struct spool spool;
	struct parcel parcel;
	struct delivery *delivery;
	char hostname[HOST_NAME_MAX + 1];
};

static int
find_hostname(struct walk *w, struct verdict *v)
{
	const char *set = w->a->config.global.hostname;

	if (strlen(set) > HOST_NAME_MAX)
		return verdict_set(v, V_CONFIG, "hostname is too long");
	if (set[0])
		memcpy(w->hostname, set, strlen(set) + 1);
	else if (gethostname(w->hostname, sizeof(w->hostname) - 1) < 0)
		return verdict_errno(v, errno, "gethostname");
	return 0;
}

static int
settle(struct walk *w, struct verdict *v)
{
	if (adm_config(w->a, v) < 0 || find_hostname(w, v) < 0 ||
	    adm_become_vmail(w->a, v) < 0)
		return -1;
	privileges_harden();
	if (adm_directory(w->a, DIRECTORY_WANT_DELIVERY, &w->directory, v) < 0)
		return -1;
	w->resolver.directory = w->directory;
	w->agent = (struct agent){
		.config = &w->a->config,
		.resolver = &w->resolver,
		.hostname = w->hostname,
		.mode = DELIVERY_REHEARSAL,
		.stop = signals_pending,
	};
	return 0;
}

/* What the letter meets behind the gate. */
static int
rehearse(struct walk *w, struct str original, struct verdict *v)
{
	struct addressee who = { .resolution = &w->resolution,
	    .original = original };

	if (parcel_init(&w->parcel, &w->spool, &w->input.envelope, v) < 0)
		return -1;
	return delivery_run(&w->agent, &w->parcel, &who, &w->delivery, v);
}

int
adm_explain(struct adm *a, struct verdict *v)
{
	struct str address = str_of(a->args[0]), local, domain;
	struct walk w = { .a = a, .spool = { .fd = -1 },
	    .input = { .given_sender = adm_option(a, "f") } };
	struct report report = { .verdict = v, .rehearsal = true,
	    .json = a->json };
	struct verdict gate = VERDICT_INIT;
	struct spool_how how;
	int r = -1;

	envelope_split(address, &local, &domain);
	if (domain.n == 0)
		return verdict_set(v, V_USAGE, "%s: USER@DOMAIN is wanted",
		    a->args[0]);
	if (settle(&w, v) < 0)
		goto out;
	how = (struct spool_how){ .dir = a->config.global.spool_dir,
	    .limit = a->config.global.message_size_limit };
	how.memory = how.limit ? how.limit : LETTER_MAX;
	spool_init(&w.spool, &how);
	if (input_read(&w.input, &w.spool, v) < 0)
		goto out;
	if (gate_recipient(&w.agent, local, domain, w.spool.n, &a->arena,
	    &w.resolution, &gate) == GATE_YES)
		(void)rehearse(&w, address, v); /* the report says how it went */
	else
		*v = gate;
	report.local = local;
	report.domain = domain;
	report.gate = &gate;
	report.envelope = &w.input.envelope;
	report.parcel = &w.parcel;
	report.resolution = &w.resolution;
	report.delivery = w.delivery;
	report_write(&report, &a->out);
	a->exit = verdict_exit(v, EXITS_SYSEXITS);
	r = 0;
out:
	delivery_close(&w.delivery);
	spool_release(&w.spool);
	directory_close(&w.directory);
	return r;
}
