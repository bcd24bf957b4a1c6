"""The verifier `nli:<model>`: does a passage of the context entail the claim? Any sequence classifier over text pairs.

    settings.py    what shapes the rows, and how it is computed
    model_files.py a hub id or folder -> files that are safe to load, with a fingerprint of their content
    heads.py       what a model's outputs mean: label map, input order, window
    loading.py     one model per process; whatever is wrong with it in one line
    units.py       a context in sentence-sized pieces with their lengths in tokens
    retrieval.py   which pieces speak about a claim: word overlap, and embeddings where there is a retriever
    windows.py     the pieces as few evidence texts that fit into the model
    gather.py      the evidence of many claims
    batches.py     batches of one length, halved where memory is short
    scoring.py     (evidence, claim) -> probabilities
    tokens.py      (context, response) -> a probability for every word
    trained.py     a verifier that `balto train-verifier` wrote, and its calibration
    decisions.py   scores -> verdicts
    refine.py      which words of an unsupported claim are wrong
    verifier.py    claims of many records -> verdicts
    training/      `balto train-verifier`

Only modules in here import torch, transformers and sentence-transformers, and only inside functions, when chosen.
"""
