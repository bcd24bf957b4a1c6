"""Shards in, checkpoint out. Imports schemas and torch; never apache_beam, polars or pipeline."""
