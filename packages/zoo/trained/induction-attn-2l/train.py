"""Trains two-layer attention-only language models, one per seed, all in one batched program on the CPU.

    python train.py --out . --seeds 0 1 2 3 4 5 6 7

Writes OUT/seed-{i}/{model.safetensors,config.json} and OUT/tokens.json; `evaluate.py` measures what was written.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import language

N_LAYERS, N_HEADS, D_MODEL, D_HEAD = 2, 4, 64, 16
STEPS, BATCH, WARMUP = 6000, 32, 200
PEAK_LR, FINAL_LR_SHARE = 1.5e-2, 0.02
BETA1, BETA2, EPSILON, WEIGHT_DECAY, CLIP = 0.9, 0.98, 1e-8, 0.05, 1.0
HALF = 31  # distinct words in the evaluation repeats
EVAL_SEQUENCES = 256
CHUNK = 25  # steps whose data are made at once


def init(seed):
    """TransformerLens names and shapes. Normal, from NumPy's PCG64 seeded with `seed`, in the order written here."""
    rng = np.random.default_rng(seed)

    def normal(shape, std):
        return (rng.standard_normal(shape) * std).astype(np.float32)

    weights = {
        "embed.W_E": normal((language.D_VOCAB, D_MODEL), 0.3),
        "pos_embed.W_pos": normal((language.N_CTX, D_MODEL), 1.5),
    }
    for layer in range(N_LAYERS):
        for name in ("W_Q", "W_K", "W_V"):
            weights[f"blocks.{layer}.attn.{name}"] = normal((N_HEADS, D_MODEL, D_HEAD), D_MODEL**-0.5)
        weights[f"blocks.{layer}.attn.W_O"] = normal((N_HEADS, D_HEAD, D_MODEL), D_MODEL**-0.5)
    weights["unembed.W_U"] = normal((D_MODEL, language.D_VOCAB), D_MODEL**-0.5)
    return weights


