"""A real llama.cpp server (PyPI: xllamacpp) on a model that is made here: two layers of seeded noise, 0.5 MB.

    engine.py FOLDER    makes FOLDER/tiny.gguf unless it is there, serves it on a free port of the loopback and prints
                        `http://127.0.0.1:PORT`; ends when standard input ends.

The model says everyday words at random and sometimes ends its turn. What is tested is the engine: its HTTP, its batching,
its prefix cache, its counts.
"""

import os
import socket
import sys

import gguf
import numpy
import xllamacpp

DIM, LAYERS, HEADS, FFN, CONTEXT = 64, 2, 4, 128, 4096
WORDS = "the of and to in is that it for on with as was at by an be this are from or have not one".split()


def vocabulary():
    """Single bytes as GPT-2 spells them, then each word with its prefixes, so that the merges can reach it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        spelled.setdefault(byte, chr(256 + len(spelled) - len(printable)))
    tokens, merges = [spelled[byte] for byte in range(256)], []
    for word in WORDS:
        prefix = spelled[ord(" ")]
        for letter in word:
            if prefix + letter not in tokens:
                merges.append(f"{prefix} {letter}")
                tokens.append(prefix + letter)
            prefix += letter
    return tokens, merges


def make(path):
    """Writes the model. The last dimension is a constant that no layer changes; the output layer uses it to allow words
    and the end of a turn only."""
    random = numpy.random.default_rng(7)
    tokens, merges = vocabulary()
    words = len(tokens)
    tokens += ["<|im_start|>", "<|im_end|>"]
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny-random-llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(DIM)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(DIM // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(tokens))
    out.add_file_type(0)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_merges(merges)
    out.add_token_types([1] * words + [3, 3])
    out.add_bos_token_id(words)
    out.add_eos_token_id(words + 1)
    out.add_add_bos_token(False)
    out.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )

    def noise(*shape):
        return (random.standard_normal(shape) * 0.3).astype(numpy.float32)

    def add(name, values):
        out.add_tensor(name, numpy.ascontiguousarray(values, dtype=numpy.float32))

    embedding = noise(len(tokens), DIM)
    embedding[:, -1] = 8
    add("token_embd.weight", embedding)
    add("output_norm.weight", numpy.ones(DIM))
    output = noise(len(tokens), DIM) * 0.15
    output[:, -1] = [0 if token[0] == "Ġ" and len(token) > 2 else -60 for token in tokens]
    output[words + 1] = 0
    output[words + 1, -1] = -0.2
    add("output.weight", output)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", numpy.ones(DIM))
        add(block + "ffn_norm.weight", numpy.ones(DIM))
        add(block + "ffn_gate.weight", noise(FFN, DIM))
        add(block + "ffn_up.weight", noise(FFN, DIM))
        for part in "qkv":
            add(f"{block}attn_{part}.weight", noise(DIM, DIM))
        for name, values in (("attn_output", noise(DIM, DIM)), ("ffn_down", noise(DIM, FFN))):
            values[-1] = 0
            add(f"{block}{name}.weight", values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def serve(path):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        params.port = free.getsockname()[1]
    params.n_ctx = 8192
    params.n_parallel = 4
    params.endpoint_metrics = True
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.ui = False
    server = xllamacpp.Server(params)
    print(f"http://127.0.0.1:{params.port}", flush=True)
    sys.stdin.read()
    # the server's threads would outlive the interpreter
    del server
    os._exit(0)


if __name__ == "__main__":
    model = os.path.join(sys.argv[1], "tiny.gguf")
    if not os.path.exists(model):
        # made aside, so that two runs at once do not read each other's half
        aside = f"{model}.{os.getpid()}"
        make(aside)
        os.replace(aside, model)
    serve(model)
