/*
 * vboxadm: one table of commands (commands.c), one file per noun.
 *
 * A command gets its arguments and options judged against its row, the
 * configuration read, and says what it found in adm->out: text for people
 * (and for grep), or JSON. It returns 0, or -1 with the verdict, which
 * becomes the message on stderr and the exit status.
 */
#ifndef LDA_ADM_ADM_H
#define LDA_ADM_ADM_H

#include <stdbool.h>
#include <stddef.h>

#include "lda/config.h"
#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"
#include "store/directory/writer.h"

#define ADM_OPTIONS_MAX 32
#define ADM_ARENA ((size_t)1 << 30)
/* Output that is written whenever there is so much of it. */
#define ADM_OUT_CHUNK 65536
/* Words of progress on a terminal, every so many items. */
#define ADM_PROGRESS_EVERY 1000

struct adm_option {
	const char *name;	/* without the hyphens */
	const char *value;	/* "" for one that takes none */
};

struct adm {
	const char *conf;
	const char *spec;	/* --directory: which one to change */
	bool json;
	bool quiet;
	const struct adm_command *command;
	const char **args;
	size_t arg_count;
	struct adm_option options[ADM_OPTIONS_MAX];
	size_t option_count;

	struct config config;
	bool config_loaded;
	struct directory_writer *writer;	/* adm_writer() */
	struct arena arena;
	struct buf out;
	bool out_failed;
	int exit;		/* a status of its own; -1: the verdict's */
};

struct adm_command {
	const char *noun;
	const char *verb;	/* NULL: the noun says it all */
	const char *arguments;	/* as the usage shows them */
	size_t least, most;	/* number of arguments */
	const char *options;	/* "quota= messages= purge": `=` takes a value */
	int (*run)(struct adm *a, struct verdict *v);
	const char *help;
};

extern const struct adm_command adm_commands[];
extern const size_t adm_command_count;

/* main(): the exit status. */
int adm_program(int argc, char **argv);

/* The value of an option; NULL when it was not given. */
const char *adm_option(const struct adm *a, const char *name);

/* Reads the configuration once. */
int adm_config(struct adm *a, struct verdict *v);
/* Settings for directory_open() by the configuration. */
struct directory_settings adm_directory_settings(const struct adm *a);
/* The directory as deliveries see it. */
int adm_directory(struct adm *a, enum directory_want want,
    struct directory **d_r, struct verdict *v);
/* Root is gone for good: for what touches mailboxes and users' files. */
int adm_become_vmail(struct adm *a, struct verdict *v);
/* The directory that is changed: --directory, or the first one that vboxadm
 * can change. */
int adm_writer(struct adm *a, struct verdict *v);

/* What is in adm->out goes to standard output when it is long, or always. */
void adm_flush(struct adm *a);
/* A line for the person at the terminal, on stderr. */
void adm_note(struct adm *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "imported 12000" over itself, when stderr is a terminal; done > 0 at the
 * end clears it. */
void adm_progress(struct adm *a, const char *what, size_t count);

/* Puts the name in front of what is wrong with it. -1. */
int adm_about(const char *text, struct verdict *v);
/* USER@DOMAIN, canonical. 0 or -1. */
int adm_address(struct adm *a, const char *text, struct str *local_r,
    struct str *domain_r, struct verdict *v);
int adm_domain(struct adm *a, const char *text, struct str *domain_r,
    struct verdict *v);
/* local@domain in the arena. */
struct str adm_join(struct adm *a, struct str local, struct str domain);

#endif
