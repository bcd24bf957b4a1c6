"""Where the two sides meet: prompts of any corpus into a policy, and the loop generate -> label -> train -> score.

The only package that may import both `pipeline` and `trainer`; nothing imports it but the command.
"""
