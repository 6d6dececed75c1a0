"""Words for the job: the workload document that a user writes, as frozen pydantic models.

Field names and accepted values are a contract with scripts. ``auto`` leaves a choice to the plan search.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from advisor.hardware import Segment, Vendor
from advisor.host_facts import HostFacts
from advisor.learners import KMeans, Knn, Learner, Pca, RandomForest, Svm, Trees, whole_number
from advisor.quantity import Model
from advisor.torch_model import TorchModel

Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4", "fp4", "nf4"]
Optimizer = Literal["sgd", "sgd-momentum", "adam", "adamw", "adamw-8bit", "adafactor", "lion", "none"]
Checkpointing = Literal["none", "selective", "full"]
Attention = Literal["eager", "flash"]
Method = Literal["full", "lora", "qlora"]
Task = Literal["train", "finetune", "inference"]
Way = Literal["buy", "rent"]
"""How hardware is had."""


Count = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=10**18)]
Size = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=10**9)]
Extent = Annotated[int, BeforeValidator(whole_number), Field(ge=0, le=10**9)]
Depth = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=10**4)]
"""Layers: the deepest published networks have about a thousand."""
Width = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=2 * 10**6)]
"""Channels, heads: the widest published transformers have about a hundred thousand."""


class LatentAttention(Model):
    """Multi-head latent attention (DeepSeek-V2 report, section 2.1): sizes of the compressed projections."""

    query_rank: Extent = 0
    """0: queries are not compressed."""
    key_value_rank: Size
    rope_head_dim: Size
    nope_head_dim: Size
    value_head_dim: Size


class Transformer(Model):
    """Dimensions of a transformer; ``layers`` of an encoder-decoder are those of its encoder.

    Sizes that are left out have the value that most models use; wrong combinations are errors.
    """

    kind: Literal["decoder", "encoder", "encoder-decoder"] = "decoder"
    layers: Depth
    hidden: Width
    heads: Width
    kv_heads: Width | None = None
    head_dim: Width | None = None
    ffn: Width
    vocab: Extent
    gated_ffn: bool = False
    tied_embeddings: bool = False
    decoder_layers: Depth | None = None
    decoder_heads: Width | None = None
    decoder_ffn: Width | None = None

    experts: Extent = 0
    """Routed experts per mixture-of-experts layer; 0 for a dense model."""
    active_experts: Extent = 0
    expert_ffn: Width | None = None
    shared_expert_ffn: Extent = 0
    """Inner size of the experts that every token passes, all of them together."""
    shared_expert_gate: bool = False
    dense_layers: Extent = 0
    """Layers with a dense feed-forward network in a mixture-of-experts model."""
    router_bias: bool = False
    """One number per expert: a bias of the router or a load-balancing correction (DeepSeek-V3)."""
    expert_bias: bool = False
    attention_sinks: bool = False
    """One learned number per head in the denominator of the softmax (gpt-oss)."""

    latent_attention: LatentAttention | None = None
    position: Literal["rotary", "learned", "relative", "disentangled", "sinusoidal", "none"] = "rotary"
    """none: no position information, or a bias without parameters (ALiBi)."""
    max_positions: Extent = 0
    """Rows of a position table that is stored (learned, or sinusoidal as in Whisper); 0 when there is none.
    For a model of images: one row for each patch and the class token when left out."""
    decoder_max_positions: Extent = 0
    relative_buckets: Extent = 0
    """Rows of the relative position table: one number per head (T5), or with ``position: disentangled`` a
    vector of the hidden size (DeBERTa)."""
    token_types: Extent = 0
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norm_scale: bool = True
    """False: norms hold no parameters at all (OLMo)."""
    norm_bias: bool | None = None
    """None: layernorm has a bias, rmsnorm has none."""
    norms_per_layer: Size = 2
    """Norms over the hidden size in one layer; a cross-attending layer has one more."""
    qk_norm: Literal["none", "head", "all"] = "none"
    """Norm on queries and keys: over one head's channels, or over all heads' channels."""
    final_norm: bool = True
    embedding_norm: bool = False
    embedding_size: Width | None = None
    """Width of the token embedding where a projection to the hidden size follows. In an encoder all tables
    have this width and the projection has a bias (ELECTRA); in a decoder a second projection leads back
    before the head (OPT-350m)."""
    qkv_bias: bool = False
    key_bias: bool | None = None
    """None: as ``qkv_bias``; false where queries and values have a bias and keys have none (Whisper)."""
    attention_output_bias: bool = False
    ffn_bias: bool = False
    head_bias: bool = False
    head: Literal["language-model", "masked-language-model", "classifier", "pooler", "none"] = (
        "language-model"
    )
    classes: Extent = 0
    """Outputs of a classifier head."""
    image_size: Extent = 0
    patch_size: Extent = 0
    image_channels: Size = 3
    patch_bias: bool = True
    class_token: bool = False
    audio_channels: Extent = 0
    """Input channels of a two-convolution audio stem (Whisper: mel bins); 0 when there is none."""
    sliding_window: Extent = 0
    global_layers_every: Extent = 0
    """One layer in this many attends to everything; 0: all layers use the window (if there is one)."""

    @property
    def kv_head_count(self) -> int:
        """Key/value heads; equal to the heads when the document does not say."""
        return self.kv_heads or self.heads

    @property
    def head_size(self) -> int:
        """Channels of one query head."""
        return self.head_dim or self.hidden // self.heads

    @property
    def position_rows(self) -> int:
        """Rows of the stored position table of the first stack; 0 when positions have no table."""
        if self.position not in ("learned", "sinusoidal"):
            return 0
        if self.max_positions or not self.patch_size or self.position == "sinusoidal":
            return self.max_positions
        return (self.image_size // self.patch_size) ** 2 + int(self.class_token)

    @model_validator(mode="after")
    def _dimensions_fit(self) -> Self:
        if self.head_dim is None and self.hidden % self.heads:
            raise ValueError(
                f"hidden {self.hidden} does not divide by heads {self.heads}; give head_dim or change one"
            )
        if self.heads % self.kv_head_count:
            raise ValueError(f"heads {self.heads} does not divide by kv_heads {self.kv_head_count}")
        if self.kind == "encoder-decoder" and self.decoder_layers is None:
            raise ValueError("kind encoder-decoder needs decoder_layers")
        if self.kind != "encoder-decoder" and self.decoder_layers is not None:
            raise ValueError("decoder_layers is for kind encoder-decoder only")
        if bool(self.experts) != bool(self.active_experts):
            raise ValueError("experts and active_experts are given together or not at all")
        if self.active_experts > self.experts:
            raise ValueError(f"active_experts {self.active_experts} is more than experts {self.experts}")
        if self.dense_layers > self.layers:
            raise ValueError(f"dense_layers {self.dense_layers} is more than layers {self.layers}")
        if bool(self.image_size) != bool(self.patch_size):
            raise ValueError("image_size and patch_size are given together or not at all")
        if self.patch_size and self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} does not divide by patch_size {self.patch_size}")
        if self.vocab == 0 and not (self.patch_size or self.audio_channels):
            raise ValueError("vocab is 0, and there is neither an image nor an audio stem")
        if self.position == "learned" and not self.position_rows:
            raise ValueError("position learned needs max_positions, the rows of its table")
        if self.head == "classifier" and not self.classes:
            raise ValueError("head classifier needs classes")
        return self


class ModelSource(Model):
    """Where the model comes from: exactly one of the fields."""

    name: str | None = None
    transformer: Transformer | None = None
    huggingface: str | None = None
    torch: TorchModel | None = None
    table: str | None = None
    trees: Trees | None = None
    random_forest: RandomForest | None = None
    svm: Svm | None = None
    kmeans: KMeans | None = None
    knn: Knn | None = None
    pca: Pca | None = None

    @property
    def learner(self) -> Learner | None:
        """The learner that is no network, where the model is one."""
        given = (self.trees, self.random_forest, self.svm, self.kmeans, self.knn, self.pca)
        return next((each for each in given if each is not None), None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(type(self).model_fields)}; "
                f"got {', '.join(given) if given else 'none'}"
            )
        return self


class Lora(Model):
    """Low-rank adapters (Hu et al. 2021). ``targets`` names the linear layers that get one."""

    rank: Size = 16
    targets: tuple[str, ...] = ("all-linear",)


class Data(Model):
    """How much is trained on: tokens, or samples times epochs, or steps."""

    samples: Count | None = None
    epochs: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    sequence_length: Size | None = None
    tokens: Count | None = None
    steps: Count | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        given = [name for name in ("samples", "tokens", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of samples, tokens or steps; got {', '.join(given)}")
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs goes with samples or tokens; steps already says how long training is")
        return self


class Batch(Model):
    """Global batch in samples for one optimizer step; micro-batch: samples on one GPU in one forward pass."""

    model_config = Model.model_config | {"populate_by_name": True}

    global_size: Size | None = Field(default=None, alias="global")
    micro: Size | Literal["auto"] = "auto"


class Parallelism(Model):
    """A fixed layout of GPUs. ``data`` groups may be replicated or sharded as ``strategy`` says."""

    data: Size = 1
    tensor: Size = 1
    pipeline: Size = 1
    strategy: Literal["ddp", "zero1", "zero2", "fsdp"] = "ddp"


class Software(Model):
    """Framework and version that will run the job; the newest known when left out."""

    framework: str = "pytorch"
    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*")] | None = None
    """Such as 2.9 or 1.13.0a0; it decides how fast kernels and launches of its age are."""
    trainer: Literal["common", "tuned"] = "common"
    fused_loss: bool = False
    """True when the loss never materialises the logits (Liger, Cut Cross-Entropy, Unsloth)."""


class Inference(Model):
    """What is asked of a served model: sequences at a time, their prompts and answers."""

    batch: Size = 1
    prompt_tokens: Size = 512
    new_tokens: Extent = 128
    kv_cache: Literal["auto", "fp16", "bf16", "fp8", "int8", "int4"] = "auto"


class Constraints(Model):
    """What an acceptable answer must satisfy."""

    budget_usd: Annotated[float, Field(ge=1e-6, le=1e15)] | None = None
    deadline_h: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    max_count: Annotated[int, Field(ge=1, le=16384)] | None = None
    max_power_w: Annotated[float, Field(ge=1e-3, le=1e12)] | None = None
    vendors: tuple[Vendor, ...] = ()
    segments: tuple[Segment, ...] = ()
    min_memory_gib: Annotated[float, Field(ge=1e-3, le=1e6)] | None = None
    ecc: bool = False
    acquire: tuple[Way, ...] = ("buy", "rent")
    quoted: bool = False
    """Buy only what a quote of the user's offers."""


