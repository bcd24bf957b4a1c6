"""What data records, tables and opening hours of a context say, and what a claim makes of them."""
