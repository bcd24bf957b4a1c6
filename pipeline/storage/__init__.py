"""Files of a label set, on local disks and in buckets: read and written whole, by one run at a time."""