class Economics(Model):
    """What power costs, how long a purchase is used, and what renting means."""

    country: Annotated[str, Field(min_length=2, max_length=60)] | None = None
    """Code (DE) or English name: decides the tariff and the carbon of the grid where these are left out."""
    electricity_usd_per_kwh: Annotated[float, Field(ge=0, le=10)] | None = None
    """Left out, it is that of businesses in the country, or an assumption for the world."""
    carbon_g_per_kwh: Annotated[float, Field(ge=0, le=5000)] | None = None
    """Greenhouse gases of the grid; left out, those of the country, or of the world."""
    pue: Annotated[float, Field(ge=1, le=5)] = 1.2
    hours_per_week: Annotated[float, Field(ge=1e-3, le=168)] = 60.0
    horizon_years: Annotated[float, Field(ge=1e-3, le=30)] = 3.0
    residual_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the purchase that the hardware still fetches at the end of the horizon."""
    idle_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the hours out of use in which bought hardware is switched on."""
    host_usd_per_gpu: Annotated[float, Field(ge=0, le=1e6)] | Literal["none", "auto"] = "none"
    """What the machine around a GPU costs: nothing, the table's share, or dollars."""
    spot: bool = False
    """Rent interruptible instances."""
    spot_overhead: Annotated[float, Field(ge=0, le=10)] = 0.15
    """Share of time that interruptions add to a job."""
    minimum_rental_h: Annotated[float, Field(ge=0, le=8784)] = 0.0
    """The shortest rental that is billed."""


