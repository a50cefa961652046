"""What a user would try first with a teacher: int8, an ONNX graph, half of its layers, and these trained again."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avatar_optuna.distillation import Classifier, Examples, Judge, Recipe, SimilarityClassifier, Trainer
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task, known_groups

INT8 = "teacher in int8"
ONNX = "teacher as an ONNX graph"
ONNX_INT8 = "teacher as an ONNX graph, int8"
HALF = "teacher, half of its layers"
HALF_TRAINED = "teacher, half of its layers, trained again"
ON_A_PROCESSOR = (INT8, ONNX, ONNX_INT8)


def first_tries(teacher: Classifier, folder: Path) -> dict[str, Classifier]:
    """What a user would try first with a teacher, on a processor."""
    plain = on_device(teacher, "cpu")
    quantized = torch.ao.quantization.quantize_dynamic(plain.network, {nn.Linear}, dtype=torch.qint8)
    paths = onnx_graphs(plain, folder)
    return {
        INT8: replace(plain, network=quantized),
        **{name: replace(plain, network=OnnxNetwork(path, plain.network)) for name, path in paths.items()},
        HALF: replace(plain, network=halved(plain.network)),
    }


def halved(network: nn.Module) -> nn.Module:
    """A copy with the first half of the layers."""
    copied = copy.deepcopy(network)
    layers = max((module for module in copied.modules() if isinstance(module, nn.ModuleList)), key=len)
    del layers[len(layers) // 2 :]
    return copied


def trained_again(
    classifier: Classifier, task: Task, settings: TeacherSettings, *, epochs: int, device: str, directory: Path
) -> Classifier:
    """A copy that is trained on the labels, or on the groups of functions where the teacher compares vectors.

    Args:
        settings: The teacher's, at half of whose learning rate it is trained.
        directory: For checkpoints.
    """
    network = copy.deepcopy(classifier.network).to(device)
    is_similarity = isinstance(network, SimilarityClassifier)
    tokenized = partial(
        Examples.of,
        tokenizer=classifier.tokenizer,
        max_sequence_length=classifier.max_sequence_length,
        device=device,
    )
    trainer = Trainer(
        network,
        recipe=Recipe(
            epochs=epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate / 2,
            hard_label_weight=1.0,
            contrastive_weight=float(is_similarity),
        ),
        train=tokenized(task.train, groups=known_groups(task.train) if is_similarity else None),
        valid=tokenized(task.valid),
        soft_labels=None,
        directory=directory,
        fingerprint="half",
        num_labels=task.shape.num_labels,
        judge=Judge(metric="roc_auc", split=task.valid) if is_similarity else None,
    )
    trainer.run(lambda record: print(HALF_TRAINED, record.epoch, dict(record.valid), flush=True))
    return on_device(replace(classifier, network=network.eval(), device=torch.device(device)), "cpu")


class _Encoder(nn.Module):
    """The half of a network that an ONNX graph holds."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, k) of ids and mask (n, t)."""
        return self.network.encode(ids, mask)  # type: ignore[no-any-return]


class OnnxNetwork(nn.Module):
    """A network whose encoder is run by onnxruntime on threads of a processor, one or more; its head stays torch's."""

    def __init__(self, path: Path, network: Any, threads: int = 1) -> None:
        super().__init__()
        import onnxruntime

        self.path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.classify = network.classify

    def with_threads(self, threads: int) -> OnnxNetwork:
        """The same network on other threads."""
        return OnnxNetwork(self.path, self, threads)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        (vectors,) = self.session.run(None, {"ids": input_ids.long().numpy(), "mask": mask.numpy()})
        return torch.from_numpy(vectors)


def onnx_graphs(teacher: Classifier, folder: Path) -> dict[str, Path]:
    """Its encoder in float32 and in int8, made where they are missing; none where onnxruntime is."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        print("onnxruntime is missing: no ONNX graphs", flush=True)
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    paths = _graph_paths(folder)
    if not paths[ONNX].is_file():
        ids = torch.arange(5, 37)[None].repeat(2, 1)
        axes = {0: "functions", 1: "tokens"}
        torch.onnx.export(
            _Encoder(teacher.network).eval(),
            (ids, torch.ones_like(ids)),
            str(paths[ONNX]),
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_axes={"ids": axes, "mask": axes, "vectors": {0: "functions"}},
            opset_version=17,
            dynamo=False,
        )
    if not paths[ONNX_INT8].is_file():
        quantize_dynamic(paths[ONNX], paths[ONNX_INT8], weight_type=QuantType.QInt8, per_channel=True)
    return paths


def onnx_bytes(folder: Path) -> dict[str, int]:
    """Of the graphs that are there."""
    return {name: path.stat().st_size for name, path in _graph_paths(folder).items() if path.is_file()}


def _graph_paths(folder: Path) -> dict[str, Path]:
    return {ONNX: folder / "encode.onnx", ONNX_INT8: folder / "encode-int8.onnx"}


def int8_bytes(teacher: Classifier) -> int:
    """Weights of linear layers in one byte, all others in four."""
    modules = [module for module in teacher.network.modules() if isinstance(module, nn.Linear)]
    return 4 * teacher.num_parameters - 3 * sum(module.weight.numel() for module in modules)


def fits(name: str, device: str) -> bool:
    """Dynamic int8 and the ONNX graphs are for processors."""
    return device == "cpu" or name not in ON_A_PROCESSOR


def on_device(classifier: Classifier, device: str) -> Classifier:
    """A classifier on a device, a copy of it where it is elsewhere."""
    if classifier.device == torch.device(device):
        return classifier
    network = copy.deepcopy(classifier.network).to(device).eval()
    return replace(classifier, network=network, device=torch.device(device))
