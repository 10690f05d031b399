#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes build/<package>_<version>_<architecture>.deb with dpkg-deb. VERSION, PLUGINS: as in the Makefile.
set -eu
cd "$(dirname "$0")/.."
architecture=$(dpkg --print-architecture)
name=davit-plugin-@PACKAGE@
root=build/deb
rm -rf $root
make -s install DESTDIR="$PWD/$root" PLUGINS="$PLUGINS"
mkdir -p $root/DEBIAN
sed -e "s/%VERSION%/$VERSION/" -e "s/%ARCHITECTURE%/$architecture/" packaging/control > $root/DEBIAN/control
dpkg-deb --root-owner-group --build $root build/${name}_${VERSION}_$architecture.deb
