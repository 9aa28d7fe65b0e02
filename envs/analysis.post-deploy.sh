#!/usr/bin/env bash
# Snakemake runs this in the new environment, from the clone: the package itself, without what the pins give already. It cannot
# stand in the YAML file, for conda takes relative paths from Snakemake's own copy of that file.
set -euo pipefail
python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
