"""PostgreSQL. psycopg and SQL stay in this package, and psycopg's errors are translated here.

- `writing`: what a run writes, a transaction at a time; `postgres.PostgresStore` is its face and
  fulfils `sync.ports.Store`.
- `reading`: SQL that answers questions; `reader.PostgresReader` is its face and fulfils
  `pc_core.reading.Reader`.
- `sql`: the statements, loaded by `statements`; `batch` sends several in one round trip.
- `pool`: connections. `faults`: what an error means. `migrate`, `roles`, `migrations`: the schema.
"""
