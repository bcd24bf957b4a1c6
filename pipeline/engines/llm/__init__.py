"""The engine `llm`: a language model finds claims and judges them. It only sees an `Ask`; nothing here opens a socket.

prompts.py   what the model is told, and why so          answers.py   what it may answer, and how that is read
sealed_data.py   how strangers' text travels              windows.py   what fits into one call
extraction.py    response -> claims                       verification.py   claims -> verdicts
evidence.py      quotes of the verifier -> places         canaries.py   claims whose answer is known
messages.py      the blocks of one call                    examples.py   what the model is shown
together.py tally.py   several calls at once; slips        estimate.py   requests, tokens and cost beforehand
"""
