"""Corpus in: readers of our own format and of published ones, each record -> Sample.

    balto      schemas/samples.py: JSONL or Parquet          plain      prompt, context and response under common names
    ragtruth   response.jsonl beside source_info.jsonl       factscore  as published, or with contexts added
    confiqa    one JSON array; prompts without responses

Three layers: `files` finds the files and tells their formats, `containers` turns a file (JSONL, JSON array or
Parquet; gzip or not) into parsed records one at a time, and one module per format turns such a record into Samples.
Nothing vanishes: a record that cannot be read comes out as Rejected with its place and reason.
"""

from pipeline.corpora.files import (
    FORMATS,
    CorpusFile,
    assumed_corpus,
    corpus_size_bytes,
    format_with_fields,
    open_corpus,
)
from pipeline.corpora.read import fields_left_out, printed_objects, read_corpus_file

__all__ = [
    "FORMATS",
    "CorpusFile",
    "assumed_corpus",
    "corpus_size_bytes",
    "fields_left_out",
    "format_with_fields",
    "open_corpus",
    "printed_objects",
    "read_corpus_file",
]
