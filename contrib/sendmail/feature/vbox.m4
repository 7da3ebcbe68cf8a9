divert(-1)
dnl #
dnl # FEATURE(`vbox', MAILER, DOMAINS): mail of virtual domains goes to vbox-lda.
dnl #
dnl #	MAILER	`vboxcmd' (the default) or `vbox', as in MAILER(`vboxcmd')
dnl #	DOMAINS	a file, one domain on each line. All mail of these domains goes
dnl #		to the mailer, which knows users, aliases and forwards itself.
dnl #		Without it only what the virtusertable maps to the pseudo-domain
dnl #		.virtuser does, as sites have done since 2002:
dnl #
dnl #			fred@example.com	fred@example.com.virtuser.
dnl #
dnl #		Both may be used at the same time.
dnl #
dnl # A virtusertable that is a socket map needs -T<TMPF>: without it sendmail
dnl # goes on to ask for @example.com when the map cannot answer, and refuses a
dnl # user who exists. This feature turns the mark into "try again".
dnl #
dnl # The mailer is given host = the domain and user = the whole address. The
dnl # domain as host keeps fred@example.com and fred@example.net apart (sendmail
dnl # takes two recipients for one when mailer, host and user are the same). The
dnl # whole address is what a bounce then names.
dnl #
divert(0)
VERSIONID(`vbox-lda: feature/vbox.m4')
divert(-1)
define(`_VBOX_MAILER_', ifelse(len(X`'_ARG_), `1', `vboxcmd', `_ARG_'))
ifelse(len(X`'_ARG2_), `1', `', `
define(`_VBOX_DOMAINS_', `')
dnl # Class VirtHost: no DNS for these, mail for them is accepted at RCPT.
VIRTUSER_DOMAIN_FILE(_ARG2_)
LOCAL_CONFIG
# Domains whose mail all goes to vbox-lda
F{VboxDomain}_ARG2_
divert(-1)')

LOCAL_RULE_0
# vbox-lda: a virtusertable with -T<TMPF> could not be asked. Stock rules would
# take the mark for the name of a local user and bounce the message.
RTMPF			$#error $@ 4.3.0 $: "451 4.3.0 Recipient cannot be looked up now"
# vbox-lda: what the virtusertable sends to .virtuser
R$* < @ $* .virtuser . > $*	$#_VBOX_MAILER_ $@ $2 $: $1 < @ $2 . >
R$* < @ $* .virtuser > $*	$#_VBOX_MAILER_ $@ $2 $: $1 < @ $2 . >
ifdef(`_VBOX_DOMAINS_', `dnl
# vbox-lda: whole domains
R$+ < @ $={VboxDomain} . > $*	$#_VBOX_MAILER_ $@ $2 $: $1 < @ $2 . >
R$+ < @ $={VboxDomain} > $*	$#_VBOX_MAILER_ $@ $2 $: $1 < @ $2 . >
', `dnl')
divert(-1)
