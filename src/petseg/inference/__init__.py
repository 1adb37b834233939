"""From a photograph to its mask, cut-out and picture, with a trained network."""
