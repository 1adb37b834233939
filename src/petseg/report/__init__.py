"""From scores to figures and a page: reads what the earlier stages wrote and computes no score of its own."""
