divert(-1)
dnl #
dnl # FEATURE(`vbox_local', PATH, ARGS, FLAGS): mail for users of this machine
dnl # (root, cron, administrators) is delivered by vbox-deliver, too, in place of
dnl # procmail or mail.local. Before MAILER(`local').
dnl #
dnl #	PATH	/usr/local/lib/vbox/vbox-deliver
dnl #	ARGS	vbox-deliver --system-user -f $g -- $u
dnl #	FLAGS	SPhn9, added to sendmail's own for local mailers. S leaves root
dnl #		to the agent, which becomes the recipient before it reads a byte.
dnl #
dnl # What is sendmail's stays: aliases, :include:, ~/.forward (ForwardPath), and
dnl # refusing names that have no account. The agent itself reads no ~/.forward
dnl # and starts no program of a user.
dnl #
dnl # root needs an alias, or vbox.conf a system_root; else root's mail waits in
dnl # the queue.
dnl #
ifdef(`_MAILER_local_',
	`errprint(`*** FEATURE(vbox_local) must occur before MAILER(local)
')')dnl
define(`LOCAL_MAILER_PATH',
	ifelse(len(X`'_ARG_), `1', `/usr/local/lib/vbox/vbox-deliver', `_ARG_'))
define(`LOCAL_MAILER_ARGS',
	ifelse(len(X`'_ARG2_), `1', `vbox-deliver --system-user -f $g -- $u',
	`_ARG2_'))
define(`LOCAL_MAILER_FLAGS', ifelse(len(X`'_ARG3_), `1', `SPhn9', `_ARG3_'))
undefine(`_LOCAL_LMTP_')
undefine(`LOCAL_MAILER_DSN_DIAGNOSTIC_CODE')