class Workload(Model):
    """A whole job: the document that ``schema workload`` publishes."""

    name: str | None = None
    model: ModelSource
    task: Task | None = None
    """None: finetune when the method is lora or qlora, else train."""
    method: Method = "full"
    lora: Lora = Lora()
    data: Data = Data()
    batch: Batch = Batch()
    precision: Precision | Literal["auto"] = "auto"
    master_weights: Literal["auto", "fp32", "copy", "none"] = "auto"
    optimizer: Optimizer = "adamw"
    checkpointing: Checkpointing | Literal["auto"] = "auto"
    attention: Attention | Literal["auto"] = "auto"
    sharding: Literal["auto", "none", "ddp", "zero1", "zero2", "fsdp"] | Parallelism = "auto"
    compile: bool = False
    memory_format: Literal["auto", "nchw", "nhwc"] = "auto"
    software: Software = Software()
    inference: Inference = Inference()
    constraints: Constraints = Constraints()
    economics: Economics = Economics()
    host: HostFacts | None = None
    """The machine that bought cards shall go into."""

    @property
    def effective_task(self) -> Task:
        """The task, derived from the method where the document leaves it out."""
        return self.task or ("train" if self.method == "full" else "finetune")

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.task == "inference" and self.method != "full":
            raise ValueError(
                f"method {self.method} trains; for inference with quantised weights set precision"
            )
        if self.task == "train" and self.method != "full":
            raise ValueError(f"method {self.method} fine-tunes; use task: finetune")
        micro, total = self.batch.micro, self.batch.global_size
        if micro != "auto" and total is not None and total % micro:
            raise ValueError(f"batch.global {total} does not divide by batch.micro {micro}")
        if self.effective_task != "inference" and self.precision in ("int8", "int4", "fp4", "nf4"):
            raise ValueError(
                f"precision {self.precision} is for inference; to train on a quantised base use method: qlora"
            )
        return self
