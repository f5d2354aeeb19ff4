# SPDX-License-Identifier: MIT
# The front door. The build itself is Meson's (meson.build); nothing is decided here.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=

.PHONY: all deps demo demo-cut test test-long bench bench-full bench-hostile bench-fleet install docs clean format check-format help

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

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz build-bench

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
	@echo 'make bench           install what is missing, build, and measure beside others, a few minutes'
	@echo "make bench-full      the same, everything (BENCH='--rounds 9': more options)"
	@echo 'make bench-hostile   what hostile traffic does to others, half an hour'
	@echo 'make bench-fleet     4,000 clients with 3 tunnels each, a quarter of an hour'
	@echo 'make install         install under PREFIX ($(PREFIX)); DESTDIR is respected;'
	@echo '                     UNITDIR: where units of systemd go (UNITDIR=none: not at all)'
	@echo 'make docs            the tables of keys in docs/configuration.md, from the table of options'
	@echo 'make deps            install what a build needs (Debian, Ubuntu)'
	@echo 'make format          format the C files;  make check-format only looks'
	@echo 'make clean           remove what was built'
