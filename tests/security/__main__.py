"""See `tests.security.page`."""

from tests.security.page import main

raise SystemExit(main())
