"""The TFLite runtime of this machine, and one signature of a file made ready to run in it.

``ai-edge-litert`` is taken where it is installed, else ``tflite-runtime``. Both wrap the same C++
class, whose signatures can be used in place: inputs are written to, and outputs read from, the
runtime's own buffers. Their public ``SignatureRunner`` copies every tensor in and out and plans its
memory anew at each call, which for the weights of a model costs more than the step itself.
"""

import ctypes
import importlib
import importlib.metadata
import math
import multiprocessing
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import MissingPartError
from shared.standard_error import hushed
from shared.weights import Weights

_PACKAGES: Final = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))
"""Modules and the distributions they come from, the preferred one first."""

MASK_UNIT: Final = 0.25
"""What one unit of a dropout mask in bytes stands for."""

_FENV_BYTES: Final = 64
"""Room for C's ``fenv_t``, which takes 32 bytes on x86-64 and 8 on ARM."""

_ACROSS: Final = "_across"
"""How the names of weight inputs end that take their part transposed."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A TFLite runtime.

    Attributes
    ----------
    name, version
        Of its distribution.
    interpreter
        Its module with the class ``Interpreter``.
    """

    name: str
    version: str
    interpreter: Any

    @property
    def delegates(self) -> bool:
        """Whether XNNPACK computes its matrix products.

        It does in ai-edge-litert, whose own kernels are plain loops. In tflite-runtime 2.14 it
        takes only the ops around the products, and handing over costs more than it gains.
        """
        return self.name == "ai-edge-litert"

    @property
    def gelu_op(self) -> bool:
        """Whether it computes the op GELU fast: XNNPACK does in ai-edge-litert.

        In tflite-runtime 2.14 it is a plain loop, slower than the products around it.
        """
        return self.name == "ai-edge-litert"


_FINDING: Final = Lock()


def find_runtime(*, said: bool = True) -> Runtime:
    """Import the runtime that is installed.

    Parameters
    ----------
    said
        Whether to say on standard error which it is, the first time: where results are compared
        that depend on it, not wherever an utterance is recognised.

    Raises
    ------
    MissingPartError
        If there is none, or it does not load; with what to install for this Python and machine.
    """
    # One thread at a time: a cache would let two look, and mix up how libraries are opened.
    with _FINDING:
        runtime = _found()
        if said:
            _say(f"TFLite runtime: {runtime.name} {runtime.version}")
        return runtime


@cache
def _say(which: str) -> None:
    sys.stderr.write(f"{which}\n")


@cache
def _found() -> Runtime:
    for module, name in _PACKAGES:
        try:
            interpreter = _import(f"{module}.interpreter")
        except ModuleNotFoundError as error:
            if error.name != module:
                raise MissingPartError(f"{name} is not whole: {error}.", _advice()) from error
        except ImportError as error:
            raise MissingPartError(f"{name} does not load: {error}.", _advice()) from error
        else:
            return Runtime(name, importlib.metadata.version(name), interpreter)
    raise MissingPartError("No TFLite runtime is installed.", _advice())


def _import(module: str) -> Any:
    """Import a runtime so that it and the rest of the process leave each other alone.

    It uses its own C++ symbols: TensorFlow offers the whole process symbols of the same names from
    another version; a ``tflite-runtime`` that is imported after it would crash.

    It does not change how this thread computes: ``tflite-runtime`` for ARM switches to taking
    numbers below the normal ones for zero, of which NumPy warns.
    """
    if not hasattr(os, "RTLD_DEEPBIND"):
        return importlib.import_module(module)
    flags = sys.getdlopenflags()
    libm, arithmetic = ctypes.CDLL("libm.so.6"), ctypes.create_string_buffer(_FENV_BYTES)
    libm.fegetenv(arithmetic)
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        return importlib.import_module(module)
    finally:
        sys.setdlopenflags(flags)
        libm.fesetenv(arithmetic)


def _advice() -> str:
    """Say what to install for this Python and machine."""
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    machine = platform.machine()
    if machine not in ("x86_64", "aarch64", "arm64", "AMD64"):
        return f"There is none for {machine}: a 64-bit system is needed."
    if sys.version_info < (3, 12):
        what = "'tflite-runtime==2.14.0' 'numpy<2'"
    else:
        what = "ai-edge-litert"
    return f"For {python} on {machine}: pip install {what}"


