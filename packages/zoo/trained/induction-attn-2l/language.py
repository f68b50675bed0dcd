"""The made-up language that the models are trained on.

Every number comes from splitmix32, and every sequence has a start state of its own, so that any program can rebuild any
training or evaluation sequence token by token. Only +, *, / on doubles and 32-bit integers are used, no library sampler.
"""

import numpy as np

D_VOCAB = 256  # id 0 is <bos>, ids 1..255 are words, the frequent ones first
N_CTX = 64
BOS = 0
N_WORDS = D_VOCAB - 1

# Streams: what a sequence is for. Training stream of seed i is TRAIN + i.
TABLE, TOKENS, EVAL_TEXT, EVAL_REPEAT, TRAIN = 1, 2, 3, 4, 100

SUCCESSORS = 6
P_SUCCESSOR = 0.85  # else the next word ignores the previous one
P_REPEAT_SEQUENCE = 0.3  # share of sequences that are uniform random words, repeated with a fixed period
PERIOD_MIN, PERIOD_MAX = 8, 31
P_COPY = 0.1  # per position outside a copied segment: chance that one starts
COPY_FROM = 8  # first position at which one may start
COPY_MIN, COPY_MAX = 5, 20

MASK = np.uint64(0xFFFFFFFF)


def mix(z):
    """The output function of splitmix32, on uint64 arrays that hold 32-bit values."""
    z = ((z ^ (z >> np.uint64(16))) * np.uint64(0x21F0AAAD)) & MASK
    z = ((z ^ (z >> np.uint64(15))) * np.uint64(0x735A2D97)) & MASK
    return z ^ (z >> np.uint64(15))


class Draws:
    """splitmix32 run in lockstep for many sequences; `next()` gives uniforms in [0, 1), shape of `index`."""

    def __init__(self, stream, index):
        index = np.asarray(index, dtype=np.uint64)
        stream = np.asarray(stream, dtype=np.uint64)
        self.state = mix((mix(stream) + index) & MASK)

    def next(self):
        self.state = (self.state + np.uint64(0x9E3779B9)) & MASK
        return mix(self.state).astype(np.float64) / 4294967296.0


def cumulative(weights):
    """Running sums over their total, added left to right in double precision."""
    sums = np.cumsum(np.asarray(weights, dtype=np.float64))
    return sums / sums[-1]


# Zipf-Mandelbrot over the words: weight of word w (1..255) is 1 / (w + 2).
ZIPF = cumulative([1.0 / (word + 2) for word in range(1, D_VOCAB)])
SLOT = cumulative([1.0 / (slot + 1) for slot in range(SUCCESSORS)])


def pick(sums, u):
    """The first place whose running sum exceeds u."""
    return np.searchsorted(sums, u, side="right")


def successor_table():
    """[vocab, SUCCESSORS]: for each word, in order, distinct other words drawn by Zipf; drawn again when already there."""
    draws = Draws(TABLE, 0)
    table = np.zeros((D_VOCAB, SUCCESSORS), dtype=np.int64)
    for word in range(1, D_VOCAB):
        row = []
        while len(row) < SUCCESSORS:
            candidate = 1 + int(pick(ZIPF, draws.next()))
            if candidate != word and candidate not in row:
                row.append(candidate)
        table[word] = row
    return table


def token_strings():
    """<bos>, then consonant-vowel words: one syllable for ids up to 40, two up to 160, then three; no word twice."""
    draws = Draws(TOKENS, 0)
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    words = ["<bos>"]
    while len(words) < D_VOCAB:
        syllables = 1 if len(words) <= 40 else 2 if len(words) <= 160 else 3
        word = ""
        for _ in range(syllables):
            word += consonants[int(draws.next() * 14)]
            word += vowels[int(draws.next() * 5)]
        if word not in words:
            words.append(word)
    return words


def sequences(stream, index, p_repeat_sequence=P_REPEAT_SEQUENCE):
    """int32 [len(index), N_CTX]: BOS, then a random repeat or text with copied segments.

    Two draws choose kind and period; then each position takes exactly three draws a, b, c, used or not.
    """
    draws = Draws(stream, index)
    table = successor_table()
    count = len(draws.state)
    rows = np.arange(count)
    tokens = np.zeros((count, N_CTX), dtype=np.int64)
    is_repeat = draws.next() < p_repeat_sequence
    period = PERIOD_MIN + (draws.next() * (PERIOD_MAX - PERIOD_MIN + 1)).astype(np.int64)
    source = np.zeros(count, dtype=np.int64)
    left = np.zeros(count, dtype=np.int64)
    for p in range(1, N_CTX):
        a, b, c = draws.next(), draws.next(), draws.next()
        # A random repeat.
        repeat = np.where(p <= period, 1 + (a * N_WORDS).astype(np.int64), tokens[rows, np.maximum(p - period, 0)])
        # Text: perhaps start to copy, ...
        if p >= COPY_FROM:
            start = (left == 0) & (a < P_COPY)
            source = np.where(start, 1 + (b * (p - 4)).astype(np.int64), source)
            left = np.where(start, COPY_MIN + (c * (COPY_MAX - COPY_MIN + 1)).astype(np.int64), left)
        copying = left > 0
        # ... else the next word follows the one before, or comes from Zipf.
        previous = tokens[:, p - 1]
        follows = (b < P_SUCCESSOR) & (previous != BOS)
        fresh = np.where(follows, table[previous, pick(SLOT, c)], 1 + pick(ZIPF, c))
        text = np.where(copying, tokens[rows, source], fresh)
        source, left = np.where(copying, source + 1, source), np.where(copying, left - 1, left)
        tokens[:, p] = np.where(is_repeat, repeat, text)
    return tokens.astype(np.int32)


def repeated_words(count, half):
    """int32 [count, 1 + 2·half]: BOS, `half` distinct random words, the same words again.

    Sequence i: Fisher-Yates from the front over 1..255, the first `half` places.
    """
    draws = Draws(EVAL_REPEAT, np.arange(count))
    rows = np.arange(count)
    words = np.tile(np.arange(1, D_VOCAB), (count, 1))
    for place in range(half):
        other = place + (draws.next() * (N_WORDS - place)).astype(np.int64)
        words[rows, place], words[rows, other] = words[rows, other], words[rows, place].copy()
    first = words[:, :half]
    return np.concatenate([np.full((count, 1), BOS), first, first], axis=1).astype(np.int32)
