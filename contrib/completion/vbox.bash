# Completion of vbox-deliver, vbox-lmtpd and vboxadm for bash.
#
# Install as /usr/share/bash-completion/completions/vbox-deliver, with links of
# the names vbox-lmtpd and vboxadm, or source it.

# Domains and users come from `vboxadm', as far as its caller may read them.
_vbox_names()	# NOUN
{
	vboxadm -q "$1" list 2>/dev/null | awk '{ print $1 }'
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
		_vbox_reply "-a -c -d -e -f -h -j -l -m -n -o -r -t -V -Y --system-user --"
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

# What `vboxadm help NOUN' says: "  NOUN VERB ARGUMENTS" and "      --OPTION=...".
_vboxadm_words()	# nouns | verbs NOUN | options NOUN VERB
{
	# shellcheck disable=SC2086 # no noun is no argument
	vboxadm help $2 2>/dev/null | awk -v what="$1" -v noun="$2" -v verb="$3" '
	/^  [a-z]/ {
		here = $1 == noun && ($2 == verb || $2 !~ /^[a-z]/)
		if (what == "nouns")
			print $1
		if (what == "verbs" && $1 == noun && $2 ~ /^[a-z]/) {
			gsub(/[|]/, "\n", $2)
			print $2
		}
	}
	/^      --/ && what == "options" && here {
		gsub(/[.][.][.]/, "")
		print
	}' | sort -u
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
		-c | --directory) ((i++)) ;;
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
		if [ -z "$noun" ]; then
			_vbox_reply "-c --directory --json -q"
		else
			_vbox_reply "$(_vboxadm_words options "$noun" "$verb")"
		fi
		return
	fi
	case $noun:$verb in
	:)
		_vbox_reply "$(_vboxadm_words nouns '' '')" ;;
	resolve:* | explain:*)
		_vbox_reply "$(_vbox_names user)" ;;
	*:)
		_vbox_reply "$(_vboxadm_words verbs "$noun" '')" ;;
	domain:add | user:add | alias:add | domain:list | log:list) ;;
	log:restore)
		_vbox_reply "$(_vbox_names log)" ;;
	domain:* | *:list)
		_vbox_reply "$(_vbox_names domain)" ;;
	alias:*)
		_vbox_reply "$(_vbox_names alias)" ;;
	sieve:check | import:*)
		_vbox_files ;;
	user:* | quota:* | sieve:* | check:sendmail)
		_vbox_reply "$(_vbox_names user)" ;;
	esac
}

complete -F _vbox_deliver vbox-deliver
complete -F _vbox_lmtpd vbox-lmtpd
complete -F _vboxadm vboxadm
