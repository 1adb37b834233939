"""The sources of images, each brought into the official layout of Oxford-IIIT Pet."""
