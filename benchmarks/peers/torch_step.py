"""One training step of the same model in PyTorch, on request: reads lines from stdin, answers each with milliseconds.

    python torch_step.py '{"layers":4,"width":256,"heads":4,"inner":1024,"vocab":2048,"context":128,"batch":32,"threads":2}'
"""

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F


class Block(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        d, self.heads = s["width"], s["heads"]
        self.inner = s["inner"]
        norm = s["inner"] > 0
        self.ln1 = torch.nn.LayerNorm(d) if norm else torch.nn.Identity()
        self.qkv = torch.nn.Linear(d, 3 * d, bias=norm)
        self.out = torch.nn.Linear(d, d, bias=norm)
        if self.inner:
            self.ln2 = torch.nn.LayerNorm(d)
            self.up = torch.nn.Linear(d, self.inner)
            self.down = torch.nn.Linear(self.inner, d)

    def forward(self, x):
        batch, pos, d = x.shape
        q, k, v = (t.view(batch, pos, self.heads, -1).transpose(1, 2) for t in self.qkv(self.ln1(x)).split(d, dim=2))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(batch, pos, d))
        if self.inner:
            x = x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))
        return x


class Model(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed = torch.nn.Embedding(s["vocab"], s["width"])
        self.positions = torch.nn.Embedding(s["context"], s["width"])
        self.blocks = torch.nn.ModuleList([Block(s) for _ in range(s["layers"])])
        self.norm = torch.nn.LayerNorm(s["width"]) if s["inner"] else torch.nn.Identity()
        self.unembed = torch.nn.Linear(s["width"], s["vocab"], bias=False)

    def forward(self, tokens):
        x = self.embed(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.norm(x))


def main():
    s = json.loads(sys.argv[1])
    torch.set_num_threads(s["threads"])
    torch.manual_seed(0)
    model = Model(s)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    tokens = torch.randint(0, s["vocab"], (s["batch"], s["context"]))

    def step():
        logits = model(tokens)[:, :-1]
        loss = F.cross_entropy(logits.reshape(-1, s["vocab"]), tokens[:, 1:].reshape(-1))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    step()
    print(json.dumps({"version": torch.__version__, "parameters": sum(p.numel() for p in model.parameters())}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        ms = 1000 * (time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"ms": ms, "peakRssBytes": peak}), flush=True)


main()
