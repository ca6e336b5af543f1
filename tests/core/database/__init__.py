"""How the database is asked, changed and locked."""
