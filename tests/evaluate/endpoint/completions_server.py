"""A real completions server on this machine: a model folder behind `/v1`, answering as the OpenAI API says.

It gives log-probabilities of prompts (`echo` with `logprobs`), writes greedily, streams, and can misbehave: see
`Behaviour`.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME = "tiny-on-a-server"


@dataclass
class Behaviour:
    """What the server does; may be changed while it runs."""

    key: str | None = None
    """The only one that it accepts."""
    takes_tokens: bool = True
    """Otherwise prompts must be text, as llama-cpp-python's server wants them."""
    puts_bos: bool = False
    """Before prompts that are text."""
    logprobs: bool = True
    """Of prompts."""
    misaligned: bool = False
    """Log-probabilities of prompts are those of the next token's place, as llama-cpp-python 0.3.36 gives them."""
    drops_bos: bool = False
    """The first token is left out of the list, as llama-cpp-python leaves out a BOS token."""
    usage: bool = True
    shift: int = 0
    """Log-probabilities more than there are tokens."""
    spoilt: Any = None
    """In place of the fifth log-probability of a prompt: `[value]`."""
    seconds: float = 0.0
    """Waited before each answer."""
    statuses: list[int] = field(default_factory=list)
    """HTTP statuses of the next completions requests; 0 answers properly."""
    parrot: bool = False
    """Repeats the caller's headers in errors and in what it writes."""
    page: bool = False
    """Answers with a web page."""
    requests: int = 0
    """Completions requests seen."""
    at_once: int = 0
    most_at_once: int = 0


class Server:
    """A loaded model and how it is served."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.behaviour = Behaviour()
        self.url = ""
        self.lock = threading.Lock()

    def tokens(self, prompt: Any) -> list[int]:
        """Of a prompt in any form that the API allows for one prompt."""
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], list | str):
            (prompt,) = prompt
        if isinstance(prompt, str):
            bos = [self.tokenizer.bos_token_id] if self.behaviour.puts_bos else []
            return bos + self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if not self.behaviour.takes_tokens:
            raise ValueError("prompt: input should be a valid string")
        return list(prompt)

    def write(self, tokens: list[int], most: int) -> Iterator[tuple[int, Any]]:
        """New tokens with their log-probabilities, one after another, up to the stop token."""
        import torch

        past, fed = None, torch.tensor([tokens])
        for _ in range(most):
            with torch.inference_mode(), self.lock:
                found = self.model(fed, past_key_values=past, use_cache=True)
            logprobs = found.logits[0, -1].log_softmax(-1)
            token = int(logprobs.argmax())
            if token == self.tokenizer.eos_token_id:
                return
            yield token, logprobs
            past, fed = found.past_key_values, torch.tensor([[token]])

    def complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that is not streamed."""
        tokens = self.tokens(asked["prompt"])
        written = list(self.write(tokens, asked.get("max_tokens", 16)))
        text = self.tokenizer.decode([token for token, _ in written])
        for stop in asked.get("stop") or ():
            text = text.partition(stop)[0]
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
        if asked.get("logprobs") and self.behaviour.logprobs:
            choice["logprobs"] = self.logprobs(tokens, written, asked.get("echo", False))
        answer: dict[str, Any] = {"object": "text_completion", "model": NAME, "choices": [choice]}
        if self.behaviour.usage:
            answer["usage"] = {"prompt_tokens": len(tokens), "completion_tokens": len(written)}
        return answer

    def logprobs(self, tokens: list[int], written: list[tuple[int, Any]], echo: bool) -> dict[str, Any]:
        """As the API lays them out: the first token of the prompt has none."""
        import torch

        values, tops, ids = [], [], []
        if echo:
            with torch.inference_mode(), self.lock:
                rows = self.model(torch.tensor([tokens])).logits[0].log_softmax(-1)
            values, tops, ids = [None], [None], list(tokens)
            shifted = rows[1:] if self.behaviour.misaligned else rows
            for token, row in zip(tokens[1:], shifted, strict=False):
                values.append(float(row[token]))
                tops.append(self.top(row))
        for token, row in written:
            values.append(float(row[token]))
            tops.append(self.top(row))
            ids.append(token)
        if echo and self.behaviour.drops_bos:
            values, tops, ids = [None, *values[2:]], [None, *tops[2:]], ids[1:]
        if echo and self.behaviour.spoilt is not None:
            (values[4],) = self.behaviour.spoilt
        if echo and self.behaviour.shift < 0:
            values, tops = values[: self.behaviour.shift], tops[: self.behaviour.shift]
        values += [-1.0] * max(0, self.behaviour.shift)
        tops += [{"x": -1.0}] * max(0, self.behaviour.shift)
        texts = [self.tokenizer.decode([each]) for each in ids]
        return {"token_logprobs": values, "top_logprobs": tops, "tokens": texts}

    def top(self, row: Any) -> dict[str, float]:
        best = row.topk(5).indices.flip(0).tolist()  # the likeliest last: it keeps its name
        return {self.tokenizer.decode([each]): float(row[each]) for each in best}


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serve the model of a folder; yields it with its address."""
    model = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self._allowed():
                self._send(200, {"object": "list", "data": [{"id": NAME, "object": "model"}]})

        def do_POST(self) -> None:
            behaviour = model.behaviour
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            behaviour.requests += 1
            behaviour.at_once += 1
            behaviour.most_at_once = max(behaviour.most_at_once, behaviour.at_once)
            try:
                time.sleep(behaviour.seconds)
                status = behaviour.statuses.pop(0) if behaviour.statuses else 0
                if self._allowed() and status:
                    self._fail(status, "overloaded")
                elif self._allowed():
                    self._complete(asked)
            except BrokenPipeError:
                pass  # the caller did not wait
            finally:
                behaviour.at_once -= 1

        def _allowed(self) -> bool:
            key = model.behaviour.key
            if key is None or self.headers["Authorization"] == f"Bearer {key}":
                return True
            self._fail(401, "Incorrect API key provided.")
            return False

        def _complete(self, asked: dict[str, Any]) -> None:
            if asked["model"] != NAME:
                return self._fail(404, f"The model {asked['model']} does not exist.")
            if model.behaviour.page:
                return self._send(200, "<html>Welcome</html>")
            try:
                tokens = model.tokens(asked["prompt"])
            except ValueError as error:
                return self._fail(422, str(error))
            if asked.get("stream"):
                return self._stream(tokens, asked)
            answer = model.complete(asked)
            if model.behaviour.parrot:
                answer["choices"][0]["text"] += str(self.headers)
            self._send(200, answer)

        def _stream(self, tokens: list[int], asked: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            count = 0
            for token, _ in model.write(tokens, asked["max_tokens"]):
                count += 1
                text = model.tokenizer.decode([token]) or " "
                self._event({"choices": [{"index": 0, "text": text}]})
            if (asked.get("stream_options") or {}).get("include_usage"):
                usage = {"prompt_tokens": len(tokens), "completion_tokens": count}
                self._event({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _event(self, part: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
            self.wfile.flush()

        def _fail(self, status: int, text: str) -> None:
            said = f"{text} {self.headers}" if model.behaviour.parrot else text
            self._send(status, {"error": {"message": said, "code": status}})

        def _send(self, status: int, answer: Any) -> None:
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
