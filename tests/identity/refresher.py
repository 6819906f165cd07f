"""One instance of the app in a process of its own: renews its token for each line that it reads.

For each line of standard input it answers with the token's digest or an error.
"""

import json
import os
import sys
from hashlib import sha256

from pc_core.errors import PartnerCenterSyncError
from pc_core.identity.blobs import connect_container
from pc_core.identity.entra import EntraConnection
from pc_core.identity.token_cache import TokenCacheBlob
from pc_core.identity.tokens import EntraTokens
from tests.identity.world import BLOB, SCOPE, FixedKeys


def main() -> None:
    given = json.loads(os.environ["REFRESHER"])
    container = connect_container(given["container"], connection_string=given["storage"])
    blob = TokenCacheBlob(lambda: container, BLOB, FixedKeys(given["key"]))
    connection = EntraConnection(
        client_id=given["client_id"],
        tenant_id=given["tenant_id"],
        authority=given["authority"],
        instance_discovery=False,
    )
    tokens = EntraTokens(connection, blob, scope=SCOPE)
    tokens.token()
    print("ready", flush=True)  # noqa: T201 - the answer
    for line in sys.stdin:
        try:
            token = tokens.token(refresh=line.strip() == "refresh")
            answer = sha256(token.access_token.encode()).hexdigest()
        except PartnerCenterSyncError as error:
            answer = f"{type(error).__name__} {error.code}"
        print(answer, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
