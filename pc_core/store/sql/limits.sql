-- Every transaction sets its own limits, because session settings do not survive a pooler. If a run
-- freezes inside a transaction, the server ends it after idle_in_transaction_session_timeout, so that
-- it does not lock the lease's row for ever.

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
-- Listings are many and short: JIT compilation or parallel workers would cost more than they save.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '20s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL jit = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL work_mem = '16MB';
SET LOCAL TimeZone = 'UTC'

-- name: begin_reading_much
-- The seen ids are inserted and deleted in bulk, so their statistics are often stale: a nested loop
-- planned for one row that meets 10,000 reads 50 million rows. Hash and merge joins never do that.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '300s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL enable_nestloop = off;
SET LOCAL TimeZone = 'UTC'
