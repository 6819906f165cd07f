-- Every transaction names its own limits: nothing set on a session survives a pooler. A run that
-- is frozen in the middle of one is ended by the server after idle_in_transaction_session_timeout,
-- so that it cannot hold the lease's row for ever.

-- name: begin_writing
BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '60s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL TimeZone = 'UTC'

-- name: begin_writing_much
BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '300s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL TimeZone = 'UTC'

-- name: begin_reading
-- Listings are many and short: compiling or parallel workers would cost more than they save.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '20s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL jit = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL work_mem = '16MB';
SET LOCAL TimeZone = 'UTC'

-- name: begin_reading_much
-- What walks have seen comes and goes as a whole, and its statistics are those of another moment: a
-- loop over 10,000 rows where they speak of one looks at 50 million. Hashing or merging never does.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '300s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL enable_nestloop = off;
SET LOCAL TimeZone = 'UTC'
