"""GPT-2 in plain PyTorch, as somebody writes it by hand who wants one number fast: no hooks, nothing kept unasked."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

SITES = ("z", "q", "k", "v", "pattern")


class Gpt2:
    def __init__(self, folder, dtype=torch.float32, onednn=False):
        config = json.loads((Path(folder) / "config.json").read_text())
        self.heads, self.layers, self.eps = config["n_head"], config["n_layer"], config["layer_norm_epsilon"]
        with safe_open(Path(folder) / "model.safetensors", "pt") as file:
            self.w = {name.removeprefix("transformer."): file.get_tensor(name).to(dtype) for name in file.keys()}
        # For products in oneDNN, which on some CPUs is far faster than the library that PyTorch calls by itself.
        self.reordered = {}
        for name in [name for name, w in self.w.items() if onednn and w.dim() == 2 and name != "wpe.weight"]:
            w = self.w[name] if name == "wte.weight" else self.w[name].T
            self.reordered[name] = w.contiguous().to_mkldnn()

    def embed(self, tokens):
        return self.w["wte.weight"][tokens] + self.w["wpe.weight"][: tokens.shape[1]]

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], self.eps)

    def product(self, name, x, bias=None):
        """In oneDNN, as the compiler of PyTorch calls it."""
        return torch.ops.mkldnn._linear_pointwise(x, self.reordered[name], bias, "none", [], "")

    def through(self, name, x):
        if self.reordered:
            return self.product(f"{name}.weight", x, self.w[f"{name}.bias"])
        w = self.w[f"{name}.weight"]
        return torch.addmm(self.w[f"{name}.bias"], x.reshape(-1, x.shape[-1]), w).view(*x.shape[:-1], w.shape[1])

    def qkv(self, layer, x):
        parts = self.through(f"h.{layer}.attn.c_attn", self.norm(f"h.{layer}.ln_1", x)).chunk(3, -1)
        return [part.view(*part.shape[:2], self.heads, -1) for part in parts]

    def pattern(self, q, k):
        """[batch, head, query, key], and the scores before the softmax."""
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
        return scores, scores.softmax(-1)

    def attention_out(self, layer, z):
        return self.through(f"h.{layer}.attn.c_proj", z.reshape(*z.shape[:2], -1))

    def mlp(self, layer, x):
        pre = self.through(f"h.{layer}.mlp.c_fc", self.norm(f"h.{layer}.ln_2", x))
        return self.through(f"h.{layer}.mlp.c_proj", F.gelu(pre, approximate="tanh"))

    def block(self, layer, x):
        q, k, v = (part.transpose(1, 2) for part in self.qkv(layer, x))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.attention_out(layer, z)
        return x + self.mlp(layer, x)

    def blocks(self, x, first=0):
        for layer in range(first, self.layers):
            x = self.block(layer, x)
        return x

    def unembed(self, x):
        return self.product("wte.weight", x) if self.reordered else x @ self.w["wte.weight"].T

    def logits(self, x):
        return self.unembed(self.norm("ln_f", x))

    def difference(self, x, answer, wrong):
        """logit[answer] - logit[wrong] at the last position of each row: two columns of the unembedding."""
        last = self.norm("ln_f", x[:, -1])
        columns = self.w["wte.weight"][answer] - self.w["wte.weight"][wrong]
        return (last.view(-1, len(answer), last.shape[-1]) * columns).sum(-1).reshape(-1)

    def run_keeping(self, tokens):
        """A forward pass that keeps every value that has a name, under that name."""
        kept = {"hook_embed": self.w["wte.weight"][tokens]}
        kept["hook_pos_embed"] = self.w["wpe.weight"][: tokens.shape[1]].expand(len(tokens), -1, -1)
        x = kept["hook_embed"] + kept["hook_pos_embed"]

        def norm(name, site, x):
            centred = x - x.mean(-1, keepdim=True)
            scale = (centred.square().mean(-1, keepdim=True) + self.eps).sqrt()
            kept[f"{site}.hook_scale"], kept[f"{site}.hook_normalized"] = scale, centred / scale
            return kept[f"{site}.hook_normalized"] * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

        for layer in range(self.layers):
            at, h = f"blocks.{layer}", f"h.{layer}"
            kept[f"{at}.hook_resid_pre"] = x
            read = norm(f"{h}.ln_1", f"{at}.ln1", x)
            parts = self.through(f"{h}.attn.c_attn", read).chunk(3, -1)
            q, k, v = (part.view(*part.shape[:2], self.heads, -1) for part in parts)
            scores, pattern = self.pattern(q, k)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            for name, value in (("q", q), ("k", k), ("v", v), ("attn_scores", scores), ("pattern", pattern), ("z", z)):
                kept[f"{at}.attn.hook_{name}"] = value
            kept[f"{at}.hook_attn_out"] = self.attention_out(layer, z)
            x = kept[f"{at}.hook_resid_mid"] = x + kept[f"{at}.hook_attn_out"]
            pre = self.through(f"{h}.mlp.c_fc", norm(f"{h}.ln_2", f"{at}.ln2", x))
            post = F.gelu(pre, approximate="tanh")
            kept[f"{at}.mlp.hook_pre"], kept[f"{at}.mlp.hook_post"] = pre, post
            kept[f"{at}.hook_mlp_out"] = self.through(f"{h}.mlp.c_proj", post)
            x = kept[f"{at}.hook_resid_post"] = x + kept[f"{at}.hook_mlp_out"]
        kept["logits"] = self.unembed(norm("ln_f", "ln_final", x))
        return kept

    def patched(self, base, source, site, layer, head, answer, wrong):
        """
        The metric, averaged over examples, with `site` patched from `source` into `base` at each position in turn: [pos].
        All positions are one batch, and layers before the change are those of `base`.
        """
        of = lambda run, name: run[f"blocks.{layer}.{'attn.' if name in SITES else ''}hook_{name}"]
        count, pos = of(base, "resid_pre").shape[:2]
        rows = lambda x: x.repeat(pos, *[1] * (x.dim() - 1))

        def patch(x):
            given, spread = of(source, site), rows(x).view(pos, *x.shape)
            for at in range(pos):
                if site == "pattern":
                    spread[at, :, head, at] = given[:, head, at]
                elif head is None:
                    spread[at, :, at] = given[:, at]
                else:
                    spread[at, :, at, head] = given[:, at, head]
            return spread.view(pos * count, *x.shape[1:])

        if site in ("q", "k", "v", "pattern", "z"):
            got = {name: patch(of(base, name)) if name == site else rows(of(base, name)) for name in SITES}
            if site in ("q", "k"):
                got["pattern"] = self.pattern(got["q"], got["k"])[1]
            if site != "z":
                got["z"] = torch.einsum("bhqk,bkhd->bqhd", got["pattern"], got["v"])
            mid = rows(of(base, "resid_pre")) + self.attention_out(layer, got["z"])
            x = self.blocks(mid + self.mlp(layer, mid), layer + 1)
        elif site == "attn_out":
            mid = rows(of(base, "resid_pre")) + patch(of(base, "attn_out"))
            x = self.blocks(mid + self.mlp(layer, mid), layer + 1)
        elif site == "mlp_out":
            x = self.blocks(rows(of(base, "resid_mid")) + patch(of(base, "mlp_out")), layer + 1)
        else:
            x = self.blocks(patch(of(base, "resid_pre")), layer)
        return self.difference(x, answer, wrong).view(pos, count).mean(1)
