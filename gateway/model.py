"""What is written about a model: its card, and the words for a loaded version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.configuration.option import option
from gateway.configuration.settings import NAME, StepSettings

CARD_FILE = "card.yaml"
PRECISIONS = ("int8", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class CardTensor:
    """One input or output as the card states it; checked against the file."""

    name: str = option("The runtime's own name of the tensor.")
    dtype: str = option("Element type.")
    shape: tuple[int, ...] = option("Sizes; -1 for an axis of any size.")
    scale: float = option("Quantisation step; 0 if not quantised.", 0.0, minimum=0)
    zero_point: int = option("Code of real 0.", 0)
    axes: str = option("Meaning of the axes, such as NHWC.", "", pattern=r"[NHWCT]{0,5}")


@dataclass(frozen=True, slots=True)
class CardState:
    """A recurrent tensor that the gateway carries per stream, zeros at first."""

    input: str = option("Input that takes the state.")
    output: str = option("Output that gives the next state.")


@dataclass(frozen=True, slots=True)
class GoldenSample:
    """A payload whose answer is known."""

    file: str = option("Payload, relative to the card.")
    media: str = option("Its media type; detected when empty.", "")
    declaration: Mapping[str, object] = option(
        "Further declared facts, such as dtype and rate_hz.", factory=dict
    )
    expect: Mapping[str, object] = option(
        "What the prediction must hold (see the docs of model cards).", factory=dict
    )


@dataclass(frozen=True, slots=True)
class CardTwin:
    """The same model in another file: another format or precision, for boards that run it better."""

    file: str = option("Model file, relative to the card.")
    sha256: str = option("Digest of the file.", pattern=r"[0-9a-f]{64}")
    format: str = option("Format of the file.", choices=("tflite", "onnx"))
    precision: str = option("What numbers it computes with.", choices=PRECISIONS)
    inputs: tuple[CardTensor, ...] = option("Its inputs, if they differ from the card's.", ())
    outputs: tuple[CardTensor, ...] = option("Its outputs, if they differ from the card's.", ())
    golden: tuple[GoldenSample, ...] = option("Its own golden samples, if the card's do not hold for it.", ())


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The whole card."""

    name: str = option("Name of the model.", pattern=NAME)
    version: str = option("Version of the model.", pattern=r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}")
    summary: str = option("One sentence: what it does.")
    source: str = option("Where it comes from.")
    licence: str = option("SPDX name of its licence.")
    file: str = option("Model file, relative to the card.")
    sha256: str = option("Digest of the model file.", pattern=r"[0-9a-f]{64}")
    format: str = option("Format of the file.", choices=("tflite", "onnx"))
    inputs: tuple[CardTensor, ...] = option("Inputs.")
    outputs: tuple[CardTensor, ...] = option("Outputs.")
    state: tuple[CardState, ...] = option("Recurrent tensors.", ())
    constants: Mapping[str, float] = option(
        "Inputs that are always fed one number, such as sr: 16000.", factory=dict
    )
    preprocess: tuple[StepSettings, ...] = option("Steps from a payload to the inputs.", ())
    postprocess: tuple[StepSettings, ...] = option("Steps from the outputs to a prediction.", ())
    labels: str = option("File with one label a line, relative to the card; empty for none.", "")
    golden: tuple[GoldenSample, ...] = option("Payloads with known answers.", ())
    precision: str = option(
        "What numbers the file computes with; looked for in it when empty.", "", choices=("", *PRECISIONS)
    )
    twins: tuple[CardTwin, ...] = option(
        "The same model in other files; each board takes the one that suits it.", ()
    )
    made: bool = option(
        "Made by the gateway of the file alone: where it leaves a size open, what the runtime finds counts.", False
    )

    def of_file(self, file: str) -> ModelCard:
        """Return the card as it is for one of the files: what a twin says of itself takes the place of the card's.

        Args:
            file: Name of a twin's file, or of the card's own; empty for the latter.

        Raises:
            KeyError: The card names no such file.
        """
        if file in ("", self.file):
            return self
        twin = {each.file: each for each in self.twins}[file]
        return replace(
            self,
            file=twin.file,
            sha256=twin.sha256,
            format=twin.format,
            precision=twin.precision,
            inputs=twin.inputs or self.inputs,
            outputs=twin.outputs or self.outputs,
            golden=twin.golden or self.golden,
            twins=(),
        )


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk: its card, where it lies, and its labels.

    Attributes:
        folder: The folder that holds the card.
        card: The card.
        labels: Labels by class index; empty if the card names none.
    """

    folder: Path
    card: ModelCard
    labels: tuple[str, ...] = field(default=())

    @property
    def file(self) -> Path:
        """Path of the model file."""
        return self.folder / self.card.file


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model as loaded here; named in every result.

    Attributes:
        name: Name under ``models:`` in the configuration.
        version: The card's version.
        digest: ``sha256:`` and the hex digest of the model file.
        engine: Runtime, version and backend, such as ``litert 2.3.0 xnnpack``.
    """

    name: str
    version: str
    digest: str
    engine: str
