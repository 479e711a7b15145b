# Two commands are all a reader needs: `make book` and `make test`. `make help` names the others.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

BIN      := $(VENV)/bin
READY    := $(VENV)/.ready
PYTEST   := $(BIN)/python -m pytest -q
# Carries axe-core 4.12.1 for the browser tests; the second browser driver that it asks for is left out (--no-deps).
AXE      := axe-playwright-python==0.1.8
CHROMIUM ?= $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))
CHAPTERS := $(wildcard notebooks/*.ipynb)
PACKAGE  := $(shell find mmalign -type f -not -path '*/__pycache__/*')
PAGES    := _config.yml _toc.yml $(shell find book -type f -not -path '*/__pycache__/*')

# One thread to a process: JOBS of them run side by side, and one thread gives the same numbers every time.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

# A rendering starts from nothing: a page that Sphinx skips as unchanged would keep its warnings to itself.
define render
	rm -rf _build/html _build/.doctrees
	$(BIN)/jupyter-book build $(1) --path-output . -W -n --keep-going -q
endef

.PHONY: help book test lint unit nbval small pages coverage html pdf lab refresh bench times clean
.NOTPARALLEL:

help:
	@echo "make book      run every chapter on this machine and render the book to _build/html"
	@echo "make test      check everything: lint, tests, chapters, book, browser"
	@echo "make html      render the book from the stored chapters, in seconds"
	@echo "make pdf       print the stored chapters to _build/mmalign.pdf; needs Chromium, but no LaTeX"
	@echo "make lab       open the chapters in JupyterLab"
	@echo "make refresh   run the chapters and store their outputs in notebooks/"
	@echo "make coverage  list the lines of the package that no test runs"
	@echo "make bench     time the alignment solver"
	@echo "make times     time the chapters, one after the other, and store the seconds"
	@echo "make clean     remove what the other commands made, except $(VENV)"

# ---------------------------------------------------------------------------------------------- the environment

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "mmalign needs Python 3.11 or later; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing into $(VENV): a minute or three"
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install -qq --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps $(AXE)
	@touch $@

# ------------------------------------------------------------------------------------------------- the two commands

book: _build/.book
	@echo
	@echo "Your book, executed on this machine. Open it in a browser:"
	@echo "    $(CURDIR)/_build/html/index.html"

# Rendered from _build/src, where the freshly executed copies lie: the stored chapters stay as they are.
_build/.book: $(READY) $(CHAPTERS) $(PACKAGE) $(PAGES)
	$(BIN)/python book/chapters.py run --jobs $(JOBS)
	rm -rf _build/src/book && cp -R _config.yml _toc.yml book _build/src
	$(call render,_build/src)
	@rm -f _build/.html && touch $@

test: lint unit nbval small pages

lint: $(READY)
	$(BIN)/ruff check .

UNIT := -n $(JOBS) mmalign tests --ignore=tests/test_book.py --ignore=tests/test_browser.py

unit: $(READY)
	$(PYTEST) $(UNIT)

# One kernel per file (loadfile): the cells of a chapter need one another.
nbval: $(READY)
	$(PYTEST) -n $(JOBS) --dist loadfile --nbval --nbval-current-env --nbval-sanitize-with=tests/sanitize.cfg notebooks

small: $(READY)
	$(BIN)/python book/chapters.py small --jobs $(JOBS)

pages: html
	$(PYTEST) tests/test_book.py tests/test_browser.py

# --------------------------------------------------------------------------------------------- for those who work on it

html: _build/.html
	@echo "rendered: $(CURDIR)/_build/html/index.html"

_build/.html: $(READY) $(CHAPTERS) $(PAGES) $(filter mmalign/figures/static/%,$(PACKAGE))
	$(call render,.)
	@rm -f _build/.book && touch $@

# The whole book as one page, so that its links and page numbers hold, printed by a browser with a profile of its own.
# Sphinx writes the page into book/ with addresses that are right one folder up. Time passes as fast as it can.
pdf: $(READY)
	@test -n "$(CHROMIUM)" || { echo "make pdf needs Chromium; on Debian: apt-get install chromium" >&2; exit 1; }
	rm -rf _build/singlehtml
	$(BIN)/jupyter-book build . --path-output . --builder custom --custom-builder singlehtml -W -n --keep-going -q
	mv _build/singlehtml/book/intro.html _build/singlehtml/index.html
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --disable-quic --log-level=3 --user-data-dir=_build/.chromium \
		--virtual-time-budget=60000 --no-pdf-header-footer --generate-pdf-document-outline \
		--print-to-pdf=_build/mmalign.pdf "file://$(CURDIR)/_build/singlehtml/index.html"
	rm -rf _build/.chromium
	@echo "printed: $(CURDIR)/_build/mmalign.pdf"

# Which lines of the package the tests never run. Its own tool is installed here: nobody else needs it.
coverage: $(READY)
	@$(BIN)/pip install -qq --disable-pip-version-check pytest-cov==7.1.0
	$(PYTEST) $(UNIT) --cov=mmalign --cov-report=term-missing:skip-covered

lab: $(READY)
	$(BIN)/jupyter lab notebooks

refresh: $(READY)
	$(BIN)/python book/chapters.py refresh --jobs $(JOBS)

bench: $(READY)
	$(BIN)/mmalign bench transport

times: $(READY)
	$(BIN)/python book/chapters.py time

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
