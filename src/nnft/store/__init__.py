"""Run files: schema, safe writing, safe reading, locks, stored fields."""
