"""The registry's s3 driver, seen from beside it: an object store without folders and without rename."""
