divert(-1)
dnl #
dnl # FEATURE(`vbox', MAILER, DOMAINS, MAP): mail of virtual domains goes to
dnl # vbox-lda.
dnl #
dnl #	MAILER	`vboxcmd' (the default) or `vbox', as in MAILER(`vboxcmd')
dnl #	DOMAINS	a file, one domain on each line. All mail of these domains goes
dnl #		to the mailer, which knows users, aliases and forwards itself.
dnl #		They are class {VboxDomain}.
dnl #		Without it only what the virtusertable maps to the pseudo-domain
dnl #		.virtuser does, as sites have done since 2002, for the domains
dnl #		of class {VirtHost}:
dnl #
dnl #			fred@example.com	fred@example.com.virtuser.
dnl #
dnl #		Both may be used at the same time.
dnl #	MAP	the socket map of vbox-lmtpd, such as
dnl #		`socket -T<TMPF> unix:/run/vbox/map.sock'. sendmail then asks at
dnl #		RCPT time what the agent would say later, and needs neither a
dnl #		file nor a restart for domains and users: which domains are
dnl #		ours (relaying allowed, mailer chosen), and whether this
dnl #		recipient may have mail (550 5.1.1, 550 5.2.1, 450 4.2.1, 552
dnl #		5.2.2, 451 4.3.0 ...).
dnl #	VBOX_HOSTS	when this is defined: mailboxes may be on other hosts;
dnl #		their mail goes there by mailer lmtp (mailer/vbox.m4).
dnl #
dnl # The check is Local_check_rcpt. It refuses, or leaves all other checks as
dnl # they are: DNS lists, the access table and its To: entries see every
dnl # recipient. What it remembers lets mail for hosted domains in, from
dnl # anywhere; so the domains need not be in class R, where hosts with names in
dnl # them could relay to anywhere. (VIRTUSER_DOMAIN_FILE puts them there. Fill
dnl # class {VirtHost} yourself instead, behind the MAILER lines:
dnl #
dnl #	LOCAL_CONFIG
dnl #	F{VirtHost}-o /etc/mail/virtuserdomains
dnl # )
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
ifelse(len(X`'_ARG2_), `1', `', `define(`_VBOX_DOMAINS_', `')')
ifelse(len(X`'_ARG3_), `1', `', `define(`_VBOX_MAP_', `')')
LOCAL_CONFIG
ifdef(`_VBOX_DOMAINS_', `dnl
# Domains whose mail all goes to vbox-lda. In {VirtHost} they are not looked up
# in the DNS.
F{VboxDomain}_ARG2_
F{VirtHost}_ARG2_
', `dnl')
ifdef(`_VBOX_MAP_', `dnl
# What vbox-lmtpd knows
Kvbox_domain _ARG3_
Kvbox_recipient _ARG3_
ifdef(`VBOX_HOSTS', `Kvbox_mailertable _ARG3_')
', `dnl')
Kvbox_store macro

LOCAL_RULESETS
SLocal_check_rcpt
# vbox-lda: is this recipient ours, and may it have mail?
R$*			$: $1 $(vbox_store {vbox_ours} $@ $)
R< $* > $*		$: $1
R$+ @ $+ . virtuser	$#error $@ 5.1.1 $: "550 User unknown"
R$+ @ $={VirtHost}	$: $1 @ $2 $(vbox_store {vbox_ours} $@ YES $)
ifdef(`_VIRTUSER_ENTIRE_DOMAIN_', `dnl
R$+ @ $* . $={VirtHost}	$: $1 @ $2 . $3 $(vbox_store {vbox_ours} $@ YES $)
', `dnl')
ifdef(`_VBOX_MAP_', `dnl
R$+ @ $+		$: < $(vbox_recipient $1 @ $2 $: NONE $) >
R< $* <TMPF> >		$#error $@ 4.3.0 $: "451 Recipient cannot be looked up now, please try again later"
R< ERROR : $- . $- . $- : $+ >	$#error $@ $1.$2.$3 $: $4
R< OK >			$: OK $(vbox_store {vbox_ours} $@ YES $)
', `dnl')
divert(-1)

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
ifdef(`_VBOX_MAP_', `dnl
# vbox-lda: domains that vbox-lmtpd knows; who sends is not asked
R$+ < @ $+ >		$: < $&{addr_type} > $1 < @ $2 >
R< e s > $+		$: $1
R< $* > $+ < @ $+ >	$: < $(vbox_domain $3 $: NONE $) > $2 < @ $3 >
R< $* <TMPF> > $+	$#error $@ 4.3.0 $: "451 4.3.0 Recipient cannot be looked up now"
R< NONE > $+		$: $1
ifdef(`VBOX_HOSTS', `dnl
R< $+ > $+ < @ $+ >	$: < $(vbox_mailertable $2 @ $3 $: HERE $) > $2 < @ $3 >
R< $* <TMPF> > $+	$#error $@ 4.3.0 $: "451 4.3.0 Recipient cannot be looked up now"
R< lmtp : $+ > $+ < @ $+ . >	$#lmtp $@ $1 $: $2 < @ $3 . >
R< lmtp : $+ > $+ < @ $+ >	$#lmtp $@ $1 $: $2 < @ $3 . >
', `dnl')
R< $+ > $+ < @ $+ . >	$#_VBOX_MAILER_ $@ $3 $: $2 < @ $3 . >
R< $+ > $+ < @ $+ >	$#_VBOX_MAILER_ $@ $3 $: $2 < @ $3 . >
', `dnl')
# vbox-lda: mail for ours may come from anywhere. These rules stand before the
# stock ones of the same rule set. No $# here: that would end all other checks
# when they are delayed. They stand here and not at the top, because no
# rule may come before OperatorChars: "+" would be no operator.
SRelay_ok
R$*			$: $1 $| $&{vbox_ours}
R$* $| YES		$@ RELAY
R$* $| $*		$: $1
# and back to the rules that this began with
SParseLocal
divert(-1)
