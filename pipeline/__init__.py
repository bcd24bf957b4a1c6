"""Corpus in, labelled shards out: the Beam pipeline, its engines, and what people look at afterwards.

Imports schemas, apache_beam and polars; never torch and never trainer.
"""
