"""dlt at the best tuning that was found, with what each choice is for.

The rows keep one table, with nested values as JSON, like the product's own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import orjson
import pyarrow as pa
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

from dev.bench.contenders.task import LIST_PATH, Task
from dev.bench.stopwatch import Stopwatch

TEXTS = (
    *("id", "engagementId", "externalReferenceId", "organizationId", "name", "type"),
    *("qualification", "direction", "status", "substatus", "statusReason", "registrationStatus"),
    *("salesStage", "eTag", "createdDateTime", "updatedDateTime", "expirationDateTime"),
    *("acceptedDateTime", "closedDateTime"),
)
NESTED = ("customerProfile", "details", "team")
# Arrow's types are given, so that no page has to have them inferred and none differs from another.
SCHEMA = pa.schema([*((name, pa.string()) for name in (*TEXTS, *NESTED, "rawData"))])


def tables(task: Task, last: Any) -> Iterator[pa.Table]:
    """Pages as Arrow tables: dlt passes them on as files, without looking at each value.

    A page of dictionaries is walked value by value in two steps (extract, normalize), which is
    where most of the documented form's time goes.
    """
    client = RESTClient(
        base_url=task.api_url,
        auth=BearerTokenAuth(task.token),
        headers={"client-request-id": str(uuid.uuid4())},
        paginator=JSONLinkPaginator("'@odata.nextLink'"),
        data_selector="value",
    )
    parameters = {"$orderby": "updatedDateTime desc", "$top": task.page_size}
    for page in client.paginate(LIST_PATH.removeprefix("/"), params=parameters):
        columns: dict[str, list[Any]] = {name: [row.get(name) for row in page] for name in TEXTS}
        for name in NESTED:
            columns[name] = [orjson.dumps(row.get(name)).decode() for row in page]
        columns["rawData"] = [orjson.dumps(row).decode() for row in page]
        yield pa.table(columns, schema=SCHEMA)
        if last and page and page[-1]["updatedDateTime"] < last:
            return


def main() -> None:
    """Do the task."""
    task = Task.read()
    # One process and few, large files: with the database on the same two cores, more workers only
    # compete with it. A file a page would mean a COPY a page.
    os.environ["NORMALIZE__WORKERS"] = "1"
    os.environ["LOAD__WORKERS"] = "2"
    os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = "20000"
    os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "50000"
    # Compressing and unpacking files that never leave the machine costs only time.
    os.environ["NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    stopwatch = Stopwatch()
    pipeline = dlt.pipeline(
        pipeline_name="referrals",
        pipelines_dir=task.folder,
        destination=dlt.destinations.postgres(task.database_url),
        dataset_name="referrals",
    )

    def referrals() -> Iterator[Any]:
        # The last change is kept in the resource's state: dlt's own incremental would look at
        # every row of every Arrow table once more.
        state = dlt.current.resource_state()
        last = state.get("last")
        newest = last
        for table in tables(task, last):
            if len(table):
                newest = max(newest or "", *table.column("updatedDateTime").to_pylist())
            yield table
        state["last"] = newest

    resource = dlt.resource(
        referrals,
        primary_key="id",
        # One MERGE instead of a DELETE and an INSERT of the same rows.
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        columns={name: {"data_type": "json"} for name in (*NESTED, "rawData")},
    )
    # COPY of CSV files; the default writes INSERT statements.
    pipeline.run(resource, loader_file_format="csv")
    stopwatch.write(Path(task.measures))


if __name__ == "__main__":
    main()
