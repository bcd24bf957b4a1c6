"""What crosses a boundary: records, the Parquet schema, the manifest, tokenizer identity, errors.

Everything the pipeline writes and the trainer reads is described here and nowhere else. This package imports
nothing of ours: the standard library, numpy, pyarrow and tokenizers only.
"""
