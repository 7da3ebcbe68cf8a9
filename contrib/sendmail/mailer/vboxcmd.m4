PUSHDIVERT(-1)
dnl #
dnl # MAILER(`vboxcmd'): vbox-deliver, one process for each recipient.
dnl #
dnl # The mailer for FEATURE(`vbox') where no vbox-lmtpd runs. What sendmail needs
dnl # to know is said by these, before MAILER(`vboxcmd'):
dnl #
dnl #	VBOX_DELIVER_PATH	/usr/local/lib/vbox/vbox-deliver
dnl #	VBOX_DELIVER_USER	vmail:vmail; a name or a number. sendmail becomes
dnl #				this user before it executes the program.
dnl #	VBOX_DELIVER_ARGS	vbox-deliver -f $g -- $h $u
dnl #	VBOX_DELIVER_FLAGS	see below
dnl #	VBOX_DELIVER_QGRP	a queue group of its own; none
dnl #	VBOX_DELIVER_MAX	largest message in bytes; none
dnl #
dnl # Of the flags (op.me, "M"), those that make the difference:
dnl #
dnl #	l	this is the final delivery: DSN success is reported here
dnl #	D F M	Date:, From: and Message-Id: are added where they are missing
dnl #	n	no From_ line: vbox-deliver writes its own
dnl #	P	Return-Path:
dnl #	u h	user and host keep their case
dnl #	no m	one call for each recipient, so that each has an exit code of
dnl #		its own. That, and $@ domain in FEATURE(`vbox'), is why fred in
dnl #		two domains gets two messages.
dnl #	no w	users need no passwd entry, and no ~/.forward is looked for
dnl #	no 5	addresses do not go through ruleset 5
dnl #	no s	a quoted local part keeps its quotes
dnl #
_DEFIFNOT(`VBOX_DELIVER_PATH', `/usr/local/lib/vbox/vbox-deliver')
_DEFIFNOT(`VBOX_DELIVER_USER', `vmail:vmail')
_DEFIFNOT(`VBOX_DELIVER_ARGS', `vbox-deliver -f $g -- $h $u')
_DEFIFNOT(`VBOX_DELIVER_FLAGS', `lDFMnPuh')
define(`_VBOX_DELIVER_QGRP_', `ifelse(defn(`VBOX_DELIVER_QGRP'),`',`', ` Q=VBOX_DELIVER_QGRP,')')
POPDIVERT

#
#  envelope sender for vbox-deliver: sendmail's own messages are from nobody
#
SEnvFromVbox
R$n			$@ <@>				a bounce
R$*			$@ $>EnvFromSMTP $1

######################*****##############
###   vbox-deliver Mailer specification   ###
######################*****##############

Mvboxcmd,	P=VBOX_DELIVER_PATH, U=VBOX_DELIVER_USER, F=_MODMF_(VBOX_DELIVER_FLAGS, `VBOX_DELIVER'), S=EnvFromVbox/HdrFromSMTP, R=EnvToSMTP/HdrFromSMTP,
		ifdef(`VBOX_DELIVER_MAX', `M=VBOX_DELIVER_MAX, ')T=DNS/RFC822/X-Unix,_VBOX_DELIVER_QGRP_
		A=VBOX_DELIVER_ARGS
