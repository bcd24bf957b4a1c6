"""How to talk to a language model behind an OpenAI-compatible endpoint; knows nothing of claims."""
