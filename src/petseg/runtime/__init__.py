"""Infrastructure that cannot change a result: files, processes, signals, locks. Never a dependency of a DVC stage."""
