#!/bin/bash
# release.sh - the version, in all places that name it, and the scripts of those
# that users have.
#
#     test/release.sh release         the version that is being made is released
#     test/release.sh next VERSION    VERSION is what is made from now on
#     test/release.sh check           print what does not agree
#
# Called by `make release` and `make next`.  A version that is being made ends
# in dev, in loyalty.control.  Of a released one, sql/ has the script, which never
# changes again: sql/released.sha256 has its digest, and that of the script that
# leads to it.  test/fill/ has what fills a database of it.
set -euo pipefail
. "$(dirname "$0")/common.sh"
umask 022
cd "$root"
list=sql/released.sha256

version_now() { sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" loyalty.control; }
version=$(version_now)

# released: versions, the oldest first.
released() { sed -n 's/^[0-9a-f]\{64\}  loyalty--\(\([^-]\|-[^-]\)*\)\.sql$/\1/p' "$list"; }
is_released() { released | grep -qxF "$1"; }
last_released() { released | tail -n 1; }

# As PGXN and Debian write it: 0.2.0-dev, 0.2.0~dev.
spelled() { sed "s/dev\$/$2dev/" <<<"$1"; }

# set_version VERSION: where files name it.
set_version() {
	sed -i "s/^default_version = .*/default_version = '$1'/" loyalty.control
	sed -i -e "s/\"version\": \"$(spelled "$version" -)\"/\"version\": \"$(spelled "$1" -)\"/" \
		-e "s/loyalty--$version\.sql/loyalty--$1.sql/" META.json
	if [ -e debian/changelog ]; then
		sed -i "1s/($(spelled "$version" '~')-/($(spelled "$1" '~')-/" debian/changelog
	fi
}

# note FILE: its digest joins those of what users have.
note() { (cd sql && sha256sum "$1") >>"$list"; }

release() {
	local new=${version%dev} last
	[ "$new" != "$version" ] || die "$version is not being made: make next VERSION=… begins another one"
	last=$(last_released)
	[ -z "$last" ] || [ -e "sql/loyalty--$last--$version.sql" ] || die "there is no sql/loyalty--$last--$version.sql"
	set_version "$new"
	sed -i "s/^## $new (not released)\$/## $new/" CHANGELOG.md
	rm -f "sql/loyalty--$version.sql"
	make -s script >"sql/loyalty--$new.sql"
	note "loyalty--$new.sql"
	if [ -n "$last" ]; then
		sed "s/'$version'/'$new'/" "sql/loyalty--$last--$version.sql" >"sql/loyalty--$last--$new.sql"
		rm "sql/loyalty--$last--$version.sql"
		note "loyalty--$last--$new.sql"
	fi
	mkdir -p test/fill
	cp test/fill.sql "test/fill/$new.sql"
	say "loyalty: $new is released once this is committed and has the tag v$new; make next VERSION=… begins another one"
}

next_version() {
	local new=${1%dev}dev last
	[[ $new =~ ^[0-9]+\.[0-9]+\.[0-9]+dev$ ]] || die "\"$1\" is no version: make next VERSION=1.2.3"
	last=$(last_released)
	[ "$version" = "$last" ] || die "$version is not released: make release does that"
	[ "$(printf '%s\n' "$last" "${new%dev}" | sort -V | tail -n 1)" != "$last" ] || die "$new is not after $last"
	if [ -e debian/changelog ]; then
		{
			printf 'loyalty (%s-1) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n%s  %s\n\n' "$(spelled "$version" '~')" \
				"$(sed -n 's/^\( -- .*>\)  .*/\1/p' debian/changelog | head -n 1)" "$(date -R)"
			cat debian/changelog
		} >debian/changelog.new
		mv debian/changelog.new debian/changelog
	fi
	set_version "$new"
	sed -i "0,/^## /s//## ${new%dev} (not released)\n\n## /" CHANGELOG.md
	cat >"sql/loyalty--$last--$new.sql" <<-END
		\\echo Use "ALTER EXTENSION loyalty UPDATE TO '$new'" to load this file. \\quit

		SELECT loyalty_internal.seal();
	END
	say "loyalty: $new begins; what is changed in sql/parts/ is changed in sql/loyalty--$last--$new.sql too"
}

# --- what does not agree -----------------------------------------------------------

check_released() {
	local each file
	! grep -q '^[0-9a-f]' "$list" || (cd sql && sha256sum --quiet --check released.sha256 2>&1) || true
	for each in $(released); do
		[ -e "test/fill/$each.sql" ] || echo "test/fill/$each.sql is missing"
	done
	for file in sql/loyalty--*.sql; do
		[[ ! $file =~ ^sql/loyalty--.*dev\.sql$ && -e $file ]] || continue
		grep -qF "  ${file#sql/}" "$list" || echo "$list does not have $file"
	done
}

check_version() {
	local last step
	last=$(last_released)
	grep -qF "\"version\": \"$(spelled "$version" -)\"" META.json || echo "META.json does not have version $(spelled "$version" -)"
	if is_released "$version"; then
		[ "$version" = "$last" ] || echo "$version is not the newest"
		make -s script | cmp -s - "sql/loyalty--$version.sql" ||
			echo "sql/parts/ is not what was released as $version: make next VERSION=… before it changes"
	elif [[ $version != *dev ]]; then
		echo "$version is neither released nor being made"
	elif [ -n "$last" ]; then
		step=sql/loyalty--$last--$version.sql
		[ -e "$step" ] || echo "there is no $step"
	fi
	for step in sql/loyalty--*--*.sql; do
		[ ! -e "$step" ] || [ "$(tail -n 1 "$step")" = 'SELECT loyalty_internal.seal();' ] || echo "$step does not end with loyalty_internal.seal()"
	done
}

case ${1:-} in
	release) release ;;
	next) next_version "${2:-}" ;;
	check) check_released; check_version ;;
	*) die "usage: release.sh release | next VERSION | check" ;;
esac
