#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the Go peer of the interoperability tests into the directory named by the argument:
#   go16   on smux of Debian (golang-go, golang-github-xtaci-smux-dev), without any network
#   go57   on the newest smux, pinned in peer/go.sum, from the module proxy of the environment; where
#          that cannot be had, go57.skip says why instead, and the tests are skipped with that text
# With a second argument go16, only that. Nothing is rebuilt that is newer than its sources. Several
# runs at once are safe.
set -eu

out=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
peer=$here/peer
exec 9>"$out/lock"
flock 9

mkdir -p "$out/gocache"
export GOCACHE="$out/gocache" GOMODCACHE="${GOMODCACHE:-$out/gomod}" GOTOOLCHAIN=local CGO_ENABLED=0
unset GOFLAGS GOROOT

fresh() { [ -f "$out/$1" ] && [ -z "$(find "$peer" "$here/build.sh" -type f -newer "$out/$1")" ]; }

first() {
    for go in "$@"; do
        if command -v "$go" >/dev/null 2>&1; then
            echo "$go"
            return
        fi
    done
    echo "no Go compiler: install the package golang-go" >&2
    exit 1
}

cd "$peer"
if ! fresh go16; then
    debian=$(first /usr/bin/go go)
    [ -d /usr/share/gocode/src/github.com/xtaci/smux ] || {
        echo "no smux: install the package golang-github-xtaci-smux-dev" >&2
        exit 1
    }
    GO111MODULE=off GOPATH=/usr/share/gocode "$debian" build -o "$out/go16.new" .
    mv "$out/go16.new" "$out/go16"
fi

[ "${2:-}" != go16 ] || exit 0

# A skip is remembered for ten minutes: this run's other tests do not try again, the next run may have
# a network. It is replaced, never absent meanwhile: other processes look at it without the lock.
if ! fresh go57 && [ -z "$(find "$out" -name go57.skip -mmin -10)" ]; then
    rm -f "$out/go57"
    newest=$(first go /usr/bin/go)
    if GO111MODULE=on GOFLAGS='-mod=readonly -modcacherw -buildvcs=false' \
        timeout 180 "$newest" build -o "$out/go57.new" . 2>"$out/go57.log" </dev/null; then
        mv "$out/go57.new" "$out/go57"
        rm -f "$out/go57.skip"
    else
        echo "the newest smux cannot be built here: $(tail -n 1 "$out/go57.log")" >"$out/skip.new"
        mv "$out/skip.new" "$out/go57.skip"
    fi
fi
