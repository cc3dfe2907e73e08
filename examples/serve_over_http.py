"""
Serve a model over HTTP
=======================

Run an endpoint that gathers the requests of a few milliseconds into mixtures, so that the requests
of ten users at once cost one pass of the encoder. The server, `litserve`, collects the requests,
and the classifier predicts them together. Requests of different tenants never share a mixture.

    python examples/serve_over_http.py MODEL --port 8000
    curl localhost:8000/predict -H 'Content-Type: application/json' \
        -d '{"text": "rain in the hills", "tenant": "acme"}'

MODEL is a folder that `save` has written or, with --onnx, `muxlearn.export.export_onnx`.
"""

from argparse import ArgumentParser

import litserve
from pydantic import BaseModel

from muxlearn import MuxTextClassifier
from muxlearn.export import OnnxMuxClassifier


class Query(BaseModel):
    """The fields of a request; any other request is refused before it reaches a batch."""

    text: str
    tenant: str = ""


class ClassifierAPI(litserve.LitAPI):
    """Classify the texts of concurrent requests together."""

    def __init__(self, model: str, onnx: bool, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self.model = model
        self.onnx = onnx

    def setup(self, device: str) -> None:
        if self.onnx:
            self.classifier = OnnxMuxClassifier.load(self.model)
        else:
            self.classifier = MuxTextClassifier.load(self.model).set_params(device=device)
        self.classifier.predict(["what is built at the first call is built now"])

    def decode_request(self, request: Query) -> Query:
        return request

    def predict(self, queries: list[Query]) -> list[dict]:
        proba = self.classifier.predict_proba(
            [query.text for query in queries], groups=[query.tenant for query in queries]
        )
        labels = self.classifier.classes_[proba.argmax(1)].tolist()
        return [
            {"label": label, "probability": float(row.max())}
            for label, row in zip(labels, proba, strict=True)
        ]


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-batch-size", type=int, default=128, help="requests, at least 2")
    parser.add_argument("--batch-timeout", type=float, default=0.005, help="seconds")
    args = parser.parse_args()
    api = ClassifierAPI(args.model, args.onnx, args.max_batch_size, args.batch_timeout)
    server = litserve.LitServer(api, accelerator="auto")
    server.run(host=args.host, port=args.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
