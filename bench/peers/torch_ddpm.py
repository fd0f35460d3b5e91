#!/usr/bin/env python3
"""PyTorch beside train_step/* and denoise/* of sfumato_bench: the same networks, the same steps, its fastest settings.

    python3 bench/peers/torch_ddpm.py --config cifar10_ddpm --mode bf16_channels_last --what train_step

prints results in Google Benchmark's JSON, named peer/torch/<mode>/<what>/<config>/<batch>. One measurement per process,
so that its peak of resident memory means something. `./run bench --against torch` runs it through stdin.
"""
import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn

# Batch, channels of the image, widths of the levels, which of them have attention, and what must come out.
CONFIGS = {
    "cifar10_ddpm": dict(batch=16, channels=3, widths=(128, 256, 256, 256), attention=(0, 1, 0, 0), parameters=35_746_307),
    "small32": dict(batch=64, channels=1, widths=(32, 64, 128), attention=(0, 0, 1), parameters=3_939_393),
}
MODES = ("f32_nchw", "f32_channels_last", "bf16_nchw", "bf16_channels_last")
SIZE = 32
GROUPS = 32
LAYERS = 2
DROPOUT = 0.1


def group_norm(channels):
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


def conv3x3(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, embedding):
        super().__init__()
        self.norm1, self.conv1 = group_norm(inputs), conv3x3(inputs, outputs)
        self.time = nn.Linear(embedding, outputs)
        self.norm2, self.dropout, self.conv2 = group_norm(outputs), nn.Dropout(DROPOUT), conv3x3(outputs, outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time_embedding):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time_embedding)[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class Attention(nn.Module):
    """One head. In bf16 two plain products and a softmax are faster than scaled_dot_product_attention."""

    def __init__(self, channels, manual):
        super().__init__()
        self.manual = manual
        self.norm = group_norm(channels)
        self.query, self.key, self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (f(h).flatten(2).transpose(1, 2) for f in (self.query, self.key, self.value))  # (N, pixels, C)
        if self.manual:
            mixed = torch.softmax(q @ k.transpose(1, 2) * q.shape[-1] ** -0.5, dim=-1) @ v
        else:
            mixed = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + self.out(mixed.transpose(1, 2).reshape(x.shape))


class Level(nn.Module):
    """A residual block, followed by attention where the level has it."""

    def __init__(self, inputs, outputs, embedding, attention, manual):
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, embedding)
        self.attention = Attention(outputs, manual) if attention else nn.Identity()

    def forward(self, x, time_embedding):
        return self.attention(self.block(x, time_embedding))


class UNet(nn.Module):
    """The network of Ho et al. 2020."""

    def __init__(self, channels, widths, attention, manual):
        super().__init__()
        self.width = widths[0]
        embedding = 4 * self.width
        self.time1, self.time2 = nn.Linear(self.width, embedding), nn.Linear(embedding, embedding)
        self.conv_in = conv3x3(channels, self.width)
        level = lambda inputs, i: Level(inputs, widths[i], embedding, attention[i], manual)

        skips, current, down = [self.width], self.width, []
        for i, width in enumerate(widths):
            for _ in range(LAYERS):
                down.append(level(current, i))
                current = width
                skips.append(current)
            if i + 1 < len(widths):
                down.append(conv3x3(current, current, stride=2))
                skips.append(current)
        self.down = nn.ModuleList(down)

        self.middle1, self.middle2 = (ResidualBlock(current, current, embedding) for _ in range(2))
        self.middle_attention = Attention(current, manual)

        up = []
        for i in reversed(range(len(widths))):
            for _ in range(LAYERS + 1):
                up.append(level(current + skips.pop(), i))
                current = widths[i]
            if i > 0:
                up.append(conv3x3(current, current))
        self.up = nn.ModuleList(up)
        self.norm_out, self.conv_out = group_norm(current), conv3x3(current, channels)

    def time_embedding(self, t):
        half = self.width // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        angles = t.float()[:, None] * frequencies
        return F.silu(self.time2(F.silu(self.time1(torch.cat([angles.sin(), angles.cos()], dim=1)))))

    def forward(self, x, t):
        time_embedding = self.time_embedding(t)
        h = self.conv_in(x)
        skips = [h]
        for module in self.down:
            h = module(h) if isinstance(module, nn.Conv2d) else module(h, time_embedding)
            skips.append(h)
        h = self.middle2(self.middle_attention(self.middle1(h, time_embedding)), time_embedding)
        for module in self.up:
            if isinstance(module, nn.Conv2d):
                h = module(F.interpolate(h, scale_factor=2, mode="nearest"))
            else:
                h = module(torch.cat([h, skips.pop()], dim=1), time_embedding)
        return self.conv_out(F.silu(self.norm_out(h)))


def training_step(net, x0, autocast):
    """One micro-batch: draw t and noise, q_sample, forward, MSE, backward, clip 1.0, Adam, EMA."""
    parameters = list(net.parameters())
    average = [p.detach().clone(memory_format=torch.preserve_format) for p in parameters]
    adam = torch.optim.Adam(parameters, lr=2e-4, fused=True)
    alphas_cumprod = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)
    signal, spread = alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()

    def step():
        t = torch.randint(0, 1000, (x0.shape[0],))
        noise = torch.randn_like(x0)
        x_t = signal[t][:, None, None, None] * x0 + spread[t][:, None, None, None] * noise
        with autocast():
            prediction = net(x_t, t)
        loss = F.mse_loss(prediction.float(), noise)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1e-4)
        return loss.item()

    return step


def denoising_step(net, x, autocast):
    net.eval()
    t = torch.full((x.shape[0],), 500)

    def step():
        with torch.no_grad(), autocast():
            net(x, t)

    return step


def seconds_of(step, warm_ups, repetitions):
    for _ in range(warm_ups):
        step()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return times


def peak_rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024e-6 for line in status if line.startswith("VmHWM:"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--what", choices=("train_step", "denoise"), required=True)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    config = CONFIGS[options.config]
    bf16, channels_last = options.mode.startswith("bf16"), options.mode.endswith("channels_last")
    net = UNet(config["channels"], config["widths"], config["attention"], manual=bf16)
    parameters = sum(p.numel() for p in net.parameters())
    assert parameters == config["parameters"], f"{options.config} has {parameters} parameters"
    x = torch.randn(config["batch"], config["channels"], SIZE, SIZE)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)

    autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=bf16)
    step = training_step(net, x, autocast) if options.what == "train_step" else denoising_step(net, x, autocast)
    times = seconds_of(step, warm_ups=2 if options.what == "train_step" else 1, repetitions=options.repetitions)
    name = f"peer/torch/{options.mode}/{options.what}/{options.config}/{config['batch']}"
    runs = [dict(name=name, run_type="iteration", repetition_index=i, iterations=1, real_time=1e3 * seconds,
                 cpu_time=1e3 * seconds, time_unit="ms", peak_rss_MB=peak_rss_mb()) for i, seconds in enumerate(times)]
    print(json.dumps(dict(context=dict(torch=torch.__version__, torch_threads=options.threads), benchmarks=runs)))


main()
