"""Examples at the end of each command's ``--help``. Nothing is imported here: help stays light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "": (
        (
            "which card under $3,000",
            "gpu-advisor recommend llama-3.1-8b --method lora --tokens 50e6 --budget 3000",
        ),
        ("does it fit", "gpu-advisor estimate qwen2.5-7b --method qlora --gpu rtx-4090"),
        ("the full-screen app", "gpu-advisor tui"),
    ),
    "recommend": (
        (
            "which card to buy under $3,000",
            "gpu-advisor recommend llama-3.1-8b --method lora --tokens 50e6 \\\n    --budget 3000 --buy-only",
        ),
        (
            "the cheapest that ends in three days, as JSON",
            "gpu-advisor recommend resnet50 --samples 1.28e6 --epochs 90 \\\n"
            "    --deadline 3d --for cost --top 5 --json",
        ),
        ("a job from a file, as a report", "gpu-advisor recommend job.yaml --output report.html"),
    ),
    "estimate": (
        (
            "does it fit, and where does the memory go",
            "gpu-advisor estimate qwen2.5-7b --method qlora --gpu rtx-4090,rtx-3060-12gb",
        ),
        (
            "eight of them",
            "gpu-advisor estimate llama-3.1-8b --tokens 1e9 --gpu h100-sxm5-80gb \\\n    --count 8",
        ),
        ("many questions, one a line", "gpu-advisor estimate --jsonl < questions.jsonl > answers.jsonl"),
    ),
    "compare": (
        (
            "two cards",
            "gpu-advisor compare resnet50 rtx-4090 rtx-5090 --samples 1.28e6 --epochs 90",
        ),
        (
            "with the processor of this machine",
            "gpu-advisor compare bert-base rtx-3090 rtx-4090 --precision fp16 --with-cpu",
        ),
    ),
    "describe": (
        (
            "trace your module once, where torch is",
            "gpu-advisor describe mymodel.yaml --allow-code --output mymodel.table.json",
        ),
        ("the operators of a shipped model", "gpu-advisor describe resnet50"),
    ),
    "gpus": (
        ("search by words", "gpu-advisor gpus ada 24"),
        ("all facts of one, with their sources", "gpu-advisor gpus show rtx-4090"),
        ("the whole catalog as a table for a spreadsheet", "gpu-advisor gpus --format csv"),
    ),
    "models": (
        ("search by words", "gpu-advisor models llama 8b"),
        ("the dimensions of one", "gpu-advisor models show gpt2"),
        ("one of the Hugging Face hub", "gpu-advisor models fetch Qwen/Qwen2.5-7B"),
    ),
    "accuracy": (
        ("errors of all published runs", "gpu-advisor accuracy"),
        ("by GPU, with the ten worst runs", "gpu-advisor accuracy --by gpu --worst 10"),
        ("a report with plots", "gpu-advisor accuracy --html accuracy.html"),
    ),
    "calibrate": (
        ("what would be measured, and for how long", "gpu-advisor calibrate --dry-run"),
        ("measure the first GPU in about 20 s", "gpu-advisor calibrate --quick"),
        ("run a job for a moment, beside its estimate", "gpu-advisor calibrate --check resnet50"),
    ),
    "prices": (
        ("all prices of one GPU", "gpu-advisor prices show rtx-4090"),
        ("ask the public price lists", "gpu-advisor prices refresh"),
        ("keep a vendor's quotes", "gpu-advisor prices import offer.csv --rate EUR=1.08"),
    ),
    "fleet": (
        ("what to buy and to rent", "gpu-advisor fleet fleet.yaml"),
        (
            "with quotes that count for this answer alone",
            "gpu-advisor fleet fleet.yaml --quotes offer.csv --rate EUR=1.08 --json",
        ),
    ),
    "tui": (
        ("open the app with a job", "gpu-advisor tui llama-3.1-8b --method lora --tokens 50e6"),
        ("leave the GPU that you choose with A", "gpu-advisor tui job.yaml > choice.json"),
    ),
    "serve": (
        ("for this machine alone", "gpu-advisor serve"),
        ("at another port", "gpu-advisor serve llama-3.1-8b --port 8080"),
    ),
    "schema": (
        ("the whole format of a workload file", "gpu-advisor schema workload"),
        ("what recommend --json writes", "gpu-advisor schema recommend --output recommend.json"),
    ),
}
"""What each example is for, and its command, by command; those of the program itself under the empty name."""


def examples_of(command: str) -> str:
    """Return the examples of a command as its help shows them."""
    shown = [
        f"  # {purpose}\n  {line.replace(chr(10), chr(10) + '  ')}" for purpose, line in EXAMPLES[command]
    ]
    return "\n".join(["examples:", *shown])
