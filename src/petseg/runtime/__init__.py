"""What carries results without deciding any: files, processes, signals, locks. Never a dependency of a DVC stage."""
