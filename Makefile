# Two commands for a newcomer, `make demo` and `make test`; each sets up .venv first.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: demo test check clean

$(STAMP): pyproject.toml constraints.txt
	scripts/setup "$(PYTHON)" "$(VENV)"
	touch $(STAMP)

demo: $(STAMP)
	$(VENV)/bin/avatar-optuna run studies/demo.toml --workers 2

test: $(STAMP)
	$(VENV)/bin/python -m pytest

check: $(STAMP)
	scripts/check "$(VENV)/bin"

clean:
	rm -rf $(VENV) build *.egg-info
