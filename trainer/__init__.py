"""Shards in, checkpoint out. Imports schemas and torch; never apache_beam, polars or pipeline.

Empty so far: the label sets that it will read are described in `schemas/`.
"""
