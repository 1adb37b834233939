"""The sources of images: each fills a folder with the official layout of Oxford-IIIT Pet."""
