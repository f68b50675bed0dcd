"""Reads the trained models back and measures them with NumPy in double precision, apart from the training code.

    python evaluate.py --out . --seeds 0 1 2 3 4 5 6 7

Writes OUT/fixtures/recorded.json and prints the tables of the README.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import language

HALF = 31  # distinct words before the repeat
SEQUENCES = 256
QUERIES = np.arange(HALF + 1, 2 * HALF + 1)  # the second copy


def read_safetensors(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(raw[begin:end], dtype="<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def forward(weights, tokens, without=()):
    """tokens [batch, pos] → logits [batch, pos, vocab], patterns [layer, batch, head, query, key].

    `without`: (layer, head) pairs whose output is set to zero.
    """
    length = tokens.shape[1]
    x = weights["embed.W_E"][tokens] + weights["pos_embed.W_pos"][:length]
    future = np.triu(np.ones((length, length), dtype=bool), 1)
    patterns = []
    for layer in range(2):
        w = {name: weights[f"blocks.{layer}.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
        heads, _, d_head = w["W_Q"].shape
        pattern = np.empty((len(tokens), heads, length, length))
        added = np.zeros_like(x)
        for head in range(heads):
            scores = (x @ w["W_Q"][head]) @ (x @ w["W_K"][head]).transpose(0, 2, 1) / np.sqrt(d_head)
            scores[:, future] = -np.inf
            exps = np.exp(scores - scores.max(-1, keepdims=True))
            pattern[:, head] = exps / exps.sum(-1, keepdims=True)
            if (layer, head) not in without:
                added += pattern[:, head] @ (x @ w["W_V"][head]) @ w["W_O"][head]
        x = x + added
        patterns.append(pattern)
    return x @ weights["unembed.W_U"], np.stack(patterns)


def losses_of(logits, tokens):
    """[batch, pos − 1] nats for token p + 1 given tokens 0..p."""
    logits = logits[:, :-1]
    top = logits.max(-1, keepdims=True)
    log_total = top[..., 0] + np.log(np.exp(logits - top).sum(-1))
    return log_total - np.take_along_axis(logits, tokens[:, 1:, None], -1)[..., 0]


def bigram_loss(text):
    """What the true table alone reaches, blind to copying: mean nats over tokens 1..63."""
    zipf = np.diff(language.ZIPF, prepend=0.0)
    slot = np.diff(language.SLOT, prepend=0.0)
    table = np.zeros((language.D_VOCAB, language.D_VOCAB))
    table[0, 1:] = zipf
    for word, row in enumerate(language.successor_table()[1:], 1):
        table[word, 1:] = (1 - language.P_SUCCESSOR) * zipf
        table[word, row] += language.P_SUCCESSOR * slot
    return -np.log(table[text[:, :-1], text[:, 1:]]).mean()


def measure(weights, repeats, text):
    logits, patterns = forward(weights, repeats)
    losses = losses_of(logits, repeats)
    mean = patterns.mean(1)  # [layer, head, query, key]
    previous = mean[:, :, QUERIES, QUERIES - 1].mean(-1)
    best = (0, int(previous[0].argmax()))
    second = slice(HALF + 1, None)  # tokens 33..62; token 32 starts the second copy and cannot be foreseen

    def second_without(head):
        return losses_of(forward(weights, repeats, (head,))[0], repeats)[:, second].mean()

    others = [(0, head) for head in range(previous.shape[1]) if (0, head) != best]
    return {
        "first_copy_loss": losses[:, 1:HALF].mean(),
        "second_copy_loss": losses[:, second].mean(),
        "second_copy_accuracy": (logits[:, HALF + 1 : -1].argmax(-1) == repeats[:, HALF + 2 :]).mean(),
        "second_copy_loss_without_previous_token_head": second_without(best),
        "second_copy_loss_without_another_head_of_layer_0": max(second_without(head) for head in others),
        "text_loss": losses_of(forward(weights, text)[0], text).mean(),
        "previous_token": previous,
        "duplicate_token": mean[:, :, QUERIES, QUERIES - HALF].mean(-1),
        "induction": mean[:, :, QUERIES, QUERIES - HALF + 1].mean(-1),
        "losses_on_repeat_0": losses[0],
    }


def plain(value):
    return np.round(value, 5).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    options = parser.parse_args()

    repeats = language.repeated_words(SEQUENCES, HALF)
    text = language.sequences(language.EVAL_TEXT, np.arange(SEQUENCES), p_repeat_sequence=0.0)
    recorded = {
        "language": {
            "successors_of_1_to_4": language.successor_table()[1:5].tolist(),
            "repeat_0": repeats[0].tolist(),
            "text_0": text[0].tolist(),
            "training_seed_0_sequences_0_to_2": language.sequences(language.TRAIN, np.arange(3)).tolist(),
            "bigram_text_loss": plain(bigram_loss(text)),
        },
        "models": [],
    }
    print("| seed | text | first copy | second copy | accuracy | without its previous-token head | without another head of layer 0 (worst) |")
    print("|---" * 7 + "|")
    rows = []
    for seed in options.seeds:
        model = measure(read_safetensors(options.out / f"seed-{seed}" / "model.safetensors"), repeats, text)
        recorded["models"].append({"seed": seed, **{key: plain(value) for key, value in model.items()}})
        keys = ("text_loss", "first_copy_loss", "second_copy_loss", "second_copy_accuracy")
        without = [f"second_copy_loss_without_{which}" for which in ("previous_token_head", "another_head_of_layer_0")]
        cells = [f"{model[key]:.3f}" for key in keys] + [f"{model[key]:.2f}" for key in without]
        print(f"| {seed} | " + " | ".join(cells) + " |")
        scores = [model["previous_token"][0], model["induction"][1], model["duplicate_token"].reshape(-1)]
        rows.append(f"| {seed} | " + " | ".join(f"{x:.2f}" for x in [*scores[0], *scores[1], scores[2].max()]) + " |")
    print()
    print("| seed | " + " | ".join([f"prev 0.{h}" for h in range(4)] + [f"ind 1.{h}" for h in range(4)]) + " | largest duplicate |")
    print("|---" * 10 + "|")
    print("\n".join(rows))
    print(f"\nbigram table alone on text: {bigram_loss(text):.3f}")
    folder = options.out / "fixtures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recorded.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
