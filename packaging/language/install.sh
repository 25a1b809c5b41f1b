#!/bin/sh
# Installs the Debian package with Tesseract's data for one language.
#
#   install.sh NAME                  as root: by apt; NAME is such as deu or chi_sim
#   install.sh --fetch WISH FOLDER   as docscan's own user, with a network
#   install.sh --put FOLDER RESULT   as root, without one
#
# The last two are for the units docscan-language-fetch and docscan-languages, for
# docscand may not install anything. It writes "ID NAME" into WISH. The first unit lets
# apt load and verify the package, which goes into FOLDER; the second judges what lies
# there, has dpkg install it, and writes "ID done" or "ID failed REASON" into RESULT. What
# comes from a program with fewer rights may be anything: names are checked before they are
# used, and a package may hold nothing but data of its language, and no script.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

package() {
	case $1 in
	'' | *[!A-Za-z_]* | _* | *__*) return 1 ;;
	esac
	[ "${#1}" -le 31 ] || return 1
	echo "tesseract-ocr-$(echo "$1" | tr 'A-Z_' 'a-z-')"
}

# wish FILE: sets id and name to what is wished for.
wish() {
	[ ! -L "$1" ] && [ -f "$1" ] || return 1
	line=$(head -c 100 "$1" | head -n 1)
	id=${line%% *} name=${line#* }
	case $id in
	'' | *[!0-9a-f-]*) return 1 ;;
	esac
}

# why LOG: the last line with which a program says what failed.
why() { grep -E '^(E:|W:|dpkg|mv:|mkdir:|mktemp:|docscan: )' "$1" | tail -n 1 | sed 's/^docscan: //; s/^E: //' | cut -c 1-300; }

# unknown PACKAGE FRESH: says why apt does not know it; FRESH is whether all lists could
# be loaded.
unknown() {
	if [ "$2" = no ]; then
		echo "E: the lists of Debian's packages could not be loaded; is this box online?" >&2
	else
		echo "E: Debian has no package $1" >&2
	fi
	return 1
}

install() {
	if ! apt-cache show "$1" >/dev/null 2>&1; then
		# One source that does not answer is no reason to give up.
		fresh=yes
		apt-get -q --error-on=any update || fresh=no
		apt-cache show "$1" >/dev/null 2>&1 || unknown "$1" $fresh || return
	fi
	apt-get -q -y --no-install-recommends install "$1"
}

# fetch PACKAGE: loads it into this folder, with the other languages that it needs. The
# lists of packages are those of the machine; if it has none, or old ones, then fresh
# ones, for this time only.
fetch() {
	mkdir -p apt/lists/partial apt/archives/partial
	load "$1" && return
	# Packed, and without what only people read.
	apt_lists="-o Dir::State::Lists=$PWD/apt/lists -o Acquire::GzipIndexes=true -o Acquire::Languages=none"
	fresh=yes
	apt apt-get -q --error-on=any update || fresh=no
	apt apt-cache show "$1" >/dev/null 2>&1 || unknown "$1" $fresh || return
	load "$1"
}

apt_lists=
# apt PROGRAM ARGS: what apt writes is in this folder.
apt() {
	program=$1
	shift
	# shellcheck disable=SC2086 # words without blanks; the folder is this script's own
	"$program" -o "Dir::Cache=$PWD/apt" $apt_lists "$@"
}

# needs: of a control file on stdin that judge has let pass, the packages that must be there.
needs() { sed -n 's/^Depends: //p' | head -n 1 | tr ',' '\n' | sed 's/^ *//; s/[^a-z0-9.+-].*//'; }

load() {
	apt apt-cache show "$1" >about 2>/dev/null || return
	others=$(needs <about | grep -x 'tesseract-ocr-[a-z-]*' || :)
	# shellcheck disable=SC2086 # names that were looked at
	apt apt-get -q download "$1" $others
}

no() {
	echo "docscan: $*" >&2
	return 1
}

