"""From logits to counts, from counts to scores, from scores to statistics."""
