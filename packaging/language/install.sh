#!/bin/sh
# Installs the Debian package with Tesseract's data for one language, as root.
#
#   install.sh NAME            such as deu or chi_sim
#   install.sh --wish WISH RESULT
#
# The second form is for docscan-languages.service: docscand, which may not install
# anything, writes "ID NAME" into WISH; RESULT gets "ID doing", then "ID done" or
# "ID failed REASON". WISH comes from a program with fewer rights, so no more than
# one short line of it is read, and the name is checked before it is used.
set -eu

package() {
	case $1 in
	'' | *[!A-Za-z_]* | _* | *__*) return 1 ;;
	esac
	[ "${#1}" -le 31 ] || return 1
	echo "tesseract-ocr-$(echo "$1" | tr 'A-Z_' 'a-z-')"
}

install() {
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
	if ! apt-cache show "$1" >/dev/null 2>&1; then
		apt-get -q update || return
		if ! apt-cache show "$1" >/dev/null 2>&1; then
			echo "E: Debian has no package $1" >&2
			return 1
		fi
	fi
	apt-get -q -y --no-install-recommends install "$1"
}

if [ "${1-}" != --wish ]; then
	package=$(package "${1-}") || { echo "E: this is not the name of a language: ${1-}" >&2; exit 2; }
	install "$package"
	exit
fi

wish=$2 result=$3
# A link could lead to a file that only root may read or remove.
if [ -L "$wish" ] || [ ! -f "$wish" ]; then
	rm -f "$wish"
	exit 0
fi
line=$(head -c 100 "$wish" | head -n 1)
rm -f "$wish"
id=${line%% *} name=${line#* }
case $id in
'' | *[!0-9a-f-]*) exit 0 ;;
esac
tell() {
	printf '%s\n' "$id $*" >"$result.new"
	chmod 644 "$result.new"
	mv "$result.new" "$result"
}
package=$(package "$name") || { tell failed "this is not the name of a language"; exit 0; }
tell doing
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if install "$package" >"$log" 2>&1; then
	tell done
else
	tell failed "$(grep '^[EW]: ' "$log" | tail -n 1 | cut -c 1-300)"
fi
