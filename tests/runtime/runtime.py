"""The released runtime as a child process: a model that answers by a seed, and JSON-RPC over pipes.

`Model` serves the responses API on the loopback; `Runtime` runs `codex app-server` on a home whose
configuration names that model, and sends it requests. Nothing leaves the machine. Needs no packages.
"""

import http.server
import json
import os
import queue
import random
import subprocess
import threading

WAIT = 60  # seconds that any answer may take
CONFIG = """model = "mock-model"
model_provider = "mock_provider"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.mock_provider]
name = "a model that answers by a seed"
base_url = "http://127.0.0.1:%d/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


class Failed(Exception):
    """The runtime answered with an error, or did not answer."""


def message(key, text, phase):
    made = {"type": "message", "role": "assistant", "id": key,
            "content": [{"type": "output_text", "text": text}]}
    return dict(made, phase=phase) if phase else made


class Model:
    """Answers each request with a reasoning and a text. A word in the last message asks for more:
    RUN, PATCH and PLAN for a tool first, SEARCH and TALK for another item, FAIL for an error, HANG
    for no answer until `let_go`."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.hung = threading.Event()
        self.free = threading.Event()
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer("application/json", b'{"data":[],"models":[]}')

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    request = json.loads(body)
                except ValueError:
                    request = {}
                items = request.get("input") or []
                asked = json.dumps(items[-1]) if items else ""
                if "HANG" in asked:
                    model.hung.set()
                    model.free.wait(WAIT)
                if "FAIL" in asked:
                    self.answer("application/json", b'{"error":{"message":"no such luck"}}', 400)
                    return
                events = model.events(request)
                self.answer("text/event-stream", "".join(
                    "event: %s\ndata: %s\n\n" % (event["type"], json.dumps(event))
                    for event in events).encode())

            def answer(self, kind, body, code=200):
                try:
                    self.send_response(code)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # Who asked has gone.

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self, request):
        with self.lock:
            number = self.random.randrange(1 << 40)
        items = request.get("input") or []
        last = items[-1] if items else {}
        text = json.dumps(last)
        key = "resp_%010x" % number
        output = [{"type": "reasoning", "id": "rs_%010x" % number,
                   "summary": [{"type": "summary_text", "text": "thinking of %x" % (number % 97)}]}]
        asked = text if last.get("type") == "message" else ""
        if "RUN" in asked:
            script = "printf 'line %d\\n'; exit %d" % (number % 1000, number % 3)
            output.append({"type": "function_call", "id": "fc_%010x" % number,
                           "name": "exec_command", "call_id": "call_%010x" % number,
                           "arguments": json.dumps({"cmd": script})})
        elif "PATCH" in asked:
            patch = "*** Begin Patch\n*** Add File: made-%x.txt\n+one\n+two %d\n*** End Patch\n" % (
                number, number % 10)
            output.append({"type": "custom_tool_call", "id": "ctc_%010x" % number, "input": patch,
                           "name": "apply_patch", "call_id": "call_%010x" % number})
        elif "PLAN" in asked:
            plan = {"explanation": "so", "plan": [{"step": "one", "status": "completed"},
                                                  {"step": "two", "status": "in_progress"}]}
            output.append({"type": "function_call", "id": "fc_%010x" % number,
                           "name": "update_plan", "call_id": "call_%010x" % number,
                           "arguments": json.dumps(plan)})
        else:
            if "SEARCH" in asked:
                output.append({"type": "web_search_call", "id": "ws_%010x" % number,
                               "status": "completed",
                               "action": {"type": "search", "query": "river %d" % (number % 9)}})
            if "TALK" in asked:
                output.append(message("msg_a%010x" % number, "First of all, so.", "commentary"))
            output.append(message("msg_%010x" % number, "Answer %d: \u00e9\u00df\u4e2d %s" % (
                number % 1000, "word " * (number % 40)), "final_answer" if number % 2 else None))
        used = {"input_tokens": 100 + number % 900, "input_tokens_details": {"cached_tokens": 7},
                "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 3},
                "total_tokens": 120 + number % 900}
        return [{"type": "response.created", "response": {"id": key}},
                *({"type": "response.output_item.done", "item": item} for item in output),
                {"type": "response.completed", "response": {"id": key, "usage": used}}]

    def let_go(self):
        self.free.set()

    def close(self):
        self.let_go()
        self.server.shutdown()
        self.server.server_close()


class Runtime:
    """`codex app-server` on a home. Requests are answered one at a time."""

    def __init__(self, binary, home, model):
        self.model = model
        with open(os.path.join(home, "config.toml"), "w") as out:
            out.write(CONFIG % model.port)
        env = {"PATH": os.environ.get("PATH", ""), "HOME": home, "CODEX_HOME": home, "TZ": "UTC",
               "NO_PROXY": "127.0.0.1"}
        self.process = subprocess.Popen(
            [binary, "app-server"], cwd=home, env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.said = queue.Queue()
        self.told = []  # Notifications that came and that nobody waited for yet.
        self.next = 0
        threading.Thread(target=self.listen, daemon=True).start()
        self.ask("initialize", {"clientInfo": {"name": "judge", "version": "1"},
                                "capabilities": {"experimentalApi": True}})
        self.send({"method": "initialized"})

    def listen(self):
        for line in self.process.stdout:
            try:
                self.said.put(json.loads(line))
            except ValueError:
                pass
        self.said.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        try:
            message = self.said.get(timeout=WAIT)
        except queue.Empty:
            raise Failed("no answer within %d s" % WAIT)
        if message is None:
            raise Failed("the runtime ended")
        return message

    def ask(self, method, params):
        """The result of a request; its error as `Failed`."""
        self.next += 1
        self.send({"id": self.next, "method": method, "params": params})
        while True:
            message = self.hear()
            if message.get("id") == self.next and "method" not in message:
                if "error" in message:
                    raise Failed("%s: %s" % (method, json.dumps(message["error"])))
                return message["result"]
            self.keep(message)

    def keep(self, message):
        if "method" in message and "id" in message:
            self.send({"id": message["id"], "error": {"code": -32601, "message": "not here"}})
        elif "method" in message:
            self.told.append(message)

    def wait_for(self, method, holds):
        """The first notification of that kind of which `holds` says yes."""
        while True:
            for place, message in enumerate(self.told):
                if message["method"] == method and holds(message["params"]):
                    del self.told[place]
                    return message["params"]
            self.keep(self.hear())

    def turn(self, thread, text, *more, **params):
        """One turn from its input to its end; its id."""
        turn = self.ask("turn/start", dict(params, threadId=thread, input=[
            {"type": "text", "text": text, "text_elements": []}, *more]))["turn"]["id"]
        self.wait_for("turn/completed", lambda told: told["turn"]["id"] == turn)
        return turn

    def all(self, method, params, key="data"):
        """All rows of a list, oldest first where it has an order to ask for."""
        rows, cursor = [], None
        while True:
            page = self.ask(method, dict(params, cursor=cursor, limit=100))
            rows += page[key]
            cursor = page.get("nextCursor")
            if not cursor:
                return rows

    def hang(self, thread, text):
        """Begins a turn that the model lets wait; its id."""
        self.model.hung.clear()
        self.model.free.clear()
        turn = self.ask("turn/start", {"threadId": thread, "input": [
            {"type": "text", "text": "HANG " + text, "text_elements": []}]})["turn"]["id"]
        if not self.model.hung.wait(WAIT):
            raise Failed("the model was not asked within %d s" % WAIT)
        return turn

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.model.let_go()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
