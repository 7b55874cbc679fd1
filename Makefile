# install · core · test · test-parallel · ci-all · fuzz · trust · docs · bench · lint · format · analyze · sanitize · memcheck · sanitize-python · compile_commands.json
PYTHON ?= python

# Files below a folder, by their endings.  None is an error: a linter that is given no file is content.
files = $(or $(shell find $(1) $(foreach end,$(2),-name '*.$(end)' -o) -false),$(error no file in $(1) ends in: $(2)))
SOURCES = $(call files,csrc,c) $(call files,csrc,h) $(call files,tests/csrc,c h) \
          $(call files,benchmarks/onednn,cpp hpp)
BINDINGS = $(call files,fastfc/bindings,pyx) $(call files,fastfc/bindings,pxi pxd)

install:
	$(PYTHON) -m pip install -e '.[test]'

# The core and its bindings in place, for a package that is installed in editable mode: compiles only
# what has changed since the last time, where pip begins anew.  Kernels are compiled for the
# instruction set in use, which is one unit a dtype; ISA=avx2 is another one, ISA=all all of them.
ISA ?= $(shell $(PYTHON) -c 'from fastfc import _core; print(_core.isa())' 2>/dev/null)
core:
	cmake -S . -B build/core -G Ninja -DPython_EXECUTABLE="$$($(PYTHON) -c 'import sys; print(sys.executable)')" \
	      -DFASTFC_ISA=$(filter-out all,$(ISA)) --log-level=WARNING
	cmake --build build/core --parallel
	cmake --install build/core --prefix . >/dev/null

test:
	$(PYTHON) -m pytest

