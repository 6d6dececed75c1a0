"""Small screens on top of another one; each returns what the user decided."""
