"""How `pipeline.locate_spans` finds a claim: folded text, words and their kinds, alignment of quotes and rewordings."""
