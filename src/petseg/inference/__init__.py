"""Uses trained networks: on photographs, and exported to other programs."""