def physical_cores() -> int:
    """Count the processor cores that this process may use, hyper-threads not counted twice."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text())
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def threads_here() -> int:
    """Give how many threads compute an utterance here: the physical cores.

    One in a process that another one has started, as that has started one for each core.
    """
    return 1 if multiprocessing.parent_process() else physical_cores()


class Session:
    """One signature of a TFLite file, its memory set aside, ready to run.

    Parameters
    ----------
    content
        The file.
    signature
        Name of the signature.
    threads
        Threads the runtime may use.
    delegates
        Whether XNNPACK may compute it; as is best for training if not given.

    Attributes
    ----------
    signature
        Its name.
    inputs, outputs
        Shapes by name, in the order of the tensors in the file.
    """

    def __init__(
        self, content: bytes, signature: str, threads: int, *, delegates: bool | None = None
    ) -> None:
        runtime = find_runtime(said=False)
        delegates = runtime.delegates if delegates is None else delegates
        resolvers = runtime.interpreter.OpResolverType
        interpreter = runtime.interpreter.Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=resolvers.BUILTIN
            if delegates
            else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        runner = interpreter.get_signature_runner(signature)
        self.signature = signature
        self._interpreter = interpreter
        self._wrapper = interpreter._interpreter  # noqa: SLF001 - see the module's docstring
        self._subgraph: int = runner._subgraph_index  # noqa: SLF001 - as above
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self._indices = {
            name: int(item["index"]) for name, item in [*inputs.items(), *outputs.items()]
        }
        self.inputs, self.outputs = self._shapes(inputs), self._shapes(outputs)
        if delegates:
            # The first call hands the graphs over to XNNPACK; it does so for all of them. Of the
            # first in a process it would say on standard error that it does.
            with hushed():
                self._wrapper.AllocateTensors()
        self._wrapper.AllocateTensors(self._subgraph)

    def _shapes(self, details: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        names = sorted(details, key=self._indices.__getitem__)
        return {name: tuple(map(int, details[name]["shape"])) for name in names}

    def view(self, name: str) -> NDArray[Any]:
        """Look at an input or output where it lies: valid until the session is let go."""
        view: NDArray[Any] = self._wrapper.tensor(
            self._wrapper, self._indices[name], self._subgraph
        )
        return view

    def resize(self, **shapes: tuple[int, ...]) -> None:
        """Give inputs other shapes; views from before are no longer valid."""
        if all(self.inputs[name] == shape for name, shape in shapes.items()):
            return
        for name, shape in shapes.items():
            self._wrapper.ResizeInputTensor(
                self._indices[name], np.array(shape, np.int32), False, self._subgraph
            )
            self.inputs[name] = shape
        self._wrapper.AllocateTensors(self._subgraph)

    def run(self) -> None:
        """Compute the outputs."""
        self._wrapper.Invoke(self._subgraph)


def across(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay a tensor of a manifest out as ``FULLY_CONNECTED`` takes it, without copying.

    Parameters
    ----------
    tensor
        A kernel, ``(..., units)``, or a bias.

    Returns
    -------
    numpy.ndarray
        Shape ``(units, inputs)``; a bias as it is.
    """
    return tensor if tensor.ndim == 1 else tensor.reshape(-1, tensor.shape[-1]).T


def weight_places(session: Session) -> dict[str, slice]:
    """Give the place of each of a training signature's weight inputs in the flat vector."""
    places: dict[str, slice] = {}
    start = 0
    for name, shape in session.inputs.items():
        if name.endswith(("_weights", _ACROSS)):
            places[name] = slice(start, start + math.prod(shape))
            start = places[name].stop
    return places


def fill_weights(session: Session, weights: Weights) -> None:
    """Copy the flat vector into a training signature's inputs."""
    for name, where in weight_places(session).items():
        view = session.view(name)
        if name.endswith(_ACROSS):
            view[:] = weights[where].reshape(view.shape[::-1]).T
        else:
            view.reshape(-1)[:] = weights[where]


def mask_inputs(session: Session) -> list[str]:
    """Name a training signature's dropout masks, in the order of their layers."""
    return [name for name in session.inputs if name.endswith("_mask")]
