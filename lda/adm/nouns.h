/* The commands, by noun; each is a row of commands.c. */
#ifndef LDA_ADM_NOUNS_H
#define LDA_ADM_NOUNS_H

#include "lda/adm/adm.h"

int adm_domain_add(struct adm *a, struct verdict *v);
int adm_domain_set(struct adm *a, struct verdict *v);
int adm_domain_show(struct adm *a, struct verdict *v);
int adm_domain_list(struct adm *a, struct verdict *v);
int adm_domain_delete(struct adm *a, struct verdict *v);
int adm_domain_rename(struct adm *a, struct verdict *v);
int adm_domain_state(struct adm *a, struct verdict *v);

int adm_user_add(struct adm *a, struct verdict *v);
int adm_user_set(struct adm *a, struct verdict *v);
int adm_user_show(struct adm *a, struct verdict *v);
int adm_user_list(struct adm *a, struct verdict *v);
int adm_user_delete(struct adm *a, struct verdict *v);
int adm_user_rename(struct adm *a, struct verdict *v);
int adm_user_password(struct adm *a, struct verdict *v);
int adm_user_change_password(struct adm *a, struct verdict *v);
int adm_user_convert(struct adm *a, struct verdict *v);
int adm_user_state(struct adm *a, struct verdict *v);

int adm_alias_add(struct adm *a, struct verdict *v);
int adm_alias_set(struct adm *a, struct verdict *v);
int adm_alias_show(struct adm *a, struct verdict *v);
int adm_alias_list(struct adm *a, struct verdict *v);
int adm_alias_delete(struct adm *a, struct verdict *v);
int adm_alias_rename(struct adm *a, struct verdict *v);

int adm_quota_show(struct adm *a, struct verdict *v);
int adm_quota_set(struct adm *a, struct verdict *v);
int adm_quota_recalc(struct adm *a, struct verdict *v);
int adm_quota_top(struct adm *a, struct verdict *v);

int adm_resolve(struct adm *a, struct verdict *v);
int adm_explain(struct adm *a, struct verdict *v);
int adm_stats(struct adm *a, struct verdict *v);
int adm_log_list(struct adm *a, struct verdict *v);
int adm_log_restore(struct adm *a, struct verdict *v);
int adm_check(struct adm *a, struct verdict *v);
int adm_check_sendmail(struct adm *a, struct verdict *v);
int adm_import(struct adm *a, struct verdict *v);
int adm_export(struct adm *a, struct verdict *v);
int adm_sieve_check(struct adm *a, struct verdict *v);
int adm_sieve_list(struct adm *a, struct verdict *v);
int adm_sieve_put(struct adm *a, struct verdict *v);
int adm_sieve_activate(struct adm *a, struct verdict *v);
int adm_sieve_extensions(struct adm *a, struct verdict *v);
int adm_help(struct adm *a, struct verdict *v);
int adm_version(struct adm *a, struct verdict *v);

#endif
