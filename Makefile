# Two commands are all a reader needs: `make book` and `make test`. `make help` names the others.
# What each does stands in book/__main__.py, which does without make: `python -m book test`.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

COMMANDS := book test fast lint types unit nbval small pages html pdf slides students colab plain lab refresh coverage wheel bench fuzz mutants times clean

.PHONY: help $(COMMANDS)
.NOTPARALLEL:

help:
	@$(PYTHON) -m book help

$(COMMANDS):
	@$(PYTHON) -m book $@ --jobs $(JOBS) --venv $(VENV)
