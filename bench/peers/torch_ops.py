#!/usr/bin/env python3
"""PyTorch beside the op families of sfumato_bench, in f32, under the names that they have there.

    python3 bench/peers/torch_ops.py --filter '^(conv|softmax)/'
    python3 bench/peers/torch_ops.py --list

prints results in Google Benchmark's JSON, named peer/torch/<mode>/<name>: mode `f32` for plain (NCHW) memory,
`f32_channels_last` where PyTorch may be faster with it. `./run bench --against torch` runs it through stdin.
"""
import argparse
import json
import re
import time

import torch
import torch.nn.functional as F

aten = torch.ops.aten

# (name, mode, make, grad): make() prepares the operands and returns what is timed, with autograd on or off.
OPS = []


def op(name, make, mode="f32", grad=False):
    OPS.append((name, mode, make, grad))


def both_layouts(name, make, grad=False):
    op(name, lambda: make(torch.contiguous_format), grad=grad)
    op(name, lambda: make(torch.channels_last), mode="f32_channels_last", grad=grad)


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


def forward_backward(f, leaves, dy):
    """f(*leaves) and its backward pass into fresh gradients."""

    def run():
        for tensor in leaves:
            tensor.grad = None
        f(*leaves).backward(dy)

    return run


# ---- convolution: (batch, in, out, size, kernel, stride), as bench/ops/shapes.h ----
CONVOLUTIONS = [
    (16, 128, 128, 32, 3, 1), (16, 256, 256, 16, 3, 1), (16, 256, 256, 8, 3, 1), (16, 256, 256, 4, 3, 1),
    (16, 512, 256, 8, 3, 1), (64, 32, 32, 28, 3, 1), (64, 64, 64, 14, 3, 1), (64, 128, 128, 7, 3, 1),
    (16, 3, 128, 32, 3, 1), (16, 128, 3, 32, 3, 1), (16, 256, 256, 16, 1, 1), (16, 384, 128, 32, 1, 1),
    (16, 128, 128, 32, 3, 2), (64, 32, 32, 32, 3, 2),
]


def convolution(shape):
    batch, inputs, outputs, size, kernel, stride = shape
    suffix = f"{batch}x{inputs}-{outputs}@{size}" + ("/1x1" if kernel == 1 else "") + ("/stride2" if stride == 2 else "")
    padding = kernel // 2

    def operands(layout):
        x = torch.randn(batch, inputs, size, size).contiguous(memory_format=layout)
        w = torch.randn(outputs, inputs, kernel, kernel).contiguous(memory_format=layout)
        dy = torch.randn(batch, outputs, size // stride, size // stride).contiguous(memory_format=layout)
        return x, w, dy

    def forward(layout):
        x, w, _ = operands(layout)
        return lambda: F.conv2d(x, w, stride=stride, padding=padding)

    def backward(wanted):
        def make(layout):
            x, w, dy = operands(layout)
            return lambda: aten.convolution_backward(dy, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0],
                                                     1, wanted)
        return make

    def with_autograd(layout):
        x, w, dy = operands(layout)
        leaves = [x.requires_grad_(), w.requires_grad_(), leaf(outputs)]
        return forward_backward(lambda x, w, b: F.conv2d(x, w, b, stride=stride, padding=padding), leaves, dy)

    both_layouts(f"conv/forward/{suffix}", forward)
    both_layouts(f"conv/backward_input/{suffix}", backward([True, False, False]))
    both_layouts(f"conv/backward_weight/{suffix}", backward([False, True, False]))
    both_layouts(f"conv/forward_backward/{suffix}", with_autograd, grad=True)


for shape in CONVOLUTIONS:
    convolution(shape)


# ---- matrix products: (batch, m, k, n, what is transposed) ----
def product(batch, m, k, n, transposed=""):
    def make():
        a = torch.randn(batch, k, m).transpose(1, 2) if transposed == "tn" else torch.randn(batch, m, k)
        b = torch.randn(batch, n, k).transpose(1, 2) if transposed == "nt" else torch.randn(batch, k, n)
        return lambda: a @ b

    op(f"matmul/{batch}x{m}x{k}x{n}" + (f"/{transposed}" if transposed else ""), make)


for sizes in [(1, 1024, 1024, 1024), (16, 256, 256, 256), (16, 256, 256, 256, "nt"), (64, 49, 96, 49, "tn"),
              (1, 16, 512, 512, "nt"), (1, 128, 512, 256), (1, 256, 16384, 256, "tn")]:
    product(*sizes)


