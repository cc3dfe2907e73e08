"""
Serve a model over HTTP
=======================

Run an endpoint that gathers the requests of a few milliseconds into mixtures, so that the requests
of ten users at once cost one pass of the encoder. The rows of different tenants never share a
mixture.

    python examples/serve_over_http.py MODEL --tokens tokens.json --port 8000
    curl localhost:8000/predict -H 'Authorization: Bearer SECRET' -d '{"text": "rain in the hills"}'

MODEL is a folder that `save` has written or, with --onnx, `muxlearn.export.export_onnx`.
``tokens.json`` maps secret tokens to tenants: ``{"SECRET": "acme"}``. The tenant of a request is
the one its token belongs to, and a body that names a tenant is refused. Without --tokens no token
is needed, and all requests belong to one tenant. --n-mux chooses the operating point of all
answers, as the `n_mux` of `predict` does: N rows, "N,P" for N rows of P tokens each, or "words".

Every request gets one answer:

====  =============================================================================================
200   ``{"label": ..., "probability": ...}``
400   The body is not JSON.
401   There is no token, or an unknown one.
408   The request did not arrive in time.
413   The body is too large.
422   The body is not an object with a "text", or has other fields.
500   The model could not predict this text in two attempts.
503   Too many requests wait; try again.
504   The model took too long.
====  =============================================================================================

No accepted request is lost: if the process with the model dies, another one takes its place and
its requests. A server that is told to stop (SIGTERM) first answers what it has accepted.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import threading
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from multiprocessing.connection import wait

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

# The process with the model
# --------------------------


def load(model: str, onnx: bool, n_mux: int | tuple[int, ...] | str | None) -> None:
    """Load the model into a process that ends with the server, and not before."""
    global classifier, point
    point = n_mux
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    from muxlearn import MuxTextClassifier
    from muxlearn.export import OnnxMuxClassifier

    classifier = (OnnxMuxClassifier if onnx else MuxTextClassifier).load(model)
    answers = classifier.predict(["what is built at the first call is built now"], n_mux=point)
    if isinstance(answers, list) or answers.ndim > 1:
        raise ValueError(f"{model!r} predicts several labels for a text; this server gives one")


def end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def predict(texts: list[str], tenants: list[str]) -> list[dict]:
    proba = classifier.predict_proba(texts, n_mux=point, groups=tenants)
    labels = classifier.classes_[proba.argmax(1)].tolist()
    return [
        {"label": label, "probability": float(row.max())}
        for label, row in zip(labels, proba, strict=True)
    ]


# Gathering requests
# ------------------


class Batcher:
    """Gathers requests, and gives them to a process that predicts."""

    def __init__(self, args) -> None:
        self.args = args
        self.waiting: asyncio.Queue = asyncio.Queue(args.max_waiting)
        self.broken = False

    @contextlib.asynccontextmanager
    async def running(self, app):
        self.start()
        await asyncio.wrap_future(self.pool.submit(os.getpid))  # loads the model, or raises
        task = asyncio.create_task(self.run())
        yield
        task.cancel()
        self.pool.shutdown(cancel_futures=True)

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        of_load = (self.args.model, self.args.onnx, self.args.n_mux)
        self.pool = ProcessPoolExecutor(1, spawn, load, of_load)

    def restart(self) -> None:
        self.broken = True
        self.pool.shutdown(wait=False)
        self.start()

    async def health(self, request: Request) -> PlainTextResponse:
        if self.broken:  # find out whether a new process can load the model
            try:
                await asyncio.wrap_future(self.pool.submit(os.getpid))
            except BrokenProcessPool:
                self.restart()
                raise HTTPException(503, "the model cannot be loaded") from None
            self.broken = False
        return PlainTextResponse("ok")

    async def answer(self, text: str, tenant: str) -> dict:
        answer = asyncio.get_running_loop().create_future()
        try:
            self.waiting.put_nowait((text, tenant, answer))
        except asyncio.QueueFull:
            busy = "too many requests wait; try again"
            raise HTTPException(503, busy, {"Retry-After": "1"}) from None
        try:
            return await asyncio.wait_for(answer, self.args.timeout)
        except asyncio.TimeoutError:
            raise HTTPException(504, "the model took too long") from None

    async def run(self) -> None:
        while True:
            batch = [await self.waiting.get()]
            if self.waiting.qsize() + 1 < self.args.max_batch_size:
                await asyncio.sleep(self.args.batch_timeout)
            while len(batch) < self.args.max_batch_size and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            # Clients that have left or received an error need no answer.
            batch = [request for request in batch if not request[2].done()]
            if batch and not await self.predict(batch):
                # The process failed, perhaps because of one text: try the texts one by one.
                for request in batch:
                    if not await self.predict([request]) and not request[2].done():
                        failed = HTTPException(500, "the model could not predict this text")
                        request[2].set_exception(failed)

    async def predict(self, batch: list) -> bool:
        texts, tenants, answers = map(list, zip(*batch, strict=True))
        try:
            results = await asyncio.wrap_future(self.pool.submit(predict, texts, tenants))
        except BrokenProcessPool:
            self.restart()
            return False
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
            return False
        self.broken = False
        for answer, result in zip(answers, results, strict=True):
            if not answer.done():
                answer.set_result(result)
        return True


# HTTP
# ----


class Endpoint:
    """Reads requests, and keeps at most `max_body` bytes of each in memory."""

    def __init__(self, args, batcher: Batcher) -> None:
        self.args = args
        self.batcher = batcher
        self.tenants = None
        if args.tokens is not None:
            with open(args.tokens) as file:
                # Digests, so that the time of a comparison tells nothing about a token.
                self.tenants = {digest(token): name for token, name in json.load(file).items()}

    async def __call__(self, request: Request) -> JSONResponse:
        tenant = self.tenant(request)
        try:
            body = await asyncio.wait_for(self.body(request), self.args.client_timeout)
        except asyncio.TimeoutError:
            raise HTTPException(408, "the request did not arrive in time") from None
        except ClientDisconnect:
            return PlainTextResponse("", 408)  # to nobody
        return JSONResponse(await self.batcher.answer(text_of(body), tenant))

    def tenant(self, request: Request) -> str:
        if self.tenants is None:
            return ""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        tenant = self.tenants.get(digest(token)) if scheme.lower() == "bearer" else None
        if tenant is None:
            wanted = {"WWW-Authenticate": "Bearer"}
            raise HTTPException(401, "give a token: 'Authorization: Bearer TOKEN'", wanted)
        return tenant

    async def body(self, request: Request) -> bytes:
        body, most = bytearray(), self.args.max_body
        large = HTTPException(413, f"the body is larger than {most} bytes", {"Connection": "close"})
        if int(request.headers.get("Content-Length", 0)) > most:
            raise large
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise large
        return bytes(body)


def digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def text_of(body: bytes) -> str:
    try:
        query = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, 'the body is not JSON; give {"text": "..."}') from None
    if not isinstance(query, dict) or not isinstance(query.get("text"), str):
        raise HTTPException(422, 'the body must be {"text": "..."}')
    if odd := [name for name in query if name != "text"]:
        who = "; the tenant is the one that the token belongs to" if "tenant" in odd else ""
        raise HTTPException(422, f"the body has the field {odd[0]!r} beside 'text'{who}")
    return query["text"]


class Protocol(H11Protocol):
    """HTTP that closes a connection if the head of a request does not arrive in time."""

    patience = 10.0
    timer = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.watch()

    def connection_lost(self, error) -> None:
        super().connection_lost(error)
        self.stop_watching()

    def watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.stop_watching()
        elif self.timer is None:
            self.timer = self.loop.call_later(self.patience, self.show_out)

    def stop_watching(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def show_out(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()


async def refuse(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def as_point(text: str) -> int | tuple[int, ...] | str:
    if text == "words":
        return text
    numbers = tuple(map(int, text.split(",")))
    return numbers if len(numbers) > 1 else numbers[0]


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--n-mux", type=as_point, help="point of all answers, by default its own")
    parser.add_argument("--tokens", help="JSON file of tokens and whose they are")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-batch-size", type=int, default=128, help="requests")
    parser.add_argument("--batch-timeout", type=float, default=0.005, help="seconds of gathering")
    parser.add_argument("--max-body", type=int, default=2**20, help="bytes of a request")
    parser.add_argument("--max-waiting", type=int, default=1000, help="requests")
    parser.add_argument("--max-connections", type=int, default=2000)
    parser.add_argument("--timeout", type=float, default=60, help="seconds of an answer")
    parser.add_argument("--client-timeout", type=float, default=10, help="seconds of a request")
    args = parser.parse_args()
    batcher = Batcher(args)
    Protocol.patience = args.client_timeout
    app = Starlette(
        routes=[
            Route("/predict", Endpoint(args, batcher).__call__, methods=["POST"]),
            Route("/health", batcher.health),
        ],
        exception_handlers={HTTPException: refuse},
        lifespan=batcher.running,
    )
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        http=Protocol,
        log_level="warning",
        limit_concurrency=args.max_connections,
        timeout_graceful_shutdown=int(args.timeout) + 1,
    )


if __name__ == "__main__":
    main()
