"""Kernels of numpy and PyTorch, on request: a line of JSON comes in, a line of JSON goes out.

hello                                  what is there, with versions and what the libraries say of themselves
prepare {family, sizes, dtype, entries} data and a first run; `prepared` is false where the library has no such thing,
                                       `settings` says which call in which layout, `output` what results are rounded to
block   {samples, warmUp, coldBytes}   nanoseconds of each run; caches are walked over before each where bytes are named
rows    {rows}                         what the last run gave at these rows, float32 and int32 in base64

Data are functions of index and stream (packages/core/src/bench/data.ts), so none are sent.
"""

import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

LIBRARY, THREADS = sys.argv[1], int(sys.argv[2])
POOL = ThreadPoolExecutor(THREADS)
# How the entries of the first input are spread, and whether weights are bf16: what was prepared last.
ASKED = {"entries": "uniform", "dtype": "f32"}


def data(shape, stream):
    h = np.arange(int(np.prod(shape)), dtype=np.uint32)
    h += np.uint32((stream * 0x9E3779B9) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return ((h >> np.uint32(8)).astype(np.float64) / 2**23 - 1).astype(np.float32).reshape(shape)


def halved(array):
    """What bf16 keeps by dropping the low half."""
    return (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def tokens(shape, stream):
    """The first input, spread as asked."""
    kind = ASKED["entries"]
    if kind == "uniform":
        return data(shape, stream)
    if kind == "bf16":
        return halved(data(shape, stream))
    sums = sum(data(shape, stream + 100 * other).astype(np.float64) for other in range(12)) / 2
    if kind == "outliers":
        sums[:, 138::256] *= 64
    return sums.astype(np.float32)


class Cold:
    """An array so large that walking through it leaves nothing in any cache, each thread a part."""

    def __init__(self, size):
        self.parts = np.array_split(np.zeros(size, np.uint8), THREADS)

    def walk(self):
        for done in [POOL.submit(np.add, part, 1, out=part) for part in self.parts]:
            done.result()


class Numpy:
    """Over whichever BLAS it was built with; outputs are written where they were before."""

    def hello(self):
        info = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {"version": np.__version__, "settings": {"blas": f"{info.get('name')} {info.get('version')}", "threads": str(THREADS)}}

    def matmul(self, m, k, n):
        x, w, out = tokens((m, k), 1), data((k, n), 2), np.empty((m, n), np.float32)
        if m == 1:
            # The layout of weights in which a BLAS reads them row by row.
            w, x, out = np.ascontiguousarray(w.T), x[0], out[0]
            return lambda: np.dot(w, x, out=out), lambda _: (out[None], None), {"call": "dot(W[n, k], x)"}
        return lambda: np.matmul(x, w, out=out), lambda _: (out, None)

    def project(self, m, k, n, kept):
        x, w, b = tokens((m, k), 1), data((k, n), 2), data((n,), 3)
        full, rows = np.empty((m, n), np.float32), np.arange(m)[:, None]

        def run():
            np.matmul(x, w, out=full)
            np.add(full, b, out=full)
            np.maximum(full, 0, out=full)
            top = np.argpartition(full, n - kept, axis=1)[:, n - kept :]
            values = full[rows, top]
            order = np.argsort(-values, axis=1, kind="stable")
            return values[rows, order], top[rows, order].astype(np.int32)

        return run, lambda result: result

    def softmax(self, m, n):
        x, out = data((m, n), 1), np.empty((m, n), np.float32)

        def run():
            np.subtract(x, x.max(axis=1, keepdims=True), out=out)
            np.exp(out, out=out)
            np.divide(out, out.sum(axis=1, keepdims=True), out=out)

        return run, lambda _: (out, None)

    def layer_norm(self, m, n):
        x, w, b = data((m, n), 1), data((n,), 2), data((n,), 3)

        def run():
            centred = x - x.mean(axis=1, keepdims=True)
            scale = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-5))
            return centred / scale * w + b

        return run, lambda out: (out, None)


