/* vboxadm user. */
#include "lda/adm/entry.h"
#include "lda/adm/files.h"
#include "lda/adm/nouns.h"
#include "lda/adm/notice.h"
#include "lda/adm/password.h"
#include "lda/adm/state.h"

int
adm_user_add(struct adm *a, struct verdict *v)
{
	return entry_add(a, ENTRY_USER, v);
}

int
adm_user_set(struct adm *a, struct verdict *v)
{
	return entry_set(a, ENTRY_USER, v);
}

int
adm_user_show(struct adm *a, struct verdict *v)
{
	return entry_show(a, ENTRY_USER, v);
}

int
adm_user_list(struct adm *a, struct verdict *v)
{
	return entry_list(a, ENTRY_USER, v);
}

int
adm_user_state(struct adm *a, struct verdict *v)
{
	return state_change(a, ENTRY_USER, v);
}

/* Mail goes only when --purge says so, and only after the directory has
 * forgotten the user: nobody delivers into what is being removed. */
int
adm_user_delete(struct adm *a, struct verdict *v)
{
	struct account_file files[ACCOUNT_FILES_MAX];
	struct entry_name name;
	struct directory_entry e;
	bool existed = false;
	int n;

	if (entry_name_of(a, ENTRY_USER, a->args[0], &name, v) < 0 ||
	    adm_writer(a, v) < 0)
		return -1;
	entry_init(&name, &e);
	n = account_files(a, &e.is.user, files, v);
	if (n < 0 || directory_writer_remove(a->writer, ENTRY_USER, name.local,
	    name.domain, &existed, v) < 0)
		return -1;
	if (notice_remove(a, &e.is.user, v) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		struct str where = account_file_name(a, &files[i]);
		int r;

		if (adm_option(a, "purge") == NULL) {
			if (existed)
				adm_note(a, "mail, if any, stays in %.*s",
				    STR_ARG(where));
			continue;
		}
		r = account_file_remove(&files[i], v);
		if (r < 0)
			return -1;
		if (r > 0)
			adm_note(a, "removed %.*s", STR_ARG(where));
	}
	entry_report(a, existed ? "deleted" : "was not there:", &e);
	return 0;
}

int
adm_user_rename(struct adm *a, struct verdict *v)
{
	struct entry_name from, to;
	struct directory_entry old, new;

	if (entry_name_of(a, ENTRY_USER, a->args[0], &from, v) < 0 ||
	    entry_name_of(a, ENTRY_USER, a->args[1], &to, v) < 0 ||
	    entry_get(a, &from, &old, v) < 0)
		return -1;
	new = old;
	new.is.user.local = to.local;
	new.is.user.domain = to.domain;
	if (entry_rename(a, ENTRY_USER, v) < 0)
		return -1;
	if (adm_option(a, "no-files") != NULL)
		return 0;
	return account_files_move(a, &old.is.user, &new.is.user, v);
}

int
adm_user_password(struct adm *a, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry e;
	struct str plain;

	if (entry_name_of(a, ENTRY_USER, a->args[0], &n, v) < 0 ||
	    entry_get(a, &n, &e, v) < 0)
		return -1;
	if (adm_option(a, "password-hash") != NULL ||
	    adm_option(a, "no-password") != NULL) {
		if (password_options(a, &e.is.user.password, v) < 0)
			return -1;
	} else if (password_read(a, &plain, v) < 0 ||
	    password_hash(a, plain, &e.is.user.password, v) < 0) {
		return -1;
	}
	if (directory_writer_put(a->writer, &e, v) < 0)
		return -1;
	entry_report(a, "password set for", &e);
	return 0;
}

/* The account of an address; who is not there has no password. */
static int
find_own(struct adm *a, struct str text, struct directory_entry *e,
    struct verdict *v)
{
	struct entry_name n;
	const char *address = arena_copy(&a->arena, text).p;

	if (entry_name_of(a, ENTRY_USER, address, &n, v) == 0 &&
	    entry_get(a, &n, e, v) == 0)
		return 0;
	if (v->why != V_UNKNOWN_USER && v->why != V_UNKNOWN_DOMAIN &&
	    v->why != V_BAD_ADDRESS)
		return -1;
	e->is.user.password = STR("");
	return 0;
}

/* For a program that anybody may ask, such as a webmail: it learns nothing
 * but that the pair of address and password is right, and changes no other.
 * An address comes by standard input, too, so that one line of sudoers names
 * the whole command. */
int
adm_user_change_password(struct adm *a, struct verdict *v)
{
	struct directory_entry e;
	struct str address, present, plain;
	bool is = false;

	if (password_line(a, "Address: ", &address, v) < 0 ||
	    password_line(a, "Present password: ", &present, v) < 0 ||
	    password_read(a, &plain, v) < 0 ||
	    find_own(a, address, &e, v) < 0 ||
	    password_is(a, present, e.is.user.password, &is, v) < 0)
		return -1;
	if (!is)
		return verdict_set(v, V_POLICY,
		    "the address or the present password is not right");
	if (password_hash(a, plain, &e.is.user.password, v) < 0 ||
	    directory_writer_put(a->writer, &e, v) < 0)
		return -1;
	entry_report(a, "password set for", &e);
	return 0;
}

