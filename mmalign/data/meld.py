"""MELD from the pickles of MM-Align: utterances of a television series, seven emotions.

`train.pkl`, `dev.pkl`, `test.pkl`, each a list of dictionaries of token_ids, audio_features, video_features and
label, and `embedding.p`, what the ids stand for. The three sequences of an utterance must be equally long: one
mask serves them all.
"""

from pathlib import Path

from ..errors import InputError
from ..gate.unpickle import load_pickle
from .assemble import from_words, source_of
from .cmu import WORD_FILES, samples_of, word_table
from .source import Source

EMBEDDING = "embedding.p"
KEYS = {"text": "token_ids", "video": "video_features", "audio": "audio_features"}  # our name -> theirs


def read(name: str, folder: Path) -> Source:
    """The utterances, from their folder."""
    table = word_table(folder / EMBEDDING, load_pickle(folder / EMBEDDING))
    parts = []
    for file in WORD_FILES:
        path = folder / file
        samples = samples_of(path)
        for place, sample in enumerate(samples):
            for key in (*KEYS.values(), "label"):
                if not isinstance(sample, dict) or key not in sample:
                    raise InputError(f"{path}, sample {place} must be a dictionary with {key!r}")
        named = [{ours: sample[theirs] for ours, theirs in KEYS.items()} for sample in samples]
        parts.append(from_words(path, name, named, [sample["label"] for sample in samples], table))
    return source_of(name, parts, "as the code of MM-Align reads it")