# judge FILE: it is the package of a language, and nothing but data. Its name is added
# to names, and what it needs to needed.
judge() {
	# What is unpacked to be looked at has a bound, in blocks of 512 bytes.
	if ! (ulimit -f 65536 && dpkg-deb --field "$1" >field && dpkg-deb --contents "$1" >files && dpkg-deb --ctrl-tarfile "$1" >control.tar &&
		tar -tf control.tar >control); then
		no "the package that was loaded is damaged"
		return
	fi
	this=$(sed -n 's/^Package: //p' field)
	if ! echo "$this" | grep -qxE 'tesseract-ocr-[a-z]+(-[a-z]+)*'; then
		no "what was loaded is no language"
		return
	fi
	# What a language has; with other fields dpkg does something to other packages, or lets
	# nobody remove this one.
	other=$(awk '
		/^[ \t]/ { if (!said) { print "\"" $0 "\""; exit } next }
		{ said = /^Description: / }
		!/^(Package|Source|Version|Architecture|Maintainer|Original-Maintainer|Installed-Size|Depends|Recommends|Suggests|Enhances|Breaks|Replaces|Provides|Section|Priority|Multi-Arch|Homepage|Bugs|Origin|Built-Using|Tag|Description): / { print "\"" $0 "\""; exit }
	' field)
	if [ -n "$other" ]; then
		no "$this wants more than a language needs: $other"
		return
	fi
	if grep -qvxE '(\./)?|(\./)?(control|md5sums)' control; then
		no "$this wants to run a script, which no language needs"
		return
	fi
	# Folders that lead there, files without special rights, and no links.
	number='[0-9]+(\.[0-9]+)*' data=$(echo "${this#tesseract-ocr-}" | tr - _)
	if awk '{print $1, $2, $6 ($7 == "" ? "" : " ")}' files | grep -qvxE \
		"drwxr-xr-x root/root \./(usr/(share/(doc/($this/)?|tesseract-ocr/($number/(tessdata/)?)?)?)?)?|-rw-r--r-- root/root \./usr/share/(doc/$this/[A-Za-z0-9][A-Za-z0-9._-]*|tesseract-ocr/$number/tessdata/$data\.traineddata)"; then
		no "$this has files that no language needs"
		return
	fi
	names="$names $this "
	needed="$needed $(needs <field)"
}

# put PACKAGE FILES: installs them, as soon as no other program installs anything.
put() {
	wanted=$1
	shift
	names='' needed=''
	for file in "$@"; do
		judge "$file" || return
	done
	# Without it, it would stay half installed.
	for p in $wanted $needed; do
		case $names in
		*" $p "*) ;;
		*)
			if [ "$p" = "$wanted" ] || [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" != installed ]; then
				no "$p was not loaded"
				return
			fi
			;;
		esac
	done
	tries=24
	until dpkg --install "$@" >said 2>&1; do
		if ! grep -q 'lock was locked' said || [ "$tries" -le 0 ]; then
			cat said >&2
			return 1
		fi
		tries=$((tries - 1))
		sleep "${LANGUAGE_PAUSE:-5}"
	done
}

case ${1-} in
--fetch)
	folder=$3
	rm -rf "$folder/wished" "$folder/log" "$folder/packages"
	taken=
	! wish "$2" || taken=1
	# Whatever comes of it, it is taken: as long as it is there systemd begins again.
	[ -z "$taken" ] || printf '%s\n' "$id $name" >"$folder/wished" || :
	rm -f "$2"
	[ -n "$taken" ] || exit 0
	package=$(package "$name") || exit 0 # the other unit says so
	exec >"$folder/log" 2>&1
	work=$(mktemp -d -p /var/tmp)
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	fetch "$package" || exit 0 # the log says why
	mkdir "$folder/packages"
	mv ./*.deb "$folder/packages"
	;;
--put)
	wish "$2/wished" || exit 0
	result=$3
	tell() {
		printf '%s\n' "$id $*" >"$result.new"
		chmod 644 "$result.new"
		mv "$result.new" "$result"
	}
	package=$(package "$name") || { tell failed "this is not the name of a language"; exit 0; }
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	folder=$2
	cd "$work"
	# Nobody else can change a copy. The largest package has 20 MB, and none needs more
	# than one other.
	set --
	for file in "$folder"/packages/*.deb; do
		[ ! -L "$file" ] && [ -f "$file" ] && [ "$#" -lt 5 ] || continue
		head -c 67108864 "$file" >"$#.deb"
		set -- "$@" "$#.deb"
	done
	if [ "$#" -eq 0 ]; then
		: >log
		[ -L "$folder/log" ] || [ ! -f "$folder/log" ] || head -c 65536 "$folder/log" >log
		why=$(why log)
		tell failed "${why:-the package was not loaded in time}"
	elif put "$package" "$@" >log 2>&1; then
		tell done
	else
		tell failed "$(why log)"
	fi
	;;
*)
	package=$(package "${1-}") || { echo "E: this is not the name of a language: ${1-}" >&2; exit 2; }
	install "$package"
	;;
esac
