"""Folders with the tokenizer and the chat template of a model, as the Hugging Face hub has them."""

import json
from pathlib import Path
from typing import Any, Final

import gguf

from support.tiny_models import Tokens, own_tokens

ADDED: Final = {gguf.TokenType.CONTROL: True, gguf.TokenType.USER_DEFINED: False}
"""The kinds of tokens that are found in any text, and whether they are special."""


def write_folder(folder: Path, tokens: Tokens | None = None, **config: Any) -> Path:
    """Write the files of a byte-level vocabulary, by default of a tiny one; return the folder."""
    tokens = tokens or own_tokens(None, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_of(tokens)), encoding="utf-8")
    written = {
        "bos_token": tokens.texts[tokens.begin],
        "eos_token": {"content": tokens.texts[tokens.end]},
        "chat_template": tokens.template,
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def tokenizer_of(tokens: Tokens) -> dict[str, Any]:
    """Return a `tokenizer.json` of these tokens."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            added_token(number, text, special=ADDED[kind])
            for number, (text, kind) in enumerate(zip(tokens.texts, tokens.types, strict=True))
            if kind in ADDED
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                byte_level(add_prefix_space=False),
            ],
        },
        "post_processor": None,
        "decoder": byte_level(add_prefix_space=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: number for number, text in enumerate(tokens.texts)},
            "merges": tokens.merges,
        },
    }


def byte_level(*, add_prefix_space: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": True,
    }


def added_token(number: int, text: str, *, special: bool, **more: bool) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special}
    return {"id": number, "content": text, **flags, "special": special, **more}


def marked_tokenizer() -> dict[str, Any]:
    """Return the tokenizer of a tiny vocabulary with added tokens of every kind."""
    document = tokenizer_of(own_tokens(None, ("<s>", "<|im_start|>", "<|im_end|>")))
    last = max(document["model"]["vocab"].values())
    document["added_tokens"] += [
        added_token(last + 1, "<think>", special=False),
        added_token(last + 2, "[INST]", special=False),
        added_token(last + 3, "  ", special=False),
        added_token(last + 4, "parrot", special=False),
    ]
    return document


def sentence_pieces() -> dict[str, Any]:
    """Return a tokenizer like those of SentencePiece: a text may be made of any piece."""
    letters = [chr(code) for code in range(0x21, 0x7F)]
    vocabulary = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["▁", -2.0], ["▁the", -1.0]]
    vocabulary += [[letter, -3.0] for letter in (*letters, "é", "\n", "🦜")]
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "added_tokens": [
            added_token(number, text, special=True)
            for number, text in enumerate(("<unk>", "<s>", "</s>"))
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": space,
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False},
    }
