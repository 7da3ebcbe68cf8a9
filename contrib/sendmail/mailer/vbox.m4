PUSHDIVERT(-1)
dnl #
dnl # MAILER(`vbox'): LMTP to vbox-lmtpd, for FEATURE(`vbox', `vbox', ...).
dnl #
dnl #	VBOX_LMTP_SOCKET	/run/vbox/lmtp.sock
dnl #	VBOX_LMTP_ARGS		FILE socket; or TCP host port
dnl #	VBOX_LMTP_FLAGS		see below
dnl #	VBOX_LMTP_QGRP		a queue group of its own; none
dnl #	VBOX_LMTP_MAX		largest message in bytes; none
dnl #	VBOX_HOSTS		defined: there is a mailer lmtp, too, for mailboxes
dnl #				on other hosts; VBOX_LMTP_PORT, 24, is where
dnl #				their vbox-lmtpd listens
dnl #
dnl # sendmail's own local_lmtp and cyrusv2 take the domain off the address
dnl # (EnvToL); this one gives RCPT the whole of it. Of the flags:
dnl #
dnl #	z	LMTP
dnl #	m	one transaction for all recipients of a domain; each has its
dnl #		own reply
dnl #	l	the final delivery
dnl #	X	a line of one dot is doubled
dnl #	q	250 for VRFY, as it should be
dnl #	no A	no aliases behind it: the agent has its own
dnl #
_DEFIFNOT(`VBOX_LMTP_SOCKET', `/run/vbox/lmtp.sock')
_DEFIFNOT(`VBOX_LMTP_ARGS', `FILE VBOX_LMTP_SOCKET')
_DEFIFNOT(`VBOX_LMTP_FLAGS', `lDFMnqXzmuhS')
_DEFIFNOT(`VBOX_LMTP_PORT', `24')
define(`_VBOX_LMTP_QGRP_', `ifelse(defn(`VBOX_LMTP_QGRP'),`',`', ` Q=VBOX_LMTP_QGRP,')')
POPDIVERT

######################*****##############
###   vbox-lmtpd Mailer specification   ###
######################*****##############

Mvbox,	P=[IPC], F=_MODMF_(VBOX_LMTP_FLAGS, `VBOX_LMTP'), S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP/HdrFromSMTP, E=\r\n,
		ifdef(`VBOX_LMTP_MAX', `M=VBOX_LMTP_MAX, ')T=DNS/RFC822/SMTP,_VBOX_LMTP_QGRP_
		A=VBOX_LMTP_ARGS
ifdef(`VBOX_HOSTS', `
Mlmtp,	P=[IPC], F=_MODMF_(VBOX_LMTP_FLAGS, `VBOX_LMTP'), S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP/HdrFromSMTP, E=\r\n,
		ifdef(`VBOX_LMTP_MAX', `M=VBOX_LMTP_MAX, ')T=DNS/RFC822/SMTP,_VBOX_LMTP_QGRP_
		A=TCP $h VBOX_LMTP_PORT')
