# ebpftop: what to run, what to check, where to install. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
# Options for the program: make run ARGS='-i eth0 --theme mono'
ARGS ?=
# Options for the test binaries: make unit TESTARGS=talkers
TESTARGS ?=
CARGO ?= cargo
CARGO_TARGET_DIR ?= target
INSTALL ?= install
export CARGO_TARGET_DIR

# rustup puts cargo here, and a shell that has not been started since does not know it. ip and
# ethtool are in sbin.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:/usr/local/sbin:/usr/sbin:/sbin

BINARY := $(abspath $(CARGO_TARGET_DIR))/release/ebpftop
C_SOURCES := $(wildcard src/bpf/*.c src/bpf/*.h benches/*.c)
SCRIPTS := $(wildcard scripts/*.sh scripts/kernels/*.sh benches/*.sh) scripts/kernels/init .ci/run

# Set to anything, `make install` gives the program its privileges, so that it runs without sudo: for
# everybody who may run it. src/privileges.rs says what each is for, and a test that they are the same.
SETCAP ?=
CAPABILITIES := 'cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw,cap_sys_ptrace,cap_dac_read_search=ep'

SUDO := $(shell [ "$$(id -u)" -eq 0 ] || command -v sudo)

# The command that cargo puts in front of a test binary, since some need root.
ifneq ($(SUDO),)
AS_ROOT = env "CARGO_TARGET_$$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)_RUNNER=$(SUDO) -E"
endif

bindir := $(DESTDIR)$(PREFIX)/bin
mandir := $(DESTDIR)$(PREFIX)/share/man/man1
docdir := $(DESTDIR)$(PREFIX)/share/doc/ebpftop
bashdir := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# One after the other also with -j: each uses all CPUs.
.NOTPARALLEL:

.PHONY: help run build test check kernel test-kernels test-aarch64 test-fleet test-otlp test-sql test-package soak fuzz lint unit install uninstall dist reproducible deny msrv bench screenshot console-picture animation demo clean setup-build setup-test

help: ## what there is to make
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

# sudo keeps TERM, COLORTERM and the locale by itself.
run: build ## build, then start the dashboard as root (ARGS=… are its options)
ifeq ($(SUDO),)
	@exec '$(BINARY)' $(ARGS)
else
	@exec $(SUDO) --preserve-env=NO_COLOR,XDG_CONFIG_HOME '$(BINARY)' $(ARGS)
endif

build: setup-build ## the release binary, after installing the packages it needs
	@CARGO='$(CARGO)' scripts/build.sh --release

setup-build:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

# A run that takes longer hangs: 2 cores need about 21 minutes, and half an hour more where the
# kernel tests need a guest (WHERE=guest).
test: setup-test ## every check: lint, check, test-fleet, kernel, and the program on four other kernels
	@timeout --foreground -k 30 70m $(MAKE) --no-print-directory lint check test-fleet kernel test-kernels

# The build itself needs clang, for the BPF programs.
check: setup-build ## after the build two minutes: the tests that need neither root nor BPF
	timeout -k 30 20m $(CARGO) test --locked --lib --test pure --test cli $(TESTARGS)

kernel: setup-test ## the tests of tests/kernel: here as root, or in a QEMU guest where BPF is refused
	@CARGO='$(CARGO)' timeout --foreground -k 30 60m scripts/kernel-tests.sh $(TESTARGS)

# KERNELS='6.1 newest' chooses, and so does TESTS='opens resolved'; see scripts/test-kernels.sh.
test-kernels: setup-test ## boot 5.10, 6.1, 6.12 and the newest kernel in QEMU, run tests of the whole program there
	@scripts/test-kernels.sh $(KERNELS)

# Prometheus and Alertmanager come from Debian's packages, unpacked into target and not installed, unless it is in PATH.
# The program is that of the other tests: `cargo build` would compile it again, without what they need.
test-fleet: setup-test ## a minute: fifty recorded machines scraped by Prometheus: numbers, rules, dashboards, alerts
	$(CARGO) test --locked --no-run --test cli
	@timeout --foreground -k 30 10m scripts/test_fleet.py --program '$(abspath $(CARGO_TARGET_DIR))/debug/ebpftop'

# Chromium is the only thing that it needs beside those of test-fleet.
console-picture: ## assets/console.png from test-fleet, by Chromium (apt-get install chromium)
	$(CARGO) test --locked --no-run --test cli
	@timeout --foreground -k 30 10m scripts/test_fleet.py --program '$(abspath $(CARGO_TARGET_DIR))/debug/ebpftop' \
		--machines 5 --picture assets/console.png

# rotel comes from PyPI, into a venv in target: 30 MB.
test-otlp: setup-test ## half a minute: a recording sent by OTLP to a receiver of others, sums compared
	$(CARGO) test --locked --no-run --test cli
	@timeout --foreground -k 30 10m scripts/test_otlp.py --program '$(abspath $(CARGO_TARGET_DIR))/debug/ebpftop'

# chdb and duckdb come from PyPI, into a venv in target: 1 GB.
test-sql: setup-test ## a minute: lines of this machine in ClickHouse and DuckDB by the shipped files, sums compared
	$(CARGO) build --locked
	@timeout --foreground -k 30 20m scripts/test_sql.py --program '$(abspath $(CARGO_TARGET_DIR))/debug/ebpftop'

test-aarch64: setup-test ## build for aarch64 on any machine, run opens and talkers tests in an emulated one
	@ARCH=aarch64 scripts/test-kernels.sh $(KERNELS)

test-package: setup-build ## install the .deb on a clean Debian made for it, run it there, remove it
	@scripts/test-package.sh

# An input that fails is kept in tests/corpus, and is a test from then on. The limit of a test is for its 1,000
# inputs in `make test`.
fuzz: setup-test ## all that reads foreign bytes, with fifty times as many inputs as in `make test`
	EBPFTOP_TEST_SECONDS=$${EBPFTOP_TEST_SECONDS:-1800} EBPFTOP_FUZZ_CASES=$${EBPFTOP_FUZZ_CASES:-50000} \
		$(CARGO) test --locked --lib any_

# As root, through sudo where needed: cargo itself does not run as root.
soak: setup-test ## ten minutes of random keys and sizes; two each: switches under traffic, SIGKILL amid them, stream and record, opens
	$(CARGO) test --locked --no-run --test soak
	@EBPFTOP_SOAK_SECONDS=600 $(AS_ROOT) timeout -k 30 20m $(CARGO) test --locked --test soak keys:: -- --nocapture
	@EBPFTOP_SOAK_SECONDS=120 $(AS_ROOT) timeout -k 30 30m $(CARGO) test --locked --test soak -- --skip keys:: --nocapture

lint: ## formats, lints, spelling and documentation alone
	$(CARGO) fmt --check
	clang-format --dry-run -Werror $(C_SOURCES)
	shellcheck -x $(SCRIPTS)
	codespell
	scripts/dashboards.py --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib --bins -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items --lib

unit: check kernel ## all tests without lints and other kernels

bench: build ## criterion benches, then the overhead on the real kernel, and that of the peers
	$(CARGO) bench --locked
	$(SUDO) benches/peers.sh
	$(SUDO) benches/wire_cost.py
	$(SUDO) benches/conn_peers.py
	$(SUDO) benches/dashboard.py
	$(SUDO) benches/feel.py

dist: setup-build ## what is released, in target/dist: archive, .deb, .rpm, SBOM, checksums
	@scripts/dist.sh

reproducible: setup-build ## make dist in two folders: is it the same, byte by byte?
	@scripts/reproducible.sh

deny: setup-build ## cargo-deny: licences, sources, duplicates, advisories (fetches their database)
	"$$(scripts/tool.sh cargo-deny)" --locked check

# rustfmt: the build formats what it generates, and stops where rustup has none for this toolchain.
msrv: setup-build ## does it build with the oldest Rust that Cargo.toml promises?
	oldest=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) && \
		rustup toolchain install --profile minimal --component rustfmt "$$oldest" && \
		cargo "+$$oldest" check --locked --all-targets --target-dir '$(CARGO_TARGET_DIR)/msrv'

screenshot: build ## assets/screenshot*.svg in two themes, from the real program under a small load
	$(SUDO) python3 scripts/screenshot.py --program '$(BINARY)' --out assets/screenshot.svg \
		-- --process '~^(web|indexer|backup)$$'
	$(SUDO) python3 scripts/screenshot.py --program '$(BINARY)' --out assets/screenshot-light.svg \
		--title 'sudo ebpftop --theme light' -- --theme light --process '~^(web|indexer|backup)$$'

animation: build ## assets/animation.svg: `ebpftop replay` of its demo, driven by keys; needs no privileges
	python3 scripts/animation.py --program '$(BINARY)' --out assets/animation.svg

demo: build ## assets/demo.ebpftop, which `ebpftop replay` shows: made-up processes, recorded for real
	$(SUDO) python3 scripts/demo.py --program '$(BINARY)' --out assets/demo.ebpftop

# Builds nothing, so that `sudo make install` needs no Rust toolchain.
install: ## into PREFIX (/usr/local): the binary, man page, completions; SETCAP=1: to be run without sudo
	@[ -x '$(BINARY)' ] || { echo "make: there is no $(BINARY) yet: run 'make build' first." >&2; exit 1; }
	$(INSTALL) -d '$(bindir)' '$(mandir)' '$(docdir)' '$(bashdir)' '$(zshdir)' '$(fishdir)'
	$(INSTALL) -m 755 '$(BINARY)' '$(bindir)/ebpftop'
ifneq ($(SETCAP),)
	setcap $(CAPABILITIES) '$(bindir)/ebpftop'
endif
	'$(BINARY)' man >'$(mandir)/ebpftop.1'
	'$(BINARY)' completions bash >'$(bashdir)/ebpftop'
	'$(BINARY)' completions zsh >'$(zshdir)/_ebpftop'
	'$(BINARY)' completions fish >'$(fishdir)/ebpftop.fish'
	'$(BINARY)' config >'$(docdir)/config.toml'
	$(INSTALL) -m 644 LICENSE-MIT LICENSE-APACHE LICENSES/BSD-2-Clause.txt LICENSES/GPL-2.0-only.txt '$(docdir)'
	chmod 644 '$(mandir)/ebpftop.1' '$(docdir)/config.toml' '$(bashdir)/ebpftop' '$(zshdir)/_ebpftop' '$(fishdir)/ebpftop.fish'

uninstall: ## what install put there
	rm -f '$(bindir)/ebpftop' '$(mandir)/ebpftop.1' '$(bashdir)/ebpftop' '$(zshdir)/_ebpftop' '$(fishdir)/ebpftop.fish'
	rm -rf '$(docdir)'

clean: ## everything that was built
	$(CARGO) clean
