"""Answers as vLLM does, to those who ask what it has: vllm.py PORT."""

import http.server
import json
import sys

ANSWERS = {
    "/health": "",
    "/version": {"version": "0.11.0"},
    "/v1/models": {"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "vllm"}]},
    "/metrics": "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0.0\n",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = ANSWERS.get(self.path)
        body = {"detail": "Not Found"} if found is None else found
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
