"""Writes a tiny random llama model as GGUF: tiny-llama.py OUT.

llama.cpp and what is made of it load it and answer every endpoint; the words mean nothing. It needs
Debian's python3-gguf. Made after the tool mkgguf.py of this project.
"""

import sys

import gguf
import numpy as np

VOCAB, EMBED, HEADS, FEED = 3 + 256, 32, 2, 64
rng = np.random.default_rng(0)


def random(*shape):
    return (rng.standard_normal(shape) * 0.02).astype(np.float32)


def ones():
    return np.ones(EMBED, np.float32)


w = gguf.GGUFWriter(sys.argv[1], "llama")
w.add_name("tiny-random")
w.add_context_length(128)
w.add_embedding_length(EMBED)
w.add_block_count(1)
w.add_feed_forward_length(FEED)
w.add_head_count(HEADS)
w.add_head_count_kv(HEADS)
w.add_layer_norm_rms_eps(1e-5)
w.add_rope_dimension_count(EMBED // HEADS)
w.add_vocab_size(VOCAB)
w.add_file_type(0)
w.add_tokenizer_model("llama")
w.add_token_list([b"<unk>", b"<s>", b"</s>"] + [("<0x%02X>" % i).encode() for i in range(256)])
w.add_token_scores([0.0] * VOCAB)
w.add_token_types([2, 3, 3] + [6] * 256)
w.add_bos_token_id(1)
w.add_eos_token_id(2)
w.add_unk_token_id(0)
w.add_tensor("token_embd.weight", random(VOCAB, EMBED))
w.add_tensor("output_norm.weight", ones())
w.add_tensor("output.weight", random(VOCAB, EMBED))
w.add_tensor("blk.0.attn_norm.weight", ones())
for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
    w.add_tensor(f"blk.0.{name}.weight", random(EMBED, EMBED))
w.add_tensor("blk.0.ffn_norm.weight", ones())
w.add_tensor("blk.0.ffn_gate.weight", random(FEED, EMBED))
w.add_tensor("blk.0.ffn_up.weight", random(FEED, EMBED))
w.add_tensor("blk.0.ffn_down.weight", random(EMBED, FEED))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
