# Completion of vbox-deliver, vbox-lmtpd and vboxadm for bash.
#
# Install as /usr/share/bash-completion/completions/vbox-deliver, with links of
# the names vbox-lmtpd and vboxadm, or source it.

# Domains and users come from `vboxadm', as far as its caller may read them.
_vbox_names()	# NOUN
{
	vboxadm "$1" list 2>/dev/null
}

_vbox_reply()	# WORDS
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_vbox_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_vbox_deliver()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local i operands=0 ended=''

	COMPREPLY=()
	case $prev in
	-c)
		_vbox_files
		return ;;
	-m)
		_vbox_reply "INBOX Drafts Junk Sent Trash"
		return ;;
	-a | -d)
		_vbox_reply "$(_vbox_names user)"
		return ;;
	-e | -f | -o | -r)
		return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) ended=1 ;;
		-a | -c | -d | -e | -f | -m | -o | -r)
			[ -n "$ended" ] || ((i++)) ;;
		-*) [ -z "$ended" ] || ((operands++)) ;;
		*) ((operands++)) ;;
		esac
	done
	if [[ $cur == -* && -z $ended ]]; then
		_vbox_reply "-a -c -d -e -f -h -j -l -m -n -o -r -t -V -Y --"
	elif [ $operands -eq 0 ]; then
		_vbox_reply "$(_vbox_names domain)"
	fi
}

_vbox_lmtpd()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	COMPREPLY=()
	case $prev in
	-c) _vbox_files ;;
	*) _vbox_reply "-c -F -t -v" ;;
	esac
}

_vboxadm()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local i noun='' verb='' word

	COMPREPLY=()
	if [ "$prev" = -c ]; then
		_vbox_files
		return
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-c) ((i++)) ;;
		-*) ;;
		*)
			if [ -z "$noun" ]; then
				noun=$word
			elif [ -z "$verb" ]; then
				verb=$word
			fi ;;
		esac
	done
	if [[ $cur == -* ]]; then
		_vbox_reply "-c --json"
		return
	fi
	case $noun:$verb in
	:)
		_vbox_reply "domain user alias quota sieve check resolve explain stats export import" ;;
	domain:)
		_vbox_reply "add set show list delete rename suspend resume disable enable lock unlock" ;;
	user:)
		_vbox_reply "add set show list delete rename suspend resume disable enable lock unlock password convert" ;;
	alias:)
		_vbox_reply "add set show list delete rename" ;;
	quota:)
		_vbox_reply "show set recalc top" ;;
	sieve:)
		_vbox_reply "check list put activate extensions" ;;
	import:)
		_vbox_reply "virtusertable aliases passwd users-table" ;;
	resolve:* | explain:*)
		_vbox_reply "$(_vbox_names user)" ;;
	sieve:check | import:*)
		_vbox_files ;;
	domain:add | user:add | alias:add | *:list) ;;
	domain:*)
		_vbox_reply "$(_vbox_names domain)" ;;
	user:* | quota:* | sieve:*)
		_vbox_reply "$(_vbox_names user)" ;;
	alias:*)
		_vbox_reply "$(_vbox_names alias)" ;;
	esac
}

complete -F _vbox_deliver vbox-deliver
complete -F _vbox_lmtpd vbox-lmtpd
complete -F _vboxadm vboxadm
