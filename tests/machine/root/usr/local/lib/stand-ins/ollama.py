"""Answers as ollama does (its docs/api.md), to those who ask what it has: ollama.py [PORT].

As in ollama, the model is loaded in a child. Where there is a file /run/ollama-cpu, the model is in
no GPU's memory.
"""

import http.server
import json
import os
import signal
import subprocess
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 11434
SIZE = 115712
# What is loaded: 24 MiB, written to, so that it is there.
RUNNER = "import time; model = bytearray(b'a' * (24 << 20)); time.sleep(1e9)"
MODEL = {
    "name": "tiny:latest",
    "model": "tiny:latest",
    "size": SIZE,
    "digest": "26bd39516076c6faf9c65959bb1ecd4f4f129395a8e5f84351e99ae85c65ea25",
    "details": {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "28.4K",
        "quantization_level": "F32",
    },
}


def answer(path):
    if path == "/":
        return "Ollama is running"
    if path == "/api/version":
        return {"version": "0.12.6"}
    if path == "/api/tags":
        return {"models": [MODEL | {"modified_at": "2026-11-01T09:30:00.123456789+01:00"}]}
    if path == "/api/ps":
        in_gpu = 0 if os.path.exists("/run/ollama-cpu") else SIZE
        until = {"expires_at": "2030-01-01T00:00:00.123456789Z", "context_length": 128}
        return {"models": [MODEL | until | {"size_vram": in_gpu}]}
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = answer(self.path)
        body = "404 page not found" if found is None else found
        kind = "text/plain" if isinstance(body, str) else "application/json"
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    # Two of these at one port is an error, as it is for ollama.
    allow_reuse_port = False


server = Server(("127.0.0.1", PORT), Handler)
runner = subprocess.Popen([sys.executable, "-I", "-c", RUNNER])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    server.serve_forever()
finally:
    runner.kill()
