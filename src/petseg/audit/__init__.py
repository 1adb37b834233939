"""What is wrong with a data set: images, masks, duplicates, leaks between splits."""
