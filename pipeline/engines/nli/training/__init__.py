"""`balto train-verifier`: stored labels -> a verifier for `--verifier nli:V`.

options.py      what was asked for
examples.py     label sets -> labelled claims and labelled responses; held-out prompt groups
corruptions.py  further unsupported claims without any label: true sentences with one fact changed
fit.py          the two models, by the trainers of sentence-transformers and transformers
calibrate.py    scores on held-out groups -> probabilities and thresholds, and what they are worth
train_verifier.py  the whole, and the folder it writes
"""
