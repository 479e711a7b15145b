"""`python -m mmalign` is the command `mmalign`."""

from .cli import main

raise SystemExit(main())
