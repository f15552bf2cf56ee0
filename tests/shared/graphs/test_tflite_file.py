"""The files that are written without TensorFlow, as TensorFlow reads and writes them."""

import subprocess
import sys

import flatbuffers
import pytest

from converters.keras_import import import_tensorflow
from shared.graphs.files import SIGNATURES, trainable_file
from tests.edge_client.tflite.cases import MODELS


@pytest.mark.parametrize("model", ["conv", "tdnn of another task"])
def test_tensorflow_writes_the_same_bytes(model: str) -> None:
    import_tensorflow()
    from tensorflow.lite.python import schema_py_generated as schema

    content = trainable_file(MODELS[model])
    read = schema.ModelT.InitFromPackedBuf(content, 0)
    assert [key.signatureKey.decode() for key in read.signatureDefs] == list(SIGNATURES)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(read.Pack(builder), b"TFL3")
    assert bytes(builder.Output()) == content


def test_a_device_builds_the_graph_of_any_task_without_tensorflow() -> None:
    program = (
        "import sys\n"
        "from shared.graphs.files import graph_file\n"
        "from shared.architectures import architecture_of\n"
        "from shared.task import PAPER34, Task, labels_of\n"
        "task = Task(labels_of(['laughing', 'crying', 'shouting']), PAPER34)\n"
        "assert graph_file(architecture_of('tdnn', task), 'train')[4:8] == b'TFL3'\n"
        "assert not {'tensorflow', 'keras', 'converters'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
