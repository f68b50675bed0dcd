"""
One program that the runtime is compared with, answering one row of `benchmarks/runtime`.

    python answer.py '{"side":"transformer_lens","row":"block","folder":"…","task":"…","threads":2}'

It says first who it is; each further line of stdin names a part of the work, {"part":0,"parts":1}, and is answered with its
milliseconds, the memory of this process at its highest, and the numbers, which are compared by their index. For the row
`start` it answers without being asked.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch


def peak_bytes():
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Task:
    def __init__(self, path):
        examples = json.loads(Path(path).read_text())["examples"]
        self.clean = torch.tensor([one["clean"] for one in examples])
        self.corrupt = torch.tensor([one["corrupt"] for one in examples])
        self.answer = torch.tensor([one["answer"] for one in examples])
        self.wrong = torch.tensor([one["wrongAnswer"] for one in examples])

    def difference(self, logits):
        last, rows = logits[:, -1], torch.arange(len(logits))
        return last[rows, self.answer] - last[rows, self.wrong]


def wide_tokens(batch, pos, vocab):
    return torch.tensor([[(b * 7919 + i * 104729) % vocab for i in range(pos)] for b in range(batch)])


def sampled(kept, names):
    """Eight entries of every named tensor, spread over it; what is masked is left out."""
    values = {}
    for at, name in enumerate(names):
        flat = kept[name].reshape(-1)
        for i in range(8):
            value = float(flat[(i + 1) * (len(flat) // 8) - 1])
            if abs(value) < 1e30:
                values[at * 8 + i] = value
    return values


def first_logits(logits):
    last = logits[0, -1]
    return {i: float(value) for i, value in enumerate(last[:64] - last.mean())}


def lens_numbers(values, ranks, first):
    """Of every 64th token of each stream: the largest logit, the tenth, and the rank of the target."""
    numbers = {}
    streams, count = ranks.shape
    for stream in range(streams):
        for token in range(count):
            if (first + token) % 64 == 0:
                at = 3 * (stream * 1024 + first + token)
                found = (values[stream, token, 0], values[stream, token, 9], ranks[stream, token])
                numbers.update((at + i, float(value)) for i, value in enumerate(found))
    return numbers


def read_lens(logits, target):
    """Top ten and rank of the target of the logits of streams [stream, token, vocab]."""
    values, _ = logits.topk(10, -1)
    own = logits.gather(-1, target.expand(len(logits), -1)[..., None])
    return values, (logits > own).sum(-1)


class Grid:
    """Indices in the order of TransformerLens: site, layer, position, head."""

    def __init__(self, row, layers, heads, pos):
        self.sites = ("resid_pre", "attn_out", "mlp_out") if row == "block" else ("z", "q", "k", "v", "pattern")
        self.layers, self.pos, self.heads = layers, pos, None if row == "block" else heads
        self.size = len(self.sites) * layers * pos * (self.heads or 1)

    def index(self, site, layer, pos, head=None):
        at = (self.sites.index(site) * self.layers + layer) * self.pos + pos
        return at if head is None else at * self.heads + head

    def place(self, index):
        index, head = (index, None) if self.heads is None else divmod(index, self.heads)
        index, pos = divmod(index, self.pos)
        site, layer = divmod(index, self.layers)
        return self.sites[site], layer, pos, head


class ByHand:
    """Plain PyTorch; in float64 the numbers that all others are held against."""

    def __init__(self, request, task):
        from gpt2_by_hand import Gpt2

        side = request["side"]
        dtype = torch.float64 if side == "float64" else torch.float32
        self.model, self.task, self.row = Gpt2(request["folder"], dtype, side == "torch-onednn"), task, request["row"]
        self.vocab = len(self.model.w["wte.weight"])
        if self.row in ("block", "heads"):
            self.base, self.source = self.model.run_keeping(task.corrupt), self.model.run_keeping(task.clean)
            self.grid = Grid(self.row, self.model.layers, self.model.heads, task.clean.shape[1])
            heads = [None] if self.row == "block" else range(self.model.heads)
            layers = range(self.model.layers)
            self.groups = [(site, layer, head) for site in self.grid.sites for layer in layers for head in heads]
        if self.row == "lens":
            self.tokens = wide_tokens(1, 1024, self.vocab)
            self.target = self.tokens.roll(-1, 1)[0]

    def work(self, part, parts, way=None):
        model, task = self.model, self.task
        if self.row in ("block", "heads"):
            values = {}
            for site, layer, head in self.groups[part::parts]:
                found = model.patched(self.base, self.source, site, layer, head, task.answer, task.wrong)
                for pos, value in enumerate(found.tolist()):
                    values[self.grid.index(site, layer, pos, head)] = value
            return values
        if self.row == "captures":
            self.kept = model.run_keeping(wide_tokens(8, 64, self.vocab))
            return self.kept
        if self.row in ("difference", "capture-one"):
            x = model.blocks(model.embed(task.clean))
            return model.difference(x, task.answer, task.wrong)
        if self.row == "lens":
            streams = [model.embed(self.tokens)]
            for layer in range(model.layers):
                streams.append(model.block(layer, streams[-1]))
            streams, step = torch.cat(streams), len(self.target) if way == "whole" else 128
            values = {}
            for first in range(0, len(self.target), step):
                some = slice(first, first + step)
                found = read_lens(model.logits(streams[:, some]), self.target[some])
                values.update(lens_numbers(*found, first))
            return values
        return model.logits(model.blocks(model.embed(wide_tokens(1, 8, self.vocab))))


class HuggingFace:
    def __init__(self, request, task):
        from transformers import GPT2LMHeadModel

        self.model = GPT2LMHeadModel.from_pretrained(request["folder"], attn_implementation="eager").eval()
        self.task, self.row, self.vocab = task, request["row"], self.model.config.vocab_size

    def work(self, part, parts, way=None):
        if self.row == "difference":
            return self.task.difference(self.model(self.task.clean, logits_to_keep=1).logits)
        return self.model(wide_tokens(1, 8, self.vocab)).logits


class TransformerLens:
    """Version 3 as HookedTransformer, version 4 as TransformerBridge, which is all that it has; both with raw weights."""

    def __init__(self, request, task):
        from transformers import GPT2LMHeadModel

        hf = GPT2LMHeadModel.from_pretrained(request["folder"], attn_implementation="eager")
        self.task, self.row, c = task, request["row"], hf.config
        self.vocab, self.heads, self.layers = c.vocab_size, c.n_head, c.n_layer
        if version("transformer-lens").startswith("4"):
            from transformer_lens.model_bridge import TransformerBridge

            self.model = TransformerBridge.boot_transformers(request["folder"], hf_model=hf, device="cpu")
        else:
            from transformer_lens import HookedTransformer, HookedTransformerConfig
            from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

            shape = {"n_layers": c.n_layer, "d_model": c.n_embd, "n_heads": c.n_head, "d_head": c.n_embd // c.n_head}
            shape |= {"d_mlp": 4 * c.n_embd, "d_vocab": c.vocab_size, "n_ctx": c.n_positions, "eps": c.layer_norm_epsilon}
            kind = {"act_fn": "gelu_new", "normalization_type": "LN", "original_architecture": "GPT2LMHeadModel"}
            cfg = HookedTransformerConfig(**shape, **kind, device="cpu")
            self.model = HookedTransformer(cfg)
            processing = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
            self.model.load_and_process_state_dict(convert_gpt2_weights(hf, cfg), **dict.fromkeys(processing, False))
            del hf
        if self.row in ("block", "heads"):
            self.grid = Grid(self.row, self.layers, self.heads, task.clean.shape[1])
            self.cache = self.model.run_with_cache(task.clean)[1]
        if self.row == "lens":
            self.tokens = wide_tokens(1, 1024, self.vocab)
            self.target = self.tokens.roll(-1, 1)[0]
        if self.row in ("eap", "edges"):
            self.model.set_use_split_qkv_input(True)
            self.model.set_use_hook_mlp_in(True)
        if self.row == "edges":
            self.changes = self.writer_changes()

    def work(self, part, parts, way=None):
        model, task = self.model, self.task
        if self.row in ("block", "heads"):
            return self.patch(part, parts)
        if self.row == "captures":
            logits, kept = model.run_with_cache(wide_tokens(8, 64, self.vocab), names_filter=self.names)
            self.kept = {**{name: kept[name] for name in self.names}, "logits": logits}
            return self.kept
        if self.row == "difference" or (self.row == "capture-one" and way != "with"):
            return task.difference(model(task.clean))
        if self.row == "capture-one":
            site = f"blocks.{self.layers // 2}.hook_resid_pre"
            logits, self.kept = model.run_with_cache(task.clean, names_filter=site)
            return task.difference(logits)
        if self.row == "lens":
            cache = model.run_with_cache(self.tokens, names_filter=self.is_stream)[1]
            stack = cache.accumulated_resid(layer=-1, incl_mid=False, apply_ln=True)
            # Its norm is without weight and bias, which folding would have put into the unembedding.
            stack = stack[:, 0] * model.ln_final.w + model.ln_final.b
            return lens_numbers(*read_lens(stack @ model.W_U, self.target), 0)
        if self.row == "eap":
            return self.attribute()
        if self.row == "edges":
            return self.cut(part, parts)
        return model(wide_tokens(1, 8, self.vocab))

    def is_stream(self, name):
        return "hook_resid" in name or "ln_final" in name

    def patch(self, part, parts):
        import pandas as pd
        from transformer_lens import patching

        grid, values = self.grid, {}
        chosen = [grid.place(index) for index in range(part, grid.size, parts)]
        for site in grid.sites:
            own = [(layer, pos, head) for name, layer, pos, head in chosen if name == site]
            if not own:
                continue
            if self.row == "block":
                setter, rows = patching.layer_pos_patch_setter, [(layer, pos) for layer, pos, _ in own]
            elif site == "pattern":
                setter = patching.layer_head_pos_pattern_patch_setter
                rows = [(layer, head, pos) for layer, pos, head in own]
            else:
                setter, rows = patching.layer_pos_head_vector_patch_setter, own
            metric = lambda logits: self.task.difference(logits).mean()
            table = pd.DataFrame(rows)
            found = patching.generic_activation_patch(
                self.model, self.task.corrupt, self.cache, metric, setter, site, index_df=table
            )
            for (layer, pos, head), value in zip(own, found.tolist()):
                values[grid.index(site, layer, pos, head)] = value
        return values

    # Edges: writers are the embeddings, then the heads and the MLP of each layer; readers the heads by q, k and v and the
    # MLP of each layer, then the logits.

    def is_writer(self, name):
        return name.endswith((".hook_result", "hook_mlp_out")) or name in ("hook_embed", "hook_pos_embed")

    def writes(self, tokens):
        # What heads write is costly to make and needed here alone.
        self.model.set_use_attn_result(True)
        kept = self.model.run_with_cache(tokens, names_filter=self.is_writer)[1]
        self.model.set_use_attn_result(False)
        parts = [(kept["hook_embed"] + kept["hook_pos_embed"])[:, :, None]]
        for layer in range(self.layers):
            parts += [kept[f"blocks.{layer}.attn.hook_result"], kept[f"blocks.{layer}.hook_mlp_out"][:, :, None]]
        return torch.cat(parts, 2)

    def writer_changes(self):
        with torch.no_grad():
            return self.writes(self.task.corrupt) - self.writes(self.task.clean)

    def readers(self):
        """Site, first column of the scores, how many columns, and how many writers come before."""
        wide = 3 * self.heads + 1
        for layer in range(self.layers):
            before = 1 + layer * (self.heads + 1)
            for at, port in enumerate("qkv"):
                yield f"blocks.{layer}.hook_{port}_input", layer * wide + at * self.heads, self.heads, before
            yield f"blocks.{layer}.hook_mlp_in", layer * wide + 3 * self.heads, 1, before + self.heads
        yield f"blocks.{self.layers - 1}.hook_resid_post", self.layers * wide, 1, 1 + self.layers * (self.heads + 1)

    def columns(self):
        return self.layers * (3 * self.heads + 1) + 1

    def attribute(self):
        changes = self.writer_changes()
        scores = torch.zeros(changes.shape[2], self.columns())
        hooks = []
        for site, first, count, before in self.readers():

            def add(gradient, hook, first=first, count=count, before=before):
                gradient = gradient.view(*gradient.shape[:2], count, -1)
                found = torch.einsum("bpwd,bprd->wr", changes[:, :, :before], gradient)
                scores[:before, first : first + count] -= found

            hooks.append((site, add))
        with torch.enable_grad(), self.model.hooks(bwd_hooks=hooks):
            self.task.difference(self.model(self.task.clean)).mean().backward()
        self.model.zero_grad()
        return scores

    def edges(self):
        return [
            (writer, site, first + at, at)
            for site, first, count, before in self.readers()
            for at in range(count)
            for writer in range(before)
        ]

    def cut(self, part, parts):
        values = {}
        for writer, site, column, at in self.edges()[part::parts]:

            def add(x, hook, writer=writer, at=at):
                x = x.clone()
                if x.dim() == 4:
                    x[:, :, at] += self.changes[:, :, writer]
                else:
                    x += self.changes[:, :, writer]
                return x

            cut = self.task.difference(self.model.run_with_hooks(self.task.clean, fwd_hooks=[(site, add)])).mean()
            values[writer * self.columns() + column] = float(self.whole - cut)
        return values


def numbers(row, found, names):
    if row == "captures":
        return sampled(found, [*names, "logits"])
    if row == "start":
        return first_logits(found)
    if isinstance(found, dict):
        return found
    return {i: float(value) for i, value in enumerate(found.reshape(-1))}


SIDES = {"transformer_lens": TransformerLens, "transformers": HuggingFace}


def main():
    request = json.loads(sys.argv[1])
    row, names = request["row"], request.get("names", [])
    torch.set_num_threads(request["threads"])
    torch.set_grad_enabled(False)
    task = Task(request["task"])
    side = SIDES.get(request["side"], ByHand)(request, task)
    side.names = names
    if row == "edges":
        side.whole = task.difference(side.model(task.clean)).mean()
    own = {"transformer_lens": "transformer-lens", "transformers": "transformers"}.get(request["side"])
    hello = {"version": version(own) if own else torch.__version__, "torch": torch.__version__}
    if row == "start":
        found = side.work(0, 1)
        print(json.dumps({**hello, "values": first_logits(found), "peakRssBytes": peak_bytes()}), flush=True)
        return
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        busy, start = time.process_time(), time.perf_counter()
        found = side.work(ask["part"], ask["parts"], ask.get("way"))
        ms, cpu_ms = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - busy)
        answer = {"ms": ms, "cpuMs": cpu_ms, "values": numbers(row, found, names), "peakRssBytes": peak_bytes()}
        print(json.dumps(answer), flush=True)


main()
