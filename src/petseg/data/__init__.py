"""From a source to batches: sources -> splits -> packed arrays -> batches."""
