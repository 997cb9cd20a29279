"""For clients of plain HTTP: a context that knows no certificates."""

from __future__ import annotations

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""One for all of them: loading the machine's certificates for each would cost more than its calls."""
