"""One file for each step of the schema, ``v0001_…``; a released file is never changed."""
