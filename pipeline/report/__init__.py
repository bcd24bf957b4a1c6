"""`balto report`: one self-contained HTML page of figures and records. Polars and matplotlib; no Beam here."""
