"""Listens at the ports PORT... of this machine, and writes down who brings a key: to standard output.

squatter.py PORT...
"""

import http.server
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        key = self.headers.get("Authorization") or self.headers.get("X-Api-Key")
        print(f"asked for {self.path} with {'a key' if key else 'no key'}", flush=True)
        body = b"<!doctype html><title>Mine</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


servers = [http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) for port in sys.argv[1:]]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
