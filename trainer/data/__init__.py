"""Label sets in, micro-batches of prompt groups out: deterministic, streamed, and resumable from two numbers."""
