#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh install|uninstall, with BUILD, DESTDIR, PREFIX, BINDIR, LIBDIR, INCLUDEDIR, DATADIR in the environment. What is installed
# is what uninstall removes: one list of files, made from the build and the tree.
set -eu
bin=$DESTDIR$BINDIR lib=$DESTDIR$LIBDIR include=$DESTDIR$INCLUDEDIR share=$DESTDIR${DATADIR:=$PREFIX/share}
version=$(sed -n 's/^#define DAVIT_VERSION "\(.*\)"/\1/p' kernel/base/version.h)

# mode, from, to
files()
{
	for p in davitd davit davit-manifest davit-bench; do
		echo "755 $BUILD/bin/$p $bin/$p"
	done
	(cd "$BUILD/lib/davit" && find plugins -type f | LC_ALL=C sort) | while read -r f; do
		case $f in *.so) mode=644 ;; *.json) mode=644 ;; *) continue ;; esac
		echo "$mode $BUILD/lib/davit/$f $lib/davit/$f"
	done
	for h in sdk/include/davit/*.h sdk/include/davit/*.hpp; do
		echo "644 $h $include/davit/${h##*/}"
	done
	(cd sdk/template && find . -type f | LC_ALL=C sort) | while read -r f; do
		mode=644
		[ ! -x "sdk/template/$f" ] || mode=755
		echo "$mode sdk/template/$f $share/davit/template/${f#./}"
	done
	for page in davit.1 davit-bench.1 davitd.8; do
		echo "644 $BUILD/man/$page $share/man/man${page##*.}/$page"
	done
	echo "644 $BUILD/completions/davit $share/bash-completion/completions/davit"
	echo "644 $BUILD/completions/davitd $share/bash-completion/completions/davitd"
	echo "644 sdk/guide.md $share/doc/davit/guide.md"
	echo "644 $BUILD/lib/libdavit-sdk.a $lib/libdavit-sdk.a"
}

# From the folder of davit.pc to another.
way()
{
	realpath -ms --relative-to="$from" "$1"
}

case ${1:-} in
install)
	files | while read -r mode from to; do
		install -D -m "$mode" "$from" "$to"
	done
	ln -sf davitd "$bin/daprd"
	ln -sf davitd.8 "$share/man/man8/daprd.8"
	ln -sf davitd "$share/bash-completion/completions/daprd"
	install -d "$lib/pkgconfig"
	from=$LIBDIR/pkgconfig
	sed -e "s|@PREFIX@|$(way "$PREFIX")|" -e "s|@LIBDIR@|$(way "$LIBDIR")|" -e "s|@INCLUDEDIR@|$(way "$INCLUDEDIR")|" \
		-e "s|@BINDIR@|$(way "$BINDIR")|" -e "s|@PLUGINDIR@|$LIBDIR/davit/plugins|" -e "s|@VERSION@|$version|" \
		packaging/davit.pc.in > "$lib/pkgconfig/davit.pc"
	chmod 644 "$lib/pkgconfig/davit.pc"
	;;
uninstall)
	files | while read -r _ _ to; do
		rm -f "$to"
	done
	[ "$(readlink "$bin/daprd" || :)" != davitd ] || rm -f "$bin/daprd"
	rm -f "$lib/pkgconfig/davit.pc" "$share/man/man8/daprd.8" "$share/bash-completion/completions/daprd"
	[ ! -d "$lib/davit" ] || find "$lib/davit" -depth -type d -empty -delete
	for folder in davit doc/davit; do
		[ ! -d "$share/$folder" ] || find "$share/$folder" -depth -type d -empty -delete
	done
	[ ! -d "$include/davit" ] || rmdir --ignore-fail-on-non-empty "$include/davit"
	;;
*)
	echo "usage: install.sh install|uninstall" >&2
	exit 2
	;;
esac