class Torch:
    """Eager, without gradients. `onednn` computes products and convolutions in oneDNN's own layout, its weights reordered before."""

    def __init__(self, onednn):
        import torch

        self.t, self.onednn = torch, onednn
        torch.set_num_threads(THREADS)
        torch.set_num_interop_threads(1)
        torch.set_grad_enabled(False)
        if onednn and not torch.backends.mkldnn.is_available():
            raise ImportError("this PyTorch has no oneDNN")

    def hello(self):
        t = self.t
        said = [line.strip(" -") for line in t.__config__.show().splitlines() if "MKL" in line or "CPU capability" in line]
        settings = {"threads": str(t.get_num_threads()), "built with": "; ".join(said)[:400]}
        return {"version": t.__version__, "settings": settings}

    def tensor(self, shape, stream):
        return self.t.from_numpy(data(shape, stream))

    def matmul(self, m, k, n):
        x, w = self.t.from_numpy(tokens((m, k), 1)), self.tensor((k, n), 2)
        if m == 1 and not self.onednn:
            dtype = self.t.bfloat16 if ASKED["dtype"] == "bf16" else self.t.float32
            # What bf16 drops must be dropped before, since a conversion would round.
            w = self.t.from_numpy(halved(data((k, n), 2))) if ASKED["dtype"] == "bf16" else w
            w, x = w.t().contiguous().to(dtype), x[0].to(dtype)
            out = self.t.empty(n, dtype=dtype)
            said = {"call": "torch.mv(W[n, k], x)", **({"output": "bf16"} if ASKED["dtype"] == "bf16" else {})}
            return lambda: self.t.mv(w, x, out=out), lambda _: (out.float()[None], None), said
        if self.onednn:
            weight = self.t._C._nn.mkldnn_reorder_linear_weight(w.t().contiguous().to_mkldnn(), m) if hasattr(self.t._C._nn, "mkldnn_reorder_linear_weight") else w.t().contiguous().to_mkldnn()
            dense = x.to_mkldnn()
            return lambda: self.t.ops.aten.mkldnn_linear(dense, weight).to_dense(), lambda out: (out, None)
        out = self.t.empty(m, n)
        return lambda: self.t.mm(x, w, out=out), lambda _: (out, None)

    def project(self, m, k, n, kept):
        if self.onednn:
            return None
        x, w, b = self.t.from_numpy(tokens((m, k), 1)), self.tensor((k, n), 2), self.tensor((n,), 3)
        return lambda: self.t.topk(self.t.relu(self.t.addmm(b, x, w)), kept, dim=1), lambda top: (top.values, top.indices)

    def attention(self, heads, positions, width):
        if self.onednn:
            return None
        q, k, v = (self.tensor((1, positions, heads, width), s).transpose(1, 2).contiguous() for s in (1, 2, 3))
        run = self.t.nn.functional.scaled_dot_product_attention
        return (
            lambda: run(q, k, v, is_causal=True),
            lambda z: (z.transpose(1, 2).reshape(positions, heads * width), None),
        )

    def softmax(self, m, n):
        if self.onednn:
            return None
        x, out = self.tensor((m, n), 1), self.t.empty(m, n)
        return lambda: self.t.softmax(x, dim=1, out=out), lambda _: (out, None)

    def layer_norm(self, m, n):
        if self.onednn:
            return None
        x, w, b = self.tensor((m, n), 1), self.tensor((n,), 2), self.tensor((n,), 3)
        return lambda: self.t.nn.functional.layer_norm(x, (n,), w, b, 1e-5), lambda out: (out, None)

    def conv2d(self, images, channels, side, filters):
        if self.onednn:
            return None
        x, w = self.tensor((images, channels, side, side), 1), self.tensor((filters, channels, 3, 3), 2)
        run = self.t.nn.functional.conv2d
        return lambda: run(x, w, padding=1), lambda out: (out.reshape(images * filters, side * side), None)

    def cross_entropy_grad(self, m, n):
        if self.onednn:
            return None
        logits, ct = self.tensor((m, n), 1), self.tensor((m, 1), 2)
        ids = (7919 * self.t.arange(m) % n)[:, None]

        def run():
            p = self.t.softmax(logits, dim=1)
            p.scatter_add_(1, ids, self.t.full((m, 1), -1.0))
            return p.mul_(ct)

        return run, lambda out: (out, None)


def packed(array, dtype, rows):
    chosen = np.ascontiguousarray(np.asarray(array)[rows].astype(dtype))
    return [base64.b64encode(row.tobytes()).decode() for row in chosen]


def main():
    library = Numpy() if LIBRARY == "numpy" else Torch(LIBRARY == "torch-onednn")
    run = result = look = cold = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {}
        try:
            if asked["kind"] == "hello":
                answer = library.hello()
            elif asked["kind"] == "prepare":
                ASKED.update(entries=asked["entries"], dtype=asked["dtype"])
                made = getattr(library, asked["family"], None)
                made = made and made(**asked["sizes"])
                answer = {"prepared": made is not None}
                if made:
                    run, look, *said = made
                    said = dict(said[0]) if said else {}
                    answer |= {key: said.pop(key) for key in ["output"] if key in said} | {"settings": said}
                    result = run()
            elif asked["kind"] == "block":
                for _ in range(asked["warmUp"]):
                    result = run()
                times = []
                if asked["coldBytes"] and cold is None:
                    cold = Cold(asked["coldBytes"])
                for _ in range(asked["samples"]):
                    if asked["coldBytes"]:
                        cold.walk()
                    start = time.perf_counter_ns()
                    result = run()
                    times.append(time.perf_counter_ns() - start)
                answer = {"ns": times}
            elif asked["kind"] == "rows":
                values, indices = look(result)
                answer = {"values": packed(values, np.float32, asked["rows"])}
                if indices is not None:
                    answer["indices"] = packed(indices, np.int32, asked["rows"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), flush=True)


main()
