"""What git holds of results: comparing commits and experiments, listing them, running them again. Needs no DVC."""