def forward(weights, tokens):
    """tokens [batch, pos] → logits [batch, pos, vocab], patterns [layer][batch, head, query, key]."""
    length = tokens.shape[1]
    x = weights["embed.W_E"][tokens] + weights["pos_embed.W_pos"][:length]
    causal = jnp.tril(jnp.ones((length, length), dtype=bool))
    patterns = []
    for layer in range(N_LAYERS):
        w = {name: weights[f"blocks.{layer}.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
        q, k, v = (jnp.einsum("bpd,hde->bhpe", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = jnp.einsum("bhqe,bhke->bhqk", q, k) / np.float32(D_HEAD**0.5)
        pattern = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        z = jnp.einsum("bhqk,bhke->bhqe", pattern, v)
        x = x + jnp.einsum("bhqe,hed->bqd", z, w["W_O"])
        patterns.append(pattern)
    return x @ weights["unembed.W_U"], patterns


def token_losses(weights, tokens):
    """[batch, pos − 1] cross entropy in nats of token p + 1 given tokens 0..p."""
    log_probs = jax.nn.log_softmax(forward(weights, tokens)[0][:, :-1], axis=-1)
    return -jnp.take_along_axis(log_probs, tokens[:, 1:, None], axis=-1)[..., 0]


def learning_rate(step):
    warm = (step + 1) / WARMUP
    share = jnp.clip((step - WARMUP) / (STEPS - WARMUP), 0.0, 1.0)
    cosine = FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + jnp.cos(jnp.pi * share))
    return PEAK_LR * jnp.minimum(warm, cosine)


def update(weights, m, v, step, tokens):
    """One AdamW step of one model; the gradient is clipped to norm CLIP first."""
    loss, grads = jax.value_and_grad(lambda w: token_losses(w, tokens).mean())(weights)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
    scale = jnp.minimum(1.0, CLIP / (norm + 1e-6))
    lr = learning_rate(step)
    t = step + 1.0
    out = ({}, {}, {})
    for name, g in grads.items():
        g = g * scale
        m_new = BETA1 * m[name] + (1 - BETA1) * g
        v_new = BETA2 * v[name] + (1 - BETA2) * g * g
        move = (m_new / (1 - BETA1**t)) / (jnp.sqrt(v_new / (1 - BETA2**t)) + EPSILON)
        out[0][name] = weights[name] - lr * (move + WEIGHT_DECAY * weights[name])
        out[1][name], out[2][name] = m_new, v_new
    return *out, loss


@partial(jax.jit, donate_argnums=(0, 1, 2))
def update_all(weights, m, v, step, tokens):
    return jax.vmap(update, in_axes=(0, 0, 0, None, 0))(weights, m, v, step, tokens)


@jax.jit
def evaluate(weights, repeats, text):
    """A glance at one model while it trains. Scores are means over the queries of the second copy, 32..62."""
    logits, patterns = forward(weights, repeats)
    query = jnp.arange(HALF + 1, 2 * HALF + 1)
    pattern = jnp.stack(patterns).mean(axis=1)  # [layer, head, query, key]
    return {
        # Token 32 starts the second copy and cannot be foreseen; tokens 33..62 can.
        "second_copy_loss": token_losses(weights, repeats)[:, HALF + 1 :].mean(),
        "second_copy_accuracy": (logits[:, HALF + 1 : -1].argmax(-1) == repeats[:, HALF + 2 :]).mean(),
        "text_loss": token_losses(weights, text).mean(),
        "previous_token": pattern[:, :, query, query - 1].mean(-1),
        "induction": pattern[:, :, query, query - HALF + 1].mean(-1),
    }


def write_safetensors(path, tensors):
    """Header length (u64), JSON header padded with spaces to 8 bytes, then the tensors as little-endian float32."""
    header, data, offset = {}, [], 0
    for name in sorted(tensors):
        raw = np.ascontiguousarray(tensors[name], dtype="<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        data.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))


def config(seed):
    return {
        "model_type": "attention_only",
        "architectures": ["AttentionOnly"],
        "n_layers": N_LAYERS,
        "n_heads": N_HEADS,
        "d_model": D_MODEL,
        "d_head": D_HEAD,
        "d_vocab": language.D_VOCAB,
        "n_ctx": language.N_CTX,
        "normalization_type": None,
        "positional_embedding_type": "standard",
        "bos_token_id": language.BOS,
        "seed": seed,
    }


def save(out, seeds, weights, repeats, text, step):
    for place, seed in enumerate(seeds):
        own = {name: np.asarray(value[place]) for name, value in weights.items()}
        folder = out / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        write_safetensors(folder / "model.safetensors", own)
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in config(seed).items())
        (folder / "config.json").write_text("{\n" + lines + "\n}\n")
        show(step, seed, jax.tree.map(np.asarray, evaluate(own, repeats, text)))


def show(step, seed, model):
    def best(key, layer):
        return f"{layer}.{model[key][layer].argmax()} {model[key][layer].max():.3f}"

    print(
        f"step {step} seed {seed}: text {model['text_loss']:.3f}, second copy {model['second_copy_loss']:.3f} "
        f"(accuracy {model['second_copy_accuracy']:.3f}), previous {best('previous_token', 0)}, "
        f"induction {best('induction', 1)}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--save-every", type=int, default=500)
    options = parser.parse_args()

    out, seeds = options.out, options.seeds
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokens.json").write_text(json.dumps(language.token_strings(), indent=2) + "\n")
    repeats = language.repeated_words(EVAL_SEQUENCES, HALF)
    text = language.sequences(language.EVAL_TEXT, np.arange(EVAL_SEQUENCES), p_repeat_sequence=0.0)

    starts = [init(seed) for seed in seeds]
    weights = {name: jnp.stack([start[name] for start in starts]) for name in starts[0]}
    m = jax.tree.map(jnp.zeros_like, weights)
    v = jax.tree.map(jnp.zeros_like, weights)
    began = time.perf_counter()
    for step in range(STEPS):
        if step % CHUNK == 0:
            # Sequence number (step · BATCH + row) of the seed's own training stream.
            index = np.arange(step * BATCH, (step + CHUNK) * BATCH)
            chunk = np.stack([language.sequences(language.TRAIN + seed, index) for seed in seeds])
            chunk = chunk.reshape(len(seeds), CHUNK, BATCH, language.N_CTX)
        weights, m, v, losses = update_all(weights, m, v, jnp.float32(step), chunk[:, step % CHUNK])
        if (step + 1) % 100 == 0:
            print(f"{step + 1} {time.perf_counter() - began:.0f}s " + " ".join(f"{x:.3f}" for x in losses), flush=True)
        if (step + 1) % options.save_every == 0 or step + 1 == STEPS:
            save(out, seeds, weights, repeats, text, step + 1)


if __name__ == "__main__":
    main()
