# Two commands for a newcomer, `make demo` and `make test`; each target sets up .venv first.
PYTHON ?= python3
VENV := .venv
PYTEST_WORKERS := --numprocesses 2 --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow fuzz check docs clean

$(STAMP): pyproject.toml constraints.txt
	scripts/setup "$(PYTHON)" "$(VENV)"
	touch $(STAMP)

demo: $(STAMP)
	$(VENV)/bin/avatar-optuna run studies/demo.toml --workers 2

test: $(STAMP)
	$(VENV)/bin/python -m pytest -m "not slow" $(PYTEST_WORKERS)

test-slow: $(STAMP)
	$(VENV)/bin/python -m pytest -m "slow and not fuzz" $(PYTEST_WORKERS)

fuzz: $(STAMP)
	$(VENV)/bin/python -m pytest -m fuzz

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build

check: $(STAMP)
	scripts/check "$(VENV)/bin"

clean:
	rm -rf $(VENV) build *.egg-info
