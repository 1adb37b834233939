"""Python runs this at the start of every process in a `support.project.Project`; it changes nothing but stages.

PETSEG_TEST_RECORD names a folder. Each stage writes a file there, named after its script and arguments: a line
`import PATH` for each module of petseg that it imported, and `read PATH` for each output of the pipeline that it opened
for reading.

PETSEG_TEST_HOLD names a folder. As long as it exists, a stage waits just before it moves something into data/ or
plots/train/. For a training that is the end of an epoch. It creates a file named after its PID, and continues when the
file disappears. Signals and other threads still run.
"""

import atexit
import contextlib
import os
import sys
import time

STAGES = ("fetch_data.py", "split.py", "train.py", "evaluate.py", "report.py")
OUTPUTS = ("data", "metrics", "models", "plots", "report")


def _watch(record: str, hold: str) -> None:
    """Adds the hooks to this process, which is a stage or one of its workers."""

    def on_event(event: str, arguments: tuple) -> None:
        if event == "open" and record and not isinstance(arguments[0], int):
            path = os.path.relpath(os.fsdecode(arguments[0]))
            if path.split(os.sep)[0] in OUTPUTS and arguments[2] & os.O_ACCMODE != os.O_WRONLY:
                _write(record, [f"read {path}"])
        if event == "os.rename" and hold:
            path = os.path.relpath(os.fsdecode(arguments[1]))
            if path.startswith((f"data{os.sep}", f"plots{os.sep}train{os.sep}")):
                _wait(os.path.join(hold, str(os.getpid())))

    def record_imports() -> None:
        modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "petseg"]
        _write(record, [f"import {module.__file__}" for module in modules])

    sys.addaudithook(on_event)
    if record:
        atexit.register(record_imports)


def _write(record: str, lines: list[str]) -> None:
    with open(os.path.join(record, os.environ["PETSEG_TEST_STAGE"]), "a") as log:
        log.write("".join(f"{line}\n" for line in lines))


def _wait(mark: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # the folder is gone: released
        open(mark, "w").close()
    while os.path.exists(mark):
        time.sleep(0.01)


_words = [os.path.basename(word) for word in sys.orig_argv[1:]]
if _words and _words[0] in STAGES:
    os.environ["PETSEG_TEST_STAGE"] = "-".join(_words)  # also for its workers
if "PETSEG_TEST_STAGE" in os.environ:
    _watch(os.environ.get("PETSEG_TEST_RECORD", ""), os.environ.get("PETSEG_TEST_HOLD", ""))
