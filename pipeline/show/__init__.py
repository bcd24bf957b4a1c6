"""Records and tables in the terminal, and what the report page shows of the same records. No Beam here."""
