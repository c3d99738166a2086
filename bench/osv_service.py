"""Advisories in the form of osv.dev's query service, for auditors that ask one (`POST /v1/query`).

See https://google.github.io/osv.dev/post-v1-query/. What it answers was looked up before it began to serve,
so that its own work is no part of what is measured.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar


class Service(BaseHTTPRequestHandler):
    """Answers from a table."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[tuple[str, str], bytes]] = {}
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """One query."""
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = self.answers.get((query["package"]["name"], query["version"]), b"{}")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def main(answers: str) -> None:
    """Serve the answers of a file on a free port of 127.0.0.1, and print which."""
    table = json.loads(Path(answers).read_text())
    Service.answers = {
        (name, version): json.dumps({"vulns": vulns}).encode() for name, version, vulns in table
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
