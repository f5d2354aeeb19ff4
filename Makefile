# SPDX-License-Identifier: MIT
# The front door. The build itself is Meson's (meson.build); nothing is decided here.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
ARCH    ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)

.PHONY: all deps demo demo-cut test test-long test-static static image bench bench-full bench-hostile bench-fleet install deb docs site clean format check-format help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) gotunnel

$(BUILD)/build.ninja:
	@command -v meson >/dev/null && command -v ninja >/dev/null || \
	    { echo "meson and ninja are needed: 'make deps' installs what a build takes" >&2; exit 1; }
	@meson setup $(BUILD) --prefix=$(PREFIX)

deps:
	@tools/deps build

demo:
	@tools/deps build demo
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)/gotunnel

demo-cut:
	@tools/deps build demo demo-cut
	@$(MAKE) --no-print-directory all
	@tools/demo-cut $(BUILD)/gotunnel $(CUT)

test:
	@tools/deps build test $(if $(CI)$(FUZZ),fuzz)
	@tools/test

test-long:
	@tools/deps build test
	@tools/test --long

# ARCH='amd64 arm64' is both.
static:
	@tools/deps build static $(if $(filter-out $(shell dpkg --print-architecture 2>/dev/null),$(ARCH)),static-cross)
	@tools/static-sources build-static/sources
	@for arch in $(ARCH); do tools/static $$arch || exit 1; done

image: static
	@tools/image build-static/image "$$(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build)" \
	    $(foreach arch,$(ARCH),$(arch)=build-static/$(arch)/gotunnel)

test-static:
	@tools/deps build test static test-static
	@/usr/bin/python3 -m pytest -q -ra -p no:cacheprovider -m 'long or not long' tests/tools/test_static.py

bench bench-full bench-hostile bench-fleet:
	@tools/deps build bench
	@[ -f build-bench/build.ninja ] || meson setup build-bench -Dbench=true -Dtests=false
	@ninja -C build-bench
	@python3 -m bench --set $(or $(patsubst bench-%,%,$(filter bench-%,$@)),short) --out build-bench/results $(BENCH)

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) --prefix=$(PREFIX) -Dsystemdunitdir=$(UNITDIR)
	@ninja -C $(BUILD) program
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild --skip-subprojects

docs: $(BUILD)/build.ninja
	@ninja -C $(BUILD) docs

site:
	@tools/deps site
	@tools/site $(SITE)

deb:
	@tools/deps build deb
	@tools/deb build-deb

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz build-bench build-static build-deb

format:
	@tools/check-format --fix .

check-format:
	@tools/check-format .

help:
	@echo 'make                 build the program: $(BUILD)/gotunnel'
	@echo 'make demo            install what is missing, build, and show three tunnels at work'
	@echo 'make demo-cut        a download through a tunnel whose link is cut for 10 s, beside ssh -R'
	@echo 'make test            install what is missing, build, and run every test (FUZZ=1: fuzz too)'
	@echo 'make test-long       the tests that take hours: a thousand cuts of each kind, and more'
	@echo 'make static          a program that needs no library: build-static/$(ARCH)/gotunnel; fetches the'
	@echo '                     sources of its libraries once'
	@echo 'make image           a container image of it: build-static/image (OCI), build-static/image.tar'
	@echo 'make test-static     build both and test them'
	@echo 'make bench           install what is missing, build, and measure beside others, a few minutes'
	@echo "make bench-full      the same, everything (BENCH='--rounds 9': more options)"
	@echo 'make bench-hostile   what hostile traffic does to others, half an hour'
	@echo 'make bench-fleet     4,000 clients with 3 tunnels each, a quarter of an hour'
	@echo 'make install         install under PREFIX ($(PREFIX)); DESTDIR is respected;'
	@echo '                     UNITDIR: where units of systemd go (UNITDIR=none: not at all)'
	@echo 'make docs            the tables of keys in docs/configuration.md, from the table of options'
	@echo 'make site            README and docs/ as static HTML in build/site (SITE=DIR: elsewhere)'
	@echo 'make deb             the Debian packages, in build-deb/'
	@echo 'make deps            install what a build needs (Debian, Ubuntu)'
	@echo 'make format          format the C files;  make check-format only looks'
	@echo 'make clean           remove what was built'
