"""Answers as ollama does, to those who ask what it has."""

import http.server
import json

MODEL = {"name": "tiny:latest", "model": "tiny:latest", "size": 115712, "digest": "0" * 64}
ANSWERS = {
    "/": "Ollama is running",
    "/api/version": {"version": "0.12.6"},
    "/api/tags": {"models": [MODEL]},
    "/api/ps": {"models": [MODEL | {"size_vram": 0, "expires_at": "2030-01-01T00:00:00Z"}]},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = ANSWERS.get(self.path)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        body = ("404 page not found" if answer is None else text).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 11434), Handler).serve_forever()
