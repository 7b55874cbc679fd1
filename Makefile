# install · test · bench · lint · format · sanitize
PYTHON ?= python
SOURCES = $(shell find csrc tests/csrc -name '*.[ch]')

install:
	$(PYTHON) -m pip install -e '.[test]'

test:
	$(PYTHON) -m pytest

bench:
	$(PYTHON) -m benchmarks

lint:
	ruff check .
	ruff format --check .
	cython-lint fastfc/bindings
	clang-format --dry-run --Werror $(SOURCES)

format:
	ruff check --fix .
	ruff format .
	clang-format -i $(SOURCES)

# The C tests, warnings as errors, under AddressSanitizer and UndefinedBehaviorSanitizer; and that of
# the threads under ThreadSanitizer.
sanitize:
	cmake -S . -B build/sanitize -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WIDE=ON \
	      -DFASTFC_WERROR=ON -DFASTFC_SANITIZE=address,undefined
	cmake --build build/sanitize --parallel
	ctest --test-dir build/sanitize --output-on-failure
	cmake -S . -B build/sanitize-threads -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WERROR=ON \
	      -DFASTFC_SANITIZE=thread
	cmake --build build/sanitize-threads --parallel --target test_threads_0
	build/sanitize-threads/test_threads_0

.PHONY: install test bench lint format sanitize
