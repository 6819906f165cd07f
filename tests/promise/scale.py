"""How much the promise's tests try: a sample by default, everything where asked for.

`PROMISE_LONG=1` asks for the long forms, by hand or by night; `PROMISE_SEED` for other samples.
"""

import os

LONG = os.environ.get("PROMISE_LONG", "") not in ("", "0")
SEED = int(os.environ.get("PROMISE_SEED", "1"))
