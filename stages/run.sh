# Usage: sh stages/run.sh STAGE.py [ARGUMENTS]
#
# Runs a stage for dvc.yaml with the first of these interpreters that has the project's packages: `python` (an activated
# environment), the project's .venv, `python3`. So `.venv/bin/dvc repro` works without activation, also where there is no
# `python`. dvc runs queued experiments in a temporary copy without .venv; DVC_ROOT is the project itself.

stages=$(dirname "$0")
script="$stages/$1"
shift
check='
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ("albumentations", "psutil", "torch"))))
'
for python in python "${DVC_ROOT:-$stages/..}/.venv/bin/python" python3; do
    if "$python" -c "$check" 2>/dev/null; then
        exec "$python" "$script" "$@"
    fi
done
echo "error: no Python interpreter with the project's packages was found; run \`make setup\`, or activate the environment that has them." >&2
exit 1
