# SPDX-License-Identifier: MIT
# The front door. Meson builds; each target first installs what is missing (scripts/deps), which
# does nothing and asks for nothing when everything is there.

BUILD ?= build
PREFIX ?= /usr/local
MESON_ARGS ?=
PROGRAMS ?= 100000
SEED ?= 1
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: all help setup demo test test-engines test-stress test-random test-programs test-all test-slow bench install format clean

all: setup
	@ninja -C $(BUILD) -j $(JOBS) products
	@echo "Built in $(BUILD). Next: make demo, make test, make help."

help:
	@echo "make              build the library, the command and what asys run needs in $(BUILD)/"
	@echo "make demo         asynchronous against synchronous, on this machine's own files"
	@echo "make test         build everything, examples too, and run the tests"
	@echo "make test-stress  the races, a million times, and ten million random programs: an hour and a half"
	@echo "make test-random  random programs on every engine, through a queue and plainly; PROGRAMS=$(PROGRAMS) SEED=$(SEED)"
	@echo "make test-engines the same tests under each engine, with each driver"
	@echo "make test-programs  fio, QEMU, sysbench, stress-ng and MariaDB, with asys under them"
	@echo "make test-all     everything that continuous integration runs (.ci/run)"
	@echo "make test-slow    what is too slow for that: all of valgrind and TSan, long fuzzing"
	@echo "make bench        install the peers, build everything, run every benchmark, print one table"
	@echo "make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
	@echo "make format       clang-format every C file"
	@echo "make clean        remove $(BUILD)/"

setup:
	@scripts/setup $(BUILD) build -- $(MESON_ARGS)

test:
	@scripts/setup $(BUILD) build test -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --num-processes $(JOBS)

test-engines:
	@scripts/setup $(BUILD) build test -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@for engine in inline threads ready uring; do \
		meson test -C $(BUILD) --no-rebuild --print-errorlogs --num-processes $(JOBS) \
			--no-suite build --no-suite gen --no-suite bench --no-suite fidelity \
			--setup $$engine || exit 1; \
	done
	@for engine in auto inline threads ready uring; do for driver in fd thread shared; do \
		meson test -C $(BUILD) --no-rebuild --print-errorlogs --num-processes $(JOBS) \
			--suite contract --no-suite slow --setup $${engine}_$$driver || exit 1; \
	done; done

# The races a million times: about half an hour. Then random programs, other ones than in .ci/run: two
# million on each engine, or as many as begin in twelve minutes.
test-stress:
	@scripts/setup $(BUILD) build test -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@ASYS_STRESS=1000000 ASYS_TIME=10 meson test -C $(BUILD) --no-rebuild --print-errorlogs \
		--suite slow --timeout-multiplier 60
	@tests/random/run $(BUILD)/tests/random/random_programs 2000000 $(BUILD)/random-logs 100000000 720

# Shows each program that differs, and how it is run again; PROGRAMS=2000000 for a long run, SEED for others.
test-random:
	@scripts/setup $(BUILD) build test -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@tests/random/run $(BUILD)/tests/random/random_programs $(PROGRAMS) $(BUILD)/random-logs $(SEED)

# Programs that nobody wrote for asys: a few minutes; on more file systems as root.
test-programs:
	@scripts/setup $(BUILD) build programs -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@tests/programs/run $(BUILD)/tools/asys

test-all:
	@.ci/run

test-slow:
	@.ci/run slow

demo: setup
	@ninja -C $(BUILD) -j $(JOBS) tools/asys
	@$(BUILD)/tools/asys demo

bench:
	@scripts/setup $(BUILD) build bench -- $(MESON_ARGS)
	@ninja -C $(BUILD) -j $(JOBS)
	@bench/run $(BUILD)

install: setup
	@DESTDIR='$(DESTDIR)' JOBS='$(JOBS)' scripts/install '$(BUILD)' '$(PREFIX)'

format:
	@scripts/format

clean:
	rm -rf $(BUILD) build-ci
