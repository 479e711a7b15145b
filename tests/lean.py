"""Imported before nbformat, as by `pytest -p tests.lean`, this keeps 38 grammars from being compiled in each process.

jsonschema, which nbformat brings, has them for checks of addresses that no chapter asks for.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