# Each test in several threads at once (pytest-run-parallel).  Left out are those that draw from
# np.random, whose stream all threads share, and those that set what belongs to the whole process,
# as instruction sets do: one is in use.
PARALLEL = $(filter-out $(foreach w,dropout random_rows philox every_operation hostile reference layer_utils, \
             $(wildcard tests/operations/*$(w)*)),$(wildcard tests/operations/test_*.py))
test-parallel:
	FASTFC_ISA=$$($(PYTHON) -c 'from fastfc import _core; print(_core.available_isas()[-1])') \
	$(PYTHON) -m pytest --parallel-threads=3 $(PARALLEL)

# Everything that reads files, fed with what atheris makes of files: pip install -e '.[fuzz]'.
# What it finds lies in build/fuzz.  READERS="mnist cifar": these alone.
RUNS = 1000000
JOBS = 1
READERS =
fuzz:
	$(PYTHON) -m tests.fuzz $(READERS) --runs $(RUNS) --jobs $(JOBS)

# The gate, and every platform and version that can be tried here (.ci/legs): an hour and more.
ci-all:
	.ci/run
	.ci/all

# What docs/trust.md gives the figures of, at length: hours on two cores.  Lines that begin with
# "trust:" are figures.  Needs pip install -e '.[test,dev,fuzz]' and valgrind.
trust: analyze sanitize memcheck sanitize-python test-parallel fuzz trust-functions
	FASTFC_TRUST=1 $(PYTHON) -m pytest -s

# The errors of exponential and activations: for float32 at every argument, which takes half an hour.
trust-functions:
	$(call c_tests,build/functions) --target test_functions_0 test_functions_1
	FASTFC_TRUST=1 build/functions/test_functions_0
	FASTFC_TRUST=1 build/functions/test_functions_1

# The pages in build/docs/index.html; a warning is an error.  Needs pip install -e '.[docs,plot]'.
docs:
	cd docs && $(PYTHON) -m sphinx -W --keep-going -q -b html . ../build/docs # from the root it would import the source

bench:
	$(PYTHON) -m benchmarks

lint: lint-csrc
	ruff check .
	ruff format --check .
	mypy
	basedpyright
	cython-lint $(BINDINGS)
	clang-format --dry-run --Werror $(SOURCES)
	check-jsonschema --quiet --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)
	zizmor --offline --quiet --no-progress .github

# Each C file by itself, warnings as errors: it parses alone as each unit is compiled, and includes
# what it uses.
lint-csrc: build/lint
	$(PYTHON) .ci/csrc.py check $<

# For editors (.clangd): how to parse each file of csrc and of its tests.
compile_commands.json: build/lint
	$(PYTHON) .ci/csrc.py commands $<

# Every unit's compiler and flags, without compiling.
build/lint:
	cmake -S . -B $@ -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WIDE=ON \
	      -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null

format:
	ruff check --fix .
	ruff format .
	clang-format -i $(SOURCES)

# GCC's -fanalyzer over the files of csrc; clang-tidy over its units and the C tests (.clang-tidy).
analyze: build/lint
	$(PYTHON) .ci/csrc.py analyze $<

# The C tests alone, warnings as errors: $(call c_tests,folder,cmake's options).
c_tests = cmake -S . -B $(1) -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WERROR=ON $(2) && \
          cmake --build $(1) --parallel

# The C tests under AddressSanitizer, which also looks for leaks, and UndefinedBehaviorSanitizer; and
# those of threads under ThreadSanitizer: the pool, networks, callers at once.
sanitize:
	$(call c_tests,build/sanitize,-DFASTFC_WIDE=ON -DFASTFC_SANITIZE=address$(comma)undefined)
	ASAN_OPTIONS=detect_leaks=1 ctest --test-dir build/sanitize --output-on-failure
	$(call c_tests,build/sanitize-threads,-DFASTFC_SANITIZE=thread) --target test_threads_0 test_callers_0
	ctest --test-dir build/sanitize-threads --output-on-failure -R '(threads|callers)_0'
comma = ,

# The C tests under valgrind's memcheck, with the code as it is released: it sees every load and
# store, masked ones too, and whether what they bring was ever written.  It runs no AVX-512; the
# 64-byte vectors are those over AVX2.  Leaks: what nothing points to any more.
memcheck:
	$(call c_tests,build/memcheck,-DFASTFC_WIDE=ON -DCMAKE_C_FLAGS=-g)
	for test in $(MEMCHECK); do for dtype in 0 1; do \
	    FASTFC_MEMCHECK=1 valgrind --quiet --fair-sched=yes --error-exitcode=1 --leak-check=full \
	             --errors-for-leak-kinds=definite,indirect \
	             build/memcheck/test_$${test}_$$dtype || exit 1; done; done
MEMCHECK = kernels sums predictor threads callers

# The tests with the extension under AddressSanitizer and UndefinedBehaviorSanitizer; TESTS: some of
# them.  Baseline kernels, since AddressSanitizer does not see the masked loads and stores of wider
# ones; no leak check, since Python itself keeps memory; malloc for all of Python's memory, so that
# its neighbours are watched.
TESTS = tests
# They bound a process's memory, of which AddressSanitizer's own takes more than they leave, or
# measure it: freed memory is kept, so that its use is seen.
NOT_SANITIZED = tests/solver/test_sources.py::test_a_file_larger_than_memory \
                tests/package/test_core.py::test_nothing_leaks \
                tests/package/test_load.py::test_memory_is_flat
sanitize-python:
	cmake -S . -B build/sanitize-python -DFASTFC_SANITIZE=address,undefined -DFASTFC_ISA=baseline \
	      -DPython_EXECUTABLE="$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	cmake --build build/sanitize-python --parallel
	rm -rf build/sanitize-python/package
	mkdir build/sanitize-python/package
	cp -r fastfc build/sanitize-python/package
	rm -f build/sanitize-python/package/fastfc/_core.*.so
	cp build/sanitize-python/_core.*.so build/sanitize-python/package/fastfc
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc FASTFC_ISA=baseline \
	sh -c 'cd build/sanitize-python/package && $(PYTHON) -m pytest -q -p no:cacheprovider \
	       --rootdir $(CURDIR) -c $(CURDIR)/pyproject.toml $(addprefix $(CURDIR)/,$(TESTS)) \
	       $(addprefix --deselect=,$(NOT_SANITIZED))'

.PHONY: install core test test-parallel ci-all fuzz trust trust-functions docs bench lint lint-csrc format analyze sanitize memcheck sanitize-python build/lint compile_commands.json
