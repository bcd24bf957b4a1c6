"""Responses from a Hugging Face policy: prompts in, a corpus with token ids and behaviour log-probs out."""
