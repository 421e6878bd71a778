"""Writes a tiny random Whisper model in whisper.cpp's own format: mkwhisper.py OUT."""
import random
import struct
import sys

VOCAB, CONTEXT, STATE, HEADS, MELS, FFT = 51865, 8, 16, 2, 80, 201
chance = random.Random(0)
out = open(sys.argv[1], "wb")


def ints(*values):
    out.write(struct.pack(f"<{len(values)}i", *values))


def tensor(name, *shape):
    """One of floats; the shape in ggml's order, the innermost first."""
    count = 1
    for length in shape:
        count *= length
    ints(len(shape), len(name), 0, *shape)
    out.write(name.encode())
    out.write(struct.pack(f"<{count}f", *(chance.gauss(0, 0.02) for _ in range(count))))


def linear(name, outputs, inputs, bias=True):
    tensor(name + ".weight", inputs, outputs)
    if bias:
        tensor(name + ".bias", outputs)


def norm(name):
    tensor(name + ".weight", STATE)
    tensor(name + ".bias", STATE)


def block(name, attentions):
    for attention in attentions:
        norm(f"{name}.{attention}_ln")
        for part in ["query", "key", "value", "out"]:
            linear(f"{name}.{attention}.{part}", STATE, STATE, bias=part != "key")
    norm(name + ".mlp_ln")
    linear(name + ".mlp.0", 4 * STATE, STATE)
    linear(name + ".mlp.2", STATE, 4 * STATE)


ints(0x67676D6C, VOCAB, CONTEXT, STATE, HEADS, 1, CONTEXT, STATE, HEADS, 1, MELS, 0)
ints(MELS, FFT)
out.write(bytes(4 * MELS * FFT))
ints(256)
for byte in range(256):
    ints(1)
    out.write(bytes([byte]))
tensor("encoder.positional_embedding", STATE, CONTEXT)
tensor("encoder.conv1.weight", 3, MELS, STATE)
tensor("encoder.conv1.bias", 1, STATE)
tensor("encoder.conv2.weight", 3, STATE, STATE)
tensor("encoder.conv2.bias", 1, STATE)
block("encoder.blocks.0", ["attn"])
norm("encoder.ln_post")
tensor("decoder.positional_embedding", STATE, CONTEXT)
tensor("decoder.token_embedding.weight", STATE, VOCAB)
block("decoder.blocks.0", ["attn", "cross_attn"])
norm("decoder.ln")
