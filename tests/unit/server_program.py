"""A small server that is started as vLLM is, and options of its own that say what else it does."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path in ("/health", "/version")
        body = json.dumps({"version": "1.2.3"}).encode() if self.path == "/version" else b""
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--die", action="store_true")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--fork", action="store_true")
    parser.add_argument("--stubborn", action="store_true")
    options, _ = parser.parse_known_args()
    if options.record:
        with options.record.open("a") as lines:
            own = {"pid": os.getpid(), "arguments": sys.argv[1:], "environment": dict(os.environ)}
            lines.write(json.dumps(own) + "\n")
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.fork:
        # A child in a session of its own, which starts another.
        sleeper = f"import time; time.sleep(600)  # {options.record}"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        time.sleep(0.3)
    for number in range(30):
        print(f"line {number}", flush=True)
    if options.die:
        sys.exit("no such weights")
    if options.hang:
        time.sleep(600)
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