# ---- attention on (batch, channels, pixels) ----
def attention(batch, channels, pixels, heads):
    def mix(q, k, v):
        q, k, v = (x.view(batch, heads, channels // heads, pixels).transpose(2, 3) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(batch, channels, pixels)

    def forward():
        q, k, v = (torch.randn(batch, channels, pixels) for _ in range(3))
        return lambda: mix(q, k, v)

    def with_autograd():
        return forward_backward(mix, [leaf(batch, channels, pixels) for _ in range(3)],
                                torch.randn(batch, channels, pixels))

    suffix = f"{batch}x{channels}x{pixels}/{heads}"
    op(f"attention/forward/{suffix}", forward)
    op(f"attention/forward_backward/{suffix}", with_autograd, grad=True)


for sizes in [(16, 256, 256, 1), (64, 128, 64, 1), (4, 256, 1024, 4)]:
    attention(*sizes)


# ---- norms and softmax ----
def group_norm(batch, channels, size, silu):
    activation = F.silu if silu else lambda x: x
    norm = lambda x, w, b: activation(F.group_norm(x, 32, w, b, eps=1e-6))

    def operands(layout):
        x, dy = (torch.randn(batch, channels, size, size).contiguous(memory_format=layout) for _ in range(2))
        return x, torch.ones(channels), torch.zeros(channels), dy

    def forward(layout):
        x, w, b, _ = operands(layout)
        return lambda: norm(x, w, b)

    def with_autograd(layout):
        *leaves, dy = operands(layout)
        return forward_backward(norm, [tensor.requires_grad_() for tensor in leaves], dy)

    name, suffix = "group_norm_silu" if silu else "group_norm", f"{batch}x{channels}x{size}x{size}"
    both_layouts(f"{name}/forward/{suffix}", forward)
    both_layouts(f"{name}/forward_backward/{suffix}", with_autograd, grad=True)


for sizes in [(16, 128, 32, True), (16, 256, 16, True), (16, 256, 8, True), (16, 256, 16, False)]:
    group_norm(*sizes)


def softmax(rows, columns):
    def forward():
        x = torch.randn(rows, columns)
        return lambda: torch.softmax(x, -1)

    def backward():
        y, dy = torch.softmax(torch.randn(rows, columns), -1), torch.randn(rows, columns)
        return lambda: aten._softmax_backward_data(dy, y, -1, torch.float32)

    op(f"softmax/forward/{rows}x{columns}", forward)
    op(f"softmax/backward/{rows}x{columns}", backward)


softmax(4096, 256)
softmax(65536, 1024)


# ---- one operand or two, and a function of them ----
def of(f, *shapes):
    def make():
        operands = [torch.randn(shape) for shape in shapes]
        return lambda: f(*operands)

    return make


for size, count in [("2M", 1 << 21), ("16M", 1 << 24)]:
    op(f"elementwise/add/{size}", of(torch.add, count, count))
    op(f"elementwise/mul/{size}", of(torch.mul, count, count))
    op(f"elementwise/silu_backward/{size}", of(aten.silu_backward, count, count))
    op(f"elementwise/mul_scalar/{size}", of(lambda x: x * 0.5, count))
    op(f"elementwise/silu/{size}", of(F.silu, count))
    op(f"elementwise/exp/{size}", of(torch.exp, count))
    op(f"elementwise/copy/{size}", of(torch.clone, count))

IMAGE = (16, 128, 32, 32)
op("elementwise/add_bias/16x128x32x32", of(torch.add, IMAGE, (128, 1, 1)))
op("elementwise/nchw_to_nhwc/16x128x32x32", of(lambda x: x.permute(0, 2, 3, 1).contiguous(), IMAGE))
op("elementwise/nhwc_to_nchw/16x128x32x32", of(lambda x: x.permute(0, 3, 1, 2).contiguous(), (16, 32, 32, 128)))
op("elementwise/transpose/2048x4096", of(lambda x: x.t().contiguous(), (2048, 4096)))
op("elementwise/cat/16x128+128x32x32", of(lambda a, b: torch.cat([a, b], dim=1), IMAGE, IMAGE))

op("reduce/sum/2048x4096/all", of(torch.sum, (2048, 4096)))
op("reduce/sum/2048x4096/rows", of(lambda x: x.sum(1), (2048, 4096)))
op("reduce/sum/2048x4096/columns", of(lambda x: x.sum(0), (2048, 4096)))
op("reduce/sum/16x128x32x32/per_channel", of(lambda x: x.sum((0, 2, 3)), IMAGE))
op("reduce/sum/16x128x32x32/over_channels", of(lambda x: x.sum(1), IMAGE))
op("reduce/amax/2048x4096/rows", of(lambda x: x.amax(1), (2048, 4096)))

SMALL, LARGE = (16, 256, 16, 16), (16, 256, 32, 32)
op("resample/nearest/16x256x16x16", of(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), SMALL))
op("resample/nearest_backward/16x256x32x32",
   of(lambda dy: aten.upsample_nearest2d_backward(dy, [32, 32], list(SMALL), 2.0, 2.0), LARGE))
op("resample/bilinear/16x256x16x16", of(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), SMALL))
op("resample/avg_pool/16x256x32x32", of(lambda x: F.avg_pool2d(x, 2), LARGE))

op("random/rand/4M", of(lambda: torch.rand(64, 65536)))
op("random/randn/4M", of(lambda: torch.randn(64, 65536)))
op("random/dropout/16x128x32x32", of(lambda x: F.dropout(x, 0.1, training=True), IMAGE))


# ---- the optimiser: one tensor of 64 Ki, or 100 that make 35.7 million ----
def optimizer(size, count, tensors):
    def state():
        parameters = [leaf(count // tensors) for _ in range(tensors)]
        for p in parameters:
            p.grad = torch.randn_like(p)
        average = [p.detach().clone() for p in parameters]
        adam = torch.optim.Adam(parameters, lr=2e-4, fused=True)
        norm = lambda: torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        ema = lambda: torch._foreach_lerp_(average, parameters, 1e-4)
        return norm, adam.step, ema

    op(f"optimizer/clip_adam_ema/{size}", lambda: (lambda parts: lambda: [part() for part in parts])(state()))
    op(f"optimizer/norm/{size}", lambda: state()[0])  # it scales the gradients too
    op(f"optimizer/adam/{size}", lambda: state()[1])
    op(f"optimizer/ema/{size}", lambda: state()[2])


optimizer("64K", 1 << 16, 1)
optimizer("35.7M", 35_746_307, 100)


# ---- overheads, Python's included ----
one, sixteen = torch.ones(1), torch.ones(16)
matrix = torch.ones(4, 4)
constant, w, b = torch.ones(16), torch.full((16,), 2.0, requires_grad=True), torch.full((16,), 3.0, requires_grad=True)


def clear():
    w.grad = b.grad = None


def add_backward():
    clear()
    (w + b).backward(constant)


def chain_backward():
    clear()
    (constant * w + b).relu().sum().backward()


op("overhead/allocate_16", lambda: lambda: torch.empty(16))
op("overhead/allocate_4M", lambda: lambda: torch.empty(1 << 22))
op("overhead/reshape", lambda: lambda: matrix.reshape(16))
op("overhead/slice", lambda: lambda: matrix[1:3])
op("overhead/add_1", lambda: lambda: one + one)
op("overhead/add_16", lambda: lambda: sixteen + sixteen)
op("overhead/add_strided_16", lambda: lambda: matrix.t() + matrix)
op("overhead/variable_add", lambda: lambda: constant + constant, grad=True)
op("overhead/record_add", lambda: lambda: w + b, grad=True)
op("overhead/add_backward", lambda: add_backward, grad=True)
op("overhead/chain_forward", lambda: lambda: (constant * w + b).relu().sum(), grad=True)
op("overhead/chain_forward_backward", lambda: chain_backward, grad=True)


def seconds_of(f, repetitions):
    """Times per call, of `repetitions` rounds of at least 30 ms each (or one call)."""

    def round_of(count):
        begin = time.perf_counter()
        for _ in range(count):
            f()
        return time.perf_counter() - begin

    round_of(2)
    count = 1
    while (elapsed := round_of(count)) < 3e-3:
        count *= 4
    count = max(1, round(count * 30e-3 / elapsed))
    return count, [round_of(count) / count for _ in range(repetitions)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="", help="regular expression on the names")
    parser.add_argument("--list", action="store_true", help="print the names and measure nothing")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    chosen = [entry for entry in OPS if re.search(options.filter, entry[0])]
    if options.list:
        print("\n".join(dict.fromkeys(name for name, *_ in chosen)))
        return
    runs = []
    for name, mode, make, grad in chosen:
        with torch.set_grad_enabled(grad):
            iterations, times = seconds_of(make(), options.repetitions)
        runs += [dict(name=f"peer/torch/{mode}/{name}", run_type="iteration", repetition_index=i, iterations=iterations,
                      real_time=1e9 * seconds, cpu_time=1e9 * seconds, time_unit="ns")
                 for i, seconds in enumerate(times)]
    print(json.dumps(dict(context=dict(torch=torch.__version__, torch_threads=options.threads), benchmarks=runs)))


main()
